/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Groups of rules and keys from a seed, for comparing the oracle, the compiled
 * table on the host, and the loaded one.  Addresses, ports and identities come
 * from small pools, so that rules overlap; keys are on their boundaries.
 */
#ifndef GENRULES_H
#define GENRULES_H

#include "decide.h"
#include "policy.h"

struct gen {
	uint64_t state;	     /* of the random numbers */
	const uint8_t *data; /* they come from here first: a fuzzer's input */
	size_t bytes;
	struct pol_arena *arena;
	struct pol_policy policy;
	struct pol_group group;
	struct pol_env env;
	size_t rules_max;
};

void gen_init(struct gen *g, uint64_t seed, size_t rules_max);
/* The same by a fuzzer's input. */
void gen_init_data(struct gen *g, const uint8_t *data, size_t bytes, size_t rules_max);
/* Leave out what the language doesn't allow, so that the group's text parses. */
void gen_speakable(struct gen *g);
void gen_fini(struct gen *g);
uint64_t gen_random(struct gen *g);
uint32_t gen_below(struct gen *g, uint32_t n);

/* A key on or beside a boundary of some rule, or anywhere. */
struct dec_key gen_key(struct gen *g);

/* Whether a rule's record has the rule's rate, or none where it has none. */
bool gen_record_is_right(const struct pol_table *t, uint32_t record);

/* One line about a key, for failures. */
void gen_print_key(FILE *out, const struct dec_key *key);

/* Rules by hand: a rule that matches everything, to be narrowed. */
struct pol_rule *gen_rule(struct gen *g, uint32_t ops, uint32_t protos, enum ulsp_verdict verdict);
/* "10.0.0.0/8 10.1.2.3-10.1.2.9 2001:db8::/32", separated by spaces. */
struct pol_addrs gen_addrs(struct gen *g, const char *text);
struct pol_portset gen_ports(struct gen *g, uint16_t lo, uint16_t hi);
/* A group without rules. */
void gen_empty(struct gen *g, size_t rules_max);

#endif
