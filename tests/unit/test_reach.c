/* SPDX-License-Identifier: GPL-2.0-only */
/* Warnings about rules that can't be reached; generated groups, through their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "made_group.h"

/* Warnings about the rules of a group given as text, each as "LINE TEXT\n". */
static void assert_warned(const char *text, const char *expected)
{
	struct pol_policy *p = NULL;
	struct pol_diags diags = {0};
	char *said = NULL;
	size_t bytes, i;
	FILE *out;

	assert_int_equal(pol_parse_text("f", text, strlen(text), NULL, &diags, &p), 0);
	pol_diags_fini(&diags);
	pol_diags_use(&diags, p);
	assert_int_equal(pol_check_reachable(p, &p->groups[0], &diags), 0);
	out = open_memstream(&said, &bytes);
	for (i = 0; i < diags.n; i++)
		fprintf(out, "%u %s\n", diags.v[i].line, diags.v[i].text);
	fclose(out);
	assert_string_equal(said, expected);
	free(said);
	pol_diags_fini(&diags);
	pol_free(&p);
}

static void test_hidden(void **state)
{
	(void)state;
	assert_warned("group g {\n"
		      "deny connect tcp to any port 1-100\n"
		      "allow connect tcp to { 10.0.0.0/8, 2001:db8::/32 } port 80\n"
		      "allow connect tcp to any port 80-101\n"
		      "allow connect tcp to any port 1-101\n"
		      "default deny\n}\n",
		      "3 rule never matches: hidden by f:2\n"
		      "5 rule never matches: hidden by f:2 and f:4 together\n");
	/* hidden for one operation only, or for one family */
	assert_warned("group g {\n"
		      "allow connect udp to 0.0.0.0/0\n"
		      "deny connect, bind udp to 10.0.0.0/8\n"
		      "deny connect udp to { 10.0.0.0/8, fd00::/8 }\n"
		      "default deny\n}\n",
		      "");
	/* several prefixes together, the halves of everything */
	assert_warned("group g {\n"
		      "allow connect any to 0.0.0.0/1\n"
		      "allow connect any to 128.0.0.0/2\n"
		      "allow connect any to 192.0.0.0/2\n"
		      "deny connect udp to 0.0.0.0/0 port 53\n"
		      "default deny\n}\n",
		      "5 rule never matches: hidden by f:2 to f:4 together\n");
	assert_warned("group g {\n"
		      "allow connect tcp to 10.0.0.0/8 from fd00::/8\n"
		      "default deny\n}\n",
		      "2 rule never matches: no operation has both these addresses\n");
}

static void test_hidden_by_conditions(void **state)
{
	(void)state;
	assert_warned("group g {\n"
		      "deny connect udp uid 0-10\n"
		      "allow connect udp uid { 3, 4 }\n"
		      "allow connect udp uid 3-11\n"
		      "allow connect udp\n"
		      "deny connect tcp exec { \"/a\", \"/b\" }\n"
		      "deny connect tcp exec \"/a\"\n"
		      "deny connect tcp exec ! \"/a\"\n"
		      "deny connect tcp exec ! { \"/a\", \"/b\" }\n"
		      "deny connect tcp exec \"/c\" from 10.0.0.0/8 port 7\n"
		      "default deny\n}\n",
		      "3 rule never matches: hidden by f:2\n"
		      "7 rule never matches: hidden by f:6\n"
		      "9 rule never matches: hidden by f:8\n"
		      "10 rule never matches: hidden by f:8\n");
	/* where the process isn't known only the second applies */
	assert_warned("group g {\n"
		      "allow connect udp uid 0-10\n"
		      "deny connect udp uid 0-10\n"
		      "default deny\n}\n",
		      "");
}

static void test_hidden_too_many(void **state)
{
	struct made c;
	unsigned i;

	(void)state;
	made_begin(&c, 6000);
	for (i = 0; i < 6000; i++) {
		struct pol_rule *r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);

		r->to_ports = gen_ports(&c.gen, (uint16_t)i, (uint16_t)i);
	}
	assert_int_equal(pol_check_reachable(&c.gen.policy, &c.gen.group, &c.diags), 0);
	assert_int_equal(c.diags.n, 1);
	made_assert_said(&c, POL_NOTE, "not checked: too many rules");
	made_end(&c);
}

/* ---- through text ---- */

/* A generated group, printed and parsed again. */
static struct pol_policy *through_text(struct made *c, uint64_t seed)
{
	struct pol_policy *parsed = NULL;
	char *text = NULL;
	int r;

	*c = (struct made){0};
	gen_init(&c->gen, seed, 30);
	gen_speakable(&c->gen);
	assert_int_equal(pol_print(&c->gen.policy, 0, &text), 0);
	r = pol_parse_text("text", text, strlen(text), NULL, &c->diags, &parsed);
	if (r) {
		fputs(text, stderr);
		pol_diags_print(&c->diags, stderr, false);
		fail_msg("seed %llu: %s", (unsigned long long)seed, strerror(-r));
	}
	free(text);
	assert_int_equal(parsed->groups[0].nrules, c->gen.group.nrules);
	return parsed;
}

/* As mapped addresses are judged as IPv4, IPv6 sets say nothing about them. */
static bool mapped(const uint32_t words[4])
{
	return !words[0] && !words[1] && words[2] == 0xffff;
}

static void test_through_text(void **state)
{
	struct pol_policy *parsed;
	struct made c;
	uint32_t record;
	uint64_t seed;
	int k;

	(void)state;
	for (seed = 1; seed <= 300; seed++) {
		parsed = through_text(&c, seed);
		if (pol_compile(parsed, &parsed->groups[0], &c.gen.env, &c.diags, &c.table)) {
			pol_diags_print(&c.diags, stderr, false);
			fail_msg("seed %d", (int)seed);
		}
		for (k = 0; k < 200; k++) {
			struct dec_key key = gen_key(&c.gen);

			if (mapped(key.addr) || mapped(key.addr2))
				continue;
			assert_int_equal(dec_decide(c.table->words, &key, &record), 0);
			if (record !=
			    pol_oracle(&c.gen.policy, &c.gen.group, NULL, &c.gen.env, &key)) {
				gen_print_key(stderr, &key);
				fail_msg("seed %d: rule %u", (int)seed, record);
			}
		}
		pol_free(&parsed);
		made_end(&c);
	}
}

/* What is said to be hidden never decides. */
static void test_hidden_is_true(void **state)
{
	struct pol_policy *parsed;
	struct made c;
	uint64_t seed;
	size_t i, hidden_rules = 0;
	int k;

	(void)state;
	for (seed = 1; seed < 300; seed++) {
		bool hidden[30] = {0};

		parsed = through_text(&c, seed);
		pol_diags_fini(&c.diags);
		pol_diags_use(&c.diags, parsed);
		assert_int_equal(pol_check_reachable(parsed, &parsed->groups[0], &c.diags), 0);
		hidden_rules += c.diags.n;
		for (i = 0; i < c.diags.n; i++)
			for (k = 0; k < (int)parsed->groups[0].nrules; k++)
				if (parsed->groups[0].rules[k].loc.line == c.diags.v[i].line)
					hidden[k] = true;
		for (k = 0; k < 300; k++) {
			struct dec_key key = gen_key(&c.gen);
			uint32_t record =
				pol_oracle(parsed, &parsed->groups[0], NULL, &c.gen.env, &key);

			if (record < parsed->groups[0].nrules && hidden[record]) {
				gen_print_key(stderr, &key);
				fail_msg("seed %d: rule %u is reached", (int)seed, record);
			}
		}
		pol_free(&parsed);
		made_end(&c);
	}
	assert_true(hidden_rules > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hidden),		cmocka_unit_test(test_hidden_by_conditions),
		cmocka_unit_test(test_hidden_too_many), cmocka_unit_test(test_hidden_is_true),
		cmocka_unit_test(test_through_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
