/* SPDX-License-Identifier: GPL-2.0-only */
/* The walker against the oracle on generated groups, and on damaged tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "genrules.h"

static void check_group(struct gen *g, const struct pol_table *t, uint64_t seed, int keys)
{
	while (keys--) {
		struct dec_key key = gen_key(g);
		uint32_t rule = UINT32_MAX, expected;
		struct dec_rule record;

		expected = pol_oracle(&g->policy, &g->group, t, &g->env, &key);
		if (dec_decide(t->words, &key, &rule) || rule != expected) {
			gen_print_key(stderr, &key);
			fail_msg("seed %llu: rule %u, the oracle says %u", (unsigned long long)seed,
				 rule, expected);
		}
		assert_int_equal(dec_rule_at(t->words, rule, &record), 0);
		assert_int_equal(record.id, t->rules[rule] ? t->rules[rule]->id : 0);
		assert_true(gen_record_is_right(t, rule));
	}
}

static void compile_and_check(uint64_t seed, size_t rules_max, int keys)
{
	struct pol_diags diags = {0};
	struct pol_table *t = NULL;
	struct gen g;
	int r;

	gen_init(&g, seed, rules_max);
	r = pol_compile(&g.policy, &g.group, &g.env, &diags, &t);
	if (r < 0) {
		pol_diags_print(&diags, stderr, false);
		fail_msg("seed %llu: %s", (unsigned long long)seed, strerror(-r));
	}
	check_group(&g, t, seed, keys);
	pol_table_free(&t);
	pol_diags_fini(&diags);
	gen_fini(&g);
}

static void test_few_rules(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 3000; seed++)
		compile_and_check(seed, 8, 100);
}

static void test_many_rules(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 10001; seed <= 10150; seed++)
		compile_and_check(seed, 60, 1000);
}

/* Any word may be anything: a table that isn't one never reads outside itself. */
static void test_damaged(void **state)
{
	uint64_t seed;
	int i;

	(void)state;
	for (seed = 1; seed <= 300; seed++) {
		struct pol_diags diags = {0};
		struct pol_table *t = NULL;
		uint32_t *copy, rule;
		struct dec_rule record;
		struct gen g;

		gen_init(&g, seed, 20);
		assert_int_equal(pol_compile(&g.policy, &g.group, &g.env, &diags, &t), 0);
		copy = malloc(t->nwords * sizeof(*copy));
		for (i = 0; i < 300; i++) {
			struct dec_key key = gen_key(&g);
			int damage = 1 + (int)gen_below(&g, 8);

			memcpy(copy, t->words, t->nwords * sizeof(*copy));
			while (damage--) {
				uint32_t at = gen_below(&g, (uint32_t)t->nwords);

				if (at != DEC_H_WORDS)
					copy[at] = gen_below(&g, 2)
							   ? (uint32_t)gen_random(&g)
							   : copy[at] ^ 1u << gen_below(&g, 32);
			}
			if (!dec_decide(copy, &key, &rule))
				dec_rule_at(copy, rule, &record);
		}
		free(copy);
		pol_table_free(&t);
		pol_diags_fini(&diags);
		gen_fini(&g);
	}
}

static void test_no_key(void **state)
{
	struct dec_key key = {.op = ULSP_OP_CONNECT}, bad;
	struct pol_diags diags = {0};
	struct pol_table *t = NULL;
	struct dec_rule record;
	uint32_t rule = 77, zero[DEC_MIN_WORDS] = {0};
	struct gen g;

	(void)state;
	gen_empty(&g, 1);
	assert_int_equal(pol_compile(&g.policy, &g.group, &g.env, &diags, &t), 0);
	assert_int_equal(dec_decide(t->words, &key, &rule), 0);
	assert_int_equal(rule, 0);
	assert_int_equal(dec_rule_at(t->words, rule, &record), 0);
	assert_int_equal(record.verdict, ULSP_VERDICT_DENY);
	assert_int_equal(record.reason, ULSP_REASON_DEFAULT);
	assert_int_equal(record.line, 1000000);
	assert_int_equal(dec_rule_at(t->words, 2, &record), DEC_FAULT);
	rule = 77;
	bad = key;
	bad.op = ULSP_OP_COUNT;
	assert_int_equal(dec_decide(t->words, &bad, &rule), DEC_FAULT);
	bad = key;
	bad.family = DEC_FAMILIES;
	assert_int_equal(dec_decide(t->words, &bad, &rule), DEC_FAULT);
	bad = key;
	bad.proto = ULSP_PROTO_UNIX;
	assert_int_equal(dec_decide(t->words, &bad, &rule), DEC_FAULT);
	assert_int_equal(dec_decide(zero, &key, &rule), DEC_FAULT);
	assert_int_equal(rule, 77);
	pol_table_free(&t);
	pol_diags_fini(&diags);
	gen_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_key),
		cmocka_unit_test(test_few_rules),
		cmocka_unit_test(test_many_rules),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
