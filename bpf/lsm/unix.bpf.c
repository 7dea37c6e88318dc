/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * UNIX sockets: connections, datagrams, and channels opened before tagging.
 *
 * Who uses a socket is judged by its own tag, and the socket by its: a member
 * that inherited one from outside is still a member, and a member's socket that
 * got out is still a member's.  The other end is always judged by its socket.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "socket.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 12);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ulsp_unix_path);
	__type(value, __u32);
} unix_paths SEC(".maps");

enum { LISTENING = 10 /* TCP_LISTEN, for UNIX sockets too */ };

/* The name that sk is bound to; 0: one that is worth a lookup. */
static __always_inline int unix_name(struct sock *sk, struct ulsp_unix_path *name)
{
	const struct unix_address *addr = BPF_CORE_READ((struct unix_sock *)sk, addr);
	__u32 length;

	if (!addr)
		return -1;
	length = BPF_CORE_READ(addr, len) - sizeof(__u16 /* sun_family */);
	if (length > sizeof(name->path))
		return -1;
	if (bpf_probe_read_kernel(name->path, length, &addr->name[0].sun_path))
		return -1;
	if (!name->path[0])
		name->path[0] = '@';
	else if (name->path[0] == '@')
		return -1; /* a relative path */
	return 0;
}

/* Of an outside socket, by its name: the groups of `tag` that don't name it as a peer. */
static __noinline __u64 unix_bound(__u64 tag, struct sock *outside)
{
	struct ulsp_unix_path name = {};
	__u32 at, kept = 0;
	__u64 rest = 0;
	int have = 0;

	for (at = 0; at < ULSP_TAG_SLOTS; at++) {
		__u32 slot = tag_slot(tag, at), key = slot - 1;
		const struct ulsp_confine *c;

		if (!slot)
			break;
		c = bpf_map_lookup_elem(&confine, &key);
		if (c && c->flags & ULSP_CONFINE_PATHS) {
			if (!have)
				have = unix_name(outside, &name) ? -1 : 1;
			name.slot = key;
			if (have > 0 && bpf_map_lookup_elem(&unix_paths, &name))
				continue;
		}
		rest |= (__u64)slot << (kept++ * ULSP_TAG_BITS);
	}
	return rest;
}

static __always_inline __u32 listener_tgid(struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != LISTENING)
		return 0;
	return BPF_CORE_READ(sk, sk_peer_pid, numbers[0].nr);
}

static __always_inline int unix_judge(__u64 mine, struct sock *sk, __u64 theirs, struct sock *other)
{
	if (mine == theirs)
		return 0;
	/* Only sockets outside have a name that counts: a member could bind any, in its view. */
	if (!theirs)
		mine = unix_bound(mine, other);
	else if (!mine)
		theirs = unix_bound(theirs, sk);
	return reach(mine, theirs, ULSP_REACH_UNIX, listener_tgid(other));
}

static __always_inline int unix_reach(__u64 mine, struct sock *sk, struct sock *other)
{
	__u64 own = sock_tag(sk), theirs = sock_tag(other);

	if (unix_judge(mine, sk, theirs, other))
		return -EPERM;
	if (own && own != mine && unix_judge(own, sk, theirs, other))
		return -EPERM;
	return 0;
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(lsm_unix_connect, struct sock *sock, struct sock *other, struct sock *newsk, int ret)
{
	__u64 theirs;

	if (ret)
		return ret;
	if (unix_reach(my_tag(), sock, other))
		return -EPERM;
	theirs = sock_tag(other);
	if (theirs && sock_set_tag(newsk, theirs))
		return -ENOMEM;
	return 0;
}

SEC("lsm/unix_may_send")
int BPF_PROG(lsm_unix_send, struct socket *sock, struct socket *other, int ret)
{
	struct sock *from, *to;

	if (ret)
		return ret;
	from = sock->sk;
	to = other->sk;
	if (!from || !to)
		return 0;
	return unix_reach(my_tag(), from, to);
}

/* Fails open for a splice from a socket, and to one before 6.5: no hook sees them. */
static __always_inline int channel(struct socket *sock)
{
	__u64 mine = my_tag();
	struct unix_sock *u;
	struct sock *sk, *peer;

	if (!mine)
		return 0;
	sk = sock->sk;
	if (!sk)
		return 0;
	if (sk->__sk_common.skc_family == FAMILY_UNIX) {
		u = bpf_skc_to_unix_sock(sk);
		peer = u ? u->peer : NULL;
		if (peer && unix_reach(mine, sk, peer))
			return -EPERM;
	}
	sock_adopt(sk, mine);
	return 0;
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(lsm_sendmsg, struct socket *sock, struct msghdr *msg, int size, int ret)
{
	if (ret)
		return ret;
	return channel(sock);
}

SEC("lsm/socket_recvmsg")
int BPF_PROG(lsm_recvmsg, struct socket *sock, struct msghdr *msg, int size, int flags, int ret)
{
	if (ret)
		return ret;
	return channel(sock);
}
