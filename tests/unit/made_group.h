/* SPDX-License-Identifier: GPL-2.0-only */
/* A group made by hand or from a seed, and what compiling it gives. */
#ifndef MADE_GROUP_H
#define MADE_GROUP_H

#include "genrules.h"

#define BIT(n)	  (1u << (n))
#define TCP	  BIT(ULSP_PROTO_TCP)
#define UDP	  BIT(ULSP_PROTO_UDP)
#define ANY_PROTO (BIT(ULSP_PROTO_COUNT) - 1)
#define CONNECT	  BIT(ULSP_OP_CONNECT)

struct made {
	struct gen gen;
	struct pol_diags diags;
	struct pol_table *table;
	int result;
};

/* An empty group, to be filled by gen_rule(). */
void made_begin(struct made *c, size_t rules_max);
void made_compile(struct made *c);
void made_end(struct made *c);
/* That compiling gave this diagnostic. */
void made_assert_said(const struct made *c, enum pol_severity severity, const char *text);

#endif
