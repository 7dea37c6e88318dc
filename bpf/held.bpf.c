// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which IPv4 and IPv6 sockets each process holds, and in which cgroup each was
 * made: hooks run for that one.  Read through an iterator (kernel 5.11), by
 * the loader when a group is put on a cgroup.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "held.h"

enum { FAMILY_INET = 2, FAMILY_INET6 = 10 };

SEC("iter/task_file")
int ulsp_held(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct held_socket held = {};
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = BPF_CORE_READ(socket, sk);
	if (!sk)
		return 0;
	held.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (held.family != FAMILY_INET && held.family != FAMILY_INET6)
		return 0;
	held.cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	held.inode = BPF_CORE_READ(file, f_inode, i_ino);
	held.tgid = task->tgid;
	held.fd = ctx->fd;
	held.type = BPF_CORE_READ(sk, sk_type);
	/* a full buffer is read and the item shown again */
	bpf_seq_write(ctx->meta->seq, &held, sizeof(held));
	return 0;
}
