/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets: which a member may create, and the tags that they get.
 *
 * A socket has its creator's tag, an accepted one its listener's (by
 * BPF_F_CLONE; UNIX sockets in unix.bpf.c).  One that was open before its
 * process was tagged gets the tag when the policy is loaded (tag_sockets), or
 * when it is next used.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "socket.bpf.h"

/* ---- what may be created ---- */

enum {
	FAMILY_NETLINK = 16,
	FAMILY_PACKET = 17,
	ROUTE = 0, /* NETLINK_ROUTE: what getaddrinfo and if_nameindex ask */
	MPTCP = 262,
};

enum { ALWAYS = -1 };

static __always_inline int inet_class(int type, int protocol)
{
	if (type == SOCK_RAW)
		return ULSP_PROTO_RAW;
	switch (protocol) {
	case 0:
		return type == SOCK_STREAM || type == SOCK_DGRAM ? ALWAYS : ULSP_PROTO_OTHER;
	case IPPROTO_TCP:
	case MPTCP:
	case IPPROTO_UDP:
		return ALWAYS;
	case IPPROTO_ICMP:
	case 58: /* IPPROTO_ICMPV6 */
		return ULSP_PROTO_ICMP;
	}
	/* UDP-Lite too: its sockets can't be looked up, so loopback isn't judged. */
	return ULSP_PROTO_OTHER;
}

/* enum ulsp_proto, or ALWAYS. */
static __always_inline int class_of(int family, int type, int protocol)
{
	switch (family) {
	case FAMILY_UNIX:
		return ULSP_PROTO_UNIX;
	case FAMILY_INET:
	case FAMILY_INET6:
		return inet_class(type, protocol);
	case FAMILY_NETLINK:
		return protocol == ROUTE ? ALWAYS : ULSP_PROTO_NETLINK;
	case FAMILY_PACKET:
		return ULSP_PROTO_PACKET;
	}
	return ULSP_PROTO_OTHER;
}

SEC("lsm/socket_create")
int BPF_PROG(lsm_socket_create, int family, int type, int protocol, int kern, int ret)
{
	__u32 at;
	__u64 mine;
	int class;

	if (ret)
		return ret;
	if (kern)
		return 0;
	mine = my_tag();
	if (!mine)
		return 0;
	class = class_of(family, type, protocol);
	if (class == ALWAYS)
		return 0;
	for (at = 0; at < ULSP_TAG_SLOTS; at++) {
		__u32 slot = tag_slot(mine, at), key = slot - 1;
		const struct ulsp_confine *c;

		if (!slot)
			break;
		c = bpf_map_lookup_elem(&confine, &key);
		if (!c || c->families >> class & 1 ||
		    (class == ULSP_PROTO_UNIX && !(c->flags & ULSP_CONFINE_UNIX)))
			continue;
		if (forbid(slot, ULSP_REACH_FAMILY))
			return -EPERM;
	}
	return 0;
}

/*
 * Options by which a socket of this host is reached unseen by a lookup of its
 * address (loopback.bpf.c): bound to a device, or by broadcast.
 */
SEC("lsm/socket_setsockopt")
int BPF_PROG(lsm_setsockopt, struct socket *sock, int level, int optname, int ret)
{
	enum { SOCKET_LEVEL = 1, BROADCAST = 6, BINDTODEVICE = 25, BINDTOIFINDEX = 62 };

	if (ret)
		return ret;
	if (level != SOCKET_LEVEL ||
	    (optname != BROADCAST && optname != BINDTODEVICE && optname != BINDTOIFINDEX))
		return 0;
	return forbid(my_tag(), ULSP_REACH_LOOPBACK);
}

/* ---- tags ---- */

/*
 * Sockets of members by executable that no group's cgroup has: programs on the root cgroup judge
 * them by this (knobs.by_exec).  Their creation was judged before, by nobody.
 */
static __always_inline int mark_by_exec(struct sock *sk, struct task_struct *task, __u64 exec)
{
	__u64 by_cgroup, only = 0;
	int full = 0;
	__u32 at;

	if (!exec)
		return 0;
	by_cgroup = cgroup_tag(task->cgroups->dfl_cgrp);
	for (at = 0; at < ULSP_TAG_SLOTS; at++)
		if (!tag_has(by_cgroup, tag_slot(exec, at)))
			only = tag_with(only, tag_slot(exec, at), &full);
	if (only && !bpf_sk_storage_get(&sk_exec, sk, &only, BPF_SK_STORAGE_GET_F_CREATE))
		return -ENOMEM;
	return 0;
}

/* Out of memory: the socket isn't made, rather than made without its tag or its policy. */
SEC("lsm/socket_post_create")
int BPF_PROG(lsm_socket_post_create, struct socket *sock, int family, int type, int protocol,
	     int kern, int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ulsp_task_tag *mine;
	struct sock *sk;

	if (ret)
		return ret;
	/* The kernel's own are nobody's, except MPTCP's subflows: TCP made in its caller's name. */
	if (kern && protocol != IPPROTO_TCP)
		return 0;
	mine = task_tag(task);
	if (!mine)
		return 0;
	sk = sock->sk;
	if (!sk)
		return 0;
	if (mine->all && sock_set_tag(sk, mine->all))
		return -ENOMEM;
	if (!kern && mark_by_exec(sk, task, mine->exec))
		return -ENOMEM;
	return 0;
}

static __always_inline int adopt(struct socket *sock)
{
	__u64 mine = my_tag();
	struct sock *sk;

	if (!mine)
		return 0;
	sk = sock->sk;
	if (sk)
		sock_adopt(sk, mine);
	return 0;
}

SEC("lsm/socket_listen")
int BPF_PROG(lsm_listen, struct socket *sock, int backlog, int ret)
{
	if (ret)
		return ret;
	return adopt(sock);
}

SEC("lsm/socket_accept")
int BPF_PROG(lsm_accept, struct socket *sock, struct socket *newsock, int ret)
{
	if (ret)
		return ret;
	return adopt(sock);
}

SEC("lsm/socket_connect")
int BPF_PROG(lsm_connect, struct socket *sock, struct sockaddr *address, int addrlen, int ret)
{
	if (ret)
		return ret;
	return adopt(sock);
}

/* ---- what is open already; run after tag_tasks ---- */

SEC("iter/task_file")
int tag_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct ulsp_task_tag *tag;
	struct socket *sock;
	struct sock *sk;

	if (!task || !file)
		return 0;
	tag = task_tag(task);
	if (!tag || !tag->all)
		return 0;
	sock = bpf_sock_from_file(file);
	if (!sock)
		return 0;
	sk = sock->sk;
	if (sk)
		sock_adopt(sk, tag->all);
	return 0;
}
