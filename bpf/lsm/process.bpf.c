/* SPDX-License-Identifier: GPL-2.0-only */
/* Processes: signals, tracing, and what tracing's permission opens. */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "target.bpf.h"

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
