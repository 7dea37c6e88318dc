/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sweep over many sets of spans at once: every interval between two
 * boundaries comes up once, in order, with the sets that cover it.
 *
 * Costs the number of boundaries times the logarithm of the number of sets,
 * whatever the overlap: boundaries come from a heap, and the covering sets
 * are a tree of bits.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <stdbool.h>

#include "spans.h"

struct sweep_set {
	const struct span *v; /* sorted, disjoint */
	size_t n;
	bool all; /* covers everything, v is unused */
};

/* Small whole numbers, in order. */
struct active {
	uint64_t *level[5];
	unsigned levels;
};
#define ACTIVE_END SIZE_MAX
size_t active_next(const struct active *a, size_t from); /* first at or after, or ACTIVE_END */

/* Scratch memory for sweeps, to be used again and again. */
struct sweep {
	struct sweep_event *heap;
	size_t heap_capacity;
	uint64_t *bits;
	size_t bits_capacity;
};
void sweep_fini(struct sweep *s);

/* The interval ends at `end` and starts after the one before.  Non-zero ends the sweep. */
typedef int sweep_fn(void *ctx, span_int end, const struct active *covering);
int sweep_run(struct sweep *s, const struct sweep_set *const *sets, size_t n, span_int max,
	      sweep_fn *fn, void *ctx);

#endif
