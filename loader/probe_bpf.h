/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trying what the kernel does with tiny programs and maps, by bpf(2) itself:
 * nothing is attached and nothing is left.  Each call returns 0, or -errno with
 * the reason in `why`.
 */
#ifndef PROBE_BPF_H
#define PROBE_BPF_H

#include <bpf/bpf.h>

struct probe_why {
	char text[160];
};

/* "return 1" of this type; a program type may be known and the attach type not. */
int probe_prog(enum bpf_prog_type type, enum bpf_attach_type attach, struct probe_why *why);
/* The same calling a helper with zeroed scalars; fails when the type may not call it. */
int probe_set_retval(enum bpf_prog_type type, enum bpf_attach_type attach, struct probe_why *why);
/* Reading the current task through its BTF pointer. */
/* The kernel's types, as loading reads them. */
int probe_kernel_types(struct probe_why *why);
/* By the kernel's types: whether a program can have a task's system call restarted. */
int probe_restart(struct probe_why *why);
int probe_task_btf(enum bpf_prog_type type, enum bpf_attach_type attach, struct probe_why *why);
int probe_syscall_prog(struct probe_why *why);
int probe_lsm(struct probe_why *why);

int probe_ringbuf(struct probe_why *why);
int probe_ringbuf_array(struct probe_why *why); /* array of ring buffers of different sizes */
int probe_lru_array(struct probe_why *why);
int probe_mmapable(struct probe_why *why);
int probe_sk_storage(struct probe_why *why);
int probe_frozen_table(struct probe_why *why);

/* Creates, replaces and drops a link on this cgroup directory; the program allows everything. */
int probe_link(int cgroup_fd, struct probe_why *why);

#endif
