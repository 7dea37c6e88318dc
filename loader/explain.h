/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which rule decides an operation, in words.  The daemon asks the loaded
 * programs and ulspctl the compiled table; the question and the answer are
 * made here for both.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "compiled.h"
#include "decide.h"
#include "instance.h"

struct json_object;

struct explain_query {
	const char *op, *proto, *addr;
	int64_t port;
	uint32_t uid;
	const char *from; /* ADDR, ADDR:PORT, [ADDR]:PORT or :PORT; NULL: unknown */
	const char *to;
	const char *exec; /* path; NULL: none that a rule names */
};

typedef int (*explain_decide)(void *ctx, const struct dec_key *key, uint32_t *ret_rule);

/* The answer's JSON object.  -EINVAL: the question makes no sense, `e` says why. */
int explain(const struct explain_query *q, const struct compiled *c, const struct pol_group *g,
	    uint32_t mode, explain_decide decide, void *ctx, struct json_object **ret,
	    struct err *e);

/* Decides on the table of `ctx`, a struct pol_table, in this process. */
int explain_offline(void *ctx, const struct dec_key *key, uint32_t *ret_rule);

/* "FILE:LINE" of a rule record, "default" or "implied" when it has no line; malloc'ed. */
char *explain_place(const struct compiled *c, const struct pol_group *g, uint32_t record);
/* The rule's text; for an implied one the sentence that says so; malloc'ed. */
char *explain_text(const struct compiled *c, const struct pol_group *g, uint32_t record);

#endif
