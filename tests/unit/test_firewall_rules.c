/* SPDX-License-Identifier: BSD-2-Clause */
/* ulsp-firewall's rule file: what it says, what is wrong with it and where. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rules.h"
#include "ulsp_abi.h"

static struct fw_rules *parse(const char *text)
{
	struct fw_rules *r = NULL;
	struct fw_error e;
	int n = fw_rules_parse(text, strlen(text), &r, &e);

	if (n)
		print_error("%u:%u: %s\n", e.line, e.col, e.text);
	assert_int_equal(n, 0);
	assert_non_null(r);
	return r;
}

static struct fw_query query(int op, int proto, const char *addr, uint16_t port)
{
	struct fw_query q = {.op = op, .proto = proto, .port = port};

	if (addr && inet_pton(AF_INET, addr, q.addr) == 1)
		q.family = 4;
	else if (addr && inet_pton(AF_INET6, addr, q.addr) == 1)
		q.family = 6;
	return q;
}

/* The line that decides connect tcp ADDR PORT; 0: none. */
static uint32_t decides(const char *text, const char *addr, uint16_t port)
{
	struct fw_rules *r = parse(text);
	struct fw_query q = query(ULSP_OP_CONNECT, ULSP_PROTO_TCP, addr, port);
	uint32_t line = fw_rules_judge(r, &q).line;

	fw_rules_free(&r);
	return line;
}

static void empty_denies(void **state)
{
	static const char *const texts[] = {"", "\n\n", "# nothing\n", "  \t\r\n#", "   "};
	struct fw_query q = query(ULSP_OP_CONNECT, ULSP_PROTO_TCP, "192.0.2.1", 443);

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fw_rules *r = parse(texts[i]);
		struct fw_verdict v = fw_rules_judge(r, &q);

		assert_false(v.allow);
		assert_int_equal(v.error, -EPERM);
		assert_int_equal(v.line, 0);
		fw_rules_free(&r);
		assert_null(r);
	}
}

static void whole_rule(void **state)
{
	struct fw_rules *r = parse("deny errno EHOSTUNREACH sendto udp 2001:db8::/32 port 53-60 "
				   "exe \"/usr/bin/a \\\"b\\\"\" uid 1000 for 10m cover process");

	(void)state;
	assert_int_equal(r->n, 1);
	assert_false(r->v[0].verdict.allow);
	assert_int_equal(r->v[0].verdict.error, -EHOSTUNREACH);
	assert_int_equal(r->v[0].verdict.ttl_ms, 600000);
	assert_int_equal(r->v[0].verdict.cover, ULSP_COVER_PROCESS);
	assert_int_equal(r->v[0].verdict.line, 1);
	assert_int_equal(r->v[0].op, ULSP_OP_SENDTO);
	assert_int_equal(r->v[0].proto, ULSP_PROTO_UDP);
	assert_int_equal(r->v[0].family, 6);
	assert_int_equal(r->v[0].prefix, 32);
	assert_int_equal(r->v[0].port_lo, 53);
	assert_int_equal(r->v[0].port_hi, 60);
	assert_int_equal(r->v[0].uid, 1000);
	assert_false(r->v[0].any_uid);
	assert_string_equal(r->v[0].exe, "/usr/bin/a \"b\"");
	fw_rules_free(&r);
}

static void first_match_wins(void **state)
{
	static const char text[] = "# rules\n"
				   "deny connect tcp 10.1.0.0/16 port 80\n"
				   "allow connect tcp 10.0.0.0/8 port 80-443\n"
				   "\n"
				   "allow connect udp any\n"
				   "default deny\n";

	(void)state;
	assert_int_equal(decides(text, "10.1.2.3", 80), 2);
	assert_int_equal(decides(text, "10.1.2.3", 81), 3);
	assert_int_equal(decides(text, "10.2.2.3", 80), 3);
	assert_int_equal(decides(text, "10.2.2.3", 443), 3);
	assert_int_equal(decides(text, "10.2.2.3", 444), 6);
	assert_int_equal(decides(text, "10.2.2.3", 79), 6);
	assert_int_equal(decides(text, "11.2.2.3", 80), 6);
	assert_int_equal(decides(text, "::1", 80), 6);
	assert_int_equal(decides("allow any any any", "::1", 80), 1);
	assert_int_equal(decides("allow any any any", NULL, 0), 1);
	assert_int_equal(decides("allow any any 0.0.0.0/0", "::1", 80), 0);
	assert_int_equal(decides("allow any any 0.0.0.0/0", "9.9.9.9", 80), 1);
	assert_int_equal(decides("allow any any ::/0", "::1", 80), 1);
	assert_int_equal(decides("allow any any ::/0", "9.9.9.9", 80), 0);
	assert_int_equal(decides("allow connect tcp 10.0.0.1", "10.0.0.1", 80), 1);
	assert_int_equal(decides("allow connect tcp 10.0.0.1", "10.0.0.2", 80), 0);
	assert_int_equal(decides("allow connect tcp 10.0.0.0/31", "10.0.0.1", 80), 1);
	assert_int_equal(decides("allow connect tcp 10.0.0.0/31", "10.0.0.2", 80), 0);
	assert_int_equal(decides("allow connect tcp 128.0.0.0/1", "127.0.0.1", 80), 0);
	assert_int_equal(decides("allow connect tcp 128.0.0.0/1", "255.0.0.1", 80), 1);
	assert_int_equal(decides("allow connect tcp 2001:db8::8000:0/97", "2001:db8::ffff:1", 1),
			 1);
	assert_int_equal(decides("allow connect tcp 2001:db8::8000:0/97", "2001:db8::7fff:1", 1),
			 0);
	assert_int_equal(decides("allow connect tcp any port any", "10.0.0.1", 0), 1);
	assert_int_equal(decides("allow connect tcp any port 0", "10.0.0.1", 0), 1);
	assert_int_equal(decides("allow connect tcp any port 0", "10.0.0.1", 1), 0);
}

static void unknown_operation_matches_any_only(void **state)
{
	struct fw_rules *r = parse("allow connect tcp any\nallow any any any");
	struct fw_query q = query(-1, -1, "10.0.0.1", 1);

	(void)state;
	assert_int_equal(fw_rules_judge(r, &q).line, 2);
	assert_int_equal(fw_op_number("connect"), ULSP_OP_CONNECT);
	assert_int_equal(fw_op_number("dance"), -1);
	assert_int_equal(fw_proto_number("netlink"), ULSP_PROTO_NETLINK);
	assert_int_equal(fw_proto_number(""), -1);
	fw_rules_free(&r);
}

static const char *known_exe(void *ctx)
{
	return ctx;
}

static void executables(void **state)
{
	struct fw_rules *r = parse("allow connect any any exe /usr/bin/curl\n"
				   "deny connect any any exe /usr/bin/nc\n"
				   "allow connect any any\n");
	struct fw_query q = query(ULSP_OP_CONNECT, ULSP_PROTO_TCP, "10.0.0.1", 1);
	char curl[] = "/usr/bin/curl", nc[] = "/usr/bin/nc", other[] = "/usr/bin/other";

	(void)state;
	q.exe = known_exe;
	q.ctx = curl;
	assert_int_equal(fw_rules_judge(r, &q).line, 1);
	q.ctx = nc;
	assert_int_equal(fw_rules_judge(r, &q).line, 2);
	q.ctx = other;
	assert_int_equal(fw_rules_judge(r, &q).line, 3);
	q.ctx = NULL; /* unknown fails closed */
	assert_int_equal(fw_rules_judge(r, &q).line, 2);
	q.exe = NULL;
	assert_int_equal(fw_rules_judge(r, &q).line, 2);
	fw_rules_free(&r);
}

static void users(void **state)
{
	struct fw_rules *r = parse("allow any any any uid 0\ndefault deny errno EACCES");
	struct fw_query q = query(ULSP_OP_CONNECT, ULSP_PROTO_TCP, "10.0.0.1", 1);

	(void)state;
	assert_int_equal(fw_rules_judge(r, &q).line, 1);
	q.uid = 1;
	assert_int_equal(fw_rules_judge(r, &q).line, 2);
	assert_int_equal(fw_rules_judge(r, &q).error, -EACCES);
	fw_rules_free(&r);
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		uint32_t ms;
	} cases[] = {
		{"", 0},
		{"once", RULES_ONCE_MS},
		{"for 1ms", 1},
		{"for 30s", 30000},
		{"for 2m", 120000},
		{"for 1h", 3600000},
		{"for 1d", 86400000},
		{"for 4294967295ms", UINT32_MAX},
		{"until restart", RULES_RESTART_MS},
		{"forever", 0},
	};
	char line[100];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fw_rules *r;

		snprintf(line, sizeof(line), "allow any any any %s", cases[i].text);
		r = parse(line);
		assert_int_equal(r->v[0].verdict.ttl_ms, cases[i].ms);
		fw_rules_free(&r);
	}
}

static struct fw_verdict judge(struct fw_rules *r, int op, uint16_t port)
{
	struct fw_query q = query(op, ULSP_PROTO_TCP, "10.0.0.1", port);

	q.group = "web";
	return fw_rules_judge(r, &q);
}

static void defaults_by_operation(void **state)
{
	struct fw_rules *r = parse("default bind allow\n"
				   "default deny errno EACCES\n"
				   "default connect ask else deny errno ECONNREFUSED\n"
				   "default accept ask\n");
	struct fw_verdict v;

	(void)state;
	assert_true(r->asks);
	v = judge(r, ULSP_OP_BIND, 1);
	assert_true(v.allow && !v.ask && v.line == 1);
	v = judge(r, ULSP_OP_LISTEN, 1);
	assert_true(!v.allow && !v.ask && v.line == 2 && v.error == -EACCES);
	v = judge(r, ULSP_OP_CONNECT, 1);
	assert_true(!v.allow && v.ask && v.line == 3 && v.error == -ECONNREFUSED);
	v = judge(r, ULSP_OP_ACCEPT, 1); /* else what the default says */
	assert_true(!v.allow && v.ask && v.line == 4 && v.error == -EACCES);
	v = judge(r, -1, 1);
	assert_true(!v.ask && v.line == 2);
	fw_rules_free(&r);
}

static void asking(void **state)
{
	struct fw_rules *r = parse("ask connect tcp any port 1 else allow\n"
				   "ask connect tcp any port 2\n"
				   "ask connect tcp any port 3 group web else deny errno EIO\n"
				   "ask connect tcp any port 4 group db\n"
				   "ask connect tcp any port 5 exe /usr/bin/curl\n"
				   "default ask\n");
	struct fw_verdict v;

	(void)state;
	v = judge(r, ULSP_OP_CONNECT, 1);
	assert_true(v.ask && v.allow && v.line == 1 && !v.error);
	v = judge(r, ULSP_OP_CONNECT, 2);
	assert_true(v.ask && !v.allow && v.line == 2 && v.error == -EPERM);
	v = judge(r, ULSP_OP_CONNECT, 3);
	assert_true(v.ask && !v.allow && v.line == 3 && v.error == -EIO);
	v = judge(r, ULSP_OP_CONNECT, 4); /* another group */
	assert_true(v.ask && !v.allow && v.line == 6 && v.error == -EPERM);
	v = judge(r, ULSP_OP_CONNECT, 5); /* which it is isn't known: people may know */
	assert_true(v.ask && v.line == 5);
	fw_rules_free(&r);
	r = parse("allow any any any group \"web\" user root\n");
	assert_false(r->asks);
	assert_string_equal(r->v[0].group, "web");
	assert_int_equal(r->v[0].uid, 0);
	assert_false(r->v[0].any_uid);
	fw_rules_free(&r);
}

static void printed(void **state)
{
	static const char *const lines[] = {
		"allow connect tcp 192.0.2.1 port 443",
		"deny errno ECONNREFUSED sendto udp 2001:db8::/32 port 53-60 uid 0",
		"allow any any any exe \"/usr/bin/a \\\"b\\\\\" uid 33 group \"web\" for 600000ms",
		"deny bind any any once cover flow",
		"ask connect tcp any port 443 exe \"/bin/x\" else deny errno EIO",
		"ask connect any 10.0.0.0/8 else allow",
	};
	char line[RULES_LINE_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct fw_rules *r = parse(lines[i]);

		assert_int_equal(fw_rule_print(&r->v[0], line, sizeof(line)), strlen(lines[i]));
		assert_string_equal(line, lines[i]);
		assert_int_equal(fw_rule_print(&r->v[0], line, strlen(lines[i])), -ENOSPC);
		fw_rules_free(&r);
	}
}

static void what_no_line_can_say(void **state)
{
	char newline[] = "/bin/a\nallow any any any", escape[] = "/bin/\033[31m";
	struct fw_rule rule = {.verdict.allow = true, .op = -1, .proto = -1, .any_uid = true};
	char line[RULES_LINE_BYTES];

	(void)state;
	rule.port_hi = UINT16_MAX;
	rule.exe = newline;
	assert_int_equal(fw_rule_print(&rule, line, sizeof(line)), -EINVAL);
	rule.exe = escape;
	assert_int_equal(fw_rule_print(&rule, line, sizeof(line)), -EINVAL);
	rule.exe = NULL;
	assert_true(fw_rule_print(&rule, line, sizeof(line)) > 0);
	assert_string_equal(line, "allow any any any");
}

static void errors(void **state)
{
	static const struct {
		const char *text;
		uint32_t line, col;
		const char *part;
	} cases[] = {
		{"permit connect tcp any", 1, 1,
		 "expected allow, deny, ask or default, found permit"},
		{"\n\n  permit", 3, 3, "permit"},
		{"allow", 1, 6, "expected an operation"},
		{"allow dance", 1, 7, "found dance"},
		{"allow connect", 1, 14, "expected a protocol"},
		{"allow connect xyz any", 1, 15, "found xyz"},
		{"allow connect tcp", 1, 18, "expected an address"},
		{"allow connect tcp 10.0.0", 1, 19, "expected an address"},
		{"allow connect tcp 10.0.0.0/33", 1, 19, "prefix length is 0 to 32"},
		{"allow connect tcp 10.0.0.0/-1", 1, 19, "prefix length is 0 to 32"},
		{"allow connect tcp 10.0.0.0/", 1, 19, "prefix length is 0 to 32"},
		{"allow connect tcp 10.0.0.0/8x", 1, 19, "prefix length is 0 to 32"},
		{"allow connect tcp ::/129", 1, 19, "prefix length is 0 to 128"},
		{"allow connect tcp 10.0.0.1/8", 1, 19, "bits beyond its prefix"},
		{"allow connect tcp ::1/64", 1, 19, "bits beyond its prefix"},
		{"allow connect tcp any port", 1, 27, "expected a port"},
		{"allow connect tcp any port x", 1, 28, "expected a port"},
		{"allow connect tcp any port 65536", 1, 28, "expected a port"},
		{"allow connect tcp any port 5-4", 1, 28, "expected a port"},
		{"allow connect tcp any port 5-", 1, 28, "expected a port"},
		{"allow connect tcp any port 5-6-7", 1, 28, "expected a port"},
		{"allow connect tcp any port 1 port 2", 1, 30, "port is given twice"},
		{"allow connect tcp any once for 1s", 1, 28, "for is given twice"},
		{"allow connect tcp any forever until restart", 1, 31, "until is given twice"},
		{"allow connect tcp any until", 1, 28, "expected restart"},
		{"allow connect tcp any until noon", 1, 29, "expected restart, found noon"},
		{"allow connect tcp any uid 1 user root", 1, 29, "user is given twice"},
		{"allow connect tcp any user", 1, 27, "the name of a user"},
		{"allow connect tcp any user no-such-user-here", 1, 28, "there is no user no-such"},
		{"allow connect tcp any group", 1, 28, "groups, found the end of the line"},
		{"allow connect tcp any group \"\"", 1, 29, "one of the policy's groups"},
		{"allow connect tcp any else deny", 1, 23, "else goes with ask only"},
		{"ask connect tcp any else", 1, 25, "expected allow or deny"},
		{"ask connect tcp any else ask", 1, 26, "expected allow or deny, found ask"},
		{"ask connect tcp any else allow else deny", 1, 32, "else is given twice"},
		{"ask connect tcp any once", 1, 21, "once does not go with ask"},
		{"ask connect tcp any cover flow", 1, 21, "cover does not go with ask"},
		{"ask errno EPERM connect tcp any", 1, 5, "expected an operation"},
		{"allow connect tcp any exe curl", 1, 27, "absolute path"},
		{"allow connect tcp any exe \"/usr", 1, 27, "quote is not closed"},
		{"allow connect tcp any exe \"/usr\nallow", 1, 27, "quote is not closed"},
		{"allow connect tcp any uid root", 1, 27, "a number"},
		{"allow connect tcp any uid 4294967295", 1, 27, "a number"},
		{"allow connect tcp any for 5", 1, 27, "a duration"},
		{"allow connect tcp any for 0s", 1, 27, "a duration"},
		{"allow connect tcp any for 50d", 1, 27, "49 days"},
		{"allow connect tcp any for 99999999999s", 1, 27, "a duration"},
		{"allow connect tcp any cover all", 1, 29, "flow, destination or process"},
		{"allow connect tcp any \"port\" 1", 1, 23, "expected port"},
		{"allow connect tcp any allow", 1, 23, "the end of the line"},
		{"allow errno EPERM connect tcp any", 1, 7, "errno goes with deny"},
		{"deny errno EFOO connect tcp any", 1, 12, "the name of an errno"},
		{"deny errno", 1, 11, "the name of an errno, found the end of the line"},
		{"default", 1, 8, "expected allow or deny"},
		{"default connect", 1, 16, "expected allow or deny or ask"},
		{"default connect deny\ndefault connect ask", 2, 1,
		 "default connect is given twice"},
		{"default ask else", 1, 17, "expected allow or deny"},
		{"default any deny", 1, 9, "expected allow or deny"},
		{"default allow all", 1, 15, "the end of the line"},
		{"default allow\ndefault deny", 2, 1, "default is given twice"},
		{"allow any any any\nallow \x1b[31m", 2, 7, "found ?[31m"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fw_rules *r = NULL;
		struct fw_error e;

		assert_int_equal(fw_rules_parse(cases[i].text, strlen(cases[i].text), &r, &e),
				 -EINVAL);
		assert_null(r);
		if (e.line != cases[i].line || e.col != cases[i].col ||
		    !strstr(e.text, cases[i].part))
			print_error("%s: %u:%u: %s\n", cases[i].text, e.line, e.col, e.text);
		assert_int_equal(e.line, cases[i].line);
		assert_int_equal(e.col, cases[i].col);
		assert_non_null(strstr(e.text, cases[i].part));
	}
}

static void nul_bytes(void **state)
{
	static const char *const texts[] = {"allow\0connect", "\0",
					    "allow connect tcp any exe \"/\0\""};
	static const size_t bytes[] = {13, 1, 29};
	struct fw_rules *r = NULL;
	struct fw_error e;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fw_rules_parse(texts[i], bytes[i], &r, &e), -EINVAL);
		assert_string_equal(e.text, "a NUL byte");
	}
}

static void long_words(void **state)
{
	struct fw_rules *r = NULL;
	struct fw_error e;
	char *text = malloc(100000);

	(void)state;
	memset(text, 'a', 100000);
	assert_int_equal(fw_rules_parse(text, 100000, &r, &e), -EINVAL);
	assert_string_equal(e.text, "the word is too long");
	text[0] = '"';
	assert_int_equal(fw_rules_parse(text, 100000, &r, &e), -EINVAL);
	assert_string_equal(e.text, "the word is too long");
	free(text);
}

/* Any cut and any changed byte: parsed or refused, without a fault. */
static void mangled(void **state)
{
	static const char text[] = "deny errno EACCES connect tcp 10.0.0.0/8 port 1-2 exe \"/a\" "
				   "uid 5 for 3s cover flow # c\r\nallow any any ::/0 once\n"
				   "default allow\n";
	unsigned int seed = 3;
	struct fw_error e;

	(void)state;
	for (size_t i = 0; i < 20000; i++) {
		size_t n = i < sizeof(text) ? i : sizeof(text) - 1;
		char *copy = malloc(n + 1);
		struct fw_rules *r = NULL;

		memcpy(copy, text, n);
		if (i >= sizeof(text))
			for (int j = 0; j < 3; j++)
				copy[(size_t)rand_r(&seed) % n] = (char)rand_r(&seed);
		copy = realloc(copy, n ? n : 1); /* so that a read past the end is seen */
		if (fw_rules_parse(copy, n, &r, &e)) {
			assert_null(r);
			assert_true(e.line && e.col && e.text[0]);
		}
		fw_rules_free(&r);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_denies),
		cmocka_unit_test(whole_rule),
		cmocka_unit_test(first_match_wins),
		cmocka_unit_test(unknown_operation_matches_any_only),
		cmocka_unit_test(executables),
		cmocka_unit_test(users),
		cmocka_unit_test(durations),
		cmocka_unit_test(defaults_by_operation),
		cmocka_unit_test(asking),
		cmocka_unit_test(printed),
		cmocka_unit_test(what_no_line_can_say),
		cmocka_unit_test(errors),
		cmocka_unit_test(nul_bytes),
		cmocka_unit_test(long_words),
		cmocka_unit_test(mangled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
