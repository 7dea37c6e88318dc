/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Decide: the group's table, and for `ask` rules the ULSP's cached verdicts.
 *
 * The walk over the table takes half of a program's 512 bytes of stack: it is
 * in functions of its own, which don't add up with those that come after it.
 */
#ifndef JUDGE_BPF_H
#define JUDGE_BPF_H

#include "hold.bpf.h"
#include "limit.bpf.h"
#include "record.bpf.h"
#include "restart.bpf.h"

static __always_inline void verdict_deny(struct event *ev, int error, __u8 reason)
{
	ev->verdict = ULSP_VERDICT_DENY;
	ev->error = error;
	ev->reason = reason;
}

static __always_inline void verdict_allow(struct event *ev, __u8 reason)
{
	ev->verdict = ULSP_VERDICT_ALLOW;
	ev->error = 0;
	ev->reason = reason;
}

/* The group's mode, and whether someone watches it. */
static __always_inline void judge_group(struct event *ev)
{
	__u32 slot = knobs.slot;
	const struct ulsp_group *group = bpf_map_lookup_elem(&groups, &slot);

	if (!group) /* never: the slot is below the array's size.  Enforces */
		return;
	if (group->mode == ULSP_MODE_AUDIT)
		ev->flags |= ULSP_MSG_AUDIT;
	ev->watch = group->watch != 0;
}

static __always_inline void judge(struct event *ev, __u8 op, __u8 family)
{
	__u32 zero = 0;
	const __u32 *tbl;

	judge_group(ev);
	tbl = bpf_map_lookup_elem(&table, &zero);
	/* As constants, after the last call that could change them: the walk's code is for them. */
	ev->key.op = op;
	ev->key.family = family;
	/* A table that is missing or damaged fails closed. */
	if (!tbl || dec_decide(tbl, &ev->key, &ev->rule) || dec_rule_at(tbl, ev->rule, &ev->by)) {
		ev->rule = NO_RECORD;
		ev->by = (struct dec_rule){};
		verdict_deny(ev, -EPERM, ULSP_REASON_FAULT);
		return;
	}
	ev->verdict = ev->by.verdict;
	ev->reason = ev->by.reason;
	ev->error = 0;
	if (ev->verdict == ULSP_VERDICT_ALLOW)
		return;
	ev->error = ev->by.error < 0 ? ev->by.error : -EPERM;
	if (ev->verdict == ULSP_VERDICT_DENY || ev->verdict == ULSP_VERDICT_ASK)
		return;
	/* A verdict that these programs don't know fails closed. */
	verdict_deny(ev, -EPERM, ULSP_REASON_FAULT);
}

/* For operations whose cost matters: their kind is a constant, so are the table's roots. */
#define JUDGE(name, op, family)                                                                    \
	GLOBAL int name(struct event *ev)                                                          \
	{                                                                                          \
		if (ev)                                                                            \
			judge(ev, op, family);                                                     \
		return 0;                                                                          \
	}

/* For all the rest. */
JUDGE(judge_any4, ev->key.op, DEC_V4)
JUDGE(judge_any6, ev->key.op, DEC_V6)

static __always_inline void judge_any(struct event *ev)
{
	if (ev->key.family == DEC_V4)
		judge_any4(ev);
	else
		judge_any6(ev);
}

/* What the rule does while its ULSP can't answer. */
static __always_inline void ask_failed(struct event *ev, __u8 reason)
{
	if (ev->by.flags & DEC_RULE_DOWN_ALLOW)
		verdict_allow(ev, reason);
	else
		verdict_deny(ev, ev->error, reason);
}

/* One lookup in the cache; 1: it decided. */
static __always_inline int ask_cache(struct event *ev, void *cache,
				     const struct ulsp_cache_key *key)
{
	const struct ulsp_cache_entry *entry = bpf_map_lookup_elem(cache, key);
	__u8 verdict;
	__s16 error;

	if (!entry || entry->generation != knobs.generation)
		return 0;
	verdict = entry->verdict;
	error = entry->error;
	/* The tick's clock (5.11) is late by its length at most, and takes no time. */
	if (entry->expires_ns <= bpf_ktime_get_coarse_ns())
		return 0;
	if (verdict == ULSP_VERDICT_ALLOW) {
		verdict_allow(ev, ULSP_REASON_CACHED);
		return 1;
	}
	/* An unprivileged process wrote it: what is no verdict is void. */
	if (verdict != ULSP_VERDICT_DENY || !may_be_errno(error))
		return 0;
	verdict_deny(ev, error, ULSP_REASON_CACHED);
	return 1;
}

/* Whose operation it is; 0: nobody's, and no verdict on a process counts. */
static __always_inline int ask_process(const struct event *ev, const struct sock_state *owner,
				       struct ulsp_cache_key *key)
{
	if (!(ev->flags & ULSP_MSG_NO_TASK)) {
		task_process(key);
		return 1;
	}
	if (!owner || !owner->owned)
		return 0;
	key->tgid = owner->tgid;
	key->start_ns = owner->start_ns;
	return 1;
}

/* Those that the page names are looked up; the narrowest verdict counts. */
static __always_inline int ask_cached(struct event *ev, const struct ulsp_page *page, void *cache,
				      const struct sock_state *owner)
{
	struct ulsp_cache_key key = {
		.group = knobs.slot,
		.rule = ev->by.id,
		.op = asked_op(ev),
		.proto = ev->key.proto,
		.family = ev->key.family == DEC_V4 ? 4 : 6,
		.port = ev->key.port,
		.scope = ULSP_SCOPE_PROCESS_FLOW,
	};
	__u32 scopes = page->scopes;

	put_addr(key.addr, ev->key.addr, ev->key.family);
	if (scopes & 1 << ULSP_SCOPE_PROCESS_FLOW && ask_process(ev, owner, &key)) {
		if (ask_cache(ev, cache, &key))
			return 1;
		key.tgid = 0;
		key.start_ns = 0;
	}
	key.scope = ULSP_SCOPE_FLOW;
	if (scopes & 1 << ULSP_SCOPE_FLOW && ask_cache(ev, cache, &key))
		return 1;
	key.port = 0;
	key.scope = ULSP_SCOPE_DESTINATION;
	if (scopes & 1 << ULSP_SCOPE_DESTINATION && ask_cache(ev, cache, &key))
		return 1;
	if (!(scopes & 1 << ULSP_SCOPE_PROCESS))
		return 0;
	/* Neither the address counts nor, with it, family and protocol. */
	key.family = 0;
	key.proto = 0;
	__builtin_memset(key.addr, 0, sizeof(key.addr));
	key.scope = ULSP_SCOPE_PROCESS;
	return ask_process(ev, owner, &key) && ask_cache(ev, cache, &key);
}

/*
 * The first half of `ask`: a cached verdict, or the rule's fail mode when the
 * ULSP is down.  1: neither, it is to be asked.
 */
GLOBAL int ask(struct event *ev, const struct sock_state *owner)
{
	const struct ulsp_page *page = NULL;
	void *outer, *cache;
	__u64 heartbeat_ns, now;
	__u32 ring, zero = 0;

	if (!ev)
		return 0;
	ring = ev->by.ring;
	outer = bpf_map_lookup_elem(&pages, &ring);
	if (outer)
		page = bpf_map_lookup_elem(outer, &zero);
	if (!page) { /* no such ULSP: the fail mode decides */
		ask_failed(ev, ULSP_REASON_ULSP_DOWN);
		return 0;
	}
	/* Verdicts outlive the ULSP: they are good until they expire. */
	cache = bpf_map_lookup_elem(&caches, &ring);
	if (cache && ask_cached(ev, page, cache, owner))
		return 0;
	ev->share = share_of(ev, ring);
	heartbeat_ns = page->readers[ev->share % ULSP_RINGS_EACH].heartbeat_ns;
	now = bpf_ktime_get_ns();
	ev->wait_ms = ev->by.hold_ms;
	if (!ULSP_HEARTBEAT_FRESH(heartbeat_ns, now)) {
		ev->wait_ms = ev->by.down_ms;
		if (!ev->wait_ms) {
			ask_failed(ev, ULSP_REASON_ULSP_DOWN);
			return 0;
		}
	}
	verdict_deny(ev, ev->error, ULSP_REASON_ASKED);
	return 1;
}

/*
 * Turns `limit` into a verdict, and `ask` into one or into a question
 * that is waited for: 1, then the caller waits on, or calls waited_enough().
 * Without `hold`, and in audit mode, the operation is denied when the message
 * goes out, and a retry finds the answer in the cache.
 */
static __always_inline int settle_or_wait(void *ctx, struct event *ev,
					  const struct sock_state *owner, int busy)
{
	int error;

	limit(ev, owner);
	/* Without the knob no rule asks, and one that did all the same is refused. */
	if (!(knobs.flags & ULSP_KNOB_ASK) || ev->verdict != ULSP_VERDICT_ASK)
		return 0;
	ev->cookie = bpf_get_socket_cookie(ctx);
	if (knobs.flags & ULSP_KNOB_HOLD && !busy && may_be_restarted()) {
		error = restart_found(ev);
		if (error == HELD_DECIDED)
			hold_end(ev);
		if (error == HELD_STILL)
			verdict_deny(ev, ev->error, ULSP_REASON_ASKED);
		if (error != HELD_NOT)
			return error == HELD_STILL;
	}
	if (!ask(ev, owner))
		return 0;
	if (knobs.flags & ULSP_KNOB_HOLD && ev->wait_ms && !(ev->flags & ULSP_MSG_AUDIT)) {
		error = hold(ev, owner, busy);
		if (error == HELD_DECIDED)
			hold_end(ev);
		return error == HELD_STILL;
	}
	error = record_to(ev, owner, ULSP_RING(ev->by.ring, ev->share), ULSP_MSG_ASK);
	if (error)
		ask_failed(ev, error == -ENOBUFS ? ULSP_REASON_RING_FULL : ULSP_REASON_ULSP_DOWN);
	return 0;
}

/* Nobody can wait any longer: the rule's fail mode decides. */
static __always_inline void waited_enough(struct event *ev)
{
	hold_end(ev);
	ask_failed(ev, ULSP_REASON_TIMEOUT);
}

/* For who can't wait outside the operation. */
static __always_inline void settle(void *ctx, struct event *ev, const struct sock_state *owner)
{
	if (settle_or_wait(ctx, ev, owner, ev->flags & ULSP_MSG_NO_TASK))
		waited_enough(ev);
}

#endif
