/* SPDX-License-Identifier: GPL-2.0-only */
/* Processes: signals, tracing, and what tracing's permission opens. */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "reach.bpf.h"

/* Process 1 manages what runs: it stops services. */
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
	__u64 mine = tag_of(me);

	if (mine && is_guarded(task->tgid))
		return forbid(mine, ULSP_REACH_GUARD);
	if (is_init(me) || me->tgid == task->tgid || is_guarded(me->tgid))
		return 0;
	return reach(mine, tag_of(task), kind, task->tgid);
}

SEC("lsm/task_kill")
int BPF_PROG(lsm_kill, struct task_struct *task, struct kernel_siginfo *info, int sig,
	     const struct cred *cred, int ret)
{
	if (ret)
		return ret;
	return reach_task(task, ULSP_REACH_SIGNAL);
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(lsm_ptrace, struct task_struct *child, unsigned int mode, int ret)
{
	if (ret)
		return ret;
	return reach_task(child, ULSP_REACH_PTRACE);
}

SEC("lsm/ptrace_traceme")
int BPF_PROG(lsm_traceme, struct task_struct *parent, int ret)
{
	if (ret)
		return ret;
	return reach_task(parent, ULSP_REACH_PTRACE);
}
