/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A group's rules as one operation in one address family sees them: which of
 * a rule's ends is "the address", which protocols and ports, and what is left
 * to be looked at after those (the rest).
 */
#ifndef MATCH_H
#define MATCH_H

#include "policy.h"
#include "sweep.h"

struct chain_rest;

struct match {
	uint32_t record;
	const struct pol_rule *rule; /* NULL: default or implied */
	uint32_t zone;		     /* its addresses, index in matches.zones */
	struct sweep_set ports;	     /* proto << 16 | port */
	struct sweep_set addr2;	     /* the other end's addresses */
	bool port2;		     /* the other end's ports are constrained: rule->from_ports */
	bool task;		     /* uids or executables are */
	bool rest;		     /* any of the three */
	const struct chain_rest *chain; /* what the rest asks, by chain_prepare() */
};
#define MATCH_PORTS_MAX 0xffffffffu

/* A set of addresses, shared by the matches that have it. */
struct zone {
	struct sweep_set set;
	const struct pol_range *ranges; /* NULL: all */
};

struct matches {
	struct match *v; /* in the order in which they match */
	size_t n;
	struct zone *zones;
	size_t nzones;
	struct pol_arena *arena; /* owns everything above */
};

/* How records are numbered; see pol_table. */
struct records {
	const struct pol_rule **rule; /* NULL: default or implied */
	size_t n;		      /* the last two are default and implied */
};
int records_init(struct records *r, const struct pol_group *g);
void records_fini(struct records *r);

/* The default and implied records match everything; without `records` they are left out. */
int matches_init(struct matches *m, const struct pol_group *g, const struct records *records,
		 enum ulsp_op op, int family);
void matches_fini(struct matches *m);

span_int match_address_max(int family); /* DEC_V4, DEC_V6 */

#endif
