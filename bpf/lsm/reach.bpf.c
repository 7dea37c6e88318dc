/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a tag may reach, and the counters and messages of what it may not.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "reach.bpf.h"

struct denial {
	__u64 theirs; /* as the group of `slot` sees it */
	__u64 actor, target;
	__u32 slot; /* plus one: the group that denies */
	__u32 kind;
	__u32 tgid;
	__u32 audit;
	__u32 act; /* no other process: what it does itself is denied */
};

static __always_inline __u8 reason_of(__u32 kind)
{
	switch (kind) {
	case ULSP_REACH_ESCAPE:
	case ULSP_REACH_FAMILY:
		return ULSP_REASON_CONFINED;
	case ULSP_REACH_GUARD:
		return ULSP_REASON_GUARDED;
	}
	return ULSP_REASON_ISOLATED;
}

static __always_inline __u64 cgroup_of(const struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline void tell(const struct denial *d, const struct ulsp_confine *c, __u32 ring)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	__u32 at = ULSP_STREAM(d->slot - 1, ring);
	struct ulsp_reach_peer *peer;
	struct ulsp_stream *stream;
	const struct cred *cred;
	struct ulsp_msg *m;
	__u64 seq;
	void *rb;

	stream = bpf_map_lookup_elem(&streams, &at);
	rb = bpf_map_lookup_elem(&rings, &ring);
	if (!stream || !rb)
		return;
	seq = __sync_fetch_and_add(&stream->seq, 1) + 1;
	m = bpf_ringbuf_reserve(rb, sizeof(*m), 0);
	if (!m) {
		__sync_fetch_and_add(&stream->lost, 1);
		return;
	}
	__builtin_memset(m, 0, sizeof(*m));
	m->seq = seq;
	m->time_ns = bpf_ktime_get_ns();
	m->cgroup = cgroup_of(task);
	m->group = d->slot - 1;
	m->generation = c->generation;
	m->line = c->line;
	m->file = c->file;
	m->abi = ULSP_ABI;
	m->op = ULSP_OP_REACH + d->kind;
	m->verdict = ULSP_VERDICT_DENY;
	m->error = -EPERM;
	m->reason = reason_of(d->kind);
	m->flags = d->audit ? ULSP_MSG_AUDIT : 0;
	peer = (void *)m->remote;
	peer->tgid = d->tgid;
	peer->group = tag_slot(d->target, 0);
	peer = (void *)m->local;
	peer->tgid = task->tgid;
	peer->group = tag_slot(d->actor, 0);
	m->pid = task->pid;
	m->tgid = task->tgid;
	cred = task->cred;
	if (cred) {
		m->uid = cred->uid.val;
		m->gid = cred->gid.val;
	}
	bpf_get_current_comm(m->comm, sizeof(m->comm));
	m->slot = ULSP_NO_SLOT;
	m->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	bpf_ringbuf_submit(m, 0);
}

#define GLOBAL __attribute__((noinline))

/* One message to one ring. */
GLOBAL int reach_tell(const struct denial *d, const struct ulsp_confine *c, __u32 ring)
{
	if (d && c)
		tell(d, c, ring);
	return 0;
}

/* Counted and told; whether it is enforced. */
GLOBAL int reach_refused(struct denial *d, const struct ulsp_confine *c)
{
	struct ulsp_group_count *count;
	const struct ulsp_group *group;
	__u32 key, ring, want;

	if (!d || !c)
		return 1;
	key = d->slot - 1;
	want = c->log_rings;
	group = bpf_map_lookup_elem(&groups, &key);
	if (!group)
		return 1; /* fails closed */
	d->audit = group->mode == ULSP_MODE_AUDIT;
	if (group->watch)
		want |= 1 << ULSP_RING_MONITOR;
	count = bpf_map_lookup_elem(&gcount, &key);
	if (count) {
		count->reaches[d->kind & (ULSP_MAX_REACHES - 1)]++;
		count->reasons[reason_of(d->kind)]++;
	}
	for (ring = 0; ring < ULSP_MAX_RINGS && want; ring++, want >>= 1)
		if (want & 1)
			reach_tell(d, c, ring);
	return !d->audit;
}

static __always_inline int is_peer(const struct ulsp_confine *c, __u32 slot)
{
	__u32 word;

	if (!slot--)
		return 0;
	word = slot / 64;
	barrier_var(word);
	if (word >= ULSP_MAX_GROUPS / 64)
		return 0;
	return c->peers[word] >> (slot % 64) & 1;
}

/* Does the group of d->slot keep the two apart? */
GLOBAL int reach_held(struct denial *d)
{
	const struct ulsp_confine *c;
	__u32 key;

	if (!d)
		return 1;
	key = d->slot - 1;
	c = bpf_map_lookup_elem(&confine, &key);
	if (!c || !(c->kinds >> (d->kind & 31) & 1))
		return 0;
	if (d->act)
		return reach_refused(d, c);
	if (!d->theirs ? c->flags & ULSP_CONFINE_OUTSIDE
		       : is_peer(c, tag_slot(d->theirs, 0)) || is_peer(c, tag_slot(d->theirs, 1)) ||
				 is_peer(c, tag_slot(d->theirs, 2)) ||
				 is_peer(c, tag_slot(d->theirs, 3)))
		return 0;
	return reach_refused(d, c);
}

/* Does some group of `mine` keep it from `theirs`? */
static __always_inline int bound(__u64 mine, __u64 theirs, struct denial *d)
{
	__u32 at;

	d->theirs = theirs;
	for (at = 0; at < ULSP_TAG_SLOTS; at++) {
		d->slot = tag_slot(mine, at);
		if (!d->slot)
			break;
		if (!d->act && tag_has(theirs, d->slot))
			continue;
		if (reach_held(d))
			return 1;
	}
	return 0;
}

GLOBAL int reach_denied(__u64 mine, __u64 theirs, __u32 kind, __u32 tgid)
{
	struct denial d = {.actor = mine, .target = theirs, .kind = kind, .tgid = tgid};

	return bound(mine, theirs, &d) || bound(theirs, mine, &d);
}

GLOBAL int act_denied(__u64 mine, __u32 kind)
{
	struct denial d = {.actor = mine, .kind = kind, .act = 1};

	return bound(mine, 0, &d);
}

char _license[] SEC("license") = "GPL";
