/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Verdicts in a ULSP's cache: what an entry says, and whether programs
 * would take them.  An unprivileged process wrote it: any bytes may come.
 *
 * The conditions are those of ask_cached() in bpf/judge.bpf.h.  No I/O here.
 */
#ifndef FLOWS_H
#define FLOWS_H

#include <stdbool.h>
#include <stddef.h>

#include "cache.h"
#include "policy.h"

/* Whether a verdict counts, and what keeps it from that. */
enum flow_state {
	FLOW_LIVE,
	FLOW_NO_KEY,	 /* no operation is looked up by it */
	FLOW_NO_GROUP,	 /* the group is not enforced */
	FLOW_GENERATION, /* given under another policy */
	FLOW_NO_RULE,	 /* no rule with that id asks this ULSP */
	FLOW_NO_VERDICT, /* neither allow nor deny with an errno */
	FLOW_NO_SCOPE,	 /* the ULSP's page doesn't name the scope: nobody looks */
	FLOW_EXPIRED,
	FLOW_STATES
};
const char *flow_state_word(enum flow_state state); /* NULL: live */
const char *flow_scope_word(uint8_t scope);	    /* "unknown" for a number that is none */
bool flow_of_process(uint8_t scope);		    /* the scope is for one process */

/* Rules of one group that ask one ULSP, by id: the records of its table. */
struct flow_rules {
	struct flow_rule {
		uint32_t id, record;
	} * v;
	size_t n;
};
int flow_rules_init(struct flow_rules *r, const struct pol_table *t, uint8_t ring);
void flow_rules_fini(struct flow_rules *r);
/* The lowest record with that id; false: none. */
bool flow_rules_find(const struct flow_rules *r, uint32_t id, uint32_t *ret_record);

/* What the state depends on, beside the entry. */
struct flow_facts {
	uint32_t set;			/* of the cache, in which the entry is */
	const struct flow_rules *rules; /* NULL: the key's group is not enforced */
	uint32_t generation;		/* of the group */
	uint32_t scopes;		/* of the ULSP's page */
	uint64_t now_ns;		/* CLOCK_MONOTONIC */
};
enum flow_state flow_state(const struct ulsp_cached *v, const struct flow_facts *f);

#endif
