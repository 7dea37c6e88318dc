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

#endif
