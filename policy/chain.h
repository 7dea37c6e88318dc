/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Conditions that intervals don't express (uid, executable, the other end) as
 * chains of tests.  A rule's alternatives add up, they don't multiply; tests
 * with the same outcome are stored once.
 */
#ifndef CHAIN_H
#define CHAIN_H

#include "match.h"
#include "table.h"

/*
 * Give every match of an operation its conditions.  exes: device << 64 | inode
 * of each executable, by rule.  -E2BIG with a diagnostic: too many.
 */
int chain_prepare(struct table *t, struct matches *m, int family, const span_int *const *exes,
		  const struct pol_rule *rules, struct pol_diags *diags);

/*
 * The leaf where these matches (in order) apply and no others: the first whose
 * rest holds.  Calls `reached` for each that may decide.
 */
struct chain_leaf {
	struct table *table;
	struct pol_diags *diags;
	void (*reached)(void *ctx, const struct match *m);
	void *ctx;
};
int chain_leaf(const struct chain_leaf *c, const struct match *const *v, size_t n,
	       uint32_t *ret_leaf);

#endif
