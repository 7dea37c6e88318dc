/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files and directories below /proc/PID and /proc/PID/task/TID: opening one
 * reaches that process.  Members are kept from reading what outside runs and
 * with which arguments, and the other way round; process 1 and the guarded
 * ones may look at everybody.
 *
 * Links (exe, cwd, fd/N) ask for tracing's permission instead, kind PTRACE.
 * What stays visible: the numbers of the processes in /proc, and stat(2) of
 * names below them, of which the user and group are told.
 */
#ifndef PROC_BPF_H
#define PROC_BPF_H

#include "places.bpf.h"
#include "target.bpf.h"

/* `magic`: its filesystem. */
static __always_inline int proc_open(struct inode *inode, __u64 magic)
{
	struct task_struct *me;
	__u64 mine, *theirs;
	__u32 tgid;

	if (magic != MAGIC_PROC)
		return 0;
	tgid = proc_tgid(inode); /* a thread's directory has its process's */
	me = bpf_get_current_task_btf();
	if (!tgid || tgid == (__u32)me->tgid)
		return 0;
	mine = tag_of(me);
	theirs = bpf_map_lookup_elem(&tgid_tags, &tgid);
	if (!mine && !theirs)
		return 0;
	if (mine && is_guarded(tgid))
		return forbid(mine, ULSP_REACH_GUARD);
	if (is_init(me) || (!mine && is_guarded(me->tgid)))
		return 0;
	return reach(mine, theirs ? *theirs : 0, ULSP_REACH_PROC, tgid);
}

#endif
