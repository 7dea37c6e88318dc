/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages as JSON and text, with names and paths that an attacker chose. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "confine.h"
#include "format.h"

#define NAMES(g, f, c) ((struct ulsp_names){.group = (g), .file = (f), .cgroup = (c)})

static struct ulsp_msg sample(void)
{
	struct ulsp_msg m = {
		.seq = 9,
		.time_ns = 5,
		.cgroup = 4711,
		.generation = 2,
		.rule = 88,
		.line = 12,
		.abi = ULSP_ABI,
		.op = ULSP_OP_CONNECT,
		.proto = ULSP_PROTO_TCP,
		.ip_proto = 6,
		.family = 4,
		.verdict = ULSP_VERDICT_DENY,
		.error = -ECONNREFUSED,
		.reason = ULSP_REASON_RULE,
		.remote_port = 443,
		.remote = {192, 0, 2, 1},
		.pid = 12,
		.tgid = 11,
		.uid = 1000,
		.gid = 100,
		.comm = "curl",
	};

	return m;
}

static const char *text_of(struct json_object *o, const char *name)
{
	struct json_object *v;

	assert_true(json_object_object_get_ex(o, name, &v));
	return v ? json_object_get_string(v) : NULL;
}

static struct json_object *parse(const struct ulsp_msg *m, const char *group, const char *file,
				 const char *cgroup)
{
	struct json_tokener *t;
	char buf[ULSP_FORMAT_BYTES];
	struct json_object *o;
	int n;

	n = ulsp_format_json_at(m, 1767323045000000006, &NAMES(group, file, cgroup), buf,
				sizeof(buf));
	assert_true(n > 0);
	assert_int_equal(n, strlen(buf));
	assert_null(strchr(buf, '\n'));
	t = json_tokener_new();
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, buf, n + 1);
	assert_int_equal(json_tokener_get_error(t), json_tokener_success);
	json_tokener_free(t);
	return o;
}

static void json(void **state)
{
	struct ulsp_msg m = sample();
	char buf[ULSP_FORMAT_BYTES];

	(void)state;
	assert_true(ulsp_format_json_at(&m, 1767323045000000006,
					&NAMES("web", "web.ulsp", "a/b.service"), buf,
					sizeof(buf)) > 0);
	assert_string_equal(
		buf, "{\"time\":\"2026-01-02T03:04:05.000000006Z\",\"seq\":9,"
		     "\"group\":\"web\",\"op\":\"connect\",\"proto\":\"tcp\",\"ip_proto\":6,"
		     "\"remote\":\"192.0.2.1:443\",\"local\":null,\"verdict\":\"deny\","
		     "\"errno\":\"ECONNREFUSED\",\"reason\":\"rule\",\"rule\":\"web.ulsp:12\","
		     "\"audit\":false,\"ask\":false,\"pid\":12,\"tgid\":11,\"uid\":1000,"
		     "\"gid\":100,\"comm\":\"curl\",\"cgroup\":\"a/b.service\","
		     "\"cgroup_id\":4711,\"generation\":2}");
}

static void text(void **state)
{
	struct ulsp_msg m = sample();
	char buf[ULSP_FORMAT_BYTES];

	(void)state;
	assert_true(ulsp_format_text_at(&m, 1767323045000000006, &NAMES("web", "web.ulsp", NULL),
					buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "2026-01-02T03:04:05.000000006Z web deny ECONNREFUSED connect tcp "
				 "192.0.2.1:443 by curl[11] uid 1000 rule web.ulsp:12");
	m.op = ULSP_OP_ACCEPT;
	m.verdict = ULSP_VERDICT_ALLOW;
	m.error = 0;
	m.local[0] = 10;
	m.local_port = 80;
	m.rule = m.line = 0;
	m.reason = ULSP_REASON_DEFAULT;
	m.flags = ULSP_MSG_AUDIT;
	assert_true(ulsp_format_text_at(&m, 0, &NAMES("web", "web.ulsp", "x y"), buf, sizeof(buf)) >
		    0);
	assert_string_equal(buf, "1970-01-01T00:00:00.000000000Z web allow accept tcp "
				 "192.0.2.1:443 -> 10.0.0.0:80 by curl[11] uid 1000 in x\\x20y "
				 "rule default audit");
}

static void hostile_bytes(void **state)
{
	static const char *const names[] = {
		"\"},\"verdict\":\"allow",
		"\\",
		"\n\r\t\x01\x1b[31m",
		"\x7f",
		"\xff\xfe\x80",
		"\xc3\xa9\xc3",
		"\xc0\xaf",
		"\xed\xa0\x80",
		"\xf0\x9f\x98\x80",
		"\xf4\x90\x80\x80",
		"\xc2\x9b"
		"31m",
		"",
		"</script>",
	};
	struct ulsp_msg m = sample();
	char buf[ULSP_FORMAT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct json_object *o;
		int n;

		memset(m.comm, 0, sizeof(m.comm));
		memcpy(m.comm, names[i], strnlen(names[i], sizeof(m.comm)));
		o = parse(&m, names[i], names[i], names[i]);
		assert_string_equal(text_of(o, "verdict"), "deny");
		json_object_put(o);
		n = ulsp_format_text_at(&m, 0, &NAMES(names[i], names[i], names[i]), buf,
					sizeof(buf));
		assert_true(n > 0);
		for (int j = 0; j < n; j++)
			assert_true((unsigned char)buf[j] >= ' ' && buf[j] != 0x7f);
		assert_null(strstr(buf, "\xc2\x9b"));
	}
}

static void strings_survive(void **state)
{
	struct ulsp_msg m = sample();
	struct json_object *o;

	(void)state;
	memcpy(m.comm, "sixteen bytes!!!", 16); /* no NUL */
	o = parse(&m, "gr\xc3\xbcn \"x\"\\\x02", "f", NULL);
	assert_string_equal(text_of(o, "group"), "gr\xc3\xbcn \"x\"\\\x02");
	assert_string_equal(text_of(o, "comm"), "sixteen bytes!!!");
	assert_null(text_of(o, "cgroup"));
	json_object_put(o);
	memset(m.comm, 0, sizeof(m.comm));
	memcpy(m.comm,
	       "a\xff"
	       "b",
	       3);
	o = parse(&m, "g", NULL, NULL);
	assert_string_equal(text_of(o, "comm"), "a\xef\xbf\xbd"
						"b");
	assert_string_equal(text_of(o, "rule"), "?:12");
	json_object_put(o);
}

/* Whatever the bytes: valid JSON, or a refusal; never past the buffer. */
static void random_bytes(void **state)
{
	unsigned int seed = 11;
	char name[64], buf[ULSP_FORMAT_BYTES];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct ulsp_msg m;
		uint8_t *bytes = (uint8_t *)&m;

		for (size_t j = 0; j < sizeof(m); j++)
			bytes[j] = (uint8_t)rand_r(&seed);
		for (size_t j = 0; j < sizeof(name) - 1; j++)
			name[j] = (char)rand_r(&seed);
		name[63] = '\0';
		json_object_put(parse(&m, name, name, name));
		assert_true(ulsp_format_text(&m, &NAMES(name, name, name), buf, sizeof(buf)) > 0);
	}
}

static void too_small(void **state)
{
	struct ulsp_msg m = sample();
	char *exact, buf[ULSP_FORMAT_BYTES];
	int n = ulsp_format_json_at(&m, 0, &NAMES("web", "f", "c"), buf, sizeof(buf));

	(void)state;
	assert_true(n > 0);
	for (int size = 0; size <= n + 1; size++) {
		exact = malloc((size_t)size + 1); /* a byte past it is the sanitizer's */
		exact[size] = 'x';
		assert_int_equal(
			ulsp_format_json_at(&m, 0, &NAMES("web", "f", "c"), exact, (size_t)size),
			size > n ? n : -ENOSPC);
		if (size && size <= n)
			assert_int_equal(exact[0], '\0');
		assert_int_equal(exact[size], 'x');
		free(exact);
	}
}

static void worst_case_fits(void **state)
{
	struct ulsp_msg m = sample();
	char buf[ULSP_FORMAT_BYTES], group[ULSP_NAME_BYTES], file[ULSP_PATH_BYTES], cgroup[640];

	(void)state;
	memset(m.comm, 1, sizeof(m.comm));
	memset(group, 1, sizeof(group));
	group[sizeof(group) - 1] = '\0';
	memset(file, 1, sizeof(file));
	file[sizeof(file) - 1] = '\0';
	memset(cgroup, 1, sizeof(cgroup));
	cgroup[sizeof(cgroup) - 1] = '\0';
	assert_true(ulsp_format_json(&m, &NAMES(group, file, cgroup), buf, sizeof(buf)) > 0);
	assert_true(ulsp_format_text(&m, &NAMES(group, file, cgroup), buf, sizeof(buf)) > 0);
}

static void addresses(void **state)
{
	uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, v4[16] = {10, 1, 2, 3};
	char buf[ULSP_ENDPOINT_BYTES];

	(void)state;
	ulsp_format_endpoint(6, v6, 443, buf);
	assert_string_equal(buf, "[2001:db8::1]:443");
	ulsp_format_endpoint(4, v4, 0, buf);
	assert_string_equal(buf, "10.1.2.3:0");
	ulsp_format_endpoint(0, v4, 1, buf);
	assert_string_equal(buf, "-");
	memset(v6, 0xff, sizeof(v6));
	ulsp_format_endpoint(6, v6, 65535, buf);
	assert_string_equal(buf, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void which_addresses(void **state)
{
	struct ulsp_msg m = sample();

	(void)state;
	m.op = ULSP_OP_SOCKET;
	assert_false(ulsp_has_remote(&m));
	assert_false(ulsp_has_local(&m));
	m.op = ULSP_OP_BIND;
	assert_false(ulsp_has_remote(&m));
	assert_true(ulsp_has_local(&m));
	m.op = ULSP_OP_CONNECT;
	assert_true(ulsp_has_remote(&m));
	assert_false(ulsp_has_local(&m));
	m.local_port = 1;
	assert_true(ulsp_has_local(&m));
	m.op = ULSP_OP_ACCEPT;
	assert_true(ulsp_has_remote(&m));
	assert_true(ulsp_has_local(&m));
}

static void rules(void **state)
{
	struct ulsp_msg m = sample();
	char buf[300];

	(void)state;
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "a.ulsp:12");
	m.rule = 0; /* the default has a line too */
	m.reason = ULSP_REASON_DEFAULT;
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "a.ulsp:12");
	m.reason = ULSP_REASON_EPHEMERAL; /* its place is taken, as explain says too */
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "a.ulsp:12");
	m.reason = ULSP_REASON_FAULT; /* whatever the record has, nothing was consulted */
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "none");
	m.reason = ULSP_REASON_SOURCE_ROUTE;
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "none");
	m.line = 0; /* the group says no default */
	m.reason = ULSP_REASON_DEFAULT;
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "default");
	m.reason = ULSP_REASON_IMPLIED;
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "implied");
	m.reason = ULSP_REASON_EPHEMERAL;
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "implied");
	m.reason = ULSP_REASON_FAULT;
	ulsp_format_rule(&m, "a.ulsp", buf, sizeof(buf));
	assert_string_equal(buf, "none");
}

static void words(void **state)
{
	char buf[16];

	(void)state;
	assert_string_equal(ulsp_op_word(ULSP_OP_RECVFROM), "recvfrom");
	assert_string_equal(ulsp_op_word(200), "unknown");
	assert_string_equal(ulsp_proto_word(ULSP_PROTO_NETLINK), "netlink");
	assert_string_equal(ulsp_proto_word(ULSP_PROTO_COUNT), "unknown");
	assert_string_equal(ulsp_verdict_word(ULSP_VERDICT_DENY), "deny");
	assert_string_equal(ulsp_reason_word(ULSP_REASON_ULSP_DOWN), "ulsp-down");
	assert_string_equal(ulsp_reason_word(255), "unknown");
	assert_string_equal(ulsp_errno_word(-EPERM, buf), "EPERM");
	assert_string_equal(ulsp_errno_word(EHOSTUNREACH, buf), "EHOSTUNREACH");
	assert_string_equal(ulsp_errno_word(0, buf), "0");
	assert_string_equal(ulsp_errno_word(-4095, buf), "4095");
}

static void times(void **state)
{
	char buf[ULSP_TIME_BYTES];

	(void)state;
	ulsp_format_time(0, buf);
	assert_string_equal(buf, "1970-01-01T00:00:00.000000000Z");
	ulsp_format_time(1709210096123456789, buf); /* a 29 February */
	assert_string_equal(buf, "2024-02-29T12:34:56.123456789Z");
	ulsp_format_time(-1, buf);
	assert_string_equal(buf, "1969-12-31T23:59:59.999999999Z");
	ulsp_format_time(INT64_MAX, buf);
	assert_string_equal(buf, "2262-04-11T23:47:16.854775807Z");
	ulsp_format_time(INT64_MIN, buf);
	assert_string_equal(buf, "1677-09-21T00:12:43.145224192Z");
}

/* Every day of three centuries, and some second of it, as the C library has it. */
static void times_as_the_library(void **state)
{
	char got[ULSP_TIME_BYTES], want[ULSP_TIME_BYTES + 16];
	unsigned int seed = 5;

	(void)state;
	for (int64_t day = -54787; day < 54787; day++) {
		int64_t s = day * 86400 + rand_r(&seed) % 86400;
		time_t t = (time_t)s;
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000000001Z", &tm);
		ulsp_format_time(s * 1000000000 + 1, got);
		assert_string_equal(got, want);
	}
}

/* The plain form turns CLOCK_MONOTONIC into the time of day. */
static void now(void **state)
{
	struct ulsp_msg m = sample();
	struct json_object *o;
	struct timespec mono;
	char buf[ULSP_FORMAT_BYTES];
	struct tm tm = {0};
	time_t before = time(NULL);

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	m.time_ns = (uint64_t)mono.tv_sec * 1000000000u + (uint64_t)mono.tv_nsec;
	assert_true(ulsp_format_json(&m, &NAMES("g", "f", NULL), buf, sizeof(buf)) > 0);
	o = json_tokener_parse(buf);
	assert_non_null(strptime(text_of(o, "time"), "%Y-%m-%dT%H:%M:%S", &tm));
	assert_in_range(timegm(&tm), before - 1, time(NULL) + 1);
	json_object_put(o);
}

/* A process that would reach another: no protocol, both groups. */
static void isolation(void **state)
{
	struct ulsp_msg m = {.seq = 1, .op = ULSP_OP_REACH + ULSP_REACH_SIGNAL, .line = 3};
	struct ulsp_names n = {.group = "a", .file = "x.ulsp", .actor = "a", .target = "b"};
	struct ulsp_reach_peer peer = {.tgid = 4711, .group = 2};
	char buf[ULSP_FORMAT_BYTES];

	(void)state;
	m.verdict = ULSP_VERDICT_DENY;
	m.error = -EPERM;
	m.reason = ULSP_REASON_ISOLATED;
	m.tgid = 12;
	memcpy(m.comm, "sh", 3);
	memcpy(m.remote, &peer, sizeof(peer));
	peer = (struct ulsp_reach_peer){.tgid = 12, .group = 1};
	memcpy(m.local, &peer, sizeof(peer));
	assert_int_equal(ulsp_actor_slot(&m), 1);
	assert_int_equal(ulsp_target_slot(&m), 2);
	assert_true(ulsp_format_text_at(&m, 0, &n, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "1970-01-01T00:00:00.000000000Z a deny EPERM signal process 4711 "
				 "of b by sh[12] uid 0 rule x.ulsp:3 (isolated)");
	assert_true(ulsp_format_json_at(&m, 0, &n, buf, sizeof(buf)) > 0);
	assert_non_null(strstr(buf, "\"op\":\"signal\",\"proto\":null"));
	assert_non_null(strstr(buf, "\"actor_group\":\"a\",\"target_group\":\"b\","
				    "\"target_tgid\":4711"));
	m.op = ULSP_OP_CONNECT; /* these are addresses then */
	assert_int_equal(ulsp_target_slot(&m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(isolation),
		cmocka_unit_test(json),
		cmocka_unit_test(text),
		cmocka_unit_test(hostile_bytes),
		cmocka_unit_test(strings_survive),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(too_small),
		cmocka_unit_test(worst_case_fits),
		cmocka_unit_test(addresses),
		cmocka_unit_test(which_addresses),
		cmocka_unit_test(rules),
		cmocka_unit_test(words),
		cmocka_unit_test(times),
		cmocka_unit_test(times_as_the_library),
		cmocka_unit_test(now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
