/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verdict on a listening TCP socket: given when listen(2) is called, kept
 * with the socket, and given again when another generation asks for it.
 */
#ifndef LISTEN_BPF_H
#define LISTEN_BPF_H

#include <bpf/bpf_core_read.h>

#include "enforce.bpf.h"

/* IPV6_V6ONLY of a TCP socket; 0 when it can't be read, which judges more. */
static __always_inline __u8 tcp_v6only(struct bpf_sock *sk)
{
	struct tcp6_sock *tcp = bpf_skc_to_tcp6_sock(sk);

	if (!tcp)
		return 0;
	return BPF_CORE_READ_BITFIELD(&tcp->tcp.inet_conn.icsk_inet.sk.__sk_common, skc_ipv6only);
}

/*
 * Judge listen on the address in ev->key.  `s` may be NULL: then the verdict
 * isn't kept and every SYN asks again.  Whether it is refused; nothing is
 * enforced here, as no hook can fail listen(2) without BPF LSM.
 */
static __always_inline int listen_judge(void *ctx, struct event *ev, struct sock_state *s,
					__u8 only_v6)
{
	ev->key.op = ULSP_OP_LISTEN;
	ev->key.proto = ULSP_PROTO_TCP;
	ev->ip_proto = IPPROTO_TCP;
	if (ev->key.family == DEC_V6 && is_mapped(ev->key.addr)) {
		ev->key.family = DEC_V4;
		ev->flags |= ULSP_MSG_MAPPED;
		unmap(ev->key.addr);
	}
	judge_any(ev);
	if (ev->key.family == DEC_V6 && is_any(ev->key.addr) && !only_v6)
		judge_both(ctx, ev, s);
	settle(ctx, ev, s);
	finish(ctx, ev, s);
	if (s) {
		s->listen_error = ev->error;
		/* What a ULSP said, or didn't yet, may change; a rate has room again. */
		s->listen_generation =
			ev->by.verdict == ULSP_VERDICT_ASK || ev->reason == ULSP_REASON_OVER_LIMIT
				? 0
				: knobs.generation;
	}
	return ev->error;
}

#endif
