/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections to a group's listeners that wait for a ULSP: the SYN is dropped
 * and handed to the daemon, which sends it again when the verdict is there; the
 * peer sends it again too, from a second on.  A SYN is known by both ends and
 * its sequence number: another connection between them is another question.
 */
#ifndef ARRIVE_BPF_H
#define ARRIVE_BPF_H

#include "park.bpf.h"

enum { TCP_SEQ_AT = 4 };

static const struct park no_park;

/* 0, or what keeps the SYN from being told apart. */
static __always_inline int arrival_key(struct __sk_buff *skb, const struct event *ev, __u32 at,
				       struct arrival_key *key)
{
	if (bpf_skb_load_bytes(skb, at + TCP_SEQ_AT, &key->seq, sizeof(key->seq)))
		return -EPERM;
	key->listener = bpf_get_socket_cookie(skb);
	key->group = knobs.slot;
	key->port = ev->key.port;
	key->port2 = ev->key.port2;
	__builtin_memcpy(key->addr, ev->key.addr, sizeof(key->addr));
	__builtin_memcpy(key->addr2, ev->key.addr2, sizeof(key->addr2));
	return 0;
}

static __always_inline void arrival_send(struct __sk_buff *skb, const struct park *p,
					 const struct sock_state *s)
{
	struct ulsp_parked *out = bpf_ringbuf_reserve(&parked, sizeof(*out), 0);

	if (!out)
		return;
	put_parked(out, p);
	out->cookie = ULSP_PARKED_KEY(p->ev.by.ring, p->ev.slot);
	out->netns = 0; /* the process's */
	out->tgid = s ? s->tgid : 0;
	out->mark = 0;
	out->ifindex = 0;
	out->holders = 1;
	out->flags |= ULSP_PARKED_IN;
	put_packet(skb, out);
	bpf_ringbuf_submit(out, 0);
}

/* Decided: counted and told once. */
static __always_inline int arrival_end(struct __sk_buff *skb, struct park *p,
				       const struct sock_state *s)
{
	hold_end(&p->ev);
	p->state = refused(&p->ev) ? PARK_REFUSED : PARK_PASSED;
	finish(skb, &p->ev, s);
	return p->state == PARK_PASSED ? GO : REFUSE;
}

/* One that was asked about before: GO, REFUSE, or -1: it is none.  `at`: of the TCP header. */
GLOBAL int arrival_again(struct __sk_buff *skb, const struct event *ev, const struct sock_state *s,
			 __u32 at)
{
	struct arrival_key key = {};
	struct park *p;

	if (!ev || arrival_key(skb, ev, at, &key))
		return -1;
	p = bpf_map_lookup_elem(&arrivals, &key);
	if (!p || p->generation != knobs.generation)
		return -1;
	if (p->state != PARK_ASKED)
		return p->state == PARK_PASSED ? GO : REFUSE;
	if (answer(&p->ev) == HELD_DECIDED)
		return arrival_end(skb, p, s);
	if (bpf_ktime_get_ns() < p->deadline_ns)
		return REFUSE;
	ask_failed(&p->ev, ULSP_REASON_TIMEOUT);
	return arrival_end(skb, p, s);
}

/* Waits from now on: REFUSE, or what was decided meanwhile; -1: it can't. */
GLOBAL int arrival_wait(struct __sk_buff *skb, const struct event *ev, const struct sock_state *s,
			__u32 at)
{
	struct arrival_key key = {};
	struct park *p;

	if (!ev || arrival_key(skb, ev, at, &key))
		return -1;
	/* As large as a third of the stack: made in the map. */
	if (bpf_map_update_elem(&arrivals, &key, &no_park, BPF_ANY))
		return -1;
	p = bpf_map_lookup_elem(&arrivals, &key);
	if (!p)
		return -1;
	p->ev = *ev;
	p->deadline_ns = ev->deadline_ns;
	p->generation = knobs.generation;
	p->state = PARK_ASKED;
	if (answer_parked(&p->ev) == HELD_DECIDED)
		return arrival_end(skb, p, s);
	arrival_send(skb, p, s);
	count_reason(ULSP_REASON_HELD);
	return REFUSE;
}

#endif
