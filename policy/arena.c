/* SPDX-License-Identifier: GPL-2.0-only */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 16 << 10, ALIGN = 16 };

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(ALIGN) char data[];
};

struct pol_arena {
	struct chunk *chunks; /* the first is the one being filled */
};

struct pol_arena *arena_new(void)
{
	return calloc(1, sizeof(struct pol_arena));
}

void arena_free(struct pol_arena **a)
{
	struct chunk *c, *next;

	if (!*a)
		return;
	for (c = (*a)->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	free(*a);
	*a = NULL;
}

static struct chunk *chunk_new(size_t size)
{
	struct chunk *c = calloc(1, sizeof(*c) + size);

	if (c)
		c->size = size;
	return c;
}

void *arena_get(struct pol_arena *a, size_t bytes)
{
	struct chunk *c = a->chunks;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (bytes == 0)
		bytes = ALIGN;
	if (bytes > CHUNK_BYTES / 4) { /* a chunk of its own, behind the one being filled */
		struct chunk *big = chunk_new(bytes);

		if (!big)
			return NULL;
		big->used = bytes;
		if (c) {
			big->next = c->next;
			c->next = big;
		} else {
			a->chunks = big;
		}
		return big->data;
	}
	if (!c || c->size - c->used < bytes) {
		c = chunk_new(CHUNK_BYTES);
		if (!c)
			return NULL;
		c->next = a->chunks;
		a->chunks = c;
	}
	c->used += bytes;
	return c->data + c->used - bytes;
}

char *arena_copy(struct pol_arena *a, const char *text, size_t bytes)
{
	char *copy = arena_get(a, bytes + 1);

	if (copy && bytes)
		memcpy(copy, text, bytes);
	return copy;
}

void *arena_grow(struct pol_arena *a, const void *v, size_t n, size_t element_bytes)
{
	size_t capacity = n ? 2 * n : 1;
	void *bigger;

	if (n & (n - 1)) /* not a power of two: there is room */
		return (void *)v;
	if (capacity > SIZE_MAX / element_bytes)
		return NULL;
	bigger = arena_get(a, capacity * element_bytes);
	if (bigger && n)
		memcpy(bigger, v, n * element_bytes);
	return bigger;
}
