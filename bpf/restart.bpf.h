/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Waiting longer than a program may: the system call is restarted, by the
 * kernel, until the verdict is there (6.18: bpf_task_work_schedule_signal).
 *
 * ERESTARTNOINTR is no errno: whoever doesn't go back to user space by a
 * system call's end would show it.  So it is only for a task that is in one of
 * the calls below by itself, and only after the flag is seen by which the
 * kernel looks at what the call returned.
 */
#ifndef RESTART_BPF_H
#define RESTART_BPF_H

#include "maps.bpf.h"

enum { ERESTARTNOINTR = 513 };

/*
 * The question that the task's call asked before it was restarted: HELD_NOT: none, or another
 * operation's; else it goes on, and is decided or not.
 */
extern int restart_found(struct event *ev);
/*
 * Whether the call will be restarted if it returns -ERESTARTNOINTR now.  All waiting of one call
 * takes `cap_ns` at most: it takes the processor meanwhile.
 */
extern int restart(struct event *ev, __u32 cap_ns);

/* The longest that all waiting of one call takes. */
enum { RESTARTED_NS = 5000000 };

/*
 * Groups within each other: all programs run again in a call that is restarted for one of them.
 * Those after it leave the call alone, which comes back.  Those before it judge it as it is now,
 * and don't count and tell once more what their rules allow.  Who restarted it takes the note of
 * that back first, so nobody else ever takes it for theirs.
 */
extern int restarted(const struct event *ev, __u32 cap_ns);
extern int restarted_for_other(const struct event *ev, __u64 cookie);

static __always_inline int may_be_restarted(void)
{
	__u32 zero = 0;
	const __u64 *until_ns;

	if (!knobs.restart_flag)
		return 0;
	until_ns = bpf_map_lookup_elem(&restarting, &zero);
	return until_ns && bpf_ktime_get_coarse_ns() < *(const volatile __u64 *)until_ns;
}

/* At a hook's start, with the call's own address in `to`.  1: another group restarts it. */
static __always_inline int comes_back(void *ctx, struct event *ev, enum hook hook)
{
	ev->hook = hook;
	ev->restarts = may_be_restarted();
	if (!ev->restarts)
		return 0;
	if (bpf_get_retval() == -ERESTARTNOINTR)
		return 1;
	ev->told = restarted_for_other(ev, hook == HOOK_SOCKET ? 0 : bpf_get_socket_cookie(ctx));
	return 0;
}

#endif
