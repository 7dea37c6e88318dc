/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `limit` rules: the table says deny, and the rule's bucket allows while it has
 * a token.
 *
 * Nothing here sleeps or needs a process: packets are judged in a softirq.  No
 * bpf_spin_lock: an LRU map's values can't have one, and a compare-and-swap
 * needs none.
 */
#ifndef LIMIT_BPF_H
#define LIMIT_BPF_H

#include "task.bpf.h"

enum {
	/*
	 * Each lost race gave another processor a token.  On hundreds of them that all
	 * want the same bucket at once, one in hundreds wins: this many are lost in a
	 * row by nobody.  Should it happen, the operation is denied.
	 */
	LIMIT_TRIES = 1 << 14,
};

/* Whose bucket: the process's, or the socket's owner's where no process acts. */
static __always_inline struct limit_buckets *limit_of_process(const struct event *ev,
							      const struct sock_state *owner)
{
	struct limit_process_key key = {.rule = ev->by.id};
	struct limit_buckets *b, full = {};
	__u32 slot = knobs.slot;
	void *map;

	if (!(ev->flags & ULSP_MSG_NO_TASK)) {
		task_limit(&key);
	} else if (owner && owner->owned) {
		key.tgid = owner->tgid;
		key.start_ns = owner->start_ns;
	}
	map = bpf_map_lookup_elem(&limits_process, &slot);
	if (!map)
		return NULL;
	b = bpf_map_lookup_elem(map, &key);
	if (b)
		return b;
	/* Of two at once one makes it, and both find that one. */
	bpf_map_update_elem(map, &key, &full, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, &key);
}

static __always_inline struct limit_buckets *limit_buckets(const struct event *ev,
							   const struct sock_state *owner)
{
	struct limit_key key = {knobs.slot, ev->by.id};

	if (ev->by.flags & DEC_RULE_PER_PROCESS)
		return limit_of_process(ev, owner);
	return bpf_map_lookup_elem(&limits, &key);
}

struct limit_loop {
	struct limit_try try;
	enum limit_result result;
};

static long limit_again(__u32 n, struct limit_loop *loop)
{
	loop->result = limit_once(&loop->try);
	return loop->result != LIMIT_RACED;
}

/* LIMIT_RACED: there is no bucket. */
static __always_inline enum limit_result limit_take(const struct event *ev, struct limit_buckets *b)
{
	struct limit_loop loop = {};

	if (!b)
		return LIMIT_RACED;
	loop.try = limit_begin(ev->by.flags & DEC_RULE_FOR_BIND ? &b->listen_full_ns : &b->full_ns,
			       bpf_ktime_get_ns(), ev->by.rate_per_hour, ev->by.burst);
	loop.result = limit_once(&loop.try);
	if (loop.result == LIMIT_RACED) {
		loop.result = LIMIT_OVER;
		bpf_loop(LIMIT_TRIES, limit_again, &loop, 0);
	}
	return loop.result == LIMIT_WITHIN ? LIMIT_WITHIN : LIMIT_OVER;
}

/* A listener that is only judged anew: its listen(2) passed, maybe before any policy. */
static __always_inline int limit_listened(const struct event *ev, const struct sock_state *owner)
{
	return ev->key.op == ULSP_OP_LISTEN && ev->flags & ULSP_MSG_NO_TASK && owner &&
	       !owner->listen_error;
}

GLOBAL int limit_judge(struct event *ev, const struct sock_state *owner)
{
	enum limit_result result = LIMIT_WITHIN;

	if (!ev || !(ev->by.flags & DEC_RULE_LIMIT))
		return 0;
	if (ev->verdict != ULSP_VERDICT_DENY || ev->reason != ULSP_REASON_RULE)
		return 0; /* it has been */
	/* The rule asks for a process that isn't known: it stays denied. */
	if (ev->key.no_task && ev->by.flags & DEC_RULE_OF_PROCESS)
		return 0;
	/* An operation that is judged twice, as one on :: is, takes one token of a rule. */
	if (!limit_listened(ev, owner) && ev->counted != ev->by.id) {
		result = limit_take(ev, limit_buckets(ev, owner));
		if (result == LIMIT_WITHIN)
			ev->counted = ev->by.id;
	}
	if (result == LIMIT_RACED) { /* no bucket: fails closed */
		ev->reason = ULSP_REASON_FAULT;
	} else if (result == LIMIT_OVER) {
		ev->reason = ULSP_REASON_OVER_LIMIT;
	} else {
		ev->verdict = ULSP_VERDICT_ALLOW;
		ev->error = 0;
	}
	return 0;
}

/* Turns `limit` into a verdict, once; what another rule decided stays. */
static __always_inline void limit(struct event *ev, const struct sock_state *owner)
{
	if (knobs.flags & ULSP_KNOB_LIMIT)
		limit_judge(ev, owner);
}

#endif
