/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long connect(2) takes when somebody is asked about it: the client, and
 * servers that allow everything, each by its own way of being asked.
 *
 *   ask connect udp|tcp PORT COUNT PAUSE_US CPU [STAMP]
 *   ask ulsp once|flow|late [STAMP]           started by ulspd
 *   ask queue once|late NUMBER CPU [STAMP]    NFQUEUE
 *   ask notify once|sync|late CPU [STAMP] -- connect ...    seccomp user notification
 *
 * CPU -1: any.  The client prints p50, p99, p99.9 in ns, operations a second
 * without the pauses, how many succeeded and how many failed: COUNT in all,
 * or what three seconds are enough for.  `late` answers a millisecond later
 * and writes the time into the file STAMP; a client that has it counts from
 * then on.
 */
#include "ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ulsp.h"

enum { WARM_UP = 200, LATE_NS = 1000000, LONGEST_MS = 3000 };

static uint64_t *stamp; /* NULL: nobody wants it */

uint64_t ask_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int ask_die(const char *what)
{
	fprintf(stderr, "ask: %s: %s\n", what, strerror(errno));
	exit(1);
}

void ask_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpu >= 0 && sched_setaffinity(0, sizeof(set), &set))
		ask_die("sched_setaffinity");
}

void ask_stamp_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		ask_die(path);
	stamp = mmap(NULL, sizeof(*stamp), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (stamp == MAP_FAILED)
		ask_die(path);
	close(fd);
}

void ask_late(void)
{
	struct timespec t = {.tv_nsec = LATE_NS};

	nanosleep(&t, NULL);
	if (stamp)
		__atomic_store_n(stamp, ask_now_ns(), __ATOMIC_RELEASE);
}

/* ---- the client ---- */

/* A listener of the client's own: what accepts is no third process. */
static int listener(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (const void *)at, sizeof(*at)) || listen(fd, 16))
		ask_die("listen");
	return fd;
}

/* Nanoseconds of one connect(2); `listening` is -1 for UDP, whose socket stays. */
static uint64_t once(int fd, int listening, const struct sockaddr_in *to, int *failed)
{
	struct linger reset = {.l_onoff = 1};
	uint64_t start, end;
	int peer;

	if (listening >= 0) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		/* a reset leaves no TIME_WAIT behind */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	start = ask_now_ns();
	*failed = connect(fd, (const void *)to, sizeof(*to)) != 0;
	end = ask_now_ns();
	if (stamp)
		start = __atomic_load_n(stamp, __ATOMIC_ACQUIRE);
	if (listening < 0)
		return end - start;
	if (!*failed) {
		peer = accept(listening, NULL, NULL);
		close(fd);
		close(peer);
	} else {
		close(fd);
	}
	return end - start;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int ask_connect(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timespec pause = {};
	int fd = -1, listening = -1, bad;
	unsigned long count, n = 0, failed = 0;
	uint64_t *ns, sum = 0, end;

	if (argc < 5)
		return 2;
	to.sin_port = htons((uint16_t)atoi(argv[1]));
	count = strtoul(argv[2], NULL, 10);
	pause.tv_nsec = atol(argv[3]) * 1000;
	ask_pin(atoi(argv[4]));
	if (argc > 5)
		ask_stamp_open(argv[5]);
	ns = calloc(count, sizeof(*ns));
	if (!ns || !count)
		return 2;
	if (!strcmp(argv[0], "tcp"))
		listening = listener(&to);
	else
		fd = socket(AF_INET, SOCK_DGRAM, 0);
	end = ask_now_ns() + LONGEST_MS * 1000000ull;
	for (unsigned long i = 0; i < WARM_UP && i < count && ask_now_ns() < end; i++)
		once(fd, listening, &to, &bad);
	end = ask_now_ns() + LONGEST_MS * 1000000ull;
	for (unsigned long i = 0; i < count && ask_now_ns() < end; i++) {
		if (pause.tv_nsec)
			nanosleep(&pause, NULL);
		ns[n] = once(fd, listening, &to, &bad);
		failed += (unsigned long)bad;
		if (bad)
			continue;
		sum += ns[n++];
	}
	if (!n) {
		printf("0 0 0 0 0 %lu\n", failed);
		return 0;
	}
	qsort(ns, n, sizeof(*ns), by_value);
	printf("%llu %llu %llu %.0f %lu %lu\n", (unsigned long long)ns[n / 2],
	       (unsigned long long)ns[n * 99 / 100], (unsigned long long)ns[n * 999 / 1000],
	       1e9 * (double)n / (double)sum, n, failed);
	return 0;
}

/* ---- the ULSP ---- */

static struct ulsp_cache cover = {.size = sizeof(cover), .cover = ULSP_COVER_ONCE};

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	(void)u;
	if (!ulsp_is_ask(m))
		return 0;
	if (ctx)
		ask_late();
	ulsp_allow(m, &cover); /* who can't be answered any more has failed: the client counts it */
	return 0;
}

static int ask_ulsp(int argc, char **argv)
{
	static bool late;
	struct ulsp_options o = {.size = sizeof(o), .handler = on_message};
	struct ulsp *u = NULL;
	int r;

	if (argc < 1)
		return 2;
	if (!strcmp(argv[0], "late"))
		o.ctx = &late;
	if (!strcmp(argv[0], "flow")) {
		cover.cover = ULSP_COVER_FLOW;
		cover.ttl_ms = 3600000;
	}
	if (argc > 1)
		ask_stamp_open(argv[1]);
	r = ulsp_open(&o, &u);
	if (!r)
		r = ulsp_run(u);
	ulsp_close(&u);
	return r != 0;
}

int main(int argc, char **argv)
{
	int r = 2;

	if (argc > 2 && !strcmp(argv[1], "connect"))
		r = ask_connect(argc - 2, argv + 2);
	else if (argc > 2 && !strcmp(argv[1], "ulsp"))
		r = ask_ulsp(argc - 2, argv + 2);
	else if (argc > 2 && !strcmp(argv[1], "queue"))
		r = ask_queue(argc - 2, argv + 2);
	else if (argc > 2 && !strcmp(argv[1], "notify"))
		r = ask_notify(argc - 2, argv + 2);
	if (r == 2)
		fprintf(stderr, "usage: see the top of bench/ask.c\n");
	return r;
}
