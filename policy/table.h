/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of a decision table while it is written: see decide.h for what
 * they mean.  What is equal is stored once.
 */
#ifndef TABLE_H
#define TABLE_H

#include "memo.h"
#include "spans.h"

struct table {
	uint32_t *words;
	size_t n, capacity;
	struct memo memo;
	uint32_t kinds; /* bit per enum dec_kind in use */
	uint32_t tests; /* of the longest chain */
};
enum { TABLE_BUDGET_WORDS = (64 << 20) / 4 };

int table_init(struct table *t); /* with an empty header */
void table_fini(struct table *t);

/* Calls return -ENOMEM, or -E2BIG when the table passes its budget. */
int table_append(struct table *t, const uint32_t *content, size_t n, uint32_t *ret_at);
/* The place of these words, appended unless they are there. */
int table_share(struct table *t, const uint32_t *content, size_t n, uint32_t *ret_at);

/* Intervals from 0 up, each to its end; neighbours with equal leaves become one. */
struct intervals {
	span_int *end;
	uint32_t *leaf;
	size_t n, capacity;
};
void intervals_fini(struct intervals *v);
int intervals_add(struct intervals *v, span_int end, uint32_t leaf);

/* The leaf of a port function, whose last interval ends at 0xffffffff. */
int table_function(struct table *t, const struct intervals *v, uint32_t *ret_leaf);
/* Place of an address map; the last interval ends with the address space. */
int table_map4(struct table *t, const struct intervals *v, uint32_t *ret_at);
int table_map6(struct table *t, const struct intervals *v, uint32_t *ret_at);

#endif
