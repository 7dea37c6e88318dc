/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The oracle: what the policy says, rule by rule, as plainly as it can be
 * written.  It shares nothing with the compiler, so that neither can hide the
 * other's mistakes.
 */
#include <arpa/inet.h>
#include <string.h>

#include "decide.h"
#include "policy.h"

static bool in_addresses(const struct pol_addrs *set, uint8_t family, const uint32_t words[4])
{
	uint8_t bytes[16] = {0};
	size_t n = family == 4 ? 4 : 16, i;

	if (set->any)
		return true;
	for (i = 0; i < n / 4; i++) {
		uint32_t word = htonl(words[i]);

		memcpy(bytes + 4 * i, &word, 4);
	}
	for (i = 0; i < set->n; i++)
		if (set->v[i].family == family && memcmp(set->v[i].lo, bytes, n) <= 0 &&
		    memcmp(bytes, set->v[i].hi, n) <= 0)
			return true;
	return false;
}

static bool in_ports(const struct pol_portset *set, uint16_t port)
{
	size_t i;

	if (set->any)
		return true;
	for (i = 0; i < set->n; i++)
		if (set->v[i].lo <= port && port <= set->v[i].hi)
			return true;
	return false;
}

static bool in_uids(const struct pol_rule *rule, uint32_t uid)
{
	size_t i;

	if (!rule->uids)
		return true;
	for (i = 0; i < rule->nuids; i++)
		if (rule->uids[i].lo <= uid && uid <= rule->uids[i].hi)
			return true;
	return false;
}

static bool in_execs(const struct pol_rule *rule, const struct pol_env *env,
		     const struct dec_key *key)
{
	uint32_t device;
	uint64_t inode;
	size_t i;

	if (!rule->execs)
		return true;
	for (i = 0; i < rule->nexecs; i++)
		if (env->exe(env->ctx, rule->execs[i], &device, &inode) == 0 &&
		    device == key->exe_dev && inode == key->exe_ino)
			return !rule->exec_negated;
	return rule->exec_negated;
}

/* Conditions on the process; when it isn't known, only what denies applies. */
static bool in_process(const struct pol_rule *rule, const struct pol_env *env,
		       const struct dec_key *key)
{
	if (!rule->uids && !rule->execs)
		return true;
	if (key->no_task)
		return rule->verdict == ULSP_VERDICT_DENY;
	return in_uids(rule, key->uid) && in_execs(rule, env, key);
}

static bool applies(const struct pol_rule *rule, const struct pol_env *env,
		    const struct dec_key *key)
{
	bool incoming = key->op == ULSP_OP_ACCEPT || key->op == ULSP_OP_RECVFROM;
	uint8_t family = key->family == DEC_V4 ? 4 : 6;

	return rule->protos & 1u << key->proto &&
	       in_addresses(incoming ? &rule->from : &rule->to, family, key->addr) &&
	       in_addresses(incoming ? &rule->to : &rule->from, family, key->addr2) &&
	       in_ports(&rule->to_ports, key->port) && in_ports(&rule->from_ports, key->port2) &&
	       in_process(rule, env, key);
}

uint32_t pol_oracle(const struct pol_policy *p, const struct pol_group *g,
		    const struct pol_table *t, const struct pol_env *env, const struct dec_key *key)
{
	bool named = false; /* some rule names the operation */
	uint32_t record = 0;
	size_t i;

	(void)p;
	(void)t;
	for (i = 0; i < g->nrules; i++, record++) {
		if (!(g->rules[i].ops & 1u << key->op))
			continue;
		named = true;
		if (applies(&g->rules[i], env, key))
			return record;
	}
	/* rules for bind judge listen when no rule for listen did */
	for (i = 0; i < g->nrules; i++) {
		if (!(g->rules[i].ops & 1u << ULSP_OP_BIND))
			continue;
		if (key->op == ULSP_OP_LISTEN && applies(&g->rules[i], env, key))
			return record;
		record++;
	}
	switch (key->op) {
	case ULSP_OP_CONNECT:
	case ULSP_OP_SENDTO:
	case ULSP_OP_BIND:
	case ULSP_OP_LISTEN:
		return record;
	default:
		return named ? record : record + 1;
	}
}
