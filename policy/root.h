/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A root: one operation in one address family, as up to four parts.
 *
 * Rules that constrain only ports, only addresses, or both, go to parts of
 * their own when together they would multiply; so do those of large sets of
 * addresses and those of many small sets within.  The walker then takes the
 * lowest rule of the parts.  When together they stay small, one part answers
 * at once.
 */
#ifndef ROOT_H
#define ROOT_H

#include "portfn.h"

/*
 * The words of a root by part, see decide.h.  merge_max: port intervals that
 * one part may have instead of several; 0: MERGE_MAX.
 */
int root_build(struct portfn *f, const struct matches *m, int family, size_t merge_max,
	       uint32_t ret_parts[4]);

#endif
