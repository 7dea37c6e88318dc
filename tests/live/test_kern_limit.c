/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `limit` rules: how many operations pass is computed from the measured time
 * and must be exact, with threads on all processors at once; what is denied has
 * the rule's errno, and what no rate limits succeeds beside it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kern_fixture.h"
#include "rates.h"

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts); /* what programs have as time */
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000l};

	nanosleep(&ts, NULL);
}

/* ---- many at once ---- */

enum { THREADS = 4 };

/* What one thread did; in memory that the child shares with the test. */
struct hammering;
struct hammer {
	struct hammering *of;
	uint64_t first_ns; /* when its first operation was over */
	uint64_t last_ns;  /* before its last one, which was denied */
	uint32_t passed, denied;
	int other; /* an errno that should not have been */
};

struct hammering {
	const char *addr;
	uint16_t port;
	uint32_t for_ms;
	int denied; /* errno of what is over the rate */
	uint64_t from_ns, to_ns;
	struct hammer thread[THREADS];
	pthread_barrier_t start;
};

static void *hammer(void *arg)
{
	struct hammer *h = arg;
	struct hammering *all = h->of;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(all->addr, all->port, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;
	uint64_t end, now;

	pthread_barrier_wait(&all->start);
	end = now_ns() + all->for_ms * 1000000ull;
	do {
		now = now_ns();
		error = connect(fd, (void *)&ss, len) ? errno : 0;
		if (!h->first_ns)
			h->first_ns = now_ns();
		if (!error)
			h->passed++;
		else if (error == all->denied)
			h->denied++;
		else
			h->other = error;
	} while (!h->other && (now < end || !error) && h->passed < 1000000);
	h->last_ns = now;
	close(fd);
	return NULL;
}

static int hammer_all(void *ctx)
{
	struct hammering *all = ctx;
	pthread_t id[THREADS];

	pthread_barrier_init(&all->start, NULL, THREADS);
	all->from_ns = now_ns();
	for (int i = 0; i < THREADS; i++) {
		all->thread[i].of = all;
		if (pthread_create(&id[i], NULL, hammer, &all->thread[i]))
			return -EAGAIN;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	all->to_ns = now_ns();
	return 0;
}

static struct hammering *hammering(const char *addr, uint16_t port, uint32_t for_ms)
{
	struct hammering *all =
		mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(all, MAP_FAILED);
	*all = (struct hammering){.addr = addr, .port = port, .for_ms = for_ms, .denied = EAGAIN};
	return all;
}

static void sum(const struct hammering *all, uint64_t *passed, uint64_t *denied, uint64_t *first_ns,
		uint64_t *last_ns)
{
	*passed = *denied = *last_ns = 0;
	*first_ns = UINT64_MAX;
	for (int i = 0; i < THREADS; i++) {
		const struct hammer *h = &all->thread[i];

		assert_int_equal(h->other, 0);
		*passed += h->passed;
		*denied += h->denied;
		*first_ns = h->first_ns < *first_ns ? h->first_ns : *first_ns;
		*last_ns = h->last_ns > *last_ns ? h->last_ns : *last_ns;
	}
}

/*
 * The bucket is never full again once it is hammered: that would take seconds.  So by the time of
 * an operation that was denied, the burst has passed and all that came back since the first
 * operation; and not one more.
 */
static void assert_exact(const struct hammering *all, uint64_t interval_ns, uint64_t burst)
{
	uint64_t passed, denied, first, last, least, most;

	sum(all, &passed, &denied, &first, &last);
	least = burst + (last - first) / interval_ns;
	most = burst + (all->to_ns - all->from_ns) / interval_ns;
	print_message("%llu passed of %llu in %llu ms, from %llu to %llu are right\n",
		      (unsigned long long)passed, (unsigned long long)(passed + denied),
		      (unsigned long long)(all->to_ns - all->from_ns) / 1000000,
		      (unsigned long long)least, (unsigned long long)most);
	assert_in_range(passed, least, most);
	assert_true(denied > 0);
}

static void exact_under_threads(void **state)
{
	struct hammering *all = hammering("127.0.0.1", 5353, 1000);
	struct hammering *six = hammering("::1", 5355, 300);
	struct hammering *free = hammering("127.0.0.1", 5354, 0);
	struct kern *k = *state;
	uint64_t passed, denied, first, last;

	kern_policy(k, "group g {\n"
		       "limit 1000/s burst 2000 connect udp to any port 5353 errno EAGAIN\n"
		       "limit 500/s burst 1000 connect udp to any port 5355 errno EAGAIN\n"
		       "limit 100/s burst 100 connect udp to any port 5354 errno EACCES\n"
		       "default allow\n}\n");
	assert_int_equal(kern_try(k, hammer_all, all), 0);
	assert_exact(all, 1000000, 2000);
	sum(all, &passed, &denied, &first, &last);
	/* plain counters may lose some when one thread interrupts another */
	assert_true(kern_reason(k, ULSP_REASON_OVER_LIMIT) <= denied);
	assert_true(kern_reason(k, ULSP_REASON_OVER_LIMIT) >= denied - denied / 50);
	assert_true(kern_rule(k, 2).hits <= passed + denied);
	assert_int_equal(kern_try(k, hammer_all, six), 0);
	assert_exact(six, 2000000, 1000);
	/* outside of the group nothing is over any rate */
	free->denied = EACCES;
	for (int i = 0; i < 20; i++) {
		struct op op = OP(SOCK_DGRAM, 0, "127.0.0.1", 5353);

		assert_int_equal(kern_outside(op_connect, &op), 0);
	}
	assert_int_equal(kern_try(k, hammer_all, free), 0);
	assert_exact(free, 10000000, 100);
	munmap(all, sizeof(*all));
	munmap(six, sizeof(*six));
	munmap(free, sizeof(*free));
}

/* So many that threads race for each; none may be lost, none given twice. */
static void a_burst_to_the_last_token(void **state)
{
	struct hammering *all = hammering("127.0.0.1", 5353, 0);
	struct kern *k = *state;
	uint64_t passed, denied, first, last;

	kern_policy(k, "group g {\n"
		       "limit 5/h burst 30000 connect udp errno EAGAIN\n"
		       "default allow\n}\n");
	assert_int_equal(kern_try(k, hammer_all, all), 0);
	sum(all, &passed, &denied, &first, &last);
	assert_int_equal(passed, 30000);
	assert_int_equal(denied, THREADS);
	munmap(all, sizeof(*all));
}

static void no_burst_but_one(void **state)
{
	struct hammering *all = hammering("127.0.0.1", 5353, 500);
	struct kern *k = *state;
	uint64_t passed, denied, first, last;

	/* what comes back while nobody asks is lost: only the upper bound is exact */
	kern_policy(k, "group g {\n"
		       "limit 5000/s burst 1 connect udp errno EAGAIN\n"
		       "default allow\n}\n");
	assert_int_equal(kern_try(k, hammer_all, all), 0);
	sum(all, &passed, &denied, &first, &last);
	assert_true(passed <= 1 + (all->to_ns - all->from_ns) / 200000);
	assert_true(passed > 10);
	munmap(all, sizeof(*all));
}

/* ---- a member that stays ---- */

struct agent {
	pid_t pid;
	int to, from;
};
static struct agent agents[2];
static size_t nagents;

struct order {
	int (*what)(void *ctx);
	char ctx[128];
};

static struct agent *agent_start(struct kern *k)
{
	struct agent *a = &agents[nagents];
	int to[2], from[2];
	char path[300];
	FILE *procs;

	assert_return_code(pipe(to), errno);
	assert_return_code(pipe(from), errno);
	fflush(NULL);
	assert_in_range(nagents, 0, 1);
	*a = (struct agent){.pid = fork(), .to = to[1], .from = from[0]};
	if (!a->pid) {
		struct order o;
		int result;

		alarm(600);
		close(to[1]);
		close(from[0]);
		snprintf(path, sizeof(path), "%s/cgroup.procs", k->cgroup);
		procs = fopen(path, "w");
		if (!procs || fprintf(procs, "0") < 0 || fclose(procs))
			_exit(1);
		while (read(to[0], &o, sizeof(o)) == sizeof(o)) {
			result = o.what(o.ctx);
			if (write(from[1], &result, sizeof(result)) < 0)
				break;
		}
		_exit(0);
	}
	nagents++;
	close(to[0]);
	close(from[1]);
	return a;
}

static int agent_do(struct agent *a, int (*what)(void *ctx), const void *ctx, size_t bytes)
{
	struct order o = {.what = what};
	int result = -ECHILD;

	assert_true(bytes <= sizeof(o.ctx));
	if (bytes)
		memcpy(o.ctx, ctx, bytes);
	assert_int_equal(write(a->to, &o, sizeof(o)), sizeof(o));
	if (read(a->from, &result, sizeof(result)) != sizeof(result))
		fail_msg("the member is gone");
	return result;
}
#define DO(a, what, op) agent_do(a, what, &(op), sizeof(op))

/* With what is left of them by a test that failed, too. */
static int teardown(void **state)
{
	for (; nagents; nagents--) {
		struct agent *a = &agents[nagents - 1];

		close(a->to);
		close(a->from);
		kill(a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);
	}
	return kern_teardown(state);
}

/* ---- buckets ---- */

static void comes_back(void **state)
{
	struct op op = OP(SOCK_DGRAM, 0, "127.0.0.1", 5353);
	struct kern *k = *state;
	uint64_t from, to, passed = 0;
	struct agent *a;

	kern_policy(k, "group g {\n"
		       "limit 10/s burst 5 connect udp errno EAGAIN\n"
		       "default allow\n}\n");
	a = agent_start(k);
	from = now_ns();
	while (!DO(a, op_connect, op) && passed < 100)
		passed++;
	to = now_ns();
	assert_in_range(passed, 5, 5 + (to - from) / 100000000);
	assert_int_equal(DO(a, op_connect, op), to - from < 50000000 ? -EAGAIN : 0);
	sleep_ms(350);
	while (!DO(a, op_connect, op) && passed < 100)
		passed++;
	to = now_ns();
	/* 350 ms are three tokens at least, from the first of them on */
	assert_in_range(passed, 8, 5 + (to - from) / 100000000);
	sleep_ms(1500); /* not more than the burst, however long */
	from = now_ns();
	for (passed = 0; passed < 100 && !DO(a, op_connect, op);)
		passed++;
	assert_in_range(passed, 5, 5 + (now_ns() - from) / 100000000);
}

static void for_each_process(void **state)
{
	struct hammering *all = hammering("127.0.0.1", 5355, 0);
	struct op op = OP(SOCK_DGRAM, 0, "127.0.0.1", 5353), shared = op;
	struct agent *a, *b;
	struct kern *k = *state;
	uint64_t passed, denied, first, last;

	shared.port = 5354;
	kern_policy(k, "group g {\n"
		       "limit 1/h burst 2 per process connect udp to any port 5353 errno EAGAIN\n"
		       "limit 1/h burst 3 per group connect udp to any port 5354 errno EACCES\n"
		       "limit 1/h burst 500 per process connect udp to any port 5355 errno EAGAIN\n"
		       "default allow\n}\n");
	a = agent_start(k);
	b = agent_start(k);
	assert_int_equal(DO(a, op_connect, op), 0);
	assert_int_equal(DO(a, op_connect, op), 0);
	assert_int_equal(DO(a, op_connect, op), -EAGAIN);
	assert_int_equal(DO(b, op_connect, op), 0);
	assert_int_equal(DO(a, op_connect, op), -EAGAIN);
	assert_int_equal(DO(b, op_connect, op), 0);
	assert_int_equal(DO(b, op_connect, op), -EAGAIN);
	/* the group's is one for both */
	assert_int_equal(DO(a, op_connect, shared), 0);
	assert_int_equal(DO(b, op_connect, shared), 0);
	assert_int_equal(DO(a, op_connect, shared), 0);
	assert_int_equal(DO(b, op_connect, shared), -EACCES);
	assert_int_equal(DO(a, op_connect, shared), -EACCES);
	/* threads are one process */
	assert_int_equal(kern_try(k, hammer_all, all), 0);
	sum(all, &passed, &denied, &first, &last);
	assert_int_equal(passed, 500);
	munmap(all, sizeof(*all));
}

#define RATED "limit 1/h burst 3 connect udp to any port 5353 errno EAGAIN\n"
#define EACH  "limit 1/h burst 3 per process connect udp to any port 5354 errno EAGAIN\n"

static void survives_a_reload(void **state)
{
	struct op op = OP(SOCK_DGRAM, 0, "127.0.0.1", 5353), each = op;
	struct kern *k = *state;
	struct agent *a;

	each.port = 5354;
	kern_policy(k, "group g {\n" RATED EACH "default allow\n}\n");
	a = agent_start(k);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(DO(a, op_connect, op), 0);
		assert_int_equal(DO(a, op_connect, each), 0);
	}
	/* in another place, of another policy */
	kern_policy(k, "group g {\ndeny bind tcp port 1\n" EACH RATED "default deny\n}\n");
	rates_prune(k->instance, k->slot, k->table);
	assert_int_equal(DO(a, op_connect, op), 0);
	assert_int_equal(DO(a, op_connect, op), -EAGAIN);
	assert_int_equal(DO(a, op_connect, each), 0);
	assert_int_equal(DO(a, op_connect, each), -EAGAIN);
	/* another rate is another rule */
	kern_policy(k, "group g {\n"
		       "limit 2/h burst 3 connect udp to any port 5353 errno EAGAIN\n" EACH
		       "default deny\n}\n");
	assert_int_equal(DO(a, op_connect, op), 0);
	assert_int_equal(DO(a, op_connect, each), -EAGAIN);
	/* what no policy has any more is forgotten */
	kern_policy(k, "group g {\ndefault deny errno EACCES\n}\n");
	rates_prune(k->instance, k->slot, k->table);
	assert_int_equal(DO(a, op_connect, op), -EACCES);
	kern_policy(k, "group g {\n" RATED EACH "default allow\n}\n");
	assert_int_equal(DO(a, op_connect, op), 0);
	assert_int_equal(DO(a, op_connect, each), 0);
}

/* ---- operations ---- */

struct one {
	int (*try)(void *ctx);
	struct op op;
	int denied;
};

/* The first passes and the second doesn't, whatever the family; outside all do. */
static void judges_each_operation(void **state)
{
	static const struct one cases[] = {
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.1", 80), -EHOSTUNREACH},
		{op_connect, OP(SOCK_STREAM, 0, "::1", 81), -EHOSTUNREACH},
		{op_connect, OP(SOCK_STREAM, 0, "::ffff:127.0.0.1", 82), -EHOSTUNREACH},
		{op_connect, OP(SOCK_DGRAM, 0, "127.0.0.1", 83), -EAGAIN},
		{op_connect_send, OP(SOCK_DGRAM, 0, "::1", 84), -EAGAIN},
		{op_sendto, OP(SOCK_DGRAM, 0, "127.0.0.1", 85), -ENOBUFS},
		{op_sendto, OP(SOCK_DGRAM, 0, "::1", 86), -ENOBUFS},
		{op_sendto, OP(SOCK_DGRAM, 0, "::ffff:127.0.0.1", 87), -ENOBUFS},
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.1", 8088), -EADDRINUSE},
		{op_bind, OP(SOCK_STREAM, 0, "::1", 8089), -EADDRINUSE},
		{op_bind, OP(SOCK_STREAM, 0, "::", 8090), -EADDRINUSE}, /* 0.0.0.0 as well */
		{op_bind, OP(SOCK_DGRAM, 0, "0.0.0.0", 8091), -EADDRINUSE},
		{op_bind, OP(SOCK_DGRAM, 0, "127.0.0.1", 0), -EACCES},
		{op_socket, OP(SOCK_RAW, IPPROTO_RAW, "127.0.0.1", 0), -EPROTONOSUPPORT},
		/* packets of raw sockets, by the backstop */
		{op_sendto, OP(SOCK_RAW, IPPROTO_ICMP, "127.0.0.1", 0), -EPERM},
		{op_sendto, OP(SOCK_DGRAM, IPPROTO_ICMP, "127.0.0.2", 0), -EPERM},
	};
	static const char *const rule[] = {
		"connect tcp to any port %u errno EHOSTUNREACH",
		"connect tcp to any port %u errno EHOSTUNREACH",
		"connect tcp to any port %u errno EHOSTUNREACH",
		"connect udp to any port %u errno EAGAIN",
		"connect udp to any port %u errno EAGAIN",
		"sendto udp to any port %u errno ENOBUFS",
		"sendto udp to any port %u errno ENOBUFS",
		"sendto udp to any port %u errno ENOBUFS",
		"bind tcp port %u errno EADDRINUSE",
		"bind tcp port %u errno EADDRINUSE",
		"bind tcp port %u errno EADDRINUSE",
		"bind udp port %u errno EADDRINUSE",
		"bind udp port 32768-65535 errno EACCES",
		"socket raw errno EPROTONOSUPPORT",
		"sendto icmp to 127.0.0.1 errno EAGAIN",
		"sendto icmp to 127.0.0.2 errno EAGAIN",
	};
	enum { CASES = sizeof(cases) / sizeof(cases[0]) };
	char text[4096] = "group g {\n", line[128];
	struct kern *k = *state;

	_Static_assert(sizeof(rule) / sizeof(rule[0]) == CASES, "a rule each");
	for (size_t i = 0; i < CASES; i++) {
		snprintf(line, sizeof(line), rule[i], cases[i].op.port);
		strcat(strcat(strcat(text, "limit 1/h "), line), "\n");
	}
	strcat(text, "default allow\n}\n");
	kern_policy(k, text);
	for (size_t i = 0; i < CASES; i++) {
		struct op op = cases[i].op;
		int results[4];

		for (int n = 0; n < 2; n++)
			results[n] = kern_try(k, cases[i].try, &op);
		for (int n = 2; n < 4; n++)
			results[n] = kern_outside(cases[i].try, &op);
		if (results[0] || results[1] != cases[i].denied || results[2] || results[3])
			fail_msg("case %zu (%s port %u): %d, then %d, not %d; outside %d, %d", i,
				 op.addr, op.port, results[0], results[1], cases[i].denied,
				 results[2], results[3]);
		assert_int_equal(kern_rule(k, (uint32_t)i + 2).hits, 2);
	}
	assert_int_equal(kern_reason(k, ULSP_REASON_OVER_LIMIT), CASES);
}

static void families_share_a_bucket(void **state)
{
	struct op four = OP(SOCK_STREAM, 0, "127.0.0.1", 80), six = OP(SOCK_STREAM, 0, "::1", 81);
	struct op bind4 = OP(SOCK_STREAM, 0, "127.0.0.1", 8080);
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "limit 1/h burst 3 bind, connect tcp errno EAGAIN\n"
		       "default allow\n}\n");
	assert_int_equal(kern_try(k, op_connect, &four), 0);
	assert_int_equal(kern_try(k, op_connect, &six), 0);
	assert_int_equal(kern_try(k, op_bind, &bind4), 0);
	assert_int_equal(kern_try(k, op_connect, &six), -EAGAIN);
	assert_int_equal(kern_try(k, op_connect, &four), -EAGAIN);
	assert_int_equal(kern_try(k, op_bind, &bind4), -EAGAIN);
}

/* connect to 0.0.0.0 may become either of two addresses: a rate on one allows not the other. */
static void both_that_unspecified_may_be(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "0.0.0.0", 80, .bind = "127.0.0.9");
	struct op other = OP(SOCK_STREAM, 0, "0.0.0.0", 80, .bind = "127.0.0.8");
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "limit 1/h burst 4 connect tcp to { 127.0.0.1, 127.0.0.8 } errno EAGAIN\n"
		       "deny connect tcp to 127.0.0.9 errno EACCES\n"
		       "default allow\n}\n");
	assert_int_equal(kern_try(k, op_connect, &other), 0);
	assert_int_equal(kern_try(k, op_connect, &op), -EACCES);
	/* one token each: of the four one is left */
	assert_int_equal(kern_try(k, op_connect, &other), 0);
	assert_int_equal(kern_try(k, op_connect, &other), 0);
	assert_int_equal(kern_try(k, op_connect, &other), -EAGAIN);
}

/* The first rule that matches decides, over its rate too. */
static void first_match_wins(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.1", 80), other = OP(SOCK_STREAM, 0, "::1", 80);
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "allow connect tcp to ::1\n"
		       "limit 1/h connect tcp\n"
		       "allow connect tcp\n"
		       "default allow\n}\n");
	for (int i = 0; i < 3; i++)
		assert_int_equal(kern_try(k, op_connect, &other), 0);
	assert_int_equal(kern_try(k, op_connect, &op), 0);
	assert_int_equal(kern_try(k, op_connect, &op), -EPERM);
	assert_int_equal(kern_try(k, op_connect, &other), 0);
}

/* ---- packets ---- */

static int served = -1; /* the member's */

static int serve(void *ctx)
{
	const struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int one = 1;

	if (served >= 0)
		close(served);
	served = socket(ss.ss_family, op->type | SOCK_NONBLOCK, 0);
	setsockopt(served, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(served, (void *)&ss, len) || (op->type == SOCK_STREAM && listen(served, 16)))
		return -errno;
	return 0;
}

/* How many datagrams wait. */
static int received(void *ctx)
{
	char byte;
	int n = 0;

	(void)ctx;
	while (recv(served, &byte, 1, 0) > 0)
		n++;
	return n;
}

/* 0 or -ETIMEDOUT: nobody answered. */
static int reach_for(const struct op *op, int ms)
{
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (connect(fd, (void *)&ss, len) && errno != EINPROGRESS)
		error = errno;
	else if (poll(&p, 1, ms) != 1)
		error = ETIMEDOUT;
	else
		len = sizeof(error), getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	close(fd);
	return -error;
}

static int reach(void *ctx)
{
	return reach_for(ctx, 700); /* before the second SYN */
}

static void accepts(void **state)
{
	struct op four = OP(SOCK_STREAM, 0, "127.0.0.1", 8080),
		  six = OP(SOCK_STREAM, 0, "::1", 8081);
	struct op mine = OP(SOCK_STREAM, 0, "127.0.0.1", 8082);
	struct kern *k = *state;
	struct agent *a, *b;

	kern_policy(k, "group g {\n"
		       "limit 1/h burst 2 accept tcp port { 8080, 8081 }\n"
		       "limit 1/h per process accept tcp port 8082-8083\n"
		       "default allow\n}\n");
	a = agent_start(k);
	b = agent_start(k);
	assert_int_equal(DO(a, serve, four), 0);
	assert_int_equal(DO(b, serve, six), 0);
	assert_int_equal(reach(&four), 0);
	assert_int_equal(reach(&six), 0);
	assert_int_equal(reach(&six), -ETIMEDOUT);
	assert_int_equal(reach(&four), -ETIMEDOUT);
	assert_int_equal(kern_reason(k, ULSP_REASON_OVER_LIMIT), 2);
	/* by the process that listens */
	assert_int_equal(DO(a, serve, mine), 0);
	mine.port = 8083;
	assert_int_equal(DO(b, serve, mine), 0);
	assert_int_equal(reach(&mine), 0);
	assert_int_equal(reach(&mine), -ETIMEDOUT);
	mine.port = 8082;
	assert_int_equal(reach(&mine), 0);
	assert_int_equal(reach(&mine), -ETIMEDOUT);
}

static void receives(void **state)
{
	struct op four = OP(SOCK_DGRAM, 0, "127.0.0.1", 8080), six = OP(SOCK_DGRAM, 0, "::1", 8081);
	struct op mine = OP(SOCK_DGRAM, 0, "127.0.0.1", 8082);
	struct kern *k = *state;
	struct agent *a, *b;

	kern_policy(k, "group g {\n"
		       "limit 1/h burst 3 recvfrom udp port { 8080, 8081 }\n"
		       "limit 1/h burst 2 per process recvfrom udp port 8082-8083\n"
		       "default allow\n}\n");
	a = agent_start(k);
	b = agent_start(k);
	assert_int_equal(DO(a, serve, four), 0);
	assert_int_equal(DO(b, serve, six), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(op_sendto(&six), 0);
		assert_int_equal(op_sendto(&four), 0);
	}
	assert_int_equal(agent_do(a, received, NULL, 0), 1);
	assert_int_equal(agent_do(b, received, NULL, 0), 2);
	assert_int_equal(kern_reason(k, ULSP_REASON_OVER_LIMIT), 1);
	assert_int_equal(DO(a, serve, mine), 0);
	mine.port = 8083;
	assert_int_equal(DO(b, serve, mine), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(op_sendto(&mine), 0);
	mine.port = 8082;
	for (int i = 0; i < 4; i++)
		assert_int_equal(op_sendto(&mine), 0);
	assert_int_equal(agent_do(a, received, NULL, 0), 2);
	assert_int_equal(agent_do(b, received, NULL, 0), 2);
}

/* A rule for bind judges listen too, by a bucket beside the bind's. */
static void listens(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.1", 8080),
		  next = OP(SOCK_STREAM, 0, "::1", 8081);
	struct op over = OP(SOCK_STREAM, 0, "::", 8082),
		  late = OP(SOCK_STREAM, 0, "127.0.0.1", 8083);
	static const char policy[] = "group g {\n"
				     "limit 1/h burst 2 bind tcp port 8080-8082 errno EACCES\n"
				     "limit 1/s listen tcp port 8083-8084 errno EACCES\n"
				     "default allow\n}\n";
	struct kern *k = *state;
	struct agent *a, *b;

	kern_policy(k, policy);
	a = agent_start(k);
	b = agent_start(k);
	assert_int_equal(DO(a, serve, op), 0);
	assert_int_equal(DO(b, serve, next), 0);
	assert_int_equal(reach(&op), 0);
	assert_int_equal(reach(&next), 0);
	/* who listens already is not counted again by another policy */
	kern_policy(k, policy);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(reach(&op), 0);
		assert_int_equal(reach(&next), 0);
	}
	assert_int_equal(kern_try(k, op_bind, &over), -EACCES);
	/* a listener over the rate is reached when the rate has room */
	assert_int_equal(DO(a, serve, late), 0);
	late.port = 8084;
	assert_int_equal(DO(b, serve, late), 0);
	assert_int_equal(kern_reason(k, ULSP_REASON_OVER_LIMIT), 2);
	late.port = 8083;
	assert_int_equal(reach(&late), 0);
	late.port = 8084;
	assert_int_equal(reach_for(&late, 8000), 0); /* its second or third SYN at the latest */
	assert_int_equal(reach(&late), 0);
}

/* ---- the rest ---- */

static int raw = -1;
static int open_raw(void *ctx)
{
	(void)ctx;
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	return raw < 0 ? -errno : 0;
}
static int send_raw(void *ctx)
{
	const struct op *op = ctx;
	const unsigned char ping[8] = {8, 0, 0xf7, 0xff};
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);

	return sendto(raw, ping, sizeof(ping), 0, (void *)&ss, len) < 0 ? -errno : 0;
}

/* Nothing is known of the process whose socket is older than the policy. */
static void unknown_process(void **state)
{
	struct op op = OP(SOCK_RAW, IPPROTO_ICMP, "127.0.0.1", 0), all = op;
	struct kern *k = *state;
	struct agent *a = agent_start(k);

	all.addr = "127.0.0.2";
	assert_int_equal(agent_do(a, open_raw, NULL, 0), 0);
	kern_policy(k, "group g {\n"
		       "limit 1000/s burst 10 sendto icmp to 127.0.0.1 uid 0\n"
		       "limit 1/h burst 2 per process sendto icmp to 127.0.0.2\n"
		       "default allow\n}\n");
	assert_int_equal(DO(a, send_raw, op), -EPERM);
	assert_int_equal(DO(a, send_raw, all), 0);
	assert_int_equal(DO(a, send_raw, all), 0);
	assert_int_equal(DO(a, send_raw, all), -EPERM);
	assert_int_equal(agent_do(a, open_raw, NULL, 0), 0);
	assert_int_equal(DO(a, send_raw, op), 0);
	assert_int_equal(DO(a, send_raw, all), 0);
}

static void audit(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.1", 80);
	struct ulsp_group *group;
	struct ulsp_msg m[8];
	struct kern *k = *state;
	size_t n;

	kern_policy(k, "group g {\nlimit 1/h burst 2 connect tcp errno EACCES\ndefault allow\n}\n");
	group = &k->instance->group[k->slot];
	group->mode = ULSP_MODE_AUDIT;
	group->watch = 1;
	for (int i = 0; i < 5; i++)
		assert_int_equal(kern_try(k, op_connect, &op), 0);
	assert_int_equal(kern_rule(k, 2).hits, 5);
	assert_int_equal(kern_rule(k, 2).audited, 3);
	assert_int_equal(kern_reason(k, ULSP_REASON_OVER_LIMIT), 3);
	assert_int_equal(kern_counts(k).ops[ULSP_OP_CONNECT][0], 2);
	assert_int_equal(kern_counts(k).ops[ULSP_OP_CONNECT][1], 3);
	n = kern_messages(k->instance->monitor, m, 8);
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(m[i].verdict, i < 2 ? ULSP_VERDICT_ALLOW : ULSP_VERDICT_DENY);
		assert_int_equal(m[i].reason, i < 2 ? ULSP_REASON_RULE : ULSP_REASON_OVER_LIMIT);
		assert_int_equal(m[i].error, i < 2 ? 0 : -EACCES);
		assert_int_equal(m[i].flags & ULSP_MSG_AUDIT, ULSP_MSG_AUDIT);
	}
	group->mode = ULSP_MODE_ENFORCE;
	assert_int_equal(kern_try(k, op_connect, &op), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(exact_under_threads, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(a_burst_to_the_last_token, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(no_burst_but_one, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(comes_back, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(for_each_process, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_reload, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(judges_each_operation, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(families_share_a_bucket, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(both_that_unspecified_may_be, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(first_match_wins, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(accepts, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(receives, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(listens, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_process, kern_setup, teardown),
		cmocka_unit_test_setup_teardown(audit, kern_setup, teardown),
	};

	return cmocka_run_group_tests(tests, kern_netns, NULL);
}
