/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP and UDP within the host: connect and sendto look the address up among the
 * sockets of their network namespace and judge the two sockets' tags.
 *
 * For the cgroup root, while some group isolates loopback; programs of cgroups
 * below run first, so an address that they rewrote is the one judged.  The
 * actor is ctx->sk by its tag: task storage isn't to be had here before 7.2.
 * Sockets bound to a device aren't found, nor those of multicast and broadcast:
 * members may use none of these (socket.bpf.c).
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "reach.bpf.h"

#define LOOPBACK_V4 bpf_htonl(0x7f000001)
#define MAPPED	    bpf_htonl(0xffff)

static __always_inline __u64 tag_of_sock(struct bpf_sock *sk)
{
	__u64 *tag = bpf_sk_storage_get(&sk_tags, sk, NULL, 0);

	return tag ? *tag : 0;
}

/* 1: go on; 0: denied, with EPERM. */
static __always_inline int verdict(int ret)
{
	if (!ret)
		return 1;
	bpf_set_retval(-EPERM);
	return 0;
}

/* The socket that a packet from `mine`'s would arrive at. */
static __always_inline int judge(struct bpf_sock_addr *ctx, __u64 mine,
				 struct bpf_sock_tuple *tuple, __u32 size)
{
	struct bpf_sock *other;
	__u64 theirs;

	if (ctx->protocol == IPPROTO_UDP)
		other = bpf_sk_lookup_udp(ctx, tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		other = bpf_sk_lookup_tcp(ctx, tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!other)
		return 0;
	theirs = tag_of_sock(other);
	bpf_sk_release(other);
	return reach(mine, theirs, ULSP_REACH_LOOPBACK, 0);
}

static __always_inline int judge_v4(struct bpf_sock_addr *ctx, __u64 mine, __u32 from, __u16 sport,
				    __u32 to)
{
	struct bpf_sock_tuple tuple = {};

	if (bpf_ntohl(to) >> 28 == 0xe)
		return forbid(mine, ULSP_REACH_LOOPBACK);
	if (!to) /* the kernel's word for loopback */
		to = LOOPBACK_V4;
	if (!from)
		from = (bpf_ntohl(to) >> 24 == 127) ? LOOPBACK_V4 : to;
	tuple.ipv4.saddr = from;
	tuple.ipv4.daddr = to;
	tuple.ipv4.sport = sport;
	tuple.ipv4.dport = (__u16)ctx->user_port;
	return judge(ctx, mine, &tuple, sizeof(tuple.ipv4));
}

static __always_inline int from_v4(struct bpf_sock_addr *ctx, __u32 source)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || !ctx->user_port || bpf_get_retval())
		return 1;
	return verdict(judge_v4(ctx, tag_of_sock(sk), source ?: sk->src_ip4,
				bpf_htons((__u16)sk->src_port), ctx->user_ip4));
}

static __always_inline int from_v6(struct bpf_sock_addr *ctx, const __u32 *source)
{
	struct bpf_sock *sk = ctx->sk;
	struct bpf_sock_tuple tuple = {};
	__u32 to[4];
	__u16 sport;
	__u64 mine;
	int any;

	if (!sk || !ctx->user_port || bpf_get_retval())
		return 1;
	mine = tag_of_sock(sk);
	sport = bpf_htons((__u16)sk->src_port);
	to[0] = ctx->user_ip6[0];
	to[1] = ctx->user_ip6[1];
	to[2] = ctx->user_ip6[2];
	to[3] = ctx->user_ip6[3];
	any = !(to[0] | to[1] | to[2] | to[3]);
	if (!(to[0] | to[1]) && to[2] == MAPPED)
		return verdict(judge_v4(ctx, mine, sk->src_ip4, sport, to[3]));
	if (bpf_ntohl(to[0]) >> 24 == 0xff)
		return verdict(forbid(mine, ULSP_REACH_LOOPBACK));
	/* :: is ::1, or 127.0.0.1 for a socket that is bound to a mapped address. */
	if (any && judge_v4(ctx, mine, 0, sport, LOOPBACK_V4))
		return verdict(-EPERM);
	if (any)
		to[3] = bpf_htonl(1);
	tuple.ipv6.daddr[0] = tuple.ipv6.saddr[0] = to[0];
	tuple.ipv6.daddr[1] = tuple.ipv6.saddr[1] = to[1];
	tuple.ipv6.daddr[2] = tuple.ipv6.saddr[2] = to[2];
	tuple.ipv6.daddr[3] = tuple.ipv6.saddr[3] = to[3];
	if (source[0] | source[1] | source[2] | source[3]) {
		tuple.ipv6.saddr[0] = source[0];
		tuple.ipv6.saddr[1] = source[1];
		tuple.ipv6.saddr[2] = source[2];
		tuple.ipv6.saddr[3] = source[3];
	}
	tuple.ipv6.sport = sport;
	tuple.ipv6.dport = (__u16)ctx->user_port;
	return verdict(judge(ctx, mine, &tuple, sizeof(tuple.ipv6)));
}

SEC("cgroup/connect4")
int loopback_connect4(struct bpf_sock_addr *ctx)
{
	return from_v4(ctx, 0);
}

SEC("cgroup/sendmsg4")
int loopback_sendmsg4(struct bpf_sock_addr *ctx)
{
	return from_v4(ctx, ctx->msg_src_ip4);
}

SEC("cgroup/connect6")
int loopback_connect6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 source[4] = {};

	if (sk) {
		source[0] = sk->src_ip6[0];
		source[1] = sk->src_ip6[1];
		source[2] = sk->src_ip6[2];
		source[3] = sk->src_ip6[3];
	}
	return from_v6(ctx, source);
}

SEC("cgroup/sendmsg6")
int loopback_sendmsg6(struct bpf_sock_addr *ctx)
{
	__u32 source[4];

	source[0] = ctx->msg_src_ip6[0];
	source[1] = ctx->msg_src_ip6[1];
	source[2] = ctx->msg_src_ip6[2];
	source[3] = ctx->msg_src_ip6[3];
	return from_v6(ctx, source);
}
