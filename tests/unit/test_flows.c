/* SPDX-License-Identifier: GPL-2.0-only */
/* Which verdicts of a cache count, and why others don't; which rules ask a ULSP. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "cached.h"
#include "compiled.h"
#include "decide.h"
#include "flows.h"

static const char text[] = "ulsp a { exec \"/bin/true\" }\n"
			   "ulsp b { exec \"/bin/true\" }\n"
			   "group g {\n"
			   "	ask a connect tcp to any port 443\n"
			   "	allow connect tcp to any port 80\n"
			   "	ask b connect tcp to any port 22\n"
			   "	ask a bind tcp port 8080\n"
			   "	default deny\n"
			   "}\n";

enum { GENERATION = 7, NOW = 1000 };

static struct compiled *compiled;
static const struct pol_table *table;
static struct flow_rules rules;
static uint8_t ring_a, ring_b;
static uint32_t asked; /* id of the first rule */

static int compile(void **state)
{
	struct compiled_source source = {
		.name = "t.ulsp", .text = text, .text_bytes = sizeof(text) - 1};
	const uint8_t rings[] = {1, 2}; /* of a and b */
	struct dec_rule first = {0}, third = {0};

	(void)state;
	if (compiled_parse(&source, &compiled) || compiled_tables(compiled, rings, NULL, false))
		return -1;
	table = compiled->tables[0];
	if (dec_rule_at(table->words, 0, &first) || dec_rule_at(table->words, 2, &third))
		return -1;
	asked = first.id;
	ring_a = first.ring;
	ring_b = third.ring;
	return flow_rules_init(&rules, table, ring_a);
}

static int release(void **state)
{
	(void)state;
	flow_rules_fini(&rules);
	compiled_free(&compiled);
	return 0;
}

static void finds_rules_that_ask(void **state)
{
	struct flow_rules of_b;
	struct dec_rule rule;
	uint32_t record;

	(void)state;
	assert_int_not_equal(ring_a, ring_b);
	for (uint32_t i = 0; i < table->nrules; i++) {
		bool asks;

		assert_int_equal(dec_rule_at(table->words, i, &rule), 0);
		asks = rule.verdict == ULSP_VERDICT_ASK && rule.ring == ring_a;
		if (!rule.id)
			continue;
		assert_int_equal(flow_rules_find(&rules, rule.id, &record), asks);
		if (!asks)
			continue;
		/* copies for listen come after the rule itself */
		assert_true(record <= i);
		assert_ptr_equal(table->rules[record], table->rules[i]);
	}
	assert_false(flow_rules_find(&rules, 0, &record));
	assert_false(flow_rules_find(&rules, UINT32_MAX, &record));
	assert_int_equal(flow_rules_init(&of_b, table, ring_b), 0);
	assert_int_equal(of_b.n, 1);
	assert_false(flow_rules_find(&of_b, asked, &record));
	flow_rules_fini(&of_b);
	assert_int_equal(flow_rules_init(&of_b, table, 31), 0);
	assert_int_equal(of_b.n, 0);
	assert_false(flow_rules_find(&of_b, asked, &record));
	flow_rules_fini(&of_b);
}

/* A verdict that counts, of each scope; tests change one thing. */
static struct ulsp_cache_key key_of(uint8_t scope)
{
	struct ulsp_cache_key key = {.rule = asked, .op = ULSP_OP_CONNECT, .scope = scope};

	if (scope == ULSP_SCOPE_PROCESS || scope == ULSP_SCOPE_PROCESS_FLOW) {
		key.tgid = 42;
		key.start_ns = 123456789;
	}
	if (scope != ULSP_SCOPE_PROCESS) {
		key.family = 4;
		key.addr[0] = 192;
		key.addr[3] = 1;
	}
	if (scope == ULSP_SCOPE_FLOW || scope == ULSP_SCOPE_PROCESS_FLOW)
		key.port = 443;
	return key;
}

static struct ulsp_cached allow = {.expires_ns = NOW + 1, .generation = GENERATION};
static struct flow_facts facts = {
	.rules = &rules, .generation = GENERATION, .scopes = 0xf, .now_ns = NOW};

/* In the set where programs look for it. */
static enum flow_state state_of(struct ulsp_cached v, struct ulsp_cache_key key,
				struct flow_facts f)
{
	v.key = key;
	f.set = ulsp_cache_set_of(&key);
	return flow_state(&v, &f);
}

static enum flow_state key_state(struct ulsp_cache_key key)
{
	return state_of(allow, key, facts);
}

static enum flow_state entry_state(struct ulsp_cached v)
{
	return state_of(v, key_of(ULSP_SCOPE_FLOW), facts);
}

static enum flow_state fact_state(struct flow_facts f, uint8_t scope)
{
	return state_of(allow, key_of(scope), f);
}

#define WITH(of, change)                                                                           \
	({                                                                                         \
		__typeof__(of) x = (of);                                                           \
		change;                                                                            \
		x;                                                                                 \
	})

static void takes_keys_that_programs_make(void **state)
{
	(void)state;
	for (uint8_t s = 0; s < ULSP_SCOPE_COUNT; s++) {
		struct ulsp_cache_key key = key_of(s);
		bool process = flow_of_process(s), flow = s != ULSP_SCOPE_PROCESS;
		bool port = s == ULSP_SCOPE_FLOW || s == ULSP_SCOPE_PROCESS_FLOW;
		/* what a scope leaves out must be zero, the rest may be anything that there is */
		enum flow_state out[2] = {FLOW_NO_KEY, FLOW_LIVE};

		assert_int_equal(key_state(key), FLOW_LIVE);
		assert_int_equal(key_state(WITH(key, x.op = ULSP_OP_COUNT)), FLOW_NO_KEY);
		assert_int_equal(key_state(WITH(key, x.family = 5)), FLOW_NO_KEY);
		assert_int_equal(key_state(WITH(key, x.addr[15] = 1)), FLOW_NO_KEY);
		assert_int_equal(key_state(WITH(key, x.addr[0] = 1)), out[flow]);
		assert_int_equal(key_state(WITH(key, x.port = 80)), out[port]);
		assert_int_equal(key_state(WITH(key, x.proto = ULSP_PROTO_UDP)), out[flow]);
		assert_int_equal(key_state(WITH(key, x.proto = ULSP_PROTO_UNIX)), FLOW_NO_KEY);
		assert_int_equal(key_state(WITH(key, x.family = 6; x.addr[15] = 1)), out[flow]);
		assert_int_equal(key_state(WITH(key, x.tgid = 43)), out[process]);
		assert_int_equal(key_state(WITH(key, x.start_ns = 5)), out[process]);
		assert_int_equal(key_state(WITH(key, x.tgid = 0; x.start_ns = 0)), out[!process]);
		assert_string_not_equal(flow_scope_word(s), "unknown");
	}
	assert_int_equal(key_state(WITH(key_of(0), x.scope = ULSP_SCOPE_COUNT)), FLOW_NO_KEY);
	assert_string_equal(flow_scope_word(ULSP_SCOPE_COUNT), "unknown");
	assert_int_equal(key_state(WITH(key_of(0), x.rule = asked + 1)), FLOW_NO_RULE);
}

static void takes_verdicts_only(void **state)
{
	struct ulsp_cached deny = WITH(allow, x.error = -ECONNREFUSED);

	(void)state;
	assert_int_equal(entry_state(allow), FLOW_LIVE);
	assert_int_equal(entry_state(deny), FLOW_LIVE);
	assert_int_equal(entry_state(WITH(deny, x.error = -4095)), FLOW_LIVE);
	assert_int_equal(entry_state(WITH(deny, x.error = -4096)), FLOW_NO_VERDICT);
	assert_int_equal(entry_state(WITH(deny, x.error = 1)), FLOW_NO_VERDICT);
	assert_int_equal(entry_state(WITH(deny, x.error = INT16_MIN)), FLOW_NO_VERDICT);
	assert_int_equal(entry_state(WITH(allow, x.expires_ns = NOW)), FLOW_EXPIRED);
	assert_int_equal(entry_state(WITH(allow, x.expires_ns = 0)), FLOW_EXPIRED);
	assert_int_equal(entry_state(WITH(allow, x.expires_ns = UINT64_MAX)), FLOW_LIVE);
	assert_int_equal(entry_state(WITH(allow, x.generation = GENERATION - 1)), FLOW_GENERATION);
	assert_int_equal(entry_state(WITH(allow, x.generation = GENERATION + 1)), FLOW_GENERATION);
}

static void takes_no_key_in_another_set(void **state)
{
	struct ulsp_cached v = WITH(allow, x.key = key_of(ULSP_SCOPE_FLOW));
	uint32_t set = ulsp_cache_set_of(&v.key);
	struct flow_facts f = WITH(facts, x.set = set);

	(void)state;
	assert_int_equal(flow_state(&v, &f), FLOW_LIVE);
	f.set ^= 1;
	assert_int_equal(flow_state(&v, &f), FLOW_NO_KEY);
}

static void says_what_is_amiss_outside(void **state)
{
	(void)state;
	assert_int_equal(fact_state(facts, ULSP_SCOPE_FLOW), FLOW_LIVE);
	assert_int_equal(fact_state(WITH(facts, x.rules = NULL), ULSP_SCOPE_FLOW), FLOW_NO_GROUP);
	assert_int_equal(fact_state(WITH(facts, x.generation++), ULSP_SCOPE_FLOW), FLOW_GENERATION);
	for (uint8_t s = 0; s < ULSP_SCOPE_COUNT; s++) {
		const uint32_t bit = 1u << s;

		assert_int_equal(fact_state(WITH(facts, x.scopes = bit), s), FLOW_LIVE);
		assert_int_equal(fact_state(WITH(facts, x.scopes = ~bit), s), FLOW_NO_SCOPE);
	}
	assert_null(flow_state_word(FLOW_LIVE));
	for (enum flow_state s = FLOW_LIVE + 1; s < FLOW_STATES; s++)
		assert_non_null(flow_state_word(s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_rules_that_ask),
		cmocka_unit_test(takes_keys_that_programs_make),
		cmocka_unit_test(takes_verdicts_only),
		cmocka_unit_test(takes_no_key_in_another_set),
		cmocka_unit_test(says_what_is_amiss_outside),
	};

	return cmocka_run_group_tests(tests, compile, release);
}
