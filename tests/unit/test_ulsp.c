/* SPDX-License-Identifier: BSD-2-Clause */
/* The library through its public calls, on the test double: opening, messages, verdicts, losses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ulsp_abi.h"
#include "ulsp_double.h"

static void options(void **state)
{
	struct {
		struct ulsp_options o;
		uint64_t later;
	} big = {.o = {.size = sizeof(big), .handler = double_on_message}};
	struct ulsp_options o = {.size = sizeof(o), .handler = double_on_message};
	struct ulsp *u = NULL;

	(void)state;
	assert_int_equal(ulsp_test_open(NULL, &u), -EINVAL);
	assert_int_equal(ulsp_test_open(&o, NULL), -EINVAL);
	o.size = 8;
	assert_int_equal(ulsp_test_open(&o, &u), -EINVAL);
	o.size = sizeof(o);
	o.handler = NULL;
	assert_int_equal(ulsp_test_open(&o, &u), -EINVAL);
	/* A program that was built before `loss` was there. */
	o.handler = double_on_message;
	o.size = offsetof(struct ulsp_options, loss);
	o.loss = (ulsp_loss_handler)(uintptr_t)1;
	assert_int_equal(ulsp_test_open(&o, &u), 0);
	ulsp_close(&u);
	/* One that was built for a later library. */
	assert_int_equal(ulsp_test_open(&big.o, &u), 0);
	ulsp_close(&u);
	assert_null(u);
	big.later = 1;
	assert_int_equal(ulsp_test_open(&big.o, &u), -E2BIG);
	assert_null(u);
	ulsp_close(&u);
	ulsp_close(NULL);
}

static void not_started_by_ulspd(void **state)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = double_on_message};
	struct ulsp *u = NULL;

	(void)state;
	unsetenv("ULSP_FDS");
	assert_int_equal(ulsp_open(&o, &u), -ENOTCONN);
	assert_null(u);
	assert_int_equal(ulsp_rings(), 0);
	setenv("ULSP_FDS", "page=3 ring=10 ring=11 ring=12", 1);
	assert_int_equal(ulsp_rings(), 3);
}

#define TEXT(x)	 #x
#define VALUE(x) TEXT(x)
#define THIS	 VALUE(ULSP_ABI)

static void bad_environment(void **state)
{
	static const struct {
		const char *fds, *abi, *name, *ring;
		int error;
	} cases[] = {
		{"ring=3", NULL, "a", "1", -EPROTO},
		{"ring=3", "1", "a", "1", -EPROTO},
		{"ring=3", "1x", "a", "1", -EPROTO},
		{"ring=3", "", "a", "1", -EPROTO},
		{"ring=0", THIS, NULL, "1", -EINVAL},
		{"ring=0", THIS, "", "1", -EINVAL},
		{"ring=0", THIS, "a", NULL, -EINVAL},
		{"ring=0", THIS, "a", "32", -EINVAL},
		{"ring=0", THIS, "a", "-1", -EINVAL},
		{"ring=0", THIS, "a", "1", -EINVAL}, /* the others are missing */
		{"ring", THIS, "a", "1", -EINVAL},
		{"ring=", THIS, "a", "1", -EINVAL},
		{"ring=x", THIS, "a", "1", -EINVAL},
		{"ring=-1", THIS, "a", "1", -EINVAL},
		{"ring=99999999999999999999", THIS, "a", "1", -EINVAL},
		{"ring=1023", THIS, "a", "1", -EBADF},
		{"", THIS, "a", "1", -EINVAL},
		/* none, and more than there may be */
		{"page=0 cache=0 groups=0 files=0 streams=0 slots=0 poke=0", THIS, "a", "1",
		 -EINVAL},
		{"ring=0 ring=0 ring=0 ring=0 ring=0 ring=0 ring=0 ring=0 ring=0", THIS, "a", "1",
		 -EINVAL},
		{"ring=0 page=0 cache=0 groups=0 files=0 streams=0 slots=0 poke=0", THIS, "a", "1",
		 -EPROTO},
	};
	struct ulsp_options o = {.size = sizeof(o), .handler = double_on_message};
	struct ulsp *u = NULL;
	int null = dup(0);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const vars[][2] = {{"ULSP_FDS", cases[i].fds},
					       {"ULSP_ABI", cases[i].abi},
					       {"ULSP_NAME", cases[i].name},
					       {"ULSP_RING", cases[i].ring}};

		for (size_t v = 0; v < 4; v++) {
			unsetenv(vars[v][0]);
			if (vars[v][1])
				setenv(vars[v][0], vars[v][1], 1);
		}
		assert_int_equal(ulsp_open(&o, &u), cases[i].error);
		assert_null(u);
	}
	unsetenv("ULSP_FDS");
	close(null);
}

static int check_message(struct ulsp *u, struct ulsp_message *m, struct double_seen *s)
{
	struct sockaddr_storage a;
	char buf[ULSP_LINE_BYTES];
	struct timespec t;

	(void)s;
	assert_string_equal(ulsp_name(u), "test");
	assert_int_equal(ulsp_seq(m), 1);
	clock_gettime(CLOCK_REALTIME, &t);
	assert_in_range(ulsp_time_ns(m) / 1000000000u, t.tv_sec - 2, t.tv_sec + 1);
	assert_string_equal(ulsp_group_name(m), "web");
	assert_string_equal(ulsp_operation(m), "sendto");
	assert_string_equal(ulsp_protocol(m), "udp");
	assert_string_equal(ulsp_verdict_name(m), "allow");
	assert_string_equal(ulsp_reason_name(m), "rule");
	assert_string_equal(ulsp_rule(m), "test.ulsp:1");
	assert_string_equal(ulsp_comm(m), "dig");
	assert_string_equal(ulsp_remote_text(m), "[2001:db8::1]:53");
	assert_string_equal(ulsp_local_text(m), "-");
	assert_int_equal(ulsp_error(m), 0);
	assert_int_equal(ulsp_is_ask(m), 0);
	assert_int_equal(ulsp_is_audit(m), 0);
	assert_int_equal(ulsp_pid(m), getpid());
	assert_int_equal(ulsp_tgid(m), getpid());
	assert_true(ulsp_start_ns(m) > 0);
	assert_int_equal(ulsp_uid(m), 1000);
	assert_int_equal(ulsp_gid(m), 1000);
	assert_int_equal(ulsp_deadline_ns(m), 0);
	assert_int_equal(ulsp_cache_limit_ms(m), 0);
	assert_int_equal(ulsp_remote(m, &a), 0);
	assert_int_equal(a.ss_family, AF_INET6);
	assert_int_equal(ntohs(((struct sockaddr_in6 *)&a)->sin6_port), 53);
	assert_int_equal(((struct sockaddr_in6 *)&a)->sin6_addr.s6_addr[0], 0x20);
	assert_int_equal(ulsp_local(m, &a), -ENODATA);
	assert_int_equal(ulsp_remote(m, NULL), -EINVAL);
	assert_true(ulsp_exe(m, buf, sizeof(buf)) > 0);
	assert_non_null(strstr(buf, "test_ulsp"));
	assert_int_equal(ulsp_exe(m, buf, 2), -ENOSPC);
	assert_true(ulsp_json(m, buf, sizeof(buf)) > 0);
	assert_non_null(strstr(buf, "\"group\":\"web\""));
	assert_true(ulsp_text(m, buf, sizeof(buf)) > 0);
	assert_int_equal(ulsp_json(m, buf, 10), -ENOSPC);
	assert_int_equal(ulsp_json(m, buf, 0), -EINVAL);
	assert_int_equal(ulsp_allow(m, NULL), -EINVAL); /* nothing was asked */
	return 0;
}

static void accessors(void **state)
{
	struct double_seen s = {.each = check_message};
	struct ulsp *u = double_open(&s);
	struct ulsp_test_message m = {.size = sizeof(m),
				      .group = "web",
				      .operation = "sendto",
				      .protocol = "udp",
				      .comm = "dig",
				      .remote = "[2001:db8::1]:53",
				      .pid = getpid(),
				      .uid = 1000};

	(void)state;
	assert_int_equal(ulsp_test_push(u, &m), 0);
	assert_int_equal(ulsp_dispatch(u, 0), 1);
	assert_int_equal(s.n, 1);
	ulsp_close(&u);
}

static void bad_test_messages(void **state)
{
	struct double_seen s = {0};
	struct ulsp *u = double_open(&s);
	struct ulsp_test_message m = {.size = 4};
	struct ulsp_test_verdict v = {.size = sizeof(v)};

	(void)state;
	assert_int_equal(ulsp_test_push(u, &m), -EINVAL);
	m.size = sizeof(m);
	m.operation = "dance";
	assert_int_equal(ulsp_test_push(u, &m), -EINVAL);
	m.operation = NULL;
	for (const char *const *a =
		     (const char *const[]){"1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "x:1", "[::1]",
					   "::1:80", ":1", "[1.2.3.4]:1", "1.2.3.4:1x", NULL};
	     *a; a++) {
		m.remote = *a;
		assert_int_equal(ulsp_test_push(u, &m), -EINVAL);
	}
	assert_int_equal(ulsp_test_verdict(u, 0, &v), -EINVAL);
	assert_int_equal(ulsp_test_verdict(u, -1, &v), -EINVAL);
	assert_int_equal(ulsp_dispatch(u, 0), 0);
	ulsp_close(&u);
}

static int answer(struct ulsp *u, struct ulsp_message *m, struct double_seen *s)
{
	struct ulsp_cache c = {.size = sizeof(c), .cover = ULSP_COVER_PROCESS, .ttl_ms = 250};

	(void)u;
	assert_int_equal(ulsp_deny(m, 0, NULL), -EINVAL);
	assert_int_equal(ulsp_deny(m, EPERM, NULL), -EINVAL);
	assert_int_equal(ulsp_deny(m, -4096, NULL), -EINVAL);
	c.cover = (enum ulsp_cover)(ULSP_COVER_PROCESS_FLOW + 1);
	assert_int_equal(ulsp_allow(m, &c), -EINVAL);
	c.cover = ULSP_COVER_PROCESS;
	c.size = 1;
	assert_int_equal(ulsp_allow(m, &c), -EINVAL);
	c.size = sizeof(c);
	switch (s->n) {
	case 1:
		return ulsp_allow(m, NULL);
	case 2:
		return ulsp_deny(m, -EHOSTUNREACH, &c);
	default:
		return ulsp_message_keep(m, &s->kept[s->nkept++]);
	}
}

static void verdicts(void **state)
{
	struct double_seen s = {.each = answer};
	struct ulsp *u = double_open(&s);
	struct ulsp_test_verdict v = {.size = sizeof(v)};
	struct ulsp_stats stats = {.size = sizeof(stats)};

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(double_push(u, "connect", "192.0.2.1:443", 1), i);
	assert_int_equal(ulsp_dispatch(u, 0), 3);

	assert_int_equal(ulsp_test_verdict(u, 0, &v), 0);
	assert_int_equal(v.given, 1);
	assert_int_equal(v.error, 0);
	assert_int_equal(v.cover, ULSP_COVER_FLOW);
	assert_int_equal(v.ttl_ms, 60000);
	assert_int_equal(ulsp_test_verdict(u, 1, &v), 0);
	assert_int_equal(v.error, -EHOSTUNREACH);
	assert_int_equal(v.cover, ULSP_COVER_PROCESS);
	assert_int_equal(v.ttl_ms, 250);

	/* Later, from outside of the handler. */
	assert_int_equal(ulsp_test_verdict(u, 2, &v), 0);
	assert_int_equal(v.given, 0);
	assert_int_equal(ulsp_deny(s.kept[0], -EACCES, NULL), 0);
	assert_int_equal(ulsp_test_verdict(u, 2, &v), 0);
	assert_int_equal(v.given, 1);
	assert_int_equal(v.error, -EACCES);
	ulsp_message_unref(&s.kept[0]);
	assert_null(s.kept[0]);
	ulsp_message_unref(&s.kept[0]);

	assert_int_equal(ulsp_get_stats(u, &stats), 0);
	assert_int_equal(stats.received, 3);
	assert_int_equal(stats.verdicts, 3);
	assert_int_equal(stats.late, 0);
	ulsp_close(&u);
}

static void kept_message_outlives_its_handle(void **state)
{
	struct double_seen s = {.n = 2, .each = answer};
	struct ulsp *u = double_open(&s);
	char buf[ULSP_LINE_BYTES];

	(void)state;
	double_push(u, "connect", "192.0.2.1:443", 1);
	double_push(u, "bind", NULL, 1);
	assert_int_equal(ulsp_dispatch(u, 0), 2);
	ulsp_close(&u);
	assert_string_equal(ulsp_rule(s.kept[0]), "test.ulsp:1");
	assert_string_equal(ulsp_remote_text(s.kept[0]), "192.0.2.1:443");
	assert_string_equal(ulsp_remote_text(s.kept[1]), "-");
	assert_true(ulsp_json(s.kept[0], buf, sizeof(buf)) > 0);
	assert_non_null(strstr(buf, "\"rule\":\"test.ulsp:1\""));
	assert_int_equal(ulsp_allow(s.kept[0], NULL), -ENOTCONN);
	ulsp_message_unref(&s.kept[0]);
	ulsp_message_unref(&s.kept[1]);
}

static void losses(void **state)
{
	struct double_seen s = {0};
	struct ulsp *u = double_open(&s);
	struct ulsp_test_message m = {.size = sizeof(m), .group = "a"};
	struct ulsp_stats stats = {.size = sizeof(stats)};

	(void)state;
	ulsp_test_push(u, &m);
	m.lost = 7;
	ulsp_test_push(u, &m);
	m.group = "b";
	m.lost = 0;
	ulsp_test_push(u, &m);
	assert_int_equal(ulsp_dispatch(u, 0), 3);
	assert_int_equal(s.lost, 7);
	assert_int_equal(s.total, 7);
	assert_string_equal(s.group, "a");
	assert_int_equal(ulsp_get_stats(u, &stats), 0);
	assert_int_equal(stats.lost, 7);
	m.group = "a";
	m.lost = 2;
	ulsp_test_push(u, &m);
	assert_int_equal(ulsp_dispatch(u, 0), 1);
	assert_int_equal(s.lost, 9);
	assert_int_equal(s.total, 9);
	ulsp_close(&u);
}

static void stats_of_an_older_program(void **state)
{
	struct double_seen s = {0};
	struct ulsp *u = double_open(&s);
	struct ulsp_stats stats = {.size = offsetof(struct ulsp_stats, invalid), .invalid = 99};

	(void)state;
	assert_int_equal(ulsp_get_stats(u, &stats), 0);
	assert_int_equal(stats.invalid, 99); /* beyond what it knows */
	stats.size = 8;
	assert_int_equal(ulsp_get_stats(u, &stats), -EINVAL);
	assert_int_equal(ulsp_get_stats(u, NULL), -EINVAL);
	ulsp_close(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(not_started_by_ulspd),
		cmocka_unit_test(bad_environment),
		cmocka_unit_test(accessors),
		cmocka_unit_test(bad_test_messages),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(kept_message_outlives_its_handle),
		cmocka_unit_test(losses),
		cmocka_unit_test(stats_of_an_older_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
