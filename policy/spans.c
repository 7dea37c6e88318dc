/* SPDX-License-Identifier: GPL-2.0-only */
#include "spans.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void spans_fini(struct spans *s)
{
	free(s->v);
	*s = (struct spans){0};
}

static int reserve(struct spans *s, size_t more)
{
	size_t capacity = s->capacity ? s->capacity : 4;
	struct span *v;

	if (s->capacity - s->n >= more)
		return 0;
	while (capacity - s->n < more)
		capacity *= 2;
	v = realloc(s->v, capacity * sizeof(*v));
	if (!v)
		return -ENOMEM;
	s->v = v;
	s->capacity = capacity;
	return 0;
}

int spans_add(struct spans *s, span_int lo, span_int hi)
{
	int r = reserve(s, 1);

	if (r == 0)
		s->v[s->n++] = (struct span){lo, hi};
	return r;
}

int spans_append(struct spans *s, const struct spans *more)
{
	int r = reserve(s, more->n);

	if (r == 0 && more->n) {
		memcpy(s->v + s->n, more->v, more->n * sizeof(*s->v));
		s->n += more->n;
	}
	return r;
}

static int compare(const void *va, const void *vb)
{
	const struct span *a = va, *b = vb;

	return a->lo < b->lo ? -1 : a->lo > b->lo;
}

void spans_normalise(struct spans *s)
{
	bool sorted = true;
	size_t out = 0;

	/* Lists of prefixes usually come sorted. */
	for (size_t i = 1; i < s->n && sorted; i++)
		sorted = s->v[i - 1].lo <= s->v[i].lo;
	if (!sorted)
		qsort(s->v, s->n, sizeof(*s->v), compare);
	for (size_t i = 0; i < s->n; i++) {
		/* lo - 1 can't wrap: then lo is 0 and not above any hi. */
		if (out && (s->v[i].lo <= s->v[out - 1].hi || s->v[i].lo - 1 == s->v[out - 1].hi)) {
			if (s->v[i].hi > s->v[out - 1].hi)
				s->v[out - 1].hi = s->v[i].hi;
		} else {
			s->v[out++] = s->v[i];
		}
	}
	s->n = out;
}

int spans_complement(struct spans *s, span_int max)
{
	struct span all = {0, max};
	struct spans result = {0};
	int r = spans_add(&result, all.lo, all.hi);

	if (r == 0)
		r = spans_subtract(&result, s);
	if (r < 0) {
		spans_fini(&result);
		return r;
	}
	spans_fini(s);
	*s = result;
	return 0;
}

int spans_subtract(struct spans *s, const struct spans *less)
{
	struct spans result = {0};
	size_t first = 0; /* of `less`, that doesn't end before the span */
	int r = 0;

	for (size_t i = 0; i < s->n && r == 0; i++) {
		span_int lo = s->v[i].lo, hi = s->v[i].hi;
		bool rest = true;

		while (first < less->n && less->v[first].hi < lo)
			first++;
		for (size_t j = first; j < less->n && less->v[j].lo <= hi && r == 0; j++) {
			if (less->v[j].lo > lo)
				r = spans_add(&result, lo, less->v[j].lo - 1);
			if (less->v[j].hi >= hi) {
				rest = false;
				break;
			}
			lo = less->v[j].hi + 1;
		}
		if (rest && r == 0)
			r = spans_add(&result, lo, hi);
	}
	if (r < 0) {
		spans_fini(&result);
		return r;
	}
	spans_fini(s);
	*s = result;
	return 0;
}
