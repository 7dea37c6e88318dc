/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * socket(2), the ports that the kernel chooses in bind(2), and the end: hooks on
 * the socket itself, in the calling process's context.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "park.bpf.h"

enum { TCP_CLOSE_STATE = 7 };

/* Whether later programs will want to know who made this socket. */
static __always_inline int wants_owner(struct bpf_sock *ctx, __u8 proto)
{
	if (knobs.flags & ULSP_KNOB_DGRAM && ctx->type != SOCK_STREAM)
		return 1;
	return knobs.flags & ULSP_KNOB_RAW && !has_ports(proto);
}

SEC("cgroup/sock_create")
int ulsp_sock_create(struct bpf_sock *ctx)
{
	__u8 proto = proto_class(ctx->type, ctx->protocol);
	struct sock_state *s;

	if (knobs.by_exec) /* before the socket can be known as a member's */
		return GO;
	if (knobs.flags & ULSP_KNOB_SOCKET) {
		struct event ev = {};
		__u32 *what = (__u32 *)ev.to;

		what[0] = ctx->family;
		what[1] = ctx->type;
		what[2] = ctx->protocol;
		ev.key.op = ULSP_OP_SOCKET;
		ev.key.family = ctx->family == AF_INET6 ? DEC_V6 : DEC_V4;
		ev.key.proto = proto;
		ev.ip_proto = ip_proto(ctx->protocol);
		task_key(&ev);
		judge_any(&ev);
		if (!comes_back(ctx, &ev, HOOK_SOCKET) && enforce(ctx, &ev) == REFUSE)
			return REFUSE;
	}
	if (!wants_owner(ctx, proto))
		return GO;
	s = bpf_sk_storage_get(&socks, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (s)
		task_own(s);
	else /* judged later as nobody's: uid and exec conditions fail closed */
		count_reason(ULSP_REASON_NO_STATE);
	return GO;
}

/* A port that the kernel chose: only a rule refuses or logs it, the default doesn't. */
static __always_inline void ephemeral(struct event *ev)
{
	if (ev->reason != ULSP_REASON_DEFAULT)
		return;
	ev->by.flags &= ~DEC_RULE_LOG;
	if (ev->error)
		verdict_allow(ev, ULSP_REASON_EPHEMERAL);
}

/* Whoever binds again gets another port: there is no question that goes on. */
static __always_inline void who(struct bpf_sock *ctx, struct event *ev, __u8 family)
{
	ev->given_up = 1;
	ev->key.op = ULSP_OP_BIND;
	ev->key.family = family;
	ev->key.proto = proto_class(ctx->type, ctx->protocol);
	ev->key.port = ctx->src_port;
	ev->ip_proto = ip_proto(ctx->protocol);
	task_key(ev);
}

/* The socket's state if its bind waits to be judged: by each group. */
static __always_inline struct sock_state *pending(struct bpf_sock *ctx)
{
	struct sock_state *s = bpf_sk_storage_get(&socks, ctx, NULL, 0);

	return s && s->bind_pending ? s : NULL;
}

SEC("cgroup/post_bind4")
int ulsp_post_bind4(struct bpf_sock *ctx)
{
	struct event ev = {};

	if (foreign(ctx) || !pending(ctx))
		return GO;
	who(ctx, &ev, DEC_V4);
	addr_v4(ev.key.addr, ctx->src_ip4);
	judge_any4(&ev);
	ephemeral(&ev);
	return enforce(ctx, &ev);
}

SEC("cgroup/post_bind6")
int ulsp_post_bind6(struct bpf_sock *ctx)
{
	struct event ev = {};
	struct sock_state *s;

	s = foreign(ctx) ? NULL : pending(ctx);
	if (!s)
		return GO;
	who(ctx, &ev, DEC_V6);
	addr_v6(ev.key.addr, ctx->src_ip6[0], ctx->src_ip6[1], ctx->src_ip6[2], ctx->src_ip6[3]);
	if (is_mapped(ev.key.addr)) {
		ev.key.family = DEC_V4;
		ev.flags |= ULSP_MSG_MAPPED;
		unmap(ev.key.addr);
	}
	judge_any(&ev);
	ephemeral(&ev);
	if (is_any(ev.key.addr) && ev.key.family == DEC_V6 && !s->v6only) {
		judge_both(ctx, &ev, NULL);
		ephemeral(&ev);
	}
	return enforce(ctx, &ev);
}

/* A connect that was held and failed before its SYN, for want of a route say, takes a slot still.
 */
SEC("cgroup/sock_release")
int ulsp_sock_release(struct bpf_sock *ctx)
{
	if (ctx->state == TCP_CLOSE_STATE)
		unpark(ctx);
	return GO;
}

char _license[] SEC("license") = "GPL";
