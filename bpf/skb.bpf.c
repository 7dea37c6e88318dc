/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets: what reaches the group's sockets (accept, recvfrom, refused
 * listeners), and on the way out what no socket hook could judge.
 *
 * These run for the cgroup in which the socket was made, often in a softirq:
 * the current task is nobody's, messages name who made the socket if that was
 * noted.  A refusal is a drop: egress gives the sender EPERM (TCP swallows it),
 * ingress gives nobody anything.  cgroup_skb has no bpf_set_retval().
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "listen.bpf.h"
#include "packet.bpf.h"
#include "arrive.bpf.h"

enum { TCP_LISTEN_STATE = 10 };

static __always_inline int drop(struct __sk_buff *skb, struct event *ev,
				const struct sock_state *owner)
{
	settle(skb, ev, owner);
	return finish(skb, ev, owner) ? REFUSE : GO;
}

/* ---- in ---- */

/* After packet_read(). */
static __always_inline void who_in(struct __sk_buff *skb, struct event *ev, struct bpf_sock *sk,
				   const struct sock_state *owner)
{
	if (ev->key.family == DEC_V4 && sk->family == AF_INET6)
		ev->flags |= ULSP_MSG_MAPPED;
	ev->cgroup = bpf_skb_cgroup_id(skb);
	owner_key(ev, owner);
}

/*
 * The verdict on the listener itself: kept since listen(2), or judged now, when
 * it is older than the policy.  A negative errno or 0.
 */
static __always_inline int listener_error(struct __sk_buff *skb, struct bpf_sock *sk,
					  struct sock_state *s, struct event *ev)
{
	if (s && s->listen_generation == knobs.generation)
		return s->listen_error;
	if (!s)
		s = bpf_sk_storage_get(&socks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (sk->family == AF_INET6) {
		ev->key.family = DEC_V6;
		addr_v6(ev->key.addr, sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2],
			sk->src_ip6[3]);
	} else {
		ev->key.family = DEC_V4;
		addr_v4(ev->key.addr, sk->src_ip4);
	}
	ev->key.port = sk->src_port;
	ev->cgroup = bpf_skb_cgroup_id(skb);
	owner_key(ev, s);
	listen_judge(skb, ev, s, tcp_v6only(sk));
	return ev->error;
}

/* What comes for a listening TCP socket: SYNs, and the ACKs that complete them. */
static __always_inline int to_listener(struct __sk_buff *skb, struct bpf_sock *sk, struct event *ev)
{
	struct sock_state *s = bpf_sk_storage_get(&socks, sk, NULL, 0);
	int error = 0, flags, r;
	__u32 at;

	if (knobs.flags & ULSP_KNOB_LISTEN) {
		error = listener_error(skb, sk, s, ev);
		*ev = (struct event){};
	}
	flags = packet_read(skb, ev, 1);
	if (flags < 0)
		return GO; /* nothing that TCP could take for a SYN */
	if (!error && (flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return GO; /* the connection was judged when its SYN came */
	at = skb->len - ev->bytes;
	if (knobs.flags & ULSP_KNOB_ARRIVE && !error) {
		r = arrival_again(skb, ev, s, at);
		if (r >= 0)
			return r == GO ? GO : REFUSE;
	}
	ev->key.op = ULSP_OP_ACCEPT;
	ev->key.proto = ULSP_PROTO_TCP;
	ev->bytes = 0;
	who_in(skb, ev, sk, s);
	if (error) {
		judge_group(ev);
		ev->rule = NO_RECORD;
		verdict_deny(ev, error, ULSP_REASON_NOT_LISTENING);
	} else {
		judge_any(ev);
	}
	if (knobs.flags & ULSP_KNOB_ARRIVE && settle_or_wait(skb, ev, s, 1)) {
		r = arrival_wait(skb, ev, s, at);
		if (r >= 0)
			return r == GO ? GO : REFUSE;
		waited_enough(ev);
	}
	return drop(skb, ev, s);
}

/* A datagram for a UDP, raw or ping socket. */
static __always_inline int to_datagram(struct __sk_buff *skb, struct bpf_sock *sk, struct event *ev)
{
	struct sock_state *s;
	__u8 proto;
	int bad;

	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return GO; /* a request or timewait socket: TCP */
	proto = proto_class(sk->type, sk->protocol);
	if (proto == ULSP_PROTO_TCP)
		return GO;
	s = bpf_sk_storage_get(&socks, sk, NULL, 0);
	bad = packet_read(skb, ev, 1) < 0;
	ev->key.op = ULSP_OP_RECVFROM;
	ev->key.proto = proto;
	if (!has_ports(proto))
		ev->key.port = ev->key.port2 = 0;
	who_in(skb, ev, sk, s);
	if (bad) { /* fails closed: a datagram without an IP header */
		judge_group(ev);
		ev->rule = NO_RECORD;
		verdict_deny(ev, -EPERM, ULSP_REASON_FAULT);
	} else {
		judge_any(ev);
	}
	return drop(skb, ev, s);
}

SEC("cgroup_skb/ingress")
int ulsp_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct event ev = {};

	if (!sk || foreign(sk))
		return GO;
	if (sk->state == TCP_LISTEN_STATE)
		return to_listener(skb, sk, &ev);
	if (knobs.flags & ULSP_KNOB_RECVFROM)
		return to_datagram(skb, sk, &ev);
	return GO;
}

/* ---- out ---- */

/* connect and sendto were judged on these sockets. */
static __always_inline int judged_socket(__u32 type, __u32 protocol)
{
	if (type != SOCK_STREAM && type != SOCK_DGRAM)
		return 0;
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_MPTCP ||
	       protocol == IPPROTO_UDPLITE;
}

/* Whether nothing lies between the IP header and the transport header. */
static __always_inline int plain(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (data + sizeof(struct iphdr) > end)
			return 0;
		return (*(__u8 *)data & 0xf) == sizeof(struct iphdr) / 4;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = data;

		if (data + sizeof(struct ipv6hdr) > end)
			return 0;
		return ip->nexthdr == IPPROTO_TCP || ip->nexthdr == IPPROTO_UDP ||
		       ip->nexthdr == IPPROTO_UDPLITE;
	}
	return 0;
}

/* By the packet, not the socket: a raw socket's packet may be of any protocol. */
static __always_inline __u8 packet_class(__u8 proto, __u32 type)
{
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		return ULSP_PROTO_ICMP;
	return type == SOCK_RAW ? ULSP_PROTO_RAW : ULSP_PROTO_OTHER;
}

static __always_inline int backstop(struct __sk_buff *skb, struct bpf_sock *sk, __u32 type,
				    __u32 protocol)
{
	int judged = judged_socket(type, protocol), flags;
	struct event ev = {};
	struct sock_state *s;

	flags = packet_read(skb, &ev, 0);
	if (flags >= 0 && !(flags & PACKET_SOURCE_ROUTE) && judged)
		return GO;
	s = bpf_sk_storage_get(&socks, sk, NULL, 0);
	ev.key.op = ULSP_OP_SENDTO;
	ev.key.proto = judged ? proto_class(type, protocol) : packet_class(ev.ip_proto, type);
	ev.cgroup = bpf_skb_cgroup_id(skb);
	owner_key(&ev, s);
	if (flags < 0 || flags & PACKET_SOURCE_ROUTE) { /* no header fails closed */
		judge_group(&ev);
		ev.rule = NO_RECORD;
		ev.by.flags = DEC_RULE_LOG;
		verdict_deny(&ev, -EPERM, flags < 0 ? ULSP_REASON_FAULT : ULSP_REASON_SOURCE_ROUTE);
		return drop(skb, &ev, s);
	}
	if (flags & PACKET_FRAGMENT)
		count_reason(ULSP_REASON_FRAGMENT);
	judge_any(&ev);
	settle(skb, &ev, s);
	if (ev.error)
		ev.error = -EPERM; /* the only errno that a dropped packet gives */
	if (ev.reason <= ULSP_REASON_IMPLIED)
		ev.reason = ULSP_REASON_BACKSTOP;
	return finish(skb, &ev, s) ? REFUSE : GO;
}

SEC("cgroup_skb/egress")
int ulsp_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	__u32 type, protocol;

	if (!sk)
		return GO;
	sk = bpf_sk_fullsock(sk);
	if (!sk || foreign(sk))
		return GO;
	type = sk->type;
	protocol = sk->protocol;
	barrier_var(protocol); /* or one load at a computed offset, which the verifier refuses */
	if (!(judged_socket(type, protocol) && plain(skb)) &&
	    backstop(skb, sk, type, protocol) == REFUSE)
		return REFUSE;
	/*
	 * Last: what is held back goes out by the daemon, past this program.  Also where no rule
	 * holds: what an earlier policy held is judged by this one.
	 */
	if (sk->state == TCP_SYN_SENT_STATE)
		return parked_syn(skb, sk);
	return GO;
}

char _license[] SEC("license") = "GPL";
