/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Port functions: what becomes of every protocol and port where certain
 * matches apply.
 */
#ifndef PORTFN_H
#define PORTFN_H

#include "chain.h"

struct portfn {
	const struct chain_leaf *leaf;
	struct sweep sweep; /* scratch */
	struct intervals intervals;
	const struct sweep_set **sets;
	const struct match *const *matches;
	size_t capacity;
};
void portfn_fini(struct portfn *f);

/* Of these matches in order, whose addresses don't matter here; a leaf of any kind. */
int portfn_build(struct portfn *f, const struct match *const *v, size_t n, uint32_t *ret_leaf);

#endif
