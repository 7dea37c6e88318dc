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
 *
 * The first two consumers use libbpf's ring_buffer, counting only.  The last is
 * a ULSP: libulsp with a handler that counts.
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
#include "ulsp.h"

enum { ROUNDS = 5, BATCH = 100000 };

static const char policy[] = "group g {\ndeny sendto any to 192.0.2.0/24\ndefault allow log\n}\n";

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

enum how { POLLING, SLEEPING, LIBRARY };

struct consumer {
	int ring;
	enum how how;
	struct instance *instance;
	struct ulsp_maps *maps; /* LIBRARY: those of its ULSP */
	atomic_bool up, stop;
	uint64_t received;
};

static int take(void *ctx, void *data, size_t bytes)
{
	struct consumer *c = ctx;

	(void)data;
	(void)bytes;
	c->received++;
	return 0;
}

static int take_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	(void)u;
	(void)m;
	return take(ctx, NULL, 0);
}

/* As ulspd would hand them over. */
static struct ulsp *open_handle(struct consumer *c)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = take_message, .ctx = c};
	struct ulsp *u = NULL;
	char text[160];
	int r;

	/* Nobody asks, so nobody is told of an answer. */
	snprintf(text, sizeof(text),
		 "ring=%d page=%d cache=%d groups=%d files=%d streams=%d slots=%d poke=2",
		 c->maps->rings[0], c->maps->page, c->maps->cache, c->instance->groups,
		 c->instance->files, c->instance->streams, c->maps->slots);
	setenv("ULSP_FDS", text, 1);
	snprintf(text, sizeof(text), "%u", c->maps->slot);
	setenv("ULSP_RING", text, 1);
	snprintf(text, sizeof(text), "%d", ULSP_ABI);
	setenv("ULSP_ABI", text, 1);
	setenv("ULSP_NAME", "sink", 1);
	r = ulsp_open(&o, &u);
	if (r) {
		errno = -r;
		exit(die("ulsp_open", NULL));
	}
	return u;
}

static void consume_by_library(struct consumer *c)
{
	struct ulsp *u = open_handle(c);

	atomic_store(&c->up, true);
	while (!atomic_load(&c->stop))
		ulsp_dispatch(u, 10);
	while (ulsp_dispatch(u, 0) > 0)
		;
	ulsp_close(&u);
}

static void *consume(void *arg)
{
	struct consumer *c = arg;
	struct ring_buffer *rb;

	pin_to(1);
	if (c->how == LIBRARY) {
		consume_by_library(c);
		return NULL;
	}
	rb = ring_buffer__new(c->ring, take, c, NULL);
	atomic_store(&c->up, true);
	while (rb && !atomic_load(&c->stop)) {
		if (c->how == POLLING)
			ring_buffer__consume(rb);
		else
			ring_buffer__poll(rb, 10);
	}
	ring_buffer__consume(rb);
	ring_buffer__free(rb);
	return NULL;
}

/* ---- the producer ---- */

/* Nanoseconds a run, by the kernel's own clock around `batch` of them. */
static double produce_by(int prog, uint64_t n, uint32_t batch)
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

	for (done = 0; done < n; done += batch) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &packet,
			    .data_size_in = sizeof(packet), .repeat = (int)batch);

		if (bpf_prog_test_run_opts(prog, &opts))
			exit(die("run", NULL));
		sum += (double)opts.duration * batch;
	}
	return sum / (double)done;
}

static double produce(int prog, uint64_t n)
{
	return produce_by(prog, n, BATCH);
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

/* Into a ring with room, emptied between the runs that count. */
static double with_room(int prog, int ring, uint64_t n)
{
	enum { FIT = 5000 }; /* messages in 1 MiB, and some to spare */
	struct consumer c = {.ring = ring};
	struct ring_buffer *rb = ring_buffer__new(ring, take, &c, NULL);
	double v[ROUNDS];
	uint64_t done;
	int i;

	for (i = 0; rb && i < ROUNDS; i++) {
		v[i] = 0;
		for (done = 0; done < n / ROUNDS; done += FIT) {
			ring_buffer__consume(rb);
			v[i] += produce_by(prog, FIT, FIT) * FIT;
		}
		v[i] /= (double)done;
	}
	ring_buffer__free(rb);
	qsort(v, ROUNDS, sizeof(v[0]), by_value);
	return v[ROUNDS / 2];
}

static void with_consumer(const char *name, struct consumer *c, int prog, uint32_t slot, uint64_t n)
{
	uint32_t ring = c->maps ? c->maps->slot : ULSP_RING_MONITOR;
	const struct ulsp_stream *s = &c->instance->stream[ULSP_STREAM(slot, ring)];
	uint64_t seq, lost, start;
	pthread_t thread;
	double seconds, ns;

	pthread_create(&thread, NULL, consume, c);
	while (!atomic_load(&c->up))
		usleep(1000);
	usleep(50000); /* what was left in the ring is taken */
	c->received = 0;
	seq = s->seq;
	lost = s->lost;
	start = now_ns();
	ns = produce(prog, n);
	seconds = (double)(now_ns() - start) / 1e9;
	atomic_store(&c->stop, true);
	pthread_join(thread, NULL);
	seq = s->seq - seq;
	lost = s->lost - lost;
	printf("%-28s %6.1f ns/message  %5.2f M/s received  lost %5.2f %%  accounts %s\n", name, ns,
	       (double)c->received / seconds / 1e6, 100.0 * (double)lost / (double)seq,
	       c->received + lost == seq ? "close" : "DO NOT CLOSE");
}

static struct image *load(struct instance *i, uint32_t slot, uint32_t generation, uint32_t rings)
{
	struct pol_policy *p = NULL;
	struct pol_table *table = NULL;
	struct pol_diags diags = {};
	struct pol_env env = {};
	struct image *im = NULL;
	struct err e = {};

	if (pol_parse_text("bench", policy, sizeof(policy) - 1, NULL, &diags, &p) ||
	    pol_compile(p, pol_find_group(p, "g"), &env, &diags, &table))
		exit(die("policy", NULL));
	const struct image_spec spec = {.group = "g",
					.slot = slot,
					.generation = generation,
					.table = table,
					.log_rings = rings};
	if (image_load(i, &spec, &im, &e))
		exit(die("load", &e));
	pol_table_free(&table);
	pol_free(&p);
	pol_diags_fini(&diags);
	return im;
}

static int run(struct instance *i, uint64_t n)
{
	struct consumer polling = {.ring = i->monitor, .how = POLLING, .instance = i};
	struct consumer sleeping = {.ring = i->monitor, .how = SLEEPING, .instance = i};
	struct ulsp_maps maps;
	struct consumer library = {.how = LIBRARY, .instance = i, .maps = &maps};
	struct image *unlogged, *logged;
	double quiet, full, room;
	struct err e = {};
	uint32_t slot;
	int prog;

	if (instance_group_slot(i, "g", &slot, &e) ||
	    instance_ulsp_maps(i, "sink", (struct ulsp_shape){0, 1}, &maps, &e))
		return die("instance", &e);
	unlogged = load(i, slot, 1, 0);
	prog = unlogged->prog[HOOK_EGRESS];
	quiet = median(prog, n);
	printf("%-28s %6.1f ns/packet\n", "no message", quiet);
	i->group[slot].watch = 1;
	full = median(prog, n);
	printf("%-28s %6.1f ns/packet, %.1f ns more\n", "message, ring full", full, full - quiet);
	room = with_room(prog, i->monitor, n / 4);
	printf("%-28s %6.1f ns/packet, %.1f ns more\n", "message, ring has room", room,
	       room - quiet);
	with_consumer("message, polling consumer", &polling, prog, slot, n);
	with_consumer("message, sleeping consumer", &sleeping, prog, slot, n);
	i->group[slot].watch = 0;
	logged = load(i, slot, 2, 1u << maps.slot);
	with_consumer("message, libulsp", &library, logged->prog[HOOK_EGRESS], slot, n);
	image_free(&logged);
	image_free(&unlogged);
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
