/* SPDX-License-Identifier: GPL-2.0-only */
/* Printing: generated policies come back the same; ids stay with their rules. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory_files.h"
#include "policy.h"
#include "policy_same.h"

static struct pol_policy *parse(const char *text)
{
	struct pol_diags d = {0};
	struct pol_policy *p = NULL;

	if (pol_parse_text("t.ulsp", text, strlen(text), NULL, &d, &p) < 0) {
		char *said = diags_text(&d);

		fprintf(stderr, "%s\n%s", text, said);
		free(said);
		pol_diags_fini(&d);
		fail_msg("doesn't parse");
	}
	pol_diags_fini(&d);
	return p;
}

static void round_trip(const struct pol_policy *p, unsigned flags)
{
	struct pol_policy *again;
	char *text, *text_again;
	const char *what;

	assert_int_equal(pol_print(p, flags, &text), 0);
	again = parse(text);
	what = policy_differs(p, again, flags & POL_PRINT_LINES);
	if (what)
		fail_msg("%s differs:\n%s", what, text);
	assert_int_equal(pol_print(again, flags, &text_again), 0);
	assert_string_equal(text, text_again);
	free(text);
	free(text_again);
	pol_free(&again);
}

/* ---- generated rules ---- */

static unsigned seed;

static int one_of(int n)
{
	return rand_r(&seed) % n;
}

static void put_addr(FILE *out)
{
	unsigned a = (unsigned)one_of(256), b = (unsigned)one_of(256);

	switch (one_of(6)) {
	case 0:
		fprintf(out, "10.%u.0.0/%d", a, 16 + one_of(3) * 8);
		break;
	case 1:
		fprintf(out, "10.0.%u.7-10.%u.255.%u", a, 1 + b % 9, a);
		break;
	case 2:
		fprintf(out, "fd00:%x::/%d", a, 32 + one_of(4) * 16);
		break;
	case 3:
		fprintf(out, "::fffe:0:%x-::%s:0:0", a, one_of(2) ? "ffff" : "1:0");
		break;
	case 4:
		fprintf(out, "::ffff:10.0.%u.0/120", a);
		break;
	case 5:
		fprintf(out, "%s", one_of(2) ? "::/0" : "0.0.0.0/0");
		break;
	}
}

static void put_number(FILE *out)
{
	int n = one_of(65000);

	fprintf(out, one_of(2) ? "%d" : "%d-%d", n, n + one_of(500));
}

static void put_path(FILE *out)
{
	fprintf(out, "\"/bin/%c\\x0%d \\\"\\\\\"", 'a' + one_of(5), 1 + one_of(8));
}

static void put_set(FILE *out, void (*put)(FILE *), bool negations)
{
	int n = one_of(5);

	fputs(negations && one_of(4) == 0 ? "! " : "", out);
	if (n == 0) {
		put(out);
		return;
	}
	fputs("{ ", out);
	for (int i = 0; i < n; i++) {
		fputs(i ? ", " : "", out);
		fputs(negations && put != put_path && one_of(4) == 0 ? "!" : "", out);
		put(out);
	}
	fputs(" }", out);
}

static void put_rule(FILE *out)
{
	static const char *const heads[] = {
		"allow connect tcp",
		"deny sendto, connect udp, tcp",
		"ask u connect, sendto udp",
		"serve \"group\" connect tcp",
		"limit 100/s burst 20 connect udp",
		"deny connect any",
		"limit 90/h sendto tcp, udp",
		"ask u sendto tcp",
		"limit 5/m per process connect tcp",
	};
	int head = one_of(9);
	bool asks = strncmp(heads[head], "ask", 3) == 0;

	fputs(heads[head], out);
	if (one_of(2)) {
		fputs(" to ", out);
		put_set(out, put_addr, true);
	}
	if (one_of(2)) {
		fputs(" port ", out);
		put_set(out, put_number, true);
	}
	if (one_of(4) == 0) {
		fputs(" from ", out);
		put_set(out, put_addr, true);
		fputs(" port ", out);
		put_set(out, put_number, true);
	}
	if (one_of(4) == 0)
		fprintf(out, " uid !%d", one_of(1000));
	if (one_of(4) == 0) {
		fputs(" exec ", out);
		put_set(out, put_path, true);
	}
	if (head && one_of(2))
		fprintf(out, " errno %d", 1 + one_of(133));
	if (one_of(2))
		fputs(" log", out);
	if (asks && one_of(2))
		fprintf(out, " hold %dms", 1 + one_of(100000));
	if (asks && one_of(2))
		fprintf(out, " cache %d%c", 1 + one_of(70), "smh"[one_of(3)]);
	if (asks && one_of(2))
		fprintf(out, " down %s", one_of(2) ? "allow" : "hold 90s");
	fputc('\n', out);
}

static void generated(void **state)
{
	(void)state;
	for (seed = 1; seed < 200; seed++) {
		unsigned kept = seed;
		struct pol_policy *p;
		size_t bytes;
		char *text;
		FILE *out = open_memstream(&text, &bytes);

		fputs("ulsp u { exec \"u\" }\nulsp \"group\" {}\ngroup \"any\" {\n", out);
		for (int i = 0; i < 30; i++)
			put_rule(out);
		fputs("default deny\n}\n", out);
		fclose(out);
		p = parse(text);
		round_trip(p, 0);
		round_trip(p, POL_PRINT_LINES);
		pol_free(&p);
		free(text);
		seed = kept;
	}
}

static void single_rules(void **state)
{
	static const struct {
		const char *written, *printed;
	} rules[] = {
		{"allow connect tcp to any", "allow connect tcp"},
		{"deny sendto,connect udp port 53", "deny connect, sendto udp to any port 53"},
		{"allow bind tcp port {80,81,443}", "allow bind tcp port { 80-81, 443 }"},
		{"allow accept tcp from 10.0.0.0/8 to any port 80",
		 "allow accept tcp port 80 from 10.0.0.0/8"},
		{"deny connect tcp log errno 111", "deny connect tcp errno ECONNREFUSED log"},
		{"deny connect tcp errno EWOULDBLOCK", "deny connect tcp errno EAGAIN"},
		{"ask u connect tcp cache 120s down hold 1500ms",
		 "ask u connect tcp down hold 1500ms cache 2m"},
		{"limit 60/m connect tcp", "limit 1/s connect tcp"},
		{"limit 61/m connect tcp", "limit 61/m connect tcp"},
		{"limit 3600/h burst 7 per process connect tcp",
		 "limit 1/s burst 7 per process connect tcp"},
		{"limit 2/s per group connect tcp", "limit 2/s connect tcp"},
		{"allow connect tcp to !0.0.0.0/0", "allow connect tcp to ::/0"},
		{"allow connect tcp uid { 0, 1, 2, 7 }", "allow connect tcp uid { 0-2, 7 }"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct pol_policy *p;
		char *text, *printed;

		assert_true(asprintf(&text, "ulsp u{}group g { %s default deny errno EIO log }",
				     rules[i].written) > 0);
		p = parse(text);
		assert_int_equal(pol_print_rule(&p->groups[0], 0, &printed), 0);
		assert_string_equal(printed, rules[i].printed);
		free(printed);
		assert_int_equal(pol_print_rule(&p->groups[0], 1, &printed), 0);
		assert_string_equal(printed, "default deny errno EIO log");
		free(printed);
		assert_int_equal(pol_print_rule(&p->groups[0], 2, &printed), -EINVAL);
		pol_free(&p);
		free(text);
	}
}

static void one_group(void **state)
{
	struct pol_policy *p = parse("group a { default deny } group b { default allow }");
	char *text;

	(void)state;
	assert_int_equal(pol_print_group(p, pol_find_group(p, "b"), 0, &text), 0);
	assert_string_equal(text, "group b {\n\tmode enforce\n\tdefault allow\n}\n");
	free(text);
	pol_free(&p);
}

/* ---- ids ---- */

static void stable_ids(void **state)
{
	struct pol_policy *a = parse("group g {\n"
				     "allow connect tcp to { 10.0.0.0/8, 192.0.2.1 }\n"
				     "deny connect tcp\n"
				     "deny connect tcp\n"
				     "default deny }");
	struct pol_policy *b = parse("define s = { 192.0.2.1, 10.0.0.0/9, 10.128.0.0/9 }\n"
				     "group other { deny connect tcp default deny }\n"
				     "group g {\n"
				     "allow bind tcp\n"
				     "deny connect tcp\n"
				     "allow connect tcp to $s\n"
				     "default allow }");
	const struct pol_rule *ra = a->groups[0].rules, *rb = b->groups[1].rules;

	(void)state;
	assert_int_equal(ra[0].id, rb[2].id);
	assert_int_equal(ra[1].id, rb[1].id);
	assert_int_not_equal(ra[1].id, ra[2].id);
	assert_int_not_equal(b->groups[0].rules[0].id, rb[1].id);
	/* the default's is by its text, what it doesn't cover has one a group */
	assert_true(a->groups[0].default_id && a->groups[0].implied_id);
	assert_int_not_equal(a->groups[0].default_id, b->groups[1].default_id);
	assert_int_not_equal(a->groups[0].default_id, b->groups[0].default_id);
	assert_int_equal(a->groups[0].implied_id, b->groups[1].implied_id);
	assert_int_not_equal(b->groups[0].implied_id, b->groups[1].implied_id);
	pol_free(&a);
	pol_free(&b);
	/* Part of pinned state: a release that changes ids loses counters. */
	a = parse("group g { allow connect tcp to 10.0.0.0/8 default deny }");
	assert_int_equal(a->groups[0].rules[0].id, 0xc1daaa2f);
	assert_int_equal(a->groups[0].default_id, 0x8b5acb66);
	assert_int_equal(a->groups[0].implied_id, 0xbcd84eb2);
	pol_free(&a);
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Enough rules that 32 bits collide; the ids are still different, and the same each time. */
static void unique_ids(void **state)
{
	enum { RULES = 130000 };
	uint32_t *ids = calloc(RULES, sizeof(*ids));
	struct pol_policy *p, *again;
	size_t bytes;
	char *text;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	fputs("group g {\n", out);
	for (int i = 0; i < RULES; i++)
		fprintf(out, "deny connect tcp to 10.%d.%d.%d\n", i >> 16, i >> 8 & 255, i & 255);
	fputs("default allow }\n", out);
	fclose(out);
	p = parse(text);
	again = parse(text);
	for (size_t i = 0; i < RULES; i++) {
		ids[i] = p->groups[0].rules[i].id;
		assert_int_equal(ids[i], again->groups[0].rules[i].id);
	}
	qsort(ids, RULES, sizeof(*ids), compare_ids);
	assert_int_not_equal(ids[0], 0);
	for (size_t i = 1; i < RULES; i++)
		assert_int_not_equal(ids[i - 1], ids[i]);
	pol_free(&p);
	pol_free(&again);
	free(ids);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generated),  cmocka_unit_test(single_rules),
		cmocka_unit_test(one_group),  cmocka_unit_test(stable_ids),
		cmocka_unit_test(unique_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
