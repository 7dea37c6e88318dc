/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes as targets: what current may do to another process.  Process 1
 * manages what runs (it stops services), and so may the guarded ones: as
 * actors both are free, as targets the guarded are nobody's.
 */
#ifndef TARGET_BPF_H
#define TARGET_BPF_H

#include "reach.bpf.h"

static __always_inline int is_init(const struct task_struct *task)
{
	return task->tgid == 1;
}

static __always_inline int is_guarded(__u32 tgid)
{
	return bpf_map_lookup_elem(&guarded, &tgid) != NULL;
}

static __always_inline int reach_task(struct task_struct *task, __u32 kind)
{
	struct task_struct *me = bpf_get_current_task_btf();
	__u64 mine = tag_of(me), theirs;

	theirs = tag_of(task);
	if (mine == theirs)
		return 0;
	if (mine && is_guarded(task->tgid))
		return forbid(mine, ULSP_REACH_GUARD);
	/* A member may get the number of a daemon that was killed: it is none. */
	if (is_init(me) || me->tgid == task->tgid || (!mine && is_guarded(me->tgid)))
		return 0;
	return reach(mine, theirs, kind, task->tgid);
}

#endif
