/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Priorities, scheduling, limits and memory placement of another process: it
 * is acted upon as by a signal, and so is of that kind.  Reading them stays
 * possible (getpriority, sched_getscheduler, the old limits of prlimit: their
 * hooks don't say whose they are, or tell nothing that ps wouldn't).
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "target.bpf.h"

SEC("lsm/task_setnice")
int BPF_PROG(lsm_setnice, struct task_struct *task, int nice, int ret)
{
	if (ret)
		return ret;
	return reach_task(task, ULSP_REACH_SIGNAL);
}

SEC("lsm/task_setioprio")
int BPF_PROG(lsm_setioprio, struct task_struct *task, int ioprio, int ret)
{
	if (ret)
		return ret;
	return reach_task(task, ULSP_REACH_SIGNAL);
}

/* x86: a move to another cpuset asks for the same permission, and isn't judged here. */
static __always_inline int schedules(struct task_struct *me)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(me);

	switch ((__u32)regs->orig_ax & ~0x40000000 /* x32 */) {
	case 142: /* sched_setparam */
	case 144: /* sched_setscheduler */
	case 203: /* sched_setaffinity */
	case 314: /* sched_setattr */
	case 154: /* the same four of 32 bits */
	case 156:
	case 241:
	case 351:
		return 1;
	}
	return 0;
}

SEC("lsm/task_setscheduler")
int BPF_PROG(lsm_setscheduler, struct task_struct *task, int ret)
{
	if (ret)
		return ret;
	if (!schedules(bpf_get_current_task_btf()))
		return 0;
	return reach_task(task, ULSP_REACH_SIGNAL);
}

SEC("lsm/task_setrlimit")
int BPF_PROG(lsm_setrlimit, struct task_struct *task, unsigned int resource, struct rlimit *limit,
	     int ret)
{
	if (ret)
		return ret;
	return reach_task(task, ULSP_REACH_SIGNAL);
}

SEC("lsm/task_movememory")
int BPF_PROG(lsm_movememory, struct task_struct *task, int ret)
{
	if (ret)
		return ret;
	return reach_task(task, ULSP_REACH_SIGNAL);
}
