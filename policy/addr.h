/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses as text: one, a prefix, or a range; IPv4 and IPv6.
 *
 * What is wholly inside ::ffff:0:0/96 is the IPv4 address that it maps: that
 * is how the operations are judged.
 */
#ifndef ADDR_H
#define ADDR_H

#include "policy.h"
#include "spans.h"

struct addr {
	uint8_t family; /* 4, 6 */
	span_int lo, hi;
};

enum {
	ADDR_TEXT_BYTES = 2 * 46 + 8, /* of the longest printed form */
	ADDR_ERROR_BYTES = 160,
};
#define ADDR_MAX4 ((span_int)0xffffffff)
#define ADDR_MAX6 (~(span_int)0)

/* 0, or -EINVAL with a line that says what is wrong and what to write. */
int addr_parse(const char *text, size_t bytes, struct addr *ret, char error[ADDR_ERROR_BYTES]);

/* As one address or prefix when it is one, else as a range. */
void addr_print(const struct pol_range *r, char text[ADDR_TEXT_BYTES]);

struct pol_range addr_to_range(uint8_t family, const struct span *s);

/*
 * IPv6 sets say nothing about ::ffff:0:0/96, as no operation has such an
 * address.  So that equal sets look equal, the block is left out, and filled
 * where both its neighbours are in the set.
 */
int addr_normalise6(struct spans *s);

#endif
