/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP connections that wait for a ULSP outside connect(2).
 *
 * The call goes on, but the SYN is held back: it is copied for the daemon,
 * which sends it again when the verdict is there, and the kernel sends it again
 * too, from a second on: a daemon that was started since hears of it then.
 * What became of it is counted and told when the connection is there or gone.
 * The socket knows who holds it; a group in another's cgroup may hold it as
 * well.
 */
#ifndef PARK_BPF_H
#define PARK_BPF_H

#include "enforce.bpf.h"

enum park_state {
	PARK_ASKED = 0,
	PARK_PASSED, /* SYNs pass */
	PARK_REFUSED,
};
enum { TCP_SYN_SENT_STATE = 2 };

/* This group's; with `make` also a free one, or NULL. */
static __always_inline struct park *park_of(struct bpf_sock *sk, int make)
{
	struct parks *parks;
	int i;

	parks = bpf_sk_storage_get(&parking, sk, NULL, make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!parks)
		return NULL;
	for (i = 0; i < PARKS; i++)
		if (parks->at[i].held_by == knobs.slot + 1)
			return &parks->at[i];
	for (i = 0; make && i < PARKS; i++)
		if (!parks->at[i].held_by)
			return &parks->at[i];
	return NULL;
}

/* ---- connect ---- */

/* What an earlier connect of the socket left. */
static __always_inline void unpark(struct bpf_sock *sk)
{
	struct sock_state *s = sk ? bpf_sk_storage_get(&socks, sk, NULL, 0) : NULL;
	struct park *p = sk ? park_of(sk, 0) : NULL;

	if (s)
		s->refused = 0;
	if (!p)
		return;
	hold_end(&p->ev);
	p->held_by = 0;
}

/* Whether there is a SYN to be held. */
static __always_inline int parkable(struct bpf_sock_addr *ctx, struct bpf_sock *sk)
{
	return sk && ctx->protocol == IPPROTO_TCP && ctx->type == SOCK_STREAM;
}

/* Whether the connection waits from now on. */
static __always_inline int park(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct event *ev)
{
	struct sock_state *s;
	struct park *p;

	p = park_of(sk, 1);
	s = bpf_sk_storage_get(&socks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!p || !s) {
		count_reason(ULSP_REASON_NO_STATE);
		return 0;
	}
	task_own(s);
	p->deadline_ns = ev->deadline_ns;
	p->generation = knobs.generation;
	p->netns = bpf_get_netns_cookie(ctx);
	p->state = PARK_ASKED;
	p->ev = *ev;
	p->held_by = knobs.slot + 1;
	return 1;
}

/* ---- its SYNs ---- */

/* Groups that hold it, for each of which the daemon gets a copy. */
static __always_inline __u16 holders(struct bpf_sock *sk)
{
	const struct parks *parks = bpf_sk_storage_get(&parking, sk, NULL, 0);
	__u16 n = 0;
	int i;

	for (i = 0; parks && i < PARKS; i++)
		n += parks->at[i].held_by && parks->at[i].state == PARK_ASKED;
	return n;
}

static __always_inline void put_parked(struct ulsp_parked *out, const struct park *p)
{
	out->ticket = p->ev.ticket;
	out->deadline_ns = p->deadline_ns;
	out->slot = p->ev.slot;
	out->group = knobs.slot;
	out->generation = knobs.generation;
	out->error = p->state == PARK_REFUSED ? p->ev.error : p->ev.by.error;
	out->ring = p->ev.by.ring;
	out->flags = p->ev.by.flags & DEC_RULE_DOWN_ALLOW ? ULSP_PARKED_ALLOW : 0;
	if (p->state == PARK_REFUSED)
		out->flags |= ULSP_PARKED_REFUSED;
}

/* A copy whose addresses are the socket's: netfilter may have translated the packet's already. */
static __always_inline void park_address(struct bpf_sock *sk, __u8 *packet)
{
	__u32 *words = (__u32 *)packet, tcp;

	if (packet[0] >> 4 == 4) {
		tcp = (packet[0] & 0xf) * 4;
		words[3] = sk->src_ip4;
		words[4] = sk->dst_ip4;
	} else {
		tcp = sizeof(struct ipv6hdr);
		words[2] = sk->src_ip6[0];
		words[3] = sk->src_ip6[1];
		words[4] = sk->src_ip6[2];
		words[5] = sk->src_ip6[3];
		words[6] = sk->dst_ip6[0];
		words[7] = sk->dst_ip6[1];
		words[8] = sk->dst_ip6[2];
		words[9] = sk->dst_ip6[3];
	}
	*(__u16 *)(packet + tcp) = bpf_htons((__u16)sk->src_port);
	*(__u16 *)(packet + tcp + 2) = sk->dst_port;
}

/* Its beginning: what a SYN carries isn't needed. */
static __always_inline void put_packet(struct __sk_buff *skb, struct ulsp_parked *out)
{
	__u32 most = skb->len - 1;

	out->bytes = 0;
	if (most >= ULSP_SYN_BYTES)
		most = ULSP_SYN_BYTES - 1;
	/* Of the value that is used: 6.1 learns nothing of one from another. */
	barrier_var(most);
	if (most < ULSP_SYN_BYTES && !bpf_skb_load_bytes(skb, 0, out->packet, most + 1))
		out->bytes = most + 1;
}

/* The copy for the daemon; without it the kernel's next SYN finds the verdict. */
static __always_inline void park_send(struct __sk_buff *skb, struct bpf_sock *sk, struct park *p)
{
	const struct sock_state *s = bpf_sk_storage_get(&socks, sk, NULL, 0);
	struct ulsp_parked *out = bpf_ringbuf_reserve(&parked, sizeof(*out), 0);

	if (!out)
		return;
	put_parked(out, p);
	out->netns = p->netns;
	out->cookie = p->ev.cookie;
	out->tgid = s ? s->tgid : 0;
	out->mark = skb->mark;
	out->ifindex = sk->bound_dev_if;
	out->holders = holders(sk);
	put_packet(skb, out);
	if (out->bytes)
		park_address(sk, out->packet);
	bpf_ringbuf_submit(out, 0);
}

/* A new policy: its own decision, by what was noted when it was asked first. */
static __always_inline int park_again(struct __sk_buff *skb, struct bpf_sock *sk, struct park *p)
{
	struct sock_state *s = bpf_sk_storage_get(&socks, sk, NULL, 0);
	struct event ev = {};

	hold_end(&p->ev);
	p->generation = knobs.generation;
	p->state = PARK_ASKED;
	ev.key = p->ev.key;
	ev.ip_proto = p->ev.ip_proto;
	ev.flags = p->ev.flags & ULSP_MSG_MAPPED;
	owner_key(&ev, s);
	judge_any(&ev);
	if (settle_or_wait(skb, &ev, s, 1)) {
		p->deadline_ns = ev.deadline_ns;
		p->ev = ev;
		return 0;
	}
	p->ev = ev;
	p->state = refused(&ev) ? PARK_REFUSED : PARK_PASSED;
	return 1;
}

/* The ULSP's verdict, or the fail mode's at the deadline. */
static __always_inline void parked_verdict(struct park *p, int held)
{
	if (held == HELD_DECIDED && p->ev.rewrite) { /* it is too late for another address */
		p->ev.rewrite = 0;
		ask_failed(&p->ev, ULSP_REASON_TIMEOUT);
	} else if (held != HELD_DECIDED) {
		if (bpf_ktime_get_ns() < p->deadline_ns)
			return;
		ask_failed(&p->ev, ULSP_REASON_TIMEOUT);
	}
	p->state = refused(&p->ev) ? PARK_REFUSED : PARK_PASSED;
}

/* A SYN on its way out: GO or REFUSE. */
static __always_inline int parked_syn(struct __sk_buff *skb, struct bpf_sock *sk)
{
	struct park *p = park_of(sk, 0);

	if (!p)
		return GO; /* decided in connect(2) */
	if (p->generation != knobs.generation)
		park_again(skb, sk, p);
	if (p->state == PARK_ASKED)
		parked_verdict(p, answer_parked(&p->ev));
	if (p->state == PARK_PASSED)
		return GO;
	park_send(skb, sk, p);
	return REFUSE;
}

/* ---- its end ---- */

/* There, or gone: what decided is counted and told. */
static __always_inline void parked_end(struct bpf_sock_ops *ctx, struct bpf_sock *sk, int connected)
{
	struct park *p = park_of(sk, 0);
	struct sock_state *s;
	struct event *ev;

	if (!p)
		return;
	ev = &p->ev;
	if (p->state == PARK_ASKED)
		parked_verdict(p, answer(ev));
	hold_end(ev);
	p->held_by = 0;
	/* Without a verdict: its process gave up first. */
	if (ev->reason == ULSP_REASON_ASKED && !connected)
		return;
	if (p->generation != knobs.generation)
		ev->rule = NO_RECORD;
	ev->flags |= ULSP_MSG_NO_TASK;
	s = bpf_sk_storage_get(&socks, sk, NULL, 0);
	if (finish(ctx, ev, s) && s)
		s->refused = -ev->error;
}

#endif
