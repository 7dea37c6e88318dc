/* SPDX-License-Identifier: GPL-2.0-only */
#include "memo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

struct memo_slot {
	const uint32_t *content; /* NULL: free */
	uint64_t hash;
	uint32_t n, value;
};

void memo_fini(struct memo *m)
{
	free(m->slots);
	arena_free(&m->arena);
	*m = (struct memo){0};
}

static uint64_t hash(const uint32_t *content, size_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15ull ^ n;
	size_t i;

	for (i = 0; i < n; i++) {
		h = (h ^ content[i]) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h;
}

/* The slot of a content, or the free one where it belongs. */
static struct memo_slot *probe(const struct memo *m, const uint32_t *content, size_t n, uint64_t h)
{
	struct memo_slot *s;
	size_t i;

	for (i = h;; i++) {
		s = &m->slots[i & (m->capacity - 1)];
		if (!s->content)
			return s;
		if (s->hash == h && s->n == n && !memcmp(s->content, content, n * sizeof(*content)))
			return s;
	}
}

const uint32_t *memo_find(const struct memo *m, const uint32_t *content, size_t n)
{
	const struct memo_slot *s;

	if (!m->capacity)
		return NULL;
	s = probe(m, content, n, hash(content, n));
	return s->content ? &s->value : NULL;
}

static int grow(struct memo *m)
{
	struct memo bigger = {.capacity = m->capacity ? m->capacity * 2 : 64};
	size_t i;

	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (i = 0; i < m->capacity; i++) {
		const struct memo_slot *s = &m->slots[i];

		if (s->content)
			*probe(&bigger, s->content, s->n, s->hash) = *s;
	}
	free(m->slots);
	m->slots = bigger.slots;
	m->capacity = bigger.capacity;
	return 0;
}

int memo_add(struct memo *m, const uint32_t *content, size_t n, uint32_t value)
{
	uint64_t h = hash(content, n);
	uint32_t *copy;
	int r;

	if (!m->arena) {
		m->arena = arena_new();
		if (!m->arena)
			return -ENOMEM;
	}
	if (m->n * 2 >= m->capacity) {
		r = grow(m);
		if (r < 0)
			return r;
	}
	copy = arena_get(m->arena, n * sizeof(*content));
	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, content, n * sizeof(*content));
	*probe(m, content, n, h) = (struct memo_slot){copy, h, (uint32_t)n, value};
	m->n++;
	return 0;
}
