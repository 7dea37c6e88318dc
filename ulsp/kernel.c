/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages and verdicts of a handle that the kernel's maps are behind. */
#include "kernel.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

/*
 * A short wait for the next message before a sleep costs less than the wake-up, where messages
 * follow each other.  Where they don't it is tried now and then only.  It is longer where somebody
 * waits for answers: a process that connects by TCP asks again after 30 to 60 us.
 */
enum { LINGER_NS = 20000, LINGER_ASKED_NS = 80000 };
enum { LINGER_PAUSES = 4, LINGER_CREDIT = 8, LINGER_RETRY = 32 };

static bool kernel_sent(const struct ulsp *u, uint32_t ring, uint32_t group, uint64_t *ret)
{
	const struct kernel *k = u->impl;
	uint32_t at = ULSP_STREAM(group, ULSP_RING(k->first, k->sources[ring].k));
	struct ulsp_stream stream;

	if (bpf_map_lookup_elem(k->fds[FD_STREAMS], &at, &stream))
		return false;
	*ret = stream.seq;
	return true;
}

static bool kernel_empty(const struct ulsp *u, uint32_t ring)
{
	const struct kernel *k = u->impl;

	return ulsp_ring_empty(&k->sources[ring].ring);
}

static bool on_record(void *ctx, const void *record, size_t bytes)
{
	const struct source *s = ctx;

	return ulsp_deliver(s->u, s->at, record, bytes, 0);
}

static void publish(struct ulsp *u)
{
	struct kernel *k = u->impl;
	struct ulsp_reader *reader = k->sources[0].reader;

	reader->received = k->before.received + u->stats.received;
	reader->lost = k->before.lost + u->stats.lost;
	reader->verdicts = k->before.verdicts + u->stats.verdicts;
	reader->late = k->before.late + u->stats.late;
}

/* Asking programs wait for who is awake on another processor than theirs. */
static void awake(struct kernel *k, bool now)
{
	uint32_t cpu = now ? (uint32_t)sched_getcpu() + 1 : 0;

	for (uint32_t i = 0; i < k->n; i++) {
		if (now)
			__atomic_store_n(&k->sources[i].reader->cpu, cpu, __ATOMIC_RELAXED);
		__atomic_store_n(&k->sources[i].reader->awake, cpu, __ATOMIC_RELEASE);
	}
}

/* From another ring each time, where a batch may end before all had their turn. */
static void kernel_drain(struct ulsp *u)
{
	struct kernel *k = u->impl;
	unsigned int taken = 0;

	awake(k, true);
	k->pause.asked = k->pause.poked = false;
	for (uint32_t i = 0; i < k->n; i++) {
		struct source *s = &k->sources[(k->turn + i) % k->n];

		taken += ulsp_ring_drain(&s->ring, on_record, s);
		if (u->error || u->count >= ULSP_BATCH ||
		    __atomic_load_n(&u->stopping, __ATOMIC_RELAXED))
			break;
	}
	k->turn++;
	k->pause.warm = taken > 0;
	publish(u);
}

static bool ready(const struct kernel *k)
{
	for (uint32_t i = 0; i < k->n; i++)
		if (ulsp_ring_ready(&k->sources[i].ring))
			return true;
	return false;
}

static void settle(struct kernel *k)
{
	awake(k, false);
	for (uint32_t i = 0; i < k->n; i++)
		ulsp_ring_settle(&k->sources[i].ring);
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool wait_shortly(const struct kernel *k, bool asked)
{
	uint64_t end = ulsp_now_ns(CLOCK_MONOTONIC) + (asked ? LINGER_ASKED_NS : LINGER_NS);

	do {
		if (ready(k))
			return true;
		/* Looks apart from each other: each takes a cache line from the producer. */
		for (int i = 0; i < LINGER_PAUSES; i++)
			relax();
	} while (ulsp_now_ns(CLOCK_MONOTONIC) < end);
	return false;
}

static bool kernel_linger(struct ulsp *u)
{
	struct kernel *k = u->impl;
	struct pause *l = &k->pause;

	awake(k, true);
	if (ready(k))
		return true;
	if (l->warm && !l->poked && (l->credit || ++l->held >= LINGER_RETRY)) {
		l->held = 0;
		if (wait_shortly(k, l->asked)) {
			l->credit = LINGER_CREDIT;
			return true;
		}
		if (l->credit)
			l->credit--;
	}
	l->warm = false;
	settle(k);
	return ready(k);
}

static void kernel_settle(struct ulsp *u)
{
	settle(u->impl);
}

/*
 * The scope's bit goes first: programs look only for scopes that have one, so an entry is never
 * there unseen.
 */
static int kernel_put(struct ulsp *u, const struct ulsp_message *m, const struct ulsp_cached *v,
		      uint32_t ttl_ms)
{
	struct kernel *k = u->impl;

	(void)m;
	(void)ttl_ms;
	__atomic_or_fetch(&k->page->scopes, 1u << v->key.scope, __ATOMIC_SEQ_CST);
	return ulsp_cache_put(k->cache, v, ulsp_now_ns(CLOCK_MONOTONIC));
}

/*
 * The ticket goes last: who sees it sees the rest.  Who waits outside the operation waits for the
 * daemon: it is told, unless that is said to be so only after the ticket was there.
 */
static int kernel_answer(struct ulsp *u, const struct ulsp_message *m, const struct ulsp_slot *said)
{
	struct kernel *k = u->impl;
	struct ulsp_poke poke = {.ring = k->first, .slot = m->raw.slot};
	struct ulsp_slot *s;

	if (m->raw.slot >= ULSP_MAX_SLOTS)
		return -EINVAL;
	k->pause.asked = true;
	s = &k->slots[m->raw.slot];
	if (__atomic_load_n(&s->ticket, __ATOMIC_RELAXED) >= said->ticket)
		return -EALREADY;
	if (said->verdict == ULSP_VERDICT_REWRITE &&
	    __atomic_load_n(&s->parked, __ATOMIC_ACQUIRE) == said->ticket)
		return -EOPNOTSUPP;
	s->generation = said->generation;
	s->verdict = said->verdict;
	s->family = said->family;
	s->error = said->error;
	s->port = said->port;
	memcpy(s->addr, said->addr, sizeof(s->addr));
	__atomic_store_n(&s->ticket, said->ticket, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&s->parked, __ATOMIC_SEQ_CST) != said->ticket)
		return 0;
	(void)!write(k->fds[FD_POKE], &poke, sizeof(poke)); /* full: it looks by itself */
	k->pause.poked = true;
	/* Parked meanwhile: that it is refused is as good as its own denial. */
	return said->verdict == ULSP_VERDICT_REWRITE ? -EOPNOTSUPP : 0;
}

static void kernel_beat(struct ulsp *u, bool alive)
{
	struct kernel *k = u->impl;

	publish(u);
	if (!alive)
		awake(k, false);
	for (uint32_t i = 0; i < k->n; i++)
		__atomic_store_n(&k->sources[i].reader->heartbeat_ns, alive ? u->beat_ns : 0,
				 __ATOMIC_RELEASE);
}

static void kernel_group_name(const struct ulsp *u, uint32_t group, uint32_t generation,
			      char name[ULSP_NAME_BYTES])
{
	struct kernel *k = u->impl;
	struct ulsp_group now;

	if (!k->groups[group].generation || k->groups[group].generation != generation) {
		if (!bpf_map_lookup_elem(k->fds[FD_GROUPS], &group, &now)) {
			now.name[ULSP_NAME_BYTES - 1] = '\0';
			memcpy(k->groups[group].name, now.name, ULSP_NAME_BYTES);
			k->groups[group].generation = generation;
		}
		if (!k->groups[group].name[0])
			snprintf(k->groups[group].name, ULSP_NAME_BYTES, "#%u", group);
	}
	memcpy(name, k->groups[group].name, ULSP_NAME_BYTES);
}

static void kernel_file_name(const struct ulsp *u, uint16_t file, uint32_t generation,
			     char name[ULSP_PATH_BYTES])
{
	struct kernel *k = u->impl;
	uint32_t at = file;
	char now[ULSP_PATH_BYTES];

	if (!k->files[file].generation || k->files[file].generation != generation)
		if (!bpf_map_lookup_elem(k->fds[FD_FILES], &at, now)) {
			now[ULSP_PATH_BYTES - 1] = '\0';
			memcpy(k->files[file].name, now, ULSP_PATH_BYTES);
			k->files[file].generation = generation;
		}
	memcpy(name, k->files[file].name, ULSP_PATH_BYTES);
}

static int kernel_generation(const struct ulsp *u, uint32_t group, uint32_t *ret)
{
	const struct kernel *k = u->impl;
	struct ulsp_group now;
	int r;

	r = bpf_map_lookup_elem(k->fds[FD_GROUPS], &group, &now);
	if (!r)
		*ret = now.generation;
	return r;
}

const struct ulsp_backend ulsp_kernel_backend = {
	.drain = kernel_drain,
	.linger = kernel_linger,
	.settle = kernel_settle,
	.put = kernel_put,
	.answer = kernel_answer,
	.beat = kernel_beat,
	.sent = kernel_sent,
	.empty = kernel_empty,
	.group_name = kernel_group_name,
	.file_name = kernel_file_name,
	.generation = kernel_generation,
	.close = ulsp_kernel_close,
};
