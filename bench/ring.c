/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages: nanoseconds of one in the hook, and how many a second reach one
 * consumer.
 *
 *   ring [MESSAGES]          (10 million)
 *
 * The loaded egress program runs over one packet by BPF_PROG_TEST_RUN: all
 * that a group's program does, without a network around it.  First with nobody
 * watching, which is the decision and its counters; then with the monitor, its
 * ring full all the time; then with a consumer on another CPU.  The accounts
 * must close: given out = received + lost.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "image_priv.h"

enum { ROUNDS = 5, BATCH = 100000 };

static const char policy[] = "group g {\ndeny sendto any to 192.0.2.0/24\ndefault allow\n}\n";

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int die(const char *what, const struct err *e)
{
	fprintf(stderr, "ring: %s: %s\n", what, e && *e->text ? e->text : strerror(errno));
	return 1;
}

/* ---- the consumer ---- */

struct consumer {
	int ring;
	bool busy; /* never sleeps */
	atomic_bool stop;
	uint64_t received;
	uint64_t highest;
};

static int take(void *ctx, void *data, size_t bytes)
{
	const struct ulsp_msg *m = data;
	struct consumer *c = ctx;

	(void)bytes;
	c->received++;
	if (m->seq > c->highest)
		c->highest = m->seq;
	return 0;
}

static void *consume(void *arg)
{
	struct consumer *c = arg;
	struct ring_buffer *rb = ring_buffer__new(c->ring, take, c, NULL);

	pin_to(1);
	while (rb && !atomic_load(&c->stop)) {
		if (c->busy)
			ring_buffer__consume(rb);
		else
			ring_buffer__poll(rb, 10);
	}
	ring_buffer__consume(rb);
	ring_buffer__free(rb);
	return NULL;
}

/* ---- the producer ---- */

/* Nanoseconds a run, by the kernel's own clock around them. */
static double produce(int prog, uint64_t n)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
		uint8_t rest[16];
	} __attribute__((packed)) packet = {
		.eth.h_proto = htobe16(ETH_P_IP),
		.ip = {.version = 4, .ihl = 5, .protocol = 253, .ttl = 9, .daddr = 0x0100007f},
	};
	double sum = 0;
	uint64_t done;

	for (done = 0; done < n; done += BATCH) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &packet,
			    .data_size_in = sizeof(packet), .repeat = BATCH);

		if (bpf_prog_test_run_opts(prog, &opts))
			exit(die("run", NULL));
		sum += (double)opts.duration * BATCH;
	}
	return sum / (double)done;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(int prog, uint64_t n)
{
	double v[ROUNDS];
	int i;

	for (i = 0; i < ROUNDS; i++)
		v[i] = produce(prog, n / ROUNDS);
	qsort(v, ROUNDS, sizeof(v[0]), by_value);
	return v[ROUNDS / 2];
}

static void with_consumer(const char *name, struct instance *i, int prog, uint32_t slot, int ring,
			  bool busy, uint64_t n)
{
	const struct ulsp_stream *s = &i->stream[slot * ULSP_MAX_RINGS + ULSP_RING_MONITOR];
	struct consumer c = {.ring = ring, .busy = busy};
	uint64_t seq = s->seq, lost = s->lost, start;
	pthread_t thread;
	double seconds, ns;

	pthread_create(&thread, NULL, consume, &c);
	usleep(50000);
	c.received = 0;
	start = now_ns();
	ns = produce(prog, n);
	seconds = (double)(now_ns() - start) / 1e9;
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	seq = s->seq - seq;
	lost = s->lost - lost;
	printf("%-28s %6.1f ns/message  %5.2f M/s received  lost %5.2f %%  accounts %s\n", name, ns,
	       (double)c.received / seconds / 1e6, 100.0 * (double)lost / (double)seq,
	       c.received + lost == seq ? "close" : "DO NOT CLOSE");
}

static int run(struct instance *i, uint64_t n)
{
	struct pol_policy *p = NULL;
	struct pol_table *table = NULL;
	struct pol_diags diags = {};
	struct pol_env env = {};
	struct image *im = NULL;
	struct err e = {};
	double quiet, full;
	uint32_t slot;
	int prog;

	if (pol_parse_text("bench", policy, sizeof(policy) - 1, NULL, &diags, &p) ||
	    pol_compile(p, pol_find_group(p, "g"), &env, &diags, &table))
		return die("policy", NULL);
	if (instance_group_slot(i, "g", &slot, &e))
		return die("slot", &e);
	const struct image_spec spec = {
		.group = "g", .slot = slot, .generation = 1, .table = table};
	if (image_load(i, &spec, &im, &e))
		return die("load", &e);
	prog = im->prog[HOOK_EGRESS];
	quiet = median(prog, n);
	printf("%-28s %6.1f ns/packet\n", "no message", quiet);
	i->group[slot].watch = 1;
	full = median(prog, n);
	printf("%-28s %6.1f ns/packet, %.1f ns more\n", "message, ring full", full, full - quiet);
	with_consumer("message, polling consumer", i, prog, slot, i->monitor, true, n);
	with_consumer("message, sleeping consumer", i, prog, slot, i->monitor, false, n);
	image_free(&im);
	pol_table_free(&table);
	pol_free(&p);
	pol_diags_fini(&diags);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
	struct instance *i = NULL;
	struct err e = {};
	char name[32], dir[64], path[128];
	int r;

	snprintf(name, sizeof(name), "bench%d", (int)getpid());
	snprintf(dir, sizeof(dir), "/tmp/ulsp-%s", name);
	setenv("ULSP_RUN_DIR", dir, 1);
	pin_to(0);
	if (instance_open(name, &i, &e))
		return die("instance", &e);
	r = run(i, n < BATCH * ROUNDS ? BATCH * ROUNDS : n);
	instance_close(&i);
	instance_destroy(name, &e);
	snprintf(path, sizeof(path), "%s/%s/lock", dir, name);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rmdir(path);
	rmdir(dir);
	return r;
}
