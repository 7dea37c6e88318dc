/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Enforce: the outer wrapper of every program.
 *
 * After the table's decision: ask if the rule says so, count, send messages,
 * and say whether the kernel refuses the operation.  Audit mode flips the
 * verdict in refused() and nowhere else.
 */
#ifndef ENFORCE_BPF_H
#define ENFORCE_BPF_H

#include "judge.bpf.h"

/*
 * A program of another group refused already: its errno stands (since 5.18).
 * Looked up only by who wants to refuse or ask; what this group allows counts as
 * allowed all the same.
 */
static __always_inline int refused_before(void)
{
	return bpf_get_retval() < 0;
}

static __always_inline int refused(const struct event *ev)
{
	return ev->error && !(ev->flags & ULSP_MSG_AUDIT);
}

/* Counters and messages of a decision.  Whether it is enforced. */
static __always_inline int finish(void *ctx, struct event *ev, const struct sock_state *owner)
{
	__u32 want = record_rings(ev);

	count(ev);
	if (want) {
		ev->cookie = bpf_get_socket_cookie(ctx);
		record(ev, owner, want);
	}
	return refused(ev);
}

/* The helper as the verifier sees it: 7.2 wants all 64 bits provably in [-4095, 0]. */
static long (*const set_retval)(long error) = (void *)BPF_FUNC_set_retval;

/* Counts, tells, and fails the system call with the decision's errno (sock and sock_addr,
 * since 6.1). */
static __always_inline int conclude(void *ctx, struct event *ev)
{
	long error;

	if (!finish(ctx, ev, NULL))
		return GO;
	error = ev->error;
	barrier_var(error);
	if (error < -4095 || error > -1)
		error = -EPERM;
	set_retval(error);
	return REFUSE;
}

/* The call is made again: then it returns what the program does. */
static __always_inline int again(struct event *ev, __u32 cap_ns)
{
	if (!knobs.restart_flag || !restart(ev, cap_ns))
		return 0;
	restarted(ev, cap_ns);
	set_retval(-ERESTARTNOINTR);
	return 1;
}

/* After settle_or_wait(): the call is made again, or ends by the fail mode. */
static __always_inline int wait_or_fail(void *ctx, struct event *ev)
{
	if (again(ev, RESTARTED_NS))
		return REFUSE;
	waited_enough(ev);
	return conclude(ctx, ev);
}

/* After ask_cached_first(). */
static __always_inline int enforce_rest(void *ctx, struct event *ev)
{
	if (ev->verdict == ULSP_VERDICT_ALLOW && ev->told)
		return GO;
	if (ev->verdict != ULSP_VERDICT_ALLOW && refused_before())
		return GO;
	if (settle_or_wait(ctx, ev, NULL, 0))
		return wait_or_fail(ctx, ev);
	return conclude(ctx, ev);
}

static __always_inline int enforce(void *ctx, struct event *ev)
{
	ask_cached_first(ev);
	return enforce_rest(ctx, ev);
}

/*
 * A socket on :: without IPV6_V6ONLY takes 0.0.0.0 as well: both are judged and
 * either denies.  ev is that of ::, judged already; it becomes the deciding one.
 */
static __always_inline void judge_both(void *ctx, struct event *ev, const struct sock_state *owner)
{
	struct dec_rule by;
	__u8 reason;
	__u32 rule, asked;

	settle(ctx, ev, owner);
	if (ev->error)
		return;
	asked = ev->reason == ULSP_REASON_ANSWERED ? ev->by.id : 0;
	by = ev->by;
	rule = ev->rule;
	reason = ev->reason;
	ev->key.family = DEC_V4;
	judge_any(ev);
	/* One answer is for both. */
	if (ev->verdict == ULSP_VERDICT_ASK && asked && ev->by.id == asked)
		verdict_allow(ev, ULSP_REASON_ANSWERED);
	settle(ctx, ev, owner);
	if (ev->error)
		return;
	ev->key.family = DEC_V6;
	ev->by = by;
	ev->rule = rule;
	ev->reason = reason;
}

#endif
