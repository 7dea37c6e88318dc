/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Descriptors that arrive: by SCM_RIGHTS, pidfd_getfd, seccomp's add, binder.
 *
 * The sender was judged where it sent; here it is what the descriptor is.  A
 * denied SCM_RIGHTS is a successful recvmsg with MSG_CTRUNC and without it.
 * pidfds need nothing: what is done by them is judged when it is done.
 */
#ifndef PASSING_BPF_H
#define PASSING_BPF_H

#include "socket.bpf.h"

#define ANON_INODE_MAGIC 0x09041934

/* "bpf-map", "bpf-prog", "bpf_link", "bpf_iter": a mapped array needs no bpf(2) to be written. */
static __always_inline int is_bpf(const struct file *file)
{
	const unsigned char *name;
	char head[4] = {};

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_MAGIC)
		return 0;
	name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	bpf_probe_read_kernel_str(head, sizeof(head), name);
	return head[0] == 'b' && head[1] == 'p' && head[2] == 'f';
}

static __always_inline int passed(struct file *file)
{
	__u64 mine = my_tag();
	struct socket *sock;
	struct sock *sk;

	sock = bpf_sock_from_file(file);
	if (!sock)
		return mine && is_bpf(file) ? forbid(mine, ULSP_REACH_GUARD) : 0;
	sk = sock->sk;
	if (!sk)
		return 0;
	return reach(mine, sock_tag(sk), ULSP_REACH_UNIX, 0);
}

#endif
