/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Decide: the group's table, and for `ask` rules the ULSP's cached verdicts.
 *
 * The walk over the table takes half of a program's 512 bytes of stack: it is
 * in functions of its own, which don't add up with those that come after it.
 */
#ifndef JUDGE_BPF_H
#define JUDGE_BPF_H

#include "cached.h"
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

/*
 * On x86 loads stay in order; elsewhere an atomic that returns a value keeps them so, at the
 * price of taking the cache line.
 */
static __always_inline __u64 load_state(struct ulsp_cache_entry *entry)
{
#ifdef __TARGET_ARCH_x86
	return *(const volatile __u64 *)&entry->state;
#else
	return __sync_fetch_and_add(&entry->state, 0);
#endif
}

/* Whether the entry is the key's; then its state and when it expires, of one moment. */
static __always_inline int read_entry(struct ulsp_cache_entry *entry,
				      const struct ulsp_cache_key *key, __u64 *state,
				      __u64 *expires_ns)
{
	*state = load_state(entry);
	if (ULSP_CACHE_GENERATION(*state) != knobs.generation ||
	    ulsp_cache_differs(entry->key.words, key->words))
		return 0;
	*expires_ns = *(const volatile __u64 *)&entry->expires_ns;
	return load_state(entry) == *state;
}

/*
 * One lookup in the cache; 1: it decided.  An unprivileged process wrote it: what is no verdict is
 * void.  `at` has the place for the lookup: the stack has none to spare.
 */
static __always_inline int ask_cache(struct event *ev, void *cache,
				     const struct ulsp_cache_key *key, __u32 *at)
{
	struct ulsp_cache_entry *entry;
	__u64 state, expires_ns, now;
	struct ulsp_cache_set *set;
	__u32 way;
	int error;

	*at = ulsp_cache_set_of(key);
	set = bpf_map_lookup_elem(cache, at);
	if (!set)
		return 0;
#pragma unroll
	for (way = 0; way < ULSP_CACHE_WAYS; way++) {
		entry = &set->ways[way];
		if (read_entry(entry, key, &state, &expires_ns))
			goto found;
	}
	return 0;
found:
	/* The tick's clock (5.11) is late by its length at most, and takes no time. */
	now = bpf_ktime_get_coarse_ns();
	error = ULSP_CACHE_ERROR(state);
	if (expires_ns <= now || !ulsp_cache_is_verdict(error))
		return 0;
	/* For who looks for an entry to replace: rarely, so that readers don't write. */
	if (now - *(const volatile __u64 *)&entry->used_ns >= ULSP_CACHE_USED_NS)
		*(volatile __u64 *)&entry->used_ns = now;
	if (error)
		verdict_deny(ev, error, ULSP_REASON_CACHED);
	else
		verdict_allow(ev, ULSP_REASON_CACHED);
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

/*
 * What the ULSP said before, as long as it is good: it outlives the ULSP.  Scopes that its page
 * names are looked up; the narrowest verdict counts.  1: it decided.  No page: no such ULSP.
 */
static __always_inline int ask_cached(struct event *ev, const struct sock_state *owner,
				      const struct ulsp_page **ret_page)
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
	__u32 at = ev->by.ring, scopes;
	void *page = bpf_map_lookup_elem(&pages, &at);
	void *cache = bpf_map_lookup_elem(&caches, &at);

	at = 0;
	*ret_page = page ? bpf_map_lookup_elem(page, &at) : NULL;
	if (!*ret_page || !cache)
		return 0;
	scopes = (*ret_page)->scopes;
	put_addr(key.addr, ev->key.addr, ev->key.family);
	if (scopes & 1 << ULSP_SCOPE_PROCESS_FLOW && ask_process(ev, owner, &key)) {
		if (ask_cache(ev, cache, &key, &at))
			return 1;
		key.tgid = 0;
		key.start_ns = 0;
	}
	key.scope = ULSP_SCOPE_FLOW;
	if (scopes & 1 << ULSP_SCOPE_FLOW && ask_cache(ev, cache, &key, &at))
		return 1;
	key.port = 0;
	key.scope = ULSP_SCOPE_DESTINATION;
	if (scopes & 1 << ULSP_SCOPE_DESTINATION && ask_cache(ev, cache, &key, &at))
		return 1;
	if (!(scopes & 1 << ULSP_SCOPE_PROCESS))
		return 0;
	/* Neither the address counts nor, with it, family and protocol. */
	key.family = 0;
	key.proto = 0;
	__builtin_memset(key.addr, 0, sizeof(key.addr));
	key.scope = ULSP_SCOPE_PROCESS;
	return ask_process(ev, owner, &key) && ask_cache(ev, cache, &key, &at);
}

/*
 * The first half of `ask`: a cached verdict, or the rule's fail mode when the
 * ULSP is down.  1: neither, it is to be asked.
 */
GLOBAL int ask(struct event *ev, const struct sock_state *owner)
{
	const struct ulsp_page *page;
	__u64 heartbeat_ns, now;

	if (!ev)
		return 0;
	if (ask_cached(ev, owner, &page))
		return 0;
	if (!page) { /* no such ULSP: the fail mode decides */
		ask_failed(ev, ULSP_REASON_ULSP_DOWN);
		return 0;
	}
	ev->share = share_of(ev, ev->by.ring);
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
 * The same lookup where it comes first, without a call: what a cached verdict allows costs little
 * more than what a rule does.  Not in a call that may have been restarted: its question has a slot
 * to be given back.
 */
static __always_inline void ask_cached_first(struct event *ev)
{
	const struct ulsp_page *page;

	if (!(knobs.flags & ULSP_KNOB_ASK) || ev->verdict != ULSP_VERDICT_ASK || ev->restarts)
		return;
	ask_cached(ev, NULL, &page);
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
	if (knobs.flags & ULSP_KNOB_HOLD && !busy && ev->restarts) {
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
