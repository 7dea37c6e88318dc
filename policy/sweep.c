/* SPDX-License-Identifier: GPL-2.0-only */
#include "sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sweep_event {
	span_int at;
	uint32_t set;
	uint32_t edge; /* 2 * index of the span, + 1 for its end */
};

void sweep_fini(struct sweep *s)
{
	free(s->heap);
	free(s->bits);
	*s = (struct sweep){0};
}

size_t active_next(const struct active *a, size_t from)
{
	unsigned l = 0;
	size_t i = from;

	/* up to the first word that has a bit at or after, then down to it */
	for (;;) {
		uint64_t word = a->level[l][i / 64] >> (i % 64);

		if (word) {
			i += __builtin_ctzll(word);
			break;
		}
		i = i / 64 + 1;
		if (++l == a->levels)
			return ACTIVE_END;
		/* each level has a zero word behind its last */
	}
	while (l-- > 0)
		i = i * 64 + __builtin_ctzll(a->level[l][i]);
	return i;
}

static void active_set(struct active *a, size_t i, bool on)
{
	unsigned l;

	for (l = 0; l < a->levels; l++, i /= 64) {
		uint64_t *word = &a->level[l][i / 64];
		uint64_t was = *word;

		*word = on ? was | 1ull << i % 64 : was & ~(1ull << i % 64);
		if (!*word == !was)
			break;
	}
}

static int active_init(struct active *a, struct sweep *s, size_t n)
{
	size_t sizes[5], words = 0, i = n;
	uint64_t *bits;

	a->levels = 0;
	do {
		i = i / 64 + 2;
		sizes[a->levels++] = i;
		words += i;
	} while (i > 2);
	if (words > s->bits_capacity) {
		bits = realloc(s->bits, 2 * words * sizeof(*bits));
		if (!bits)
			return -ENOMEM;
		s->bits = bits;
		s->bits_capacity = 2 * words;
	}
	memset(s->bits, 0, words * sizeof(*bits));
	for (bits = s->bits, i = 0; i < a->levels; i++) {
		a->level[i] = bits;
		bits += sizes[i];
	}
	return 0;
}

/* Lets the event at `i` sink to its place. */
static void sink(struct sweep_event *heap, size_t n, size_t i)
{
	struct sweep_event e = heap[i];
	size_t child;

	while ((child = 2 * i + 1) < n) {
		if (child + 1 < n && heap[child + 1].at < heap[child].at)
			child++;
		if (heap[child].at >= e.at)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = e;
}

/* The set's next boundary in place of this one; false: there is none. */
static bool advance(struct sweep_event *e, const struct sweep_set *set, span_int max)
{
	const struct span *span = &set->v[e->edge / 2];

	if (e->edge++ % 2 == 0) {
		e->at = span->hi + 1;
		return span->hi < max;
	}
	if (e->edge / 2 >= set->n)
		return false;
	e->at = span[1].lo;
	return true;
}

int sweep_run(struct sweep *s, const struct sweep_set *const *sets, size_t n, span_int max,
	      sweep_fn *fn, void *ctx)
{
	struct sweep_event *heap;
	struct active active;
	span_int from = 0;
	size_t i, events = 0;
	int r;

	r = active_init(&active, s, n);
	if (r < 0)
		return r;
	if (n > s->heap_capacity) {
		heap = realloc(s->heap, 2 * n * sizeof(*heap));
		if (!heap)
			return -ENOMEM;
		s->heap = heap;
		s->heap_capacity = 2 * n;
	}
	heap = s->heap;
	for (i = 0; i < n; i++) {
		if (sets[i]->all)
			active_set(&active, i, true);
		else if (sets[i]->n)
			heap[events++] = (struct sweep_event){sets[i]->v[0].lo, (uint32_t)i, 0};
	}
	for (i = events / 2; i-- > 0;)
		sink(heap, events, i);

	while (events) {
		if (heap->at > from) {
			r = fn(ctx, heap->at - 1, &active);
			if (r)
				return r;
			from = heap->at;
		}
		active_set(&active, heap->set, heap->edge % 2 == 0);
		if (!advance(heap, sets[heap->set], max))
			heap[0] = heap[--events];
		if (events)
			sink(heap, events, 0);
	}
	return fn(ctx, max, &active);
}
