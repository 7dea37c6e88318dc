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

/*
 * Groups within each other: all programs run again in a call that is restarted for one of them.
 * Those before it let the call pass without judging it twice, and give it the address that it had
 * when the group saw it; those after it haven't seen it yet and don't now.
 */
extern int restarted_for_other(struct event *ev, __u64 cookie);

static __always_inline int may_be_restarted(void)
{
	__u32 zero = 0;
	const __u64 *until_ns;

	if (!knobs.restart_flag)
		return 0;
	until_ns = bpf_map_lookup_elem(&restarting, &zero);
	return until_ns && bpf_ktime_get_coarse_ns() < *(const volatile __u64 *)until_ns;
}

/* At a hook's start.  1: the call passes. */
static __always_inline int passes(void *ctx, struct event *ev, enum hook hook)
{
	ev->hook = hook;
	if (!may_be_restarted())
		return 0;
	if (bpf_get_retval() == -ERESTARTNOINTR)
		return 1;
	return restarted_for_other(ev, hook == HOOK_SOCKET ? 0 : bpf_get_socket_cookie(ctx));
}

#endif
