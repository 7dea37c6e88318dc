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
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "target.bpf.h"

#define PROC_SUPER_MAGIC 0x9fa0

/* The thread group of a pid, or 0.  The directory of a thread has the thread's. */
static __always_inline __u32 pid_tgid(const struct pid *pid)
{
	const struct hlist_node *first = BPF_CORE_READ(pid, tasks[PIDTYPE_PID].first);
	const struct task_struct *task;

	if (!first)
		return 0; /* it has ended: there is nothing to read */
	task = (const void *)first - bpf_core_field_offset(struct task_struct, pid_links);
	return BPF_CORE_READ(task, tgid);
}

SEC("lsm/file_open")
int BPF_PROG(lsm_proc_open, struct file *file, int ret)
{
	const struct proc_inode *proc;
	const struct inode *inode;
	struct task_struct *me;
	const struct pid *pid;
	__u64 mine, *theirs;
	__u32 tgid;

	if (ret)
		return ret;
	inode = file->f_inode;
	if (inode->i_sb->s_magic != PROC_SUPER_MAGIC)
		return 0;
	proc = (const void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	pid = BPF_CORE_READ(proc, pid);
	if (!pid)
		return 0;
	tgid = pid_tgid(pid);
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
