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
 * A message that finds its consumer has taken all before it wakes the consumer,
 * asleep or not, and the wake-up costs far more than the message.  So the last
 * consumer gives a message back to the ring only when it has the next one, or
 * before it goes to sleep.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

enum how { POLLING, SLEEPING, HOLDING_BACK };

struct consumer {
	int ring;
	enum how how;
	atomic_bool stop;
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

/* The kernel's layout: a page with the consumer's place, one with the producer's, the data twice.
 */
struct view {
	_Atomic(unsigned long) *consumer, *producer;
	const char *data;
	unsigned long mask;
};

static int view_open(int ring, struct view *v)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at;

	if (bpf_obj_get_info_by_fd(ring, &info, &size))
		return -1;
	v->mask = info.max_entries - 1;
	at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	v->consumer = (void *)at;
	at = mmap(NULL, page + 2ul * info.max_entries, PROT_READ, MAP_SHARED, ring, (off_t)page);
	v->producer = (void *)at;
	v->data = at + page;
	return at == MAP_FAILED ? -1 : 0;
}

/* Takes what is there; the place that all of it reaches to, not yet given back. */
static unsigned long drain(struct view *v, unsigned long from, struct consumer *c)
{
	unsigned long end = atomic_load_explicit(v->producer, memory_order_acquire);
	unsigned long last = atomic_load_explicit(v->consumer, memory_order_relaxed);

	while (from < end) {
		const _Atomic(uint32_t) *header = (const void *)(v->data + (from & v->mask));
		uint32_t n = atomic_load_explicit(header, memory_order_acquire);

		if (n & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(n & BPF_RINGBUF_DISCARD_BIT))
			take(c, NULL, 0);
		last = from;
		from += ((n & ~BPF_RINGBUF_DISCARD_BIT) + BPF_RINGBUF_HDR_SZ + 7) & ~7ul;
		if (from - *v->consumer > v->mask / 2) /* room for the producer */
			atomic_store_explicit(v->consumer, last, memory_order_release);
	}
	if (last > *v->consumer)
		atomic_store_explicit(v->consumer, last, memory_order_release);
	return from;
}

static void consume_holding_back(struct consumer *c)
{
	enum { SPINS = 20000 }; /* looks before it sleeps: some 20 us */
	struct pollfd p = {.fd = c->ring, .events = POLLIN};
	unsigned long at;
	struct view v;
	int idle = 0;

	if (view_open(c->ring, &v))
		return;
	at = *v.consumer;
	while (!atomic_load(&c->stop)) {
		unsigned long to = drain(&v, at, c);

		idle = to == at ? idle + 1 : 0;
		at = to;
		if (idle < SPINS)
			continue;
		/* All is given back, then looked at once more: a message after that wakes. */
		atomic_store(v.consumer, at);
		if (atomic_load(v.producer) == at)
			poll(&p, 1, 10);
		idle = 0;
	}
	at = drain(&v, at, c);
	atomic_store(v.consumer, at);
}

static void *consume(void *arg)
{
	struct consumer *c = arg;
	struct ring_buffer *rb = ring_buffer__new(c->ring, take, c, NULL);

	pin_to(1);
	if (c->how == HOLDING_BACK)
		consume_holding_back(c);
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

static void with_consumer(const char *name, struct instance *i, int prog, uint32_t slot, int ring,
			  enum how how, uint64_t n)
{
	const struct ulsp_stream *s = &i->stream[slot * ULSP_MAX_RINGS + ULSP_RING_MONITOR];
	struct consumer c = {.ring = ring, .how = how};
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
	double quiet, full, room;
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
	room = with_room(prog, i->monitor, n / 4);
	printf("%-28s %6.1f ns/packet, %.1f ns more\n", "message, ring has room", room,
	       room - quiet);
	with_consumer("message, polling consumer", i, prog, slot, i->monitor, POLLING, n);
	with_consumer("message, sleeping consumer", i, prog, slot, i->monitor, SLEEPING, n);
	with_consumer("message, held back", i, prog, slot, i->monitor, HOLDING_BACK, n);
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
