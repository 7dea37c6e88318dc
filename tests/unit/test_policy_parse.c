/* SPDX-License-Identifier: GPL-2.0-only */
/* What text becomes: the checked policy's fields. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "memory_files.h"
#include "policy.h"

#define BIT(n) (1u << (n))

static struct pol_policy *parse_with(const struct pol_reader *reader, const char *text)
{
	struct pol_diags d = {0};
	struct pol_policy *p = NULL;
	int r = pol_parse_text("test.ulsp", text, strlen(text), reader, &d, &p);

	if (r < 0) {
		char *said = diags_text(&d);

		fputs(said, stderr);
		free(said);
		fail_msg("doesn't parse: %d", r);
	}
	pol_diags_fini(&d);
	return p;
}

/* A policy of one group with these rules, and a ulsp u. */
static struct pol_policy *parse_rules(const char *rules)
{
	struct pol_policy *p;
	char *text;

	assert_true(asprintf(&text, "ulsp u { exec \"u\" }\ngroup g {\n%s\ndefault deny\n}\n",
			     rules) > 0);
	p = parse_with(NULL, text);
	free(text);
	return p;
}

static const struct pol_rule *rule(const struct pol_policy *p, size_t i)
{
	assert_true(i < p->groups[0].nrules);
	return &p->groups[0].rules[i];
}

static void contract_rules(void **state)
{
	struct pol_policy *p =
		parse_rules("deny  connect tcp to any port 25 errno ECONNREFUSED log\n"
			    "ask u connect tcp to any port 443 hold 200ms down deny cache 60s\n"
			    "limit 100/s burst 20 connect udp to any port 53\n"
			    "allow bind tcp port { 443, 80-81, 82 }\n");
	const struct pol_rule *r;

	(void)state;
	r = rule(p, 0);
	assert_int_equal(r->verdict, ULSP_VERDICT_DENY);
	assert_int_equal(r->ops, BIT(ULSP_OP_CONNECT));
	assert_int_equal(r->protos, BIT(ULSP_PROTO_TCP));
	assert_true(r->to.any && r->from.any && r->from_ports.any && !r->to_ports.any);
	assert_int_equal(r->to_ports.n, 1);
	assert_int_equal(r->to_ports.v[0].lo, 25);
	assert_int_equal(r->error, ECONNREFUSED);
	assert_true(r->log);
	assert_int_equal(r->loc.line, 3);
	assert_int_equal(r->loc.col, 1);
	r = rule(p, 1);
	assert_int_equal(r->verdict, ULSP_VERDICT_ASK);
	assert_string_equal(r->ulsp, "u");
	assert_int_equal(r->ulsp_index, 0);
	assert_true(p->ulsps[0].asked);
	assert_int_equal(r->hold_ms, 200);
	assert_int_equal(r->cache_ms, 60000);
	assert_true(r->down_given && r->down == POL_DOWN_DENY);
	r = rule(p, 2);
	assert_true(r->limit);
	assert_int_equal(r->verdict, ULSP_VERDICT_DENY);
	assert_int_equal(r->rate_per_hour, 360000);
	assert_int_equal(r->burst, 20);
	r = rule(p, 3);
	assert_int_equal(r->to_ports.n, 2);
	assert_int_equal(r->to_ports.v[0].lo, 80);
	assert_int_equal(r->to_ports.v[0].hi, 82);
	pol_free(&p);
}

static void ports_and_addresses(void **state)
{
	struct pol_policy *p = parse_rules("allow accept tcp port 80 from 10.0.0.0/8 port 1000\n"
					   "allow connect tcp from 10.0.0.1 to ::1 port 5\n"
					   "allow connect tcp to ::1 uid 5 port 6\n"
					   "allow connect tcp to ! { 10.0.0.0/8, ::/0 } port !80\n"
					   "allow connect tcp to { 10.0.0.0/8, !10.1.0.0/16 }\n"
					   "allow connect tcp to {} uid !{ 0, 5 }\n"
					   "allow socket any to ::/0 exec !\"/bin/x\"\n");
	const struct pol_rule *r;

	(void)state;
	r = rule(p, 0);
	assert_int_equal(r->to_ports.v[0].lo, 80);
	assert_int_equal(r->from_ports.v[0].lo, 1000);
	assert_int_equal(r->from.n, 1);
	assert_true(r->to.any);
	r = rule(p, 1);
	assert_int_equal(r->to_ports.v[0].lo, 5);
	assert_true(r->from_ports.any);
	assert_int_equal(r->to.v[0].family, 6);
	assert_int_equal(rule(p, 2)->to_ports.v[0].lo, 6);
	r = rule(p, 3);
	assert_int_equal(r->to.n, 2);
	assert_int_equal(r->to.v[1].lo[0], 11);
	assert_int_equal(r->to_ports.n, 2);
	assert_int_equal(r->to_ports.v[1].hi, 65535);
	r = rule(p, 4);
	assert_int_equal(r->to.n, 2);
	assert_int_equal(r->to.v[1].lo[1], 2);
	r = rule(p, 5);
	assert_true(!r->to.any && r->to.n == 0);
	assert_int_equal(r->nuids, 2);
	assert_int_equal(r->uids[1].hi, 0xfffffffe);
	r = rule(p, 6);
	assert_int_equal(r->nexecs, 1);
	assert_true(r->exec_negated);
	pol_free(&p);
}

/* `any` means the operations that have what the rule names. */
static void any_operation(void **state)
{
	struct pol_policy *p = parse_rules("allow any any\n"
					   "allow any tcp to 10.0.0.0/8\n"
					   "allow any tcp uid 5\n"
					   "allow any udp from 10.0.0.1\n");

	(void)state;
	assert_int_equal(rule(p, 0)->ops, BIT(ULSP_OP_COUNT) - 1);
	assert_int_equal(rule(p, 0)->protos, BIT(ULSP_PROTO_COUNT) - 1);
	assert_int_equal(rule(p, 1)->ops, (BIT(ULSP_OP_COUNT) - 1) & ~BIT(ULSP_OP_SOCKET));
	assert_int_equal(rule(p, 2)->ops, BIT(ULSP_OP_SOCKET) | BIT(ULSP_OP_BIND) |
						  BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_SENDTO));
	assert_int_equal(rule(p, 3)->ops, BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_SENDTO) |
						  BIT(ULSP_OP_ACCEPT) | BIT(ULSP_OP_RECVFROM));
	pol_free(&p);
}

static void blocks(void **state)
{
	struct pol_policy *p = parse_with(
		NULL, "ulsp logger { exec \"a\" \"b\" \"c\\\"\" \"\" user _x-1 restart on-failure "
		      "ring 64K }\n"
		      "ulsp byhand {}\n"
		      "group \"group\" {\n"
		      "  members cgroup \"/a//b/\", \"c*.slice\"\n"
		      "  members exec \"/bin/x\"\n"
		      "  peers self, other isolate unix, key mode audit degrade allow\n"
		      "  default allow log\n"
		      "}\n"
		      "group other { peers none isolate all default deny errno EACCES }\n");
	const struct pol_group *g;

	(void)state;
	assert_int_equal(p->nulsps, 2);
	assert_int_equal(p->ulsps[0].argc, 4);
	assert_string_equal(p->ulsps[0].argv[2], "c\"");
	assert_string_equal(p->ulsps[0].argv[3], "");
	assert_null(p->ulsps[0].argv[4]);
	assert_string_equal(p->ulsps[0].user, "_x-1");
	assert_int_equal(p->ulsps[0].restart, POL_RESTART_ON_FAILURE);
	assert_int_equal(p->ulsps[0].ring_bytes, 65536);
	assert_false(p->ulsps[0].asked);
	assert_null(p->ulsps[1].argv);
	assert_null(p->ulsps[1].user);
	assert_int_equal(p->ulsps[1].ring_bytes, 0);
	g = pol_find_group(p, "group");
	assert_non_null(g);
	assert_int_equal(g->nmembers, 3);
	assert_string_equal(g->members[0].path, "a/b");
	assert_true(g->members[2].exec);
	assert_int_equal(g->npeers, 2);
	assert_int_equal(g->isolate, POL_ISOLATE_UNIX | POL_ISOLATE_KEY);
	assert_int_equal(g->mode, ULSP_MODE_AUDIT);
	assert_true(g->degrade_allow && g->default_given && g->default_log);
	assert_int_equal(g->default_verdict, ULSP_VERDICT_ALLOW);
	g = pol_find_group(p, "other");
	assert_int_equal(g->npeers, 0);
	assert_true(g->peers_loc.line);
	assert_int_equal(g->isolate, POL_ISOLATE_ALL);
	assert_int_equal(g->default_error, EACCES);
	assert_null(pol_find_group(p, "third"));
	pol_free(&p);
}

static void files(void **state)
{
	static const struct memory_file tree[] = {
		{"etc/main.ulsp", "include \"conf.d/*.ulsp\"\ngroup main { allow connect tcp to $s "
				  "default deny }\n"},
		{"etc/conf.d/a.ulsp", "define s = file \"../sets/s.cidr\"\n"},
		{"etc/conf.d/../sets/s.cidr",
		 "\xef\xbb\xbf# comment\n10.0.0.0/25\r\n 10.0.0.128/25 # joins\n\nfd00::/8"},
		{"etc/conf.d/b.ulsp",
		 "group b { allow connect tcp to { $s, !10.0.0.1 } default deny }"},
		{NULL, NULL},
	};
	const struct pol_reader reader = memory_reader(tree);
	const char *path = "etc/main.ulsp";
	struct pol_diags d = {0};
	struct pol_policy *p;

	(void)state;
	assert_int_equal(pol_parse(&path, 1, &reader, &d, &p), 0);
	assert_int_equal(d.n, 0);
	assert_int_equal(p->ngroups, 2);
	assert_string_equal(p->groups[0].name, "b");
	assert_int_equal(p->groups[0].rules[0].to.n, 3);
	assert_int_equal(p->groups[1].rules[0].to.n, 2);
	assert_int_equal(p->nfiles, 3);
	assert_string_equal(p->files[p->groups[0].loc.file], "etc/conf.d/b.ulsp");
	pol_free(&p);
	pol_diags_fini(&d);
}

/* A set is one array, however often it is used. */
static void shared_sets(void **state)
{
	struct pol_policy *p = parse_with(
		NULL,
		"define s = { 10.0.0.0/8, 192.0.2.0/24 }\ngroup g {\nallow connect tcp to $s\n"
		"deny connect udp to $s\ndefault deny\n}");

	(void)state;
	assert_ptr_equal(p->groups[0].rules[0].to.v, p->groups[0].rules[1].to.v);
	pol_free(&p);
}

static void places(void **state)
{
	struct pol_policy *p = parse_with(NULL, "group a { default deny }\n"
						"#line 41 \"other \\\"x\\\".ulsp\"\n"
						"group b {\n"
						"\tallow connect tcp\n"
						" #line 7 \"not at the start\"\n"
						"\tdefault deny }\n");

	(void)state;
	assert_int_equal(p->groups[0].loc.line, 1);
	assert_int_equal(p->groups[1].loc.line, 41);
	assert_int_equal(p->groups[1].rules[0].loc.line, 42);
	assert_int_equal(p->groups[1].rules[0].loc.col, 2);
	assert_int_equal(p->groups[1].default_loc.line, 44);
	assert_string_equal(p->files[p->groups[1].rules[0].loc.file], "other \"x\".ulsp");
	pol_free(&p);
}

/* A million lines in no order take well under a second (the bound is for slow machines). */
static void million_lines(void **state)
{
	enum { LINES = 1000000 };
	struct memory_file tree[] = {{"big.cidr", NULL}, {NULL, NULL}};
	const struct pol_reader reader = memory_reader(tree);
	struct timespec begin, end;
	struct pol_policy *p;
	size_t bytes;
	char *text;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	for (uint32_t i = 0; i < LINES; i++) {
		uint32_t a = i * 2654435761u; /* all different, and never neighbours for long */

		fprintf(out, "%u.%u.%u.%u\n", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	}
	fclose(out);
	tree[0].text = text;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	p = parse_with(&reader, "define big = file \"big.cidr\"\n"
				"group g { deny connect tcp to $big default allow }");
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(p->groups[0].rules[0].to.n > LINES / 2);
	assert_true(end.tv_sec - begin.tv_sec < 20);
	pol_free(&p);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contract_rules), cmocka_unit_test(ports_and_addresses),
		cmocka_unit_test(any_operation),  cmocka_unit_test(blocks),
		cmocka_unit_test(files),	  cmocka_unit_test(shared_sets),
		cmocka_unit_test(places),	  cmocka_unit_test(million_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
