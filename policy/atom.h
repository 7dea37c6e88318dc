/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Atoms: the words of a policy that start with a digit or hold ':' or '/':
 * addresses, numbers, durations, sizes, rates.
 */
#ifndef ATOM_H
#define ATOM_H

#include "addr.h"

struct atom {
	struct addr addr;
	uint64_t lo, hi; /* NUMBER: a range or one; DURATION (ms), MICROS, SIZE (bytes), RATE (per
			    hour): lo */
	bool bad;	 /* already reported: takes part in the grammar, means nothing */
};

/* The token that a text is, filled in *ret; negative errno and a line otherwise. */
int atom_parse(const char *text, size_t bytes, struct atom *ret, char error[ADDR_ERROR_BYTES]);

#endif
