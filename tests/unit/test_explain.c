/* SPDX-License-Identifier: GPL-2.0-only */
/* Questions of `explain --policy`: which rule, with its place, text, verdict and reason. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "explain.h"

static const char text[] =
	"group web {\n"
	"	allow connect tcp to 127.0.0.0/8 port 8000-8099\n"
	"	deny connect tcp to any port 25 errno ECONNREFUSED log\n"
	"	deny connect tcp to 10.0.0.0/8 from 10.1.0.0/16 errno EHOSTUNREACH\n"
	"	allow connect udp to any port 53 uid 1000\n"
	"	allow bind tcp to ::/0 port 443\n"
	"	allow accept tcp port 443 from 192.0.2.0/24\n"
	"	allow connect tcp to 2001:db8::/32\n"
	"	allow bind udp\n"
	"	default deny errno EACCES\n"
	"}\n"
	"group quiet { mode audit deny sendto udp to any port 123 }\n"
	"group here {\n"
	"	deny connect, sendto any to { 127.0.0.0/8, ::1 }\n"
	"	default allow\n"
	"}\n"
	"group rated {\n"
	"	limit 90/m burst 5 per process connect udp to any port 123 errno EAGAIN\n"
	"	limit 200/s bind tcp to ::/0\n"
	"	deny bind tcp to 0.0.0.0/0 port 81\n"
	"	limit 7/h bind tcp to 0.0.0.0/0\n"
	"	default allow\n"
	"}\n";

static struct compiled *compiled;

static int compile(void **state)
{
	struct compiled_source source = {
		.name = "t.ulsp", .text = text, .text_bytes = sizeof(text) - 1};

	(void)state;
	if (compiled_parse(&source, &compiled))
		return -1;
	return compiled_tables(compiled, NULL, NULL, false);
}

static int release(void **state)
{
	(void)state;
	compiled_free(&compiled);
	return 0;
}

static const char *get(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && v ? json_object_get_string(v) : "-";
}

/* "verdict errno reason rule" of a question. */
static void expect(const char *group, const struct explain_query *q, const char *expected)
{
	const struct pol_group *g = pol_find_group(compiled->policy, group);
	struct json_object *o = NULL;
	struct err e = {0};
	char answer[256];
	int r = explain(q, compiled, g, g->mode, explain_offline,
			compiled->tables[g - compiled->policy->groups], &o, &e);

	if (r) {
		fail_msg("%s %s %s %lld: %s", q->op, q->proto, q->addr, (long long)q->port, e.text);
		return;
	}
	snprintf(answer, sizeof(answer), "%s %s %s %s", get(o, "verdict"), get(o, "errno"),
		 get(o, "reason"), get(o, "rule"));
	assert_string_equal(answer, expected);
	json_object_put(o);
}

#define ASK(op_, proto_, addr_, port_, ...)                                                        \
	(&(struct explain_query){                                                                  \
		.op = op_, .proto = proto_, .addr = addr_, .port = port_, __VA_ARGS__})

static void names_the_rule(void **state)
{
	(void)state;
	expect("web", ASK("connect", "tcp", "127.0.0.1", 8080), "allow - rule t.ulsp:2");
	expect("web", ASK("connect", "tcp", "::ffff:127.0.0.1", 8080), "allow - rule t.ulsp:2");
	expect("web", ASK("connect", "tcp", "1.2.3.4", 25), "deny ECONNREFUSED rule t.ulsp:3");
	expect("web", ASK("connect", "tcp", "2001:db8::1", 80), "allow - rule t.ulsp:8");
	expect("web", ASK("connect", "tcp", "2001:db9::1", 80), "deny EACCES default t.ulsp:10");
}

static void knows_both_ends(void **state)
{
	(void)state;
	expect("web", ASK("connect", "tcp", "10.9.9.9", 80, .from = "10.1.2.3"),
	       "deny EHOSTUNREACH rule t.ulsp:4");
	expect("web", ASK("connect", "tcp", "10.9.9.9", 80, .from = "10.2.2.3:99"),
	       "deny EACCES default t.ulsp:10");
	expect("web", ASK("accept", "tcp", "192.0.2.7", 443, .from = ":5000", .to = "10.0.0.1"),
	       "allow - rule t.ulsp:7");
	expect("web", ASK("accept", "tcp", "192.0.3.7", 443), "deny EACCES default t.ulsp:10");
}

static void knows_who(void **state)
{
	(void)state;
	expect("web", ASK("connect", "udp", "9.9.9.9", 53, .uid = 1000), "allow - rule t.ulsp:5");
	expect("web", ASK("connect", "udp", "9.9.9.9", 53, .uid = 0),
	       "deny EACCES default t.ulsp:10");
}

static void knows_what_the_default_does_not_cover(void **state)
{
	(void)state;
	expect("web", ASK("recvfrom", "udp", "9.9.9.9", 53), "allow - implied implied");
	expect("web", ASK("socket", "tcp", "0.0.0.0", 0), "allow - implied implied");
	expect("web", ASK("bind", "tcp", "0.0.0.0", 0), "allow - ephemeral t.ulsp:10");
	expect("web", ASK("bind", "tcp", "0.0.0.0", 22), "deny EACCES default t.ulsp:10");
	expect("quiet", ASK("connect", "tcp", "1.1.1.1", 1), "deny EPERM default default");
}

/* A socket bound to :: takes IPv4 as well. */
static void judges_the_wildcard_twice(void **state)
{
	(void)state;
	expect("web", ASK("bind", "tcp", "2001:db8::1", 443), "allow - rule t.ulsp:6");
	expect("web", ASK("bind", "tcp", "::", 443), "deny EACCES default t.ulsp:10");
	expect("web", ASK("bind", "udp", "::", 443), "allow - rule t.ulsp:9");
}

/* It becomes this host's own address before a packet is sent. */
static void takes_unspecified_for_here(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *any = i ? "::" : "0.0.0.0", *here = i ? "::1" : "127.0.0.1";

		expect("here", ASK("connect", "tcp", any, 443), "deny EPERM rule t.ulsp:14");
		expect("here", ASK("connect", "tcp", here, 443), "deny EPERM rule t.ulsp:14");
		expect("here", ASK("sendto", "udp", any, 53), "deny EPERM rule t.ulsp:14");
		expect("here", ASK("bind", "tcp", any, 443), "allow - default t.ulsp:15");
	}
}

static void expect_rate(const struct explain_query *q, const char *expected)
{
	const struct pol_group *g = pol_find_group(compiled->policy, "rated");
	struct json_object *o = NULL;
	struct err e = {0};
	char answer[256];

	assert_int_equal(explain(q, compiled, g, g->mode, explain_offline,
				 compiled->tables[g - compiled->policy->groups], &o, &e),
			 0);
	snprintf(answer, sizeof(answer), "%s %s %s %s", get(o, "verdict"), get(o, "rate"),
		 get(o, "burst"), get(o, "per"));
	assert_string_equal(answer, expected);
	json_object_put(o);
}

static void tells_rates(void **state)
{
	(void)state;
	expect("rated", ASK("connect", "udp", "::1", 123), "limit EAGAIN rule t.ulsp:18");
	expect_rate(ASK("connect", "udp", "::1", 123), "limit 90/m 5 process");
	expect_rate(ASK("bind", "tcp", "::1", 80), "limit 200/s 200 group");
	expect_rate(ASK("listen", "tcp", "127.0.0.1", 80), "limit 7/h 1 group");
	expect_rate(ASK("connect", "udp", "::1", 124), "allow - - -");
	/* a rate on one family doesn't hide that the other is denied */
	expect("rated", ASK("bind", "tcp", "::", 80), "limit EPERM rule t.ulsp:19");
	expect("rated", ASK("bind", "tcp", "::", 81), "deny EPERM rule t.ulsp:20");
}

static void refused(const struct explain_query *q, const char *because)
{
	const struct pol_group *g = &compiled->policy->groups[0];
	struct json_object *o = NULL;
	struct err e = {0};
	int r = explain(q, compiled, g, g->mode, explain_offline, compiled->tables[0], &o, &e);

	assert_true(r < 0);
	assert_null(o);
	if (!strstr(e.text, because))
		fail_msg("refused with \"%s\", expected \"%s\"", e.text, because);
}

static void refuses_questions_without_sense(void **state)
{
	(void)state;
	refused(ASK("conect", "tcp", "1.2.3.4", 80), "conect");
	refused(ASK("connect", "tpc", "1.2.3.4", 80), "tpc");
	refused(ASK("connect", "unix", "1.2.3.4", 80), "not supported");
	refused(ASK("connect", "tcp", "1.2.3", 80), "1.2.3");
	refused(ASK("connect", "tcp", "1.2.3.4", 65536), "65536");
	refused(ASK("connect", "tcp", "1.2.3.4", -1), "-1");
	refused(ASK("connect", "tcp", "1.2.3.4", 80, .from = "::1"), "--from");
	refused(ASK("connect", "tcp", "1.2.3.4", 80, .from = "1.2.3.4:x"), "--from");
	refused(ASK("connect", "tcp", "1.2.3.4", 80, .from = ""), "--from");
	refused(ASK("connect", "tcp", "1.2.3.4", 80, .to = "1.2.3.5"), "--to");
	refused(ASK("connect", "tcp", "::1", 80, .from = "[::1"), "--from");
	refused(ASK("accept", "tcp", "1.2.3.4", 80, .from = "1.2.3.5"), "--from");
	refused(ASK("bind", "tcp", "1.2.3.4", 80, .from = "1.2.3.4"), "one end");
	refused(ASK("connect", "tcp", "1.2.3.4", 80, .exec = "/nonexistent/x"), "/nonexistent/x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_the_rule),
		cmocka_unit_test(knows_both_ends),
		cmocka_unit_test(knows_who),
		cmocka_unit_test(knows_what_the_default_does_not_cover),
		cmocka_unit_test(judges_the_wildcard_twice),
		cmocka_unit_test(takes_unspecified_for_here),
		cmocka_unit_test(tells_rates),
		cmocka_unit_test(refuses_questions_without_sense),
	};

	return cmocka_run_group_tests(tests, compile, release);
}
