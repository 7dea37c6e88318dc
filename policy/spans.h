/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sets of whole numbers as inclusive spans: ports, uids, addresses.
 *
 * A set that is `normal` is sorted, and its spans neither overlap nor touch;
 * spans_add() and spans_append() leave it unsorted, spans_normalise() repairs
 * that.  All others want and yield normal sets.
 */
#ifndef SPANS_H
#define SPANS_H

#include <stddef.h>
#include <stdint.h>

typedef unsigned __int128 span_int;

struct span {
	span_int lo, hi;
};

struct spans {
	struct span *v;
	size_t n, capacity;
};

void spans_fini(struct spans *s);
int spans_add(struct spans *s, span_int lo, span_int hi); /* 0, -ENOMEM */
int spans_append(struct spans *s, const struct spans *more);
void spans_normalise(struct spans *s);
/* Everything from 0 to max that isn't in s. */
int spans_complement(struct spans *s, span_int max);
int spans_subtract(struct spans *s, const struct spans *less);

#endif
