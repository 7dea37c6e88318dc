/* SPDX-License-Identifier: GPL-2.0-only */
#include "root.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"

enum {
	/* Port intervals that one part may have instead of several: at most 128 KiB
	 * against the time of another search. */
	MERGE_MAX = 16 << 10,
	/* Sets of addresses that cover more intervals than this are wide ... */
	WIDE = 32,
	/* ... and get a part of their own when that many apply to an average interval. */
	WIDE_DEPTH = 4,
	/* Longer lists of matches are not looked up: they hardly come back. */
	LIST_MAX = 64,
};
/* Matches that port functions are made of, in all; takes some ten seconds. */
#define WORK_MAX (1ull << 28)
/* The same for a mere estimate: some ten milliseconds. */
#define ESTIMATE_MAX (1ull << 20)

enum kind {
	PLAIN = 1 << 0,
	PORTS = 1 << 1,
	ADDRESSES = 1 << 2,
	NARROW = 1 << 3,
	WIDE_SETS = 1 << 4
};
#define BOTH (NARROW | WIDE_SETS)

struct builder {
	struct portfn *portfn;
	const struct matches *m;
	int family;
	/* zones of this part, and lists of their matches */
	const struct sweep_set **sets;
	uint32_t *zone; /* by index in sets */
	uint32_t *head; /* by zone: first match + 1 */
	uint32_t *next; /* by match: next of the same zone + 1 */
	size_t nsets;
	bool *wide; /* by zone */
	/* where an interval is */
	uint32_t *ids;
	const struct match **list;
	size_t n;
	struct sweep sweep;
	struct memo seen; /* lists of matches: their leaves */
	struct intervals intervals;
	uint64_t work;
	size_t estimate, enough, merge_max;
	bool merge_more; /* also what makes one part half as large again */
};

static enum kind kind_of(const struct builder *b, const struct match *one)
{
	if (b->m->zones[one->zone].set.all)
		return one->ports.all ? PLAIN : PORTS;
	if (one->ports.all)
		return ADDRESSES;
	return b->wide[one->zone] ? WIDE_SETS : NARROW;
}

static int builder_init(struct builder *b, struct portfn *f, const struct matches *m, int family)
{
	*b = (struct builder){.portfn = f, .m = m, .family = family};
	b->sets = calloc(m->nzones + 1, sizeof(const struct sweep_set *));
	b->zone = calloc(m->nzones + 1, sizeof(*b->zone));
	b->head = calloc(m->nzones + 1, sizeof(*b->head));
	b->wide = calloc(m->nzones + 1, sizeof(*b->wide));
	b->next = calloc(m->n + 1, sizeof(*b->next));
	b->ids = calloc(m->n + 1, sizeof(*b->ids));
	b->list = calloc(m->n + 1, sizeof(const struct match *));
	return b->sets && b->zone && b->head && b->wide && b->next && b->ids && b->list ? 0
											: -ENOMEM;
}

static void builder_fini(struct builder *b)
{
	free(b->sets);
	free(b->zone);
	free(b->head);
	free(b->wide);
	free(b->next);
	free(b->ids);
	free(b->list);
	sweep_fini(&b->sweep);
	memo_fini(&b->seen);
	intervals_fini(&b->intervals);
}

/* Start over with the matches of these kinds. */
static void choose(struct builder *b, unsigned kinds)
{
	size_t i;

	b->nsets = 0;
	b->intervals.n = 0;
	memo_fini(&b->seen);
	memset(b->head, 0, b->m->nzones * sizeof(*b->head));
	/* backwards, so that lists are in order */
	for (i = b->m->n; i-- > 0;) {
		const struct match *one = &b->m->v[i];

		if (!(kinds & kind_of(b, one)))
			continue;
		b->next[i] = b->head[one->zone];
		b->head[one->zone] = (uint32_t)i + 1;
	}
	for (i = 0; i < b->m->nzones; i++) {
		if (!b->head[i])
			continue;
		b->sets[b->nsets] = &b->m->zones[i].set;
		b->zone[b->nsets++] = (uint32_t)i;
	}
}

static int by_number(const void *va, const void *vb)
{
	uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;

	return a < b ? -1 : a > b;
}

/* The matches that apply where these zones are, up to the first that always does. */
static void collect(struct builder *b, const struct active *zones)
{
	bool sorted = true;
	size_t z, i, n = 0;
	uint32_t id;

	for (z = active_next(zones, 0); z != ACTIVE_END; z = active_next(zones, z + 1)) {
		for (id = b->head[b->zone[z]]; id; id = b->next[id - 1]) {
			sorted = sorted && (!n || b->ids[n - 1] < id);
			b->ids[n++] = id;
		}
	}
	b->work += n;
	if (!sorted)
		qsort(b->ids, n, sizeof(*b->ids), by_number);
	for (i = 0; i < n; i++) {
		b->list[i] = &b->m->v[b->ids[i] - 1];
		if (!b->list[i]->rest && b->list[i]->ports.all) {
			n = i + 1;
			break;
		}
	}
	b->n = n;
}

static int interval(void *ctx, span_int end, const struct active *zones)
{
	struct builder *b = ctx;
	const uint32_t *known = NULL;
	uint32_t leaf;
	int r;

	collect(b, zones);
	if (b->work > WORK_MAX)
		return -E2BIG;
	if (b->n <= LIST_MAX)
		known = memo_find(&b->seen, b->ids, b->n);
	if (known)
		return intervals_add(&b->intervals, end, *known);
	r = portfn_build(b->portfn, b->list, b->n, &leaf);
	if (r == 0 && b->n <= LIST_MAX)
		r = memo_add(&b->seen, b->ids, b->n, leaf);
	return r < 0 ? r : intervals_add(&b->intervals, end, leaf);
}

/* Adds up what different lists of matches make at most; 1 when that is enough to know. */
static int estimate(void *ctx, span_int end, const struct active *zones)
{
	struct builder *b = ctx;
	size_t i;

	(void)end;
	collect(b, zones);
	if (b->n > LIST_MAX || b->work > ESTIMATE_MAX)
		return 1;
	if (memo_find(&b->seen, b->ids, b->n))
		return 0;
	for (i = 0; i < b->n; i++)
		b->estimate += 1 + 2 * b->list[i]->ports.n;
	return b->estimate > b->enough ? 1 : memo_add(&b->seen, b->ids, b->n, 0);
}

/* How many port intervals these kinds make at most together; SIZE_MAX: more than `enough`. */
static int intervals_of(struct builder *b, unsigned kinds, size_t enough, size_t *ret)
{
	int r;

	choose(b, kinds);
	b->estimate = 0;
	b->enough = enough;
	b->work = 0;
	r = sweep_run(&b->sweep, b->sets, b->nsets, match_address_max(b->family), estimate, b);
	b->work = 0;
	*ret = r ? SIZE_MAX : b->estimate;
	return r < 0 ? r : 0;
}

static int address_part(struct builder *b, unsigned kinds, uint32_t *ret)
{
	int r;

	choose(b, kinds);
	r = sweep_run(&b->sweep, b->sets, b->nsets, match_address_max(b->family), interval, b);
	if (r < 0)
		return r;
	if (b->family == DEC_V4)
		return table_map4(b->portfn->leaf->table, &b->intervals, ret);
	return table_map6(b->portfn->leaf->table, &b->intervals, ret);
}

static int port_part(struct builder *b, unsigned kinds, uint32_t *ret)
{
	size_t i, n = 0;

	for (i = 0; i < b->m->n; i++)
		if (kinds & kind_of(b, &b->m->v[i]))
			b->list[n++] = &b->m->v[i];
	return portfn_build(b->portfn, b->list, n, ret);
}

static int by_address(const void *va, const void *vb)
{
	span_int a = *(const span_int *)va, b = *(const span_int *)vb;

	return a < b ? -1 : a > b;
}

/* How many of the sorted numbers are below x. */
static size_t below(const span_int *v, size_t n, span_int x)
{
	size_t lo = 0;

	while (n) {
		size_t half = n / 2;

		if (v[lo + half] < x) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo;
}

/* Finds the wide sets among those chosen; leaves none when they do no harm. */
static int find_wide(struct builder *b)
{
	size_t i, j, n = 0, covered, users, waste = 0;
	span_int *starts;
	uint32_t id;

	for (i = 0; i < b->nsets; i++)
		n += b->sets[i]->n;
	starts = malloc((n + 1) * sizeof(*starts));
	if (!starts)
		return -ENOMEM;
	for (i = n = 0; i < b->nsets; i++)
		for (j = 0; j < b->sets[i]->n; j++)
			starts[n++] = b->sets[i]->v[j].lo;
	qsort(starts, n, sizeof(*starts), by_address);
	for (i = 0; i < b->nsets; i++) {
		const struct sweep_set *set = b->sets[i];

		/* what starts within, without the set's own */
		for (j = covered = 0; j < set->n; j++)
			covered += below(starts, n, set->v[j].hi) -
				   below(starts, n, set->v[j].lo + (set->v[j].lo < set->v[j].hi));
		if (covered <= WIDE * set->n)
			continue;
		for (users = 0, id = b->head[b->zone[i]]; id; id = b->next[id - 1])
			users++;
		b->wide[b->zone[i]] = true;
		waste += covered * users;
	}
	free(starts);
	if (waste < WIDE_DEPTH * n)
		memset(b->wide, 0, b->m->nzones * sizeof(*b->wide));
	return 0;
}

/* Which kinds go to which part. */
static int plan(struct builder *b, unsigned kinds[DEC_PARTS])
{
	unsigned there = 0, all = PLAIN | PORTS | ADDRESSES | BOTH;
	size_t intervals, enough = b->merge_max, i;
	int r;

	memset(kinds, 0, DEC_PARTS * sizeof(*kinds));
	for (i = 0; i < b->m->n; i++)
		there |= kind_of(b, &b->m->v[i]);
	if (!(there & (ADDRESSES | BOTH))) {
		kinds[DEC_PORT] = all;
		return 0;
	}
	if (!(there & (PORTS | BOTH))) {
		kinds[DEC_ADDR] = all;
		return 0;
	}
	r = intervals_of(b, all, b->merge_max, &intervals);
	if (r < 0)
		return r;
	if (intervals < SIZE_MAX) {
		kinds[DEC_BOTH] = all;
		return 0;
	}
	kinds[DEC_PORT] = PLAIN | PORTS;
	if (there & ADDRESSES && there & BOTH) {
		if (b->merge_more) {
			r = intervals_of(b, BOTH, SIZE_MAX - 1, &intervals);
			if (r < 0)
				return r;
			if (intervals < SIZE_MAX && intervals / 2 * 3 > enough)
				enough = intervals / 2 * 3;
		}
		r = intervals_of(b, ADDRESSES | BOTH, enough, &intervals);
		if (r < 0)
			return r;
		if (intervals < SIZE_MAX) {
			kinds[DEC_BOTH] = ADDRESSES | BOTH;
			return 0;
		}
	}
	kinds[DEC_ADDR] = there & ADDRESSES;
	choose(b, BOTH);
	r = find_wide(b);
	for (i = 0, there = 0; i < b->m->n; i++)
		there |= kind_of(b, &b->m->v[i]);
	kinds[DEC_BOTH] = there & NARROW;
	kinds[DEC_WIDE] = there & WIDE_SETS;
	return r;
}

int root_build(struct portfn *f, const struct matches *m, int family, size_t merge_max,
	       uint32_t ret_parts[4])
{
	struct builder b;
	unsigned kinds[DEC_PARTS];
	int r, part;

	memset(ret_parts, 0, DEC_PARTS * sizeof(*ret_parts));
	r = builder_init(&b, f, m, family);
	b.merge_max = merge_max ? merge_max : MERGE_MAX;
	b.merge_more = !merge_max;
	if (r == 0)
		r = plan(&b, kinds);
	for (part = 0; r == 0 && part < DEC_PARTS; part++) {
		if (!kinds[part])
			continue;
		r = part == DEC_PORT ? port_part(&b, kinds[part], &ret_parts[part])
				     : address_part(&b, kinds[part], &ret_parts[part]);
	}
	builder_fini(&b);
	return r;
}
