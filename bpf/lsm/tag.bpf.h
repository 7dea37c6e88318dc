/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tags: whose they are, and sets of slots in one word.
 *
 * A task without a tag of its own has its leader's: the move of a process to a
 * cgroup is told for the leader only (cgroup_attach_task).
 */
#ifndef TAG_BPF_H
#define TAG_BPF_H

#include "maps.bpf.h"

enum { EPERM = 1, ENOMEM = 12 };

static __always_inline __u32 tag_slot(__u64 tag, __u32 at)
{
	return (tag >> (at * ULSP_TAG_BITS)) & ULSP_TAG_MASK;
}

/* A set has its members from the lowest bits on. */
static __always_inline int tag_has(__u64 tag, __u32 slot)
{
	return slot == tag_slot(tag, 0) || slot == tag_slot(tag, 1) || slot == tag_slot(tag, 2) ||
	       slot == tag_slot(tag, 3);
}

/* The set with one more; *full is set when it has no room. */
static __always_inline __u64 tag_with(__u64 tag, __u32 slot, int *full)
{
	__u32 at;

	if (!slot || tag_has(tag, slot))
		return tag;
	for (at = 0; at < ULSP_TAG_SLOTS; at++)
		if (!tag_slot(tag, at))
			return tag | (__u64)slot << (at * ULSP_TAG_BITS);
	*full = 1;
	return tag;
}

static __always_inline __u64 tag_union(__u64 a, __u64 b, int *full)
{
	__u32 at;

	for (at = 0; at < ULSP_TAG_SLOTS; at++)
		a = tag_with(a, tag_slot(b, at), full);
	return a;
}

static __always_inline struct ulsp_task_tag *task_tag(struct task_struct *task)
{
	struct ulsp_task_tag *tag = bpf_task_storage_get(&task_tags, task, NULL, 0);
	struct task_struct *leader;

	if (tag)
		return tag;
	leader = task->group_leader;
	if (!leader || leader == task)
		return NULL;
	return bpf_task_storage_get(&task_tags, leader, NULL, 0);
}

static __always_inline __u64 tag_of(struct task_struct *task)
{
	struct ulsp_task_tag *tag = task_tag(task);

	return tag ? tag->all : 0;
}

static __always_inline __u64 my_tag(void)
{
	return tag_of(bpf_get_current_task_btf());
}

/* Fails open for a socket made before its process was tagged: 0. */
static __always_inline __u64 sock_tag(struct sock *sk)
{
	__u64 *tag = bpf_sk_storage_get(&sk_tags, sk, NULL, 0);

	return tag ? *tag : 0;
}

#endif
