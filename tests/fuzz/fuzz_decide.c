/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any bytes as choices: a group of rules whose table must decide as the oracle
 * does, on its own and after damage, which must never lead it outside.
 *
 * The first half of the bytes makes the rules, the second the keys and the
 * damage; what is missing is made up.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/genrules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { RULES_MAX = 24, KEYS = 64, DAMAGED = 8 };

static void compare(struct gen *g, const struct pol_table *t)
{
	struct dec_key key = gen_key(g);
	uint32_t expected = pol_oracle(&g->policy, &g->group, t, &g->env, &key);
	uint32_t rule = UINT32_MAX;

	if (!dec_decide(t->words, &key, &rule) && rule == expected && gen_record_is_right(t, rule))
		return;
	gen_print_key(stderr, &key);
	fprintf(stderr, "rule %u, the oracle says %u\n", rule, expected);
	abort();
}

/* A copy of exactly the table's size, so that a sanitizer sees what is outside. */
static void damage(struct gen *g, const struct pol_table *t)
{
	uint32_t *copy = malloc(t->nwords * sizeof(*copy)), rule, i;
	struct dec_rule record;
	struct dec_key key;

	if (!copy)
		abort();
	for (i = 0; i < DAMAGED; i++) {
		uint32_t n = 1 + gen_below(g, 8);

		memcpy(copy, t->words, t->nwords * sizeof(*copy));
		while (n--) {
			uint32_t at = (uint32_t)(gen_random(g) % t->nwords);

			if (at != DEC_H_WORDS) /* the kernel knows the map's true size */
				copy[at] ^= (uint32_t)gen_random(g);
		}
		key = gen_key(g);
		if (!dec_decide(copy, &key, &rule))
			dec_rule_at(copy, rule, &record);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct pol_diags diags = {0};
	struct pol_table *t = NULL;
	struct gen g;
	int i, r;

	if (bytes > 4096)
		return 0;
	gen_init_data(&g, data, bytes / 2, RULES_MAX);
	g.data = data + bytes / 2;
	g.bytes = bytes - bytes / 2;
	r = pol_compile(&g.policy, &g.group, &g.env, &diags, &t);
	if (r == 0) {
		for (i = 0; i < KEYS; i++)
			compare(&g, t);
		damage(&g, t);
	} else if (!diags.errors) {
		abort(); /* refused without a reason */
	}
	pol_check_reachable(&g.policy, &g.group, &diags);
	pol_table_free(&t);
	pol_diags_fini(&diags);
	gen_fini(&g);
	return 0;
}
