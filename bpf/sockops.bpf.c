/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * listen(2): judged in the calling process's context.  The call can't be failed
 * here; cgroup_skb/ingress drops what comes for a refused listener.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "listen.bpf.h"

SEC("sockops")
int ulsp_listen(struct bpf_sock_ops *ctx)
{
	struct event ev = {};
	struct sock_state *s;
	struct bpf_sock *sk;

	if (ctx->op != BPF_SOCK_OPS_TCP_LISTEN_CB) {
		ctx->reply = -1; /* the kernel's own choice */
		return GO;
	}
	sk = ctx->sk;
	if (!sk || foreign(sk))
		return GO;
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
	return GO;
}

char _license[] SEC("license") = "GPL";
