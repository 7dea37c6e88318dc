/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * connect(2), sendto(2) with an address, bind(2): hooks that see the address
 * in the calling process's context.
 *
 * Facts:
 *  - TCP to ::ffff:a.b.c.d runs connect6; a UDP sendto there runs sendmsg4, and
 *    so does every send of a UDP socket that is connected to such an address.
 *  - An IPv6 UDP socket that is given a sockaddr_in runs connect4 or sendmsg4.
 *  - The kernel takes AF_UNSPEC in sendto on an IPv4 UDP socket for AF_INET; in
 *    connect it disconnects and runs no hook.
 *  - A send on a connected UDP socket that carries control messages runs the
 *    sendmsg hook with an AF_UNSPEC address of zeros.
 *  - An unspecified destination means this host: 0.0.0.0 becomes the source
 *    address or 127.0.0.1, :: becomes ::1, or 127.0.0.1 on a socket bound to a
 *    mapped address; after the hook, so it is judged as what it becomes.
 *  - Ping sockets run connect hooks since 6.1; raw sockets run none of these,
 *    nor do ping sockets in sendto: cgroup_skb/egress judges their packets.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "park.bpf.h"

enum { TCP_ESTABLISHED_STATE = 1 };

JUDGE(judge_connect4, ULSP_OP_CONNECT, DEC_V4)
JUDGE(judge_connect6, ULSP_OP_CONNECT, DEC_V6)
JUDGE(judge_sendmsg4, ULSP_OP_SENDTO, DEC_V4)
JUDGE(judge_sendmsg6, ULSP_OP_SENDTO, DEC_V6)

static __always_inline void who(struct bpf_sock_addr *ctx, struct event *ev, __u8 op, __u8 family)
{
	ev->key.op = op;
	ev->key.family = family;
	ev->key.proto = proto_class(ctx->type, ctx->protocol);
	ev->ip_proto = ip_proto(ctx->protocol);
	if (has_ports(ev->key.proto))
		ev->key.port = bpf_ntohs((__be16)ctx->user_port);
	task_key(ev);
}

/*
 * Where the socket is bound: the other end of connect and sendto.  ctx->sk is
 * loaded once in each program: of two loads clang makes one at a computed
 * offset, which the verifier refuses.
 */
static __always_inline void local_v4(struct bpf_sock *sk, struct event *ev)
{
	if (!sk)
		return;
	addr_v4(ev->key.addr2, sk->src_ip4);
	if (has_ports(ev->key.proto))
		ev->key.port2 = sk->src_port;
}

static __always_inline void local_v6(struct bpf_sock *sk, struct event *ev)
{
	if (!sk)
		return;
	addr_v6(ev->key.addr2, sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]);
	if (has_ports(ev->key.proto))
		ev->key.port2 = sk->src_port;
}

/* The address of the call in ev->key, as IPv6.  Whether it is an IPv4 address. */
static __always_inline int user_v6(struct bpf_sock_addr *ctx, struct event *ev)
{
	addr_v6(ev->key.addr, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
		ctx->user_ip6[3]);
	return is_mapped(ev->key.addr);
}

/* What is left of a mapped operation: the same on IPv4. */
static __always_inline void as_v4(struct event *ev)
{
	ev->key.family = DEC_V4;
	ev->flags |= ULSP_MSG_MAPPED;
	unmap(ev->key.addr);
	unmap(ev->key.addr2);
}

enum { LOOPBACK_V4 = 0x7f000001 };

/*
 * connect(2) to 0.0.0.0.  A socket that is bound to a broadcast or multicast address sends from
 * none, which the hook can't see: both that can come of it are judged, and either denies.
 */
static __always_inline void judge_connect_v4(struct event *ev)
{
	if (ev->key.addr[0]) {
		judge_connect4(ev);
		return;
	}
	ev->key.addr[0] = LOOPBACK_V4;
	judge_connect4(ev);
	limit(ev, NULL); /* within its rate the other is judged too */
	if (ev->verdict != ULSP_VERDICT_ALLOW || !ev->key.addr2[0])
		return;
	ev->key.addr[0] = ev->key.addr2[0];
	judge_connect4(ev);
}

/* Whether the address is an IPv4 one then. */
static __always_inline int unspecified_v6(struct event *ev, int mapped)
{
	if (mapped || !is_any(ev->key.addr))
		return mapped;
	if (!is_mapped(ev->key.addr2)) {
		ev->key.addr[3] = 1;
		return 0;
	}
	ev->key.addr[2] = 0xffff;
	ev->key.addr[3] = LOOPBACK_V4;
	return 1;
}

/* The address as the call has it. */
static __always_inline void own_v4(const struct bpf_sock_addr *ctx, struct event *ev)
{
	*(__u32 *)ev->to = ctx->user_ip4;
	ev->to_port = bpf_ntohs((__be16)ctx->user_port);
}

static __always_inline void own_v6(const struct bpf_sock_addr *ctx, struct event *ev)
{
	__u32 *to = (__u32 *)ev->to;

	to[0] = ctx->user_ip6[0];
	to[1] = ctx->user_ip6[1];
	to[2] = ctx->user_ip6[2];
	to[3] = ctx->user_ip6[3];
	ev->to_port = bpf_ntohs((__be16)ctx->user_port);
}

/* The address that the ULSP chose instead, where it did. */
static __always_inline int readdress4(struct bpf_sock_addr *ctx, const struct event *ev, int ret)
{
	if (knobs.flags & ULSP_KNOB_HOLD && ret == GO && ev->rewrite) {
		ctx->user_ip4 = *(const __u32 *)ev->to;
		ctx->user_port = bpf_htons((__u16)ev->to_port);
	}
	return ret;
}

static __always_inline int readdress6(struct bpf_sock_addr *ctx, const struct event *ev, int ret)
{
	const __u32 *to = (const __u32 *)ev->to;

	if (!(knobs.flags & ULSP_KNOB_HOLD) || ret != GO || !ev->rewrite)
		return ret;
	ctx->user_port = bpf_htons((__u16)ev->to_port);
	if (ev->rewrite == 4) { /* mapped it stays */
		ctx->user_ip6[0] = 0;
		ctx->user_ip6[1] = 0;
		ctx->user_ip6[2] = bpf_htonl(0xffff);
		ctx->user_ip6[3] = to[0];
	} else {
		ctx->user_ip6[0] = to[0];
		ctx->user_ip6[1] = to[1];
		ctx->user_ip6[2] = to[2];
		ctx->user_ip6[3] = to[3];
	}
	return ret;
}

/* For a ULSP to be woken and to answer: that is sooner than by way of the daemon. */
enum { UNPARKED_NS = 300000 };

/* A TCP connection can wait outside the call. */
static __always_inline int enforce_connect(struct bpf_sock_addr *ctx, struct bpf_sock *sk,
					   struct event *ev)
{
	if (ev->told && ev->verdict == ULSP_VERDICT_ALLOW)
		return GO;
	ask_cached_first(ev);
	if (!(knobs.flags & ULSP_KNOB_HOLD) || !parkable(ctx, sk))
		return enforce_rest(ctx, ev);
	unpark(sk);
	if (ev->verdict != ULSP_VERDICT_ALLOW && refused_before())
		return GO;
	if (!settle_or_wait(ctx, ev, NULL, 0))
		return conclude(ctx, ev);
	if (hold_elsewhere(ev) && again(ev, UNPARKED_NS))
		return REFUSE;
	if (!park(ctx, sk, ev))
		return wait_or_fail(ctx, ev);
	count_reason(ULSP_REASON_HELD);
	return GO;
}

SEC("cgroup/connect4")
int ulsp_connect4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct event ev = {};

	if (foreign(sk))
		return GO;
	own_v4(ctx, &ev);
	if (comes_back(ctx, &ev, HOOK_CONNECT4))
		return GO;
	who(ctx, &ev, ULSP_OP_CONNECT, DEC_V4);
	addr_v4(ev.key.addr, ctx->user_ip4);
	local_v4(sk, &ev);
	judge_connect_v4(&ev);
	return readdress4(ctx, &ev, enforce_connect(ctx, sk, &ev));
}

SEC("cgroup/connect6")
int ulsp_connect6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct event ev = {};
	int mapped;

	if (foreign(sk))
		return GO;
	own_v6(ctx, &ev);
	if (comes_back(ctx, &ev, HOOK_CONNECT6))
		return GO;
	who(ctx, &ev, ULSP_OP_CONNECT, DEC_V6);
	mapped = user_v6(ctx, &ev);
	local_v6(sk, &ev);
	if (unspecified_v6(&ev, mapped)) {
		as_v4(&ev);
		judge_connect_v4(&ev);
	} else {
		judge_connect6(&ev);
	}
	return readdress6(ctx, &ev, enforce_connect(ctx, sk, &ev));
}

/* The call names no address: the socket is connected and that was judged. */
static __always_inline int unaddressed(struct bpf_sock_addr *ctx)
{
	return !ctx->user_family && !ctx->user_port;
}

/* An IPv6 UDP socket that sends to the IPv4 address that it is connected to. */
static __always_inline int connected_mapped(struct bpf_sock_addr *ctx, struct bpf_sock *sk)
{
	return sk && sk->family == AF_INET6 && sk->state == TCP_ESTABLISHED_STATE &&
	       !(sk->dst_ip6[0] | sk->dst_ip6[1]) && sk->dst_ip6[2] == bpf_htonl(0xffff) &&
	       sk->dst_ip6[3] == ctx->user_ip4 && ctx->user_ip4 &&
	       sk->dst_port == (__be16)ctx->user_port;
}

/* sendto(2) to 0.0.0.0: `source` is what the kernel sends from. */
static __always_inline void unspecified_v4(struct event *ev, __be32 source)
{
	if (!ev->key.addr[0])
		ev->key.addr[0] = source ? bpf_ntohl(source) : LOOPBACK_V4;
}

SEC("cgroup/sendmsg4")
int ulsp_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct event ev = {};

	if (unaddressed(ctx) || connected_mapped(ctx, sk) || foreign(sk))
		return GO;
	own_v4(ctx, &ev);
	if (comes_back(ctx, &ev, HOOK_SENDMSG4))
		return GO;
	who(ctx, &ev, ULSP_OP_SENDTO, DEC_V4);
	addr_v4(ev.key.addr, ctx->user_ip4);
	local_v4(sk, &ev);
	if (ctx->msg_src_ip4) /* IP_PKTINFO goes before bind */
		addr_v4(ev.key.addr2, ctx->msg_src_ip4);
	if (ctx->family == AF_INET6)
		ev.flags |= ULSP_MSG_MAPPED;
	unspecified_v4(&ev, ctx->msg_src_ip4);
	judge_sendmsg4(&ev);
	return readdress4(ctx, &ev, enforce(ctx, &ev));
}

SEC("cgroup/sendmsg6")
int ulsp_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct event ev = {};
	int mapped;

	if (unaddressed(ctx) || foreign(sk))
		return GO;
	own_v6(ctx, &ev);
	if (comes_back(ctx, &ev, HOOK_SENDMSG6))
		return GO;
	who(ctx, &ev, ULSP_OP_SENDTO, DEC_V6);
	mapped = user_v6(ctx, &ev);
	local_v6(sk, &ev);
	if (ctx->msg_src_ip6[0] | ctx->msg_src_ip6[1] | ctx->msg_src_ip6[2] | ctx->msg_src_ip6[3])
		addr_v6(ev.key.addr2, ctx->msg_src_ip6[0], ctx->msg_src_ip6[1], ctx->msg_src_ip6[2],
			ctx->msg_src_ip6[3]);
	if (unspecified_v6(&ev, mapped)) {
		as_v4(&ev);
		unspecified_v4(&ev, 0);
		judge_sendmsg4(&ev);
	} else {
		judge_sendmsg6(&ev);
	}
	return readdress6(ctx, &ev, enforce(ctx, &ev));
}

/* Whether the socket is bound for IPv6 only.  Others than TCP and UDP: no, which judges more. */
static __always_inline __u8 v6only(struct bpf_sock *sk)
{
	struct tcp6_sock *tcp;
	struct udp6_sock *udp;

	if (!sk)
		return 0;
	tcp = bpf_skc_to_tcp6_sock(sk);
	if (tcp)
		return BPF_CORE_READ_BITFIELD(&tcp->tcp.inet_conn.icsk_inet.sk.__sk_common,
					      skc_ipv6only);
	udp = bpf_skc_to_udp6_sock(sk);
	if (udp)
		return BPF_CORE_READ_BITFIELD(&udp->udp.inet.sk.__sk_common, skc_ipv6only);
	return 0;
}

/*
 * A bind to port 0 is judged in post_bind, by the port that the kernel chose.
 * Whether post_bind will know: it is noted on the socket.
 */
static __always_inline int bind_later(struct bpf_sock *sk, const struct event *ev, __u8 only_v6)
{
	struct sock_state *s;
	int zero = has_ports(ev->key.proto) && !ev->key.port;

	if (!sk)
		return 0;
	s = bpf_sk_storage_get(&socks, sk, NULL, zero ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!s) {
		/* Out of memory: judged now, as port 0. */
		if (zero)
			count_reason(ULSP_REASON_NO_STATE);
		return 0;
	}
	/* For good: another thread's bind of the socket must not take this one's judgement away. */
	if (zero)
		s->bind_pending = 1;
	s->v6only = only_v6;
	return zero;
}

SEC("cgroup/bind4")
int ulsp_bind4(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct event ev = {};

	if (foreign(sk))
		return GO;
	own_v4(ctx, &ev);
	if (comes_back(ctx, &ev, HOOK_BIND4))
		return GO;
	who(ctx, &ev, ULSP_OP_BIND, DEC_V4);
	addr_v4(ev.key.addr, ctx->user_ip4);
	if (bind_later(sk, &ev, 0))
		return GO;
	judge_any4(&ev);
	return enforce(ctx, &ev);
}

SEC("cgroup/bind6")
int ulsp_bind6(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct event ev = {};
	__u8 only_v6;

	if (foreign(sk))
		return GO;
	own_v6(ctx, &ev);
	if (comes_back(ctx, &ev, HOOK_BIND6))
		return GO;
	who(ctx, &ev, ULSP_OP_BIND, DEC_V6);
	if (user_v6(ctx, &ev))
		as_v4(&ev);
	only_v6 = v6only(sk);
	if (bind_later(sk, &ev, only_v6))
		return GO;
	judge_any(&ev);
	if (is_any(ev.key.addr) && ev.key.family == DEC_V6 && !only_v6) {
		if (ev.verdict != ULSP_VERDICT_ALLOW && refused_before())
			return GO;
		if (settle_or_wait(ctx, &ev, NULL, 0))
			return wait_or_fail(ctx, &ev);
		judge_both(ctx, &ev, NULL);
	}
	return enforce(ctx, &ev);
}

char _license[] SEC("license") = "GPL";
