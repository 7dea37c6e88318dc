/* SPDX-License-Identifier: GPL-2.0-only */
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"

int table_init(struct table *t)
{
	*t = (struct table){.capacity = 1024, .n = DEC_HEADER_WORDS};
	t->words = calloc(t->capacity, sizeof(*t->words));
	return t->words ? 0 : -ENOMEM;
}

void table_fini(struct table *t)
{
	free(t->words);
	memo_fini(&t->memo);
	*t = (struct table){0};
}

/* Room for n words at a multiple of `align`, zeroed up to there. */
static int reserve(struct table *t, size_t n, size_t align, uint32_t *ret_at)
{
	size_t at = (t->n + align - 1) / align * align, capacity = t->capacity;
	uint32_t *words;

	if (at + n > TABLE_BUDGET_WORDS)
		return -E2BIG;
	while (at + n > capacity)
		capacity *= 2;
	if (capacity != t->capacity) {
		words = realloc(t->words, capacity * sizeof(*words));
		if (!words)
			return -ENOMEM;
		t->words = words;
		t->capacity = capacity;
	}
	memset(t->words + t->n, 0, (at - t->n) * sizeof(*t->words));
	t->n = at + n;
	*ret_at = (uint32_t)at;
	return 0;
}

/* 64-bit fields are aligned, and what fits a cache line mostly is in one. */
static size_t alignment(size_t n)
{
	return n >= 16 ? 16 : n >= 8 ? 8 : 2;
}

int table_append(struct table *t, const uint32_t *content, size_t n, uint32_t *ret_at)
{
	int r = reserve(t, n, alignment(n), ret_at);

	if (r == 0)
		memcpy(t->words + *ret_at, content, n * sizeof(*content));
	return r;
}

int table_share(struct table *t, const uint32_t *content, size_t n, uint32_t *ret_at)
{
	const uint32_t *known = memo_find(&t->memo, content, n);
	int r;

	if (known) {
		*ret_at = *known;
		return 0;
	}
	r = table_append(t, content, n, ret_at);
	return r < 0 ? r : memo_add(&t->memo, content, n, *ret_at);
}

void intervals_fini(struct intervals *v)
{
	free(v->end);
	free(v->leaf);
	*v = (struct intervals){0};
}

int intervals_add(struct intervals *v, span_int end, uint32_t leaf)
{
	if (v->n && v->leaf[v->n - 1] == leaf) {
		v->end[v->n - 1] = end;
		return 0;
	}
	if (v->n == v->capacity) {
		size_t capacity = v->capacity ? v->capacity * 2 : 64;
		span_int *ends = realloc(v->end, capacity * sizeof(*ends));
		uint32_t *leaves;

		if (!ends)
			return -ENOMEM;
		v->end = ends;
		leaves = realloc(v->leaf, capacity * sizeof(*leaves));
		if (!leaves)
			return -ENOMEM;
		v->leaf = leaves;
		v->capacity = capacity;
	}
	v->end[v->n] = end;
	v->leaf[v->n++] = leaf;
	return 0;
}

/*
 * Writes the end of an interval as a word, or as two with the lower half
 * first, as 64-bit loads on the hosts that we support want it.
 */
static void put_end(uint32_t *to, size_t i, uint64_t end, bool wide)
{
	if (wide)
		memcpy(to + 2 * i, &end, sizeof(end));
	else
		to[i] = (uint32_t)end;
}

/* Nodes with the last end of every node below; ends behind the last are the greatest. */
static int put_level(struct table *t, const uint64_t *ends, size_t n, bool wide, uint32_t *ret_at)
{
	size_t padded = (n + DEC_NODE - 1) / DEC_NODE * DEC_NODE, i;
	int r = reserve(t, padded << wide, 16, ret_at);

	for (i = 0; r == 0 && i < padded; i++)
		put_end(t->words + *ret_at, i, i < n ? ends[i] : UINT64_MAX, wide);
	return r;
}

/* Nodes with leaves beside their ends. */
static int put_lowest(struct table *t, const uint64_t *ends, const uint32_t *leaves, size_t n,
		      bool wide, uint32_t *ret_at)
{
	size_t nodes = (n + DEC_NODE - 1) / DEC_NODE, ends_words = DEC_NODE << wide;
	size_t node_words = ends_words + DEC_NODE, i;
	int r = reserve(t, nodes * node_words, 16, ret_at);

	for (i = 0; r == 0 && i < nodes * DEC_NODE; i++) {
		uint32_t *node = t->words + *ret_at + i / DEC_NODE * node_words;

		put_end(node, i % DEC_NODE, i < n ? ends[i] : UINT64_MAX, wide);
		node[ends_words + i % DEC_NODE] = leaves[i < n ? i : n - 1];
	}
	return r;
}

/* The greatest end of every node of 16, in place. */
static size_t summarise(uint64_t *ends, size_t n)
{
	size_t nodes = (n + DEC_NODE - 1) / DEC_NODE, i;

	for (i = 0; i < nodes; i++) {
		size_t last = i * DEC_NODE + DEC_NODE - 1;

		ends[i] = ends[last < n ? last : n - 1];
	}
	return nodes;
}

/* A struct dec_map and its levels; `ends` is used up. */
static int put_map(struct table *t, uint64_t *ends, const uint32_t *leaves, size_t n, bool wide,
		   uint32_t *ret_at)
{
	struct dec_map m = {.top = {UINT32_MAX, UINT32_MAX, UINT32_MAX}};
	uint32_t place;
	size_t i;
	int r;

	if (wide)
		memset(m.top, 0xff, sizeof(m.top));
	r = reserve(t, DEC_MAP_WORDS, 16, ret_at);
	if (r < 0)
		return r;
	r = put_lowest(t, ends, leaves, n, wide, &place);
	if (r < 0)
		return r;
	m.lowest = wide ? place / 2 : place;
	while ((n = summarise(ends, n)) > 4) {
		r = put_level(t, ends, n, wide, &place);
		if (r < 0)
			return r;
		assert(m.levels < DEC_LEVELS);
		memmove(m.at + 1, m.at, m.levels * sizeof(*m.at));
		m.at[0] = wide ? place / 2 : place;
		m.levels++;
	}
	m.wide = n > 1;
	for (i = 0; i + 1 < n; i++)
		m.top[i] = ends[i];
	memcpy(t->words + *ret_at, &m, sizeof(m));
	return 0;
}

/* put_map() once for equal intervals. */
static int share_map(struct table *t, const uint64_t *ends, const uint32_t *leaves, size_t n,
		     bool wide, uint32_t *ret_at)
{
	size_t bytes = n * (sizeof(*ends) + sizeof(*leaves)) + sizeof(uint32_t);
	uint32_t *content = malloc(bytes), *p = content;
	const uint32_t *known;
	uint64_t *work;
	int r;

	if (!content)
		return -ENOMEM;
	/* begins as no shared words begin: neither a condition, a pair nor an end but the last */
	*p++ = wide ? UINT32_MAX : UINT32_MAX - 1;
	memcpy(p, ends, n * sizeof(*ends));
	memcpy(p + 2 * n, leaves, n * sizeof(*leaves));
	known = memo_find(&t->memo, content, bytes / 4);
	if (known) {
		*ret_at = *known;
		free(content);
		return 0;
	}
	work = malloc(n * sizeof(*work));
	r = work ? 0 : -ENOMEM;
	if (r == 0) {
		memcpy(work, ends, n * sizeof(*work));
		r = put_map(t, work, leaves, n, wide, ret_at);
	}
	if (r == 0)
		r = memo_add(&t->memo, content, bytes / 4, *ret_at);
	free(work);
	free(content);
	return r;
}

static int share_narrow(struct table *t, const struct intervals *v, uint32_t *ret_at)
{
	uint64_t *ends = malloc(v->n * sizeof(*ends));
	size_t i;
	int r;

	if (!ends)
		return -ENOMEM;
	for (i = 0; i < v->n; i++)
		ends[i] = (uint64_t)v->end[i];
	r = share_map(t, ends, v->leaf, v->n, false, ret_at);
	free(ends);
	return r;
}

int table_function(struct table *t, const struct intervals *v, uint32_t *ret_leaf)
{
	uint32_t node[2 * DEC_NODE], at;
	size_t i, size = v->n <= 4 ? 4 : DEC_NODE;
	enum dec_kind kind;
	int r;

	assert(v->n);
	if (v->n == 1) {
		*ret_leaf = v->leaf[0];
		return 0;
	}
	if (v->n > DEC_NODE) {
		r = share_narrow(t, v, &at);
		if (r < 0)
			return r;
		t->kinds |= 1u << DEC_MAP;
		*ret_leaf = DEC_LEAF(DEC_MAP, at);
		return 0;
	}
	for (i = 0; i < size; i++) {
		node[i] = i + 1 < v->n ? (uint32_t)v->end[i] : UINT32_MAX;
		node[size + i] = v->leaf[i < v->n ? i : v->n - 1];
	}
	r = table_share(t, node, 2 * size, &at);
	if (r < 0)
		return r;
	kind = size == 4 ? DEC_NODE4 : DEC_NODE16;
	t->kinds |= 1u << kind;
	*ret_leaf = DEC_LEAF(kind, at);
	return 0;
}

int table_map4(struct table *t, const struct intervals *v, uint32_t *ret_at)
{
	return share_narrow(t, v, ret_at);
}

/* Intervals by one half of an address. */
struct half {
	uint64_t *end;
	uint32_t *leaf;
	size_t n;
};

static int half_init(struct half *h, size_t n)
{
	h->end = malloc(n * sizeof(*h->end));
	h->leaf = malloc(n * sizeof(*h->leaf));
	h->n = 0;
	return h->end && h->leaf ? 0 : -ENOMEM;
}

static void half_fini(struct half *h)
{
	free(h->end);
	free(h->leaf);
}

static void half_add(struct half *h, uint64_t end, uint32_t leaf)
{
	if (h->n && h->leaf[h->n - 1] == leaf) {
		h->end[h->n - 1] = end;
		return;
	}
	h->end[h->n] = end;
	h->leaf[h->n++] = leaf;
}

/*
 * Splits 128-bit intervals: by the upper halves, and where an interval ends
 * within one upper half, those of that half by the lower halves.
 */
static int split(struct table *t, const struct intervals *v, struct half *up, struct half *low)
{
	uint64_t hi, lo, from = 0; /* first upper half that isn't done */
	uint32_t at;
	size_t i;
	int r;

	for (i = 0; i < v->n; i++) {
		hi = (uint64_t)(v->end[i] >> 64);
		lo = (uint64_t)v->end[i];
		if (low->n && hi > from) { /* this interval ends the one that is split */
			half_add(low, UINT64_MAX, v->leaf[i]);
		} else if (low->n) {
			half_add(low, lo, v->leaf[i]);
		}
		if (low->n && (hi > from || lo == UINT64_MAX)) {
			r = share_map(t, low->end, low->leaf, low->n, true, &at);
			if (r < 0)
				return r;
			t->kinds |= 1u << DEC_LOW;
			half_add(up, from, DEC_LEAF(DEC_LOW, at));
			low->n = 0;
			if (from++ == hi)
				continue;
		} else if (low->n) {
			continue;
		}
		/* the interval starts at the first lower half of `from` */
		if (lo == UINT64_MAX) {
			half_add(up, hi, v->leaf[i]);
			from = hi + 1;
			continue;
		}
		if (hi > from)
			half_add(up, hi - 1, v->leaf[i]);
		from = hi;
		half_add(low, lo, v->leaf[i]);
	}
	return 0;
}

int table_map6(struct table *t, const struct intervals *v, uint32_t *ret_at)
{
	struct half up, low = {0};
	int r;

	r = half_init(&up, 2 * v->n);
	if (r == 0)
		r = half_init(&low, v->n + 1);
	if (r == 0)
		r = split(t, v, &up, &low);
	if (r == 0)
		r = share_map(t, up.end, up.leaf, up.n, true, ret_at);
	half_fini(&up);
	half_fini(&low);
	return r;
}
