/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Record: counters for every operation, messages for those that someone wants.
 *
 * Counters are per CPU and plain: an increment may be lost when an interrupt's
 * program counts the same rule within it.  Sequence numbers are atomic: what
 * they prove must not depend on luck.  A number is given out before the ring
 * is asked for space, so two CPUs may put theirs in the other order: a receiver
 * has lost (highest - received) messages, not as many as it saw gaps.
 */
#ifndef RECORD_BPF_H
#define RECORD_BPF_H

#include "who.bpf.h"

enum { ENOENT = 2, ENOBUFS = 105 };

static __always_inline void count_reason(__u8 reason)
{
	__u32 slot = knobs.slot;
	struct ulsp_group_count *count = bpf_map_lookup_elem(&gcount, &slot);

	if (count && reason < ULSP_REASON_COUNT)
		count->reasons[reason]++;
}

static __always_inline void count(const struct event *ev)
{
	__u32 rule = ev->rule, slot = knobs.slot;
	struct ulsp_rule_count *by_rule;
	struct ulsp_group_count *by_group;

	by_rule = bpf_map_lookup_elem(&rcount, &rule);
	if (by_rule) { /* none for NO_RECORD */
		by_rule->hits++;
		if (ev->error && ev->flags & ULSP_MSG_AUDIT)
			by_rule->audited++;
	}
	by_group = bpf_map_lookup_elem(&gcount, &slot);
	if (by_group && ev->key.op < ULSP_OP_COUNT && ev->reason < ULSP_REASON_COUNT) {
		by_group->ops[ev->key.op][ev->error != 0]++;
		by_group->reasons[ev->reason]++;
	}
}

/*
 * The operation that a ULSP is asked about and answers for: a rule for bind asks
 * about the bind, also where it judges listen, which the bind's verdict covers.
 */
static __always_inline __u8 asked_op(const struct event *ev)
{
	return ev->by.flags & DEC_RULE_FOR_BIND ? ULSP_OP_BIND : ev->key.op;
}

/* Host-order words as the bytes on the wire. */
static __always_inline void put_addr(__u8 *to, const __u32 *words, __u8 family)
{
	__u32 *out = (__u32 *)to;

	out[0] = bpf_htonl(words[0]);
	if (family == DEC_V4) {
		out[1] = out[2] = out[3] = 0;
		return;
	}
	out[1] = bpf_htonl(words[1]);
	out[2] = bpf_htonl(words[2]);
	out[3] = bpf_htonl(words[3]);
}

/* Rings that want this operation. */
static __always_inline __u32 record_rings(const struct event *ev)
{
	__u32 want = 0;

	if (ev->by.flags & DEC_RULE_LOG)
		want = knobs.log_rings & ~(1u << ULSP_RING_MONITOR);
	if (ev->watch)
		want |= 1 << ULSP_RING_MONITOR;
	return want;
}

GLOBAL int record(const struct event *ev, const struct sock_state *owner, __u32 want)
{
	__u32 ring, flags;

	if (!ev)
		return 0;
	flags = ev->by.flags & DEC_RULE_LOG ? ULSP_MSG_LOG : 0;
	for (ring = 0; ring < ULSP_MAX_RINGS; ring++) {
		if (want & 1)
			record_to(ev, owner, ULSP_RING(ring, share_of(ev, ring)), flags);
		want >>= 1;
		if (!want)
			break;
	}
	return 0;
}

#endif
