/* SPDX-License-Identifier: GPL-2.0-only */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "hold.bpf.h"
#include "judge.bpf.h"

enum {
	TRIES = 32, /* slots, from a random one on */
	NS_IN_MS = 1000000,
	/* Past its deadline a slot is its owner's for so long: a SYN that the kernel sends again.
	 */
	KEEP_NS = 4000000000,
	SPINS = 1 << 20,
	LOOKS = 16, /* at the slot, between two at the clock */
};

/* Waits within the operation: an average over about the last eight. */
enum { SUCCESS_MAX = 1024, SUCCESS_SHIFT = 3, SUCCESS_WORTH = 256, SKIPS = 64 };
enum { WAKE_UP = 4 }; /* times as long where the ULSP is to be woken first */

static __always_inline struct ulsp_wait *wait_at(__u32 ring, __u32 slot)
{
	void *inner = bpf_map_lookup_elem(&waits, &ring);

	return inner ? bpf_map_lookup_elem(inner, &slot) : NULL;
}

static __always_inline struct ulsp_slot *slot_at(__u32 ring, __u32 slot)
{
	void *inner = bpf_map_lookup_elem(&slots, &ring);

	return inner ? bpf_map_lookup_elem(inner, &slot) : NULL;
}

/* ---- slots ---- */

static __always_inline int take(struct event *ev, __u64 now)
{
	/* An odd step reaches all; neighbours are taken together, steps of their own are not. */
	__u32 ring = ev->by.ring, first = bpf_get_prandom_u32(), i;
	__u32 step = bpf_get_prandom_u32() | 1;
	void *inner = bpf_map_lookup_elem(&waits, &ring);

	if (!inner)
		return -ENOENT;
	for (i = 0; i < TRIES; i++) {
		__u32 slot = (first + i * step) & (ULSP_MAX_SLOTS - 1);
		struct ulsp_wait *w = bpf_map_lookup_elem(inner, &slot);
		__u64 until;

		if (!w)
			return -ENOENT;
		until = w->until_ns;
		if (until > now)
			continue;
		if (__sync_val_compare_and_swap(&w->until_ns, until, ev->deadline_ns + KEEP_NS) !=
		    until)
			continue;
		ev->ticket = __sync_fetch_and_add(&w->ticket, 1) + 1;
		ev->slot = slot;
		return 0;
	}
	return -ENOBUFS;
}

int hold_end(struct event *ev)
{
	struct ulsp_wait *w;

	if (!ev || !ev->ticket)
		return 0;
	w = wait_at(ev->by.ring, ev->slot);
	/* By its time: who takes an old one has no other ticket at first. */
	if (w && w->ticket == ev->ticket)
		__sync_val_compare_and_swap(&w->until_ns, ev->deadline_ns + KEEP_NS, 0);
	ev->ticket = 0;
	return 0;
}

/* ---- verdicts ---- */

static __always_inline int rewritten(struct event *ev)
{
	if (ev->rewrite != (ev->key.family == DEC_V4 ? 4 : 6) || !ev->to_port)
		return 0;
	verdict_allow(ev, ULSP_REASON_ANSWERED);
	return 1;
}

/*
 * The slot's verdict, if it is this question's.  An unprivileged process wrote it: what is no
 * verdict is as none.  A SYN can't go to another address any more: that is refused.
 */
static __always_inline int read_slot(struct event *ev, struct ulsp_slot *s, struct ulsp_wait *w,
				     int is_parked)
{
	__u8 verdict;
	__s16 error;
	__u32 generation;

	/* An atomic that returns a value orders what follows: the ULSP writes the ticket last. */
	if (__sync_fetch_and_add(&s->ticket, 0) != ev->ticket)
		return HELD_STILL;
	verdict = *(const volatile __u8 *)&s->verdict;
	error = *(const volatile __s16 *)&s->error;
	generation = *(const volatile __u32 *)&s->generation;
	if (verdict == ULSP_VERDICT_REWRITE && !is_parked) {
		ev->rewrite = s->family;
		__builtin_memcpy(ev->to, s->addr, sizeof(ev->to));
		ev->to_port = s->port;
	}
	/* Whoever has the slot next gets a ticket first: so far all of it was this question's. */
	if (__sync_fetch_and_add(&w->ticket, 0) != ev->ticket)
		return HELD_STILL;
	if (generation != knobs.generation)
		return HELD_STILL;
	switch (verdict) {
	case ULSP_VERDICT_ALLOW:
		verdict_allow(ev, ULSP_REASON_ANSWERED);
		return HELD_DECIDED;
	case ULSP_VERDICT_DENY:
		if (!may_be_errno(error))
			return HELD_STILL;
		verdict_deny(ev, error, ULSP_REASON_ANSWERED);
		return HELD_DECIDED;
	case ULSP_VERDICT_REWRITE:
		if (!is_parked)
			return rewritten(ev) ? HELD_DECIDED : HELD_STILL;
		verdict_deny(ev, ev->error, ULSP_REASON_ANSWERED);
		return HELD_DECIDED;
	}
	return HELD_STILL;
}

int answer(struct event *ev)
{
	struct ulsp_slot *s;
	struct ulsp_wait *w;

	if (!ev || !ev->ticket)
		return HELD_STILL;
	w = wait_at(ev->by.ring, ev->slot);
	s = slot_at(ev->by.ring, ev->slot);
	if (!w || !s || w->ticket != ev->ticket)
		return HELD_STILL;
	return read_slot(ev, s, w, 0);
}

int answer_parked(struct event *ev)
{
	struct ulsp_slot *s;
	struct ulsp_wait *w;
	__u64 before;

	if (!ev || !ev->ticket)
		return HELD_STILL;
	w = wait_at(ev->by.ring, ev->slot);
	s = slot_at(ev->by.ring, ev->slot);
	if (!w || !s || w->ticket != ev->ticket)
		return HELD_STILL;
	/* A full barrier: either the ULSP sees this or its verdict is seen here. */
	before = *(const volatile __u64 *)&s->parked;
	if (before < ev->ticket) /* else a later question has the slot */
		__sync_val_compare_and_swap(&s->parked, before, ev->ticket);
	return read_slot(ev, s, w, 1);
}

/* ---- the wait within the operation ---- */

struct spin {
	const struct ulsp_slot *slot;
	__u64 ticket;
	__u64 end_ns;
	__u32 answered;
	int rivals;
};

static long spin_once(__u32 n, struct spin *spin)
{
	if (*(const volatile __u64 *)&spin->slot->ticket == spin->ticket) {
		spin->answered = 1;
		return 1;
	}
	if (n % LOOKS)
		return 0;
	return bpf_ktime_get_ns() >= spin->end_ns || task_wanted(spin->rivals);
}

/*
 * A wait that is worth its time: `ns` 0: none is.  `rivals` is from before the message, which may
 * wake the ULSP on this very processor: then it must have it.
 */
struct patience {
	__u32 ns;
	__u32 asleep;
	int rivals;
};

/*
 * For a ULSP that looks for messages right now, on another processor; or that sleeps and may be
 * woken there, which takes longer.
 */
static __always_inline struct patience patience(const struct ulsp_reader *reader,
						struct ulsp_asking *how)
{
	__u32 awake = *(const volatile __u32 *)&reader->awake;
	struct patience p = {.ns = how->spin_ns, .asleep = !awake, .rivals = task_rivals()};
	__u32 success = awake ? how->success : how->woken;

	if (awake == bpf_get_smp_processor_id() + 1)
		p.ns = 0;
	if (p.ns && success < SUCCESS_WORTH && how->skipped++ % SKIPS != SKIPS - 1)
		p.ns = 0;
	if (p.asleep)
		p.ns *= WAKE_UP;
	return p;
}

static __always_inline void learn(struct ulsp_asking *how, int asleep, int answered)
{
	__u32 success = asleep ? how->woken : how->success;

	success -= success >> SUCCESS_SHIFT;
	if (answered)
		success += SUCCESS_MAX >> SUCCESS_SHIFT;
	if (asleep)
		how->woken = success;
	else
		how->success = success;
	__sync_fetch_and_add(&how->spun, 1);
	if (answered)
		__sync_fetch_and_add(&how->answered, 1);
}

static __always_inline void spin(struct event *ev, struct ulsp_asking *how, __u64 now,
				 const struct patience *p)
{
	struct spin spin = {
		.slot = slot_at(ev->by.ring, ev->slot),
		.ticket = ev->ticket,
		.end_ns = now + p->ns,
		.rivals = p->rivals,
	};

	if (!spin.slot)
		return;
	if (spin.end_ns > ev->deadline_ns)
		spin.end_ns = ev->deadline_ns;
	bpf_loop(SPINS, spin_once, &spin, 0);
	learn(how, p->asleep, spin.answered);
}

static __always_inline const struct ulsp_reader *reader_of(__u32 ring, __u32 share)
{
	void *outer = bpf_map_lookup_elem(&pages, &ring);
	const struct ulsp_page *page;
	__u32 zero = 0;

	page = outer ? bpf_map_lookup_elem(outer, &zero) : NULL;
	return page ? &page->readers[share % ULSP_RINGS_EACH] : NULL;
}

/* As the rule says; what can't wait outside of its call, as long as that is restarted, or looks. */
static __always_inline __u64 longest(const struct event *ev, const struct ulsp_asking *how,
				     int busy)
{
	__u64 ns = (__u64)ev->wait_ms * NS_IN_MS, most = how->spin_ns * WAKE_UP;

	if (ev->key.op == ULSP_OP_ACCEPT ||
	    (ev->key.op == ULSP_OP_CONNECT && ev->ip_proto == IPPROTO_TCP))
		return ns;
	if (knobs.restart_flag && !busy)
		most = RESTARTED_NS;
	return ns < most ? ns : most;
}

int hold(struct event *ev, const struct sock_state *owner, int busy)
{
	const struct ulsp_reader *reader;
	struct ulsp_asking *how;
	struct patience p = {};
	__u64 now;
	__u32 ring;
	int error;

	if (!ev)
		return HELD_NOT;
	ring = ev->by.ring;
	reader = reader_of(ring, ev->share);
	how = bpf_map_lookup_elem(&asking, &ring);
	now = bpf_ktime_get_ns();
	if (!reader || !how) {
		ask_failed(ev, ULSP_REASON_NO_SLOT);
		return HELD_NOT;
	}
	ev->deadline_ns = now + longest(ev, how, busy);
	if (take(ev, now)) {
		ask_failed(ev, ULSP_REASON_NO_SLOT);
		return HELD_NOT;
	}
	/* Before the message: a ULSP that is awake takes it at once. */
	if (!busy)
		p = patience(reader, how);
	error = record_to(ev, owner, ULSP_RING(ring, ev->share), ULSP_MSG_ASK);
	if (error) {
		hold_end(ev);
		ask_failed(ev, error == -ENOBUFS ? ULSP_REASON_RING_FULL : ULSP_REASON_ULSP_DOWN);
		return HELD_NOT;
	}
	if (p.ns)
		spin(ev, how, now, &p);
	return answer(ev);
}

int hold_on(struct event *ev)
{
	const struct ulsp_reader *reader;
	struct ulsp_asking *how;
	struct patience p;
	__u32 ring;

	if (!ev)
		return HELD_NOT;
	ring = ev->by.ring;
	reader = reader_of(ring, share_of(ev, ring));
	how = bpf_map_lookup_elem(&asking, &ring);
	if (!reader || !how || answer(ev) != HELD_STILL)
		return answer(ev);
	p = patience(reader, how);
	/* Who is being woken may wait for this processor already. */
	if (p.ns && !p.asleep)
		spin(ev, how, bpf_ktime_get_ns(), &p);
	return answer(ev);
}

int hold_elsewhere(const struct event *ev)
{
	const struct ulsp_reader *reader;

	reader = ev ? reader_of(ev->by.ring, share_of(ev, ev->by.ring)) : NULL;
	return reader && *(const volatile __u32 *)&reader->cpu != bpf_get_smp_processor_id() + 1;
}

char _license[] SEC("license") = "GPL";
