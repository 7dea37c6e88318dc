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

static __always_inline void put_addrs(struct ulsp_msg *m, const struct event *ev)
{
	const struct dec_key *key = &ev->key;

	switch (key->op) {
	case ULSP_OP_BIND:
	case ULSP_OP_LISTEN:
		put_addr(m->local, key->addr, key->family);
		put_addr(m->remote, key->addr2, key->family);
		m->local_port = key->port;
		m->remote_port = 0;
		break;
	case ULSP_OP_ACCEPT:
	case ULSP_OP_RECVFROM:
		put_addr(m->remote, key->addr, key->family);
		put_addr(m->local, key->addr2, key->family);
		m->local_port = key->port;
		m->remote_port = key->port2;
		break;
	default:
		put_addr(m->remote, key->addr, key->family);
		put_addr(m->local, key->addr2, key->family);
		m->remote_port = key->port;
		m->local_port = key->port2;
	}
}

static __always_inline void put_task(struct ulsp_msg *m)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct cred *cred = task->cred;

	m->cgroup = task_cgroup(task);
	m->pid = task->pid;
	m->tgid = task->tgid;
	m->uid = cred ? cred->uid.val : 0;
	m->gid = cred ? cred->gid.val : 0;
	m->start_ns = task_start_ns(task);
	task_comm(task, m->comm);
}

/* Those that made the socket, or nobody. */
static __always_inline void put_owner(struct ulsp_msg *m, const struct event *ev,
				      const struct sock_state *owner)
{
	if (owner && owner->owned) {
		m->cgroup = owner->cgroup;
		m->pid = owner->pid;
		m->tgid = owner->tgid;
		m->uid = owner->uid;
		m->gid = owner->gid;
		m->start_ns = owner->start_ns;
		__builtin_memcpy(m->comm, owner->comm, sizeof(m->comm));
		return;
	}
	m->cgroup = ev->cgroup;
	m->pid = m->tgid = m->uid = m->gid = 0;
	m->start_ns = 0;
	__builtin_memset(m->comm, 0, sizeof(m->comm));
}

/*
 * One message to one ring: 0, -ENOBUFS when the ring is full, -ENOENT when
 * nobody has this ring (nothing is lost then: nobody was to receive it).
 */
GLOBAL int record_to(const struct event *ev, const struct sock_state *owner, __u32 ring,
		     __u32 flags)
{
	__u32 at = knobs.slot * ULSP_MAX_RINGS + ring;
	struct ulsp_stream *stream;
	struct ulsp_msg *m;
	__u64 seq;
	void *rb;

	if (!ev || ring >= ULSP_MAX_RINGS)
		return -ENOENT;
	stream = bpf_map_lookup_elem(&streams, &at);
	rb = bpf_map_lookup_elem(&rings, &ring);
	if (!stream || !rb)
		return -ENOENT;
	seq = __sync_fetch_and_add(&stream->seq, 1) + 1;
	m = bpf_ringbuf_reserve(rb, sizeof(*m), 0);
	if (!m) {
		__sync_fetch_and_add(&stream->lost, 1);
		count_reason(ULSP_REASON_LOST_FULL);
		return -ENOBUFS;
	}
	m->seq = seq;
	m->time_ns = bpf_ktime_get_ns();
	m->cookie = ev->cookie;
	m->group = knobs.slot;
	m->generation = knobs.generation;
	m->rule = ev->by.id;
	m->line = ev->by.line;
	m->file = ev->by.file;
	m->abi = ULSP_ABI;
	m->op = ev->key.op;
	m->proto = ev->key.proto;
	m->ip_proto = ev->ip_proto;
	m->family = ev->key.family == DEC_V4 ? 4 : 6;
	m->verdict = ev->verdict;
	m->error = ev->error;
	m->reason = ev->reason;
	m->flags = ev->flags | flags;
	put_addrs(m, ev);
	if (ev->flags & ULSP_MSG_NO_TASK)
		put_owner(m, ev, owner);
	else
		put_task(m);
	m->slot = ULSP_NO_SLOT;
	m->bytes = ev->bytes;
	m->cache_ms = ev->by.cache_ms;
	m->reserved = 0;
	bpf_ringbuf_submit(m, 0);
	return 0;
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
			record_to(ev, owner, ring, flags);
		want >>= 1;
		if (!want)
			break;
	}
	return 0;
}

#endif
