// SPDX-License-Identifier: GPL-2.0-only
#include "flows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cached.h"
#include "decide.h"

static const char *const state_words[FLOW_STATES] = {
	[FLOW_NO_KEY] = "no-key",	  [FLOW_NO_GROUP] = "no-group",
	[FLOW_GENERATION] = "generation", [FLOW_NO_RULE] = "no-rule",
	[FLOW_NO_VERDICT] = "no-verdict", [FLOW_NO_SCOPE] = "no-scope",
	[FLOW_EXPIRED] = "expired",
};

static const char *const scope_words[ULSP_SCOPE_COUNT] = {
	[ULSP_SCOPE_FLOW] = "flow",
	[ULSP_SCOPE_DESTINATION] = "destination",
	[ULSP_SCOPE_PROCESS] = "process",
	[ULSP_SCOPE_PROCESS_FLOW] = "process-flow",
};

const char *flow_state_word(enum flow_state state)
{
	return state_words[state];
}

const char *flow_scope_word(uint8_t scope)
{
	return scope < ULSP_SCOPE_COUNT ? scope_words[scope] : "unknown";
}

bool flow_of_process(uint8_t scope)
{
	return scope == ULSP_SCOPE_PROCESS || scope == ULSP_SCOPE_PROCESS_FLOW;
}

/* ---- rules ---- */

static int by_id(const void *a, const void *b)
{
	const struct flow_rule *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->record < y->record ? -1 : x->record > y->record;
}

/* Whether the record asks that ULSP. */
static bool asks(const struct pol_table *t, uint32_t record, uint8_t ring, uint32_t *ret_id)
{
	struct dec_rule rule;

	if (dec_rule_at(t->words, record, &rule) || rule.verdict != ULSP_VERDICT_ASK ||
	    rule.ring != ring)
		return false;
	*ret_id = rule.id;
	return true;
}

int flow_rules_init(struct flow_rules *r, const struct pol_table *t, uint8_t ring)
{
	size_t n = 0;
	uint32_t id;

	for (uint32_t i = 0; i < t->nrules; i++)
		n += asks(t, i, ring, &id);
	*r = (struct flow_rules){.v = calloc(n + 1, sizeof(*r->v))};
	if (!r->v)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->nrules; i++) {
		if (asks(t, i, ring, &id))
			r->v[r->n++] = (struct flow_rule){.id = id, .record = i};
	}
	qsort(r->v, r->n, sizeof(*r->v), by_id);
	return 0;
}

void flow_rules_fini(struct flow_rules *r)
{
	free(r->v);
	*r = (struct flow_rules){0};
}

bool flow_rules_find(const struct flow_rules *r, uint32_t id, uint32_t *ret_record)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->n || r->v[lo].id != id)
		return false;
	*ret_record = r->v[lo].record;
	return true;
}

/* ---- a verdict ---- */

static bool is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* What the scope leaves out is zero, and what it has is something: as programs build a key. */
static bool is_key(const struct ulsp_cache_key *k)
{
	if (k->scope >= ULSP_SCOPE_COUNT || k->op >= ULSP_OP_COUNT)
		return false;
	if (flow_of_process(k->scope) ? !k->tgid || !k->start_ns : k->tgid || k->start_ns)
		return false;
	if (k->scope == ULSP_SCOPE_PROCESS)
		return !k->proto && !k->family && !k->port && is_zero(k->addr, sizeof(k->addr));
	if (k->scope == ULSP_SCOPE_DESTINATION && k->port)
		return false;
	if (k->proto >= ULSP_PROTO_INET_COUNT)
		return false;
	return k->family == 6 || (k->family == 4 && is_zero(k->addr + 4, sizeof(k->addr) - 4));
}

enum flow_state flow_state(const struct ulsp_cached *v, const struct flow_facts *f)
{
	uint32_t record;

	if (!is_key(&v->key) || ulsp_cache_set_of(&v->key) != f->set)
		return FLOW_NO_KEY;
	if (!f->rules)
		return FLOW_NO_GROUP;
	if (v->generation != f->generation)
		return FLOW_GENERATION;
	if (!flow_rules_find(f->rules, v->key.rule, &record))
		return FLOW_NO_RULE;
	if (!ulsp_cache_is_verdict(v->error))
		return FLOW_NO_VERDICT;
	if (!(f->scopes & 1u << v->key.scope))
		return FLOW_NO_SCOPE;
	return v->expires_ns <= f->now_ns ? FLOW_EXPIRED : FLOW_LIVE;
}
