/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * listen(2): judged in the calling process's context.  The call can't be failed
 * here; cgroup_skb/ingress drops what comes for a refused listener.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "listen.bpf.h"
#include "park.bpf.h"

static __always_inline void listens(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct event ev = {};
	struct sock_state *s;

	if (ctx->family == AF_INET6) {
		ev.key.family = DEC_V6;
		addr_v6(ev.key.addr, ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2],
			ctx->local_ip6[3]);
	} else {
		ev.key.family = DEC_V4;
		addr_v4(ev.key.addr, ctx->local_ip4);
	}
	ev.key.port = ctx->local_port;
	task_key(&ev);
	s = bpf_sk_storage_get(&socks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (s)
		task_own(s);
	else /* each SYN is judged anew */
		count_reason(ULSP_REASON_NO_STATE);
	listen_judge(ctx, &ev, s, tcp_v6only(sk));
}

/* Of a connection that may be held. */
static __always_inline void connects(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		if (park_of(sk, 0))
			bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags |
							       BPF_SOCK_OPS_STATE_CB_FLAG);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		parked_end(ctx, sk, 1);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] == BPF_TCP_CLOSE)
			parked_end(ctx, sk, 0);
		break;
	}
}

SEC("sockops")
int ulsp_sockops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 op = ctx->op;

	if (sk && !foreign(sk)) {
		if (knobs.flags & ULSP_KNOB_LISTEN && op == BPF_SOCK_OPS_TCP_LISTEN_CB) {
			listens(ctx, sk);
			return GO;
		}
		if (knobs.flags & ULSP_KNOB_HOLD)
			connects(ctx, sk);
	}
	if (op != BPF_SOCK_OPS_TCP_LISTEN_CB && op != BPF_SOCK_OPS_STATE_CB)
		ctx->reply = -1; /* the kernel's own choice */
	return GO;
}

char _license[] SEC("license") = "GPL";
