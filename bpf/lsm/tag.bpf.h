/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tags: whose they are, and sets of slots in one word.
 *
 * A process has one tag, its leader's: threads share their memory, and the move
 * of a process to a cgroup is told for the leader only (cgroup_attach_task).
 */
#ifndef TAG_BPF_H
#define TAG_BPF_H

#include "lsm_maps.bpf.h"
#include "tag_set.bpf.h"

enum { EPERM = 1, ENOMEM = 12, SIGNAL_KILL = 9 };

/* Processes whose tag storage did not take: tgid_tags alone has it. */
extern __u32 untaggable;

/*
 * Storage fails without memory, and before 6.2 also while somebody who was preempted uses it on
 * this processor.  Most processes have none at all, ours or others': a look at the pointer spares
 * them the helper.
 */
static __always_inline int has_storage(const struct task_struct *leader)
{
	return leader && (leader->bpf_storage || untaggable);
}

static __always_inline struct ulsp_task_tag *task_tag(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	if (!has_storage(leader))
		return NULL;
	return bpf_task_storage_get(&task_tags, leader, NULL, 0);
}

static __always_inline __u64 tag_by_number(const struct task_struct *task)
{
	__u32 tgid = task->tgid;
	__u64 *tag = bpf_map_lookup_elem(&tgid_tags, &tgid);

	return tag ? *tag : 0;
}

static __always_inline __u64 tag_of(struct task_struct *task)
{
	struct ulsp_task_tag *tag;

	if (!has_storage(task->group_leader))
		return 0;
	tag = task_tag(task);
	return tag ? tag->all : tag_by_number(task);
}

/* 1: it has a tag.  Of one that has it by number only, no group ends with a move. */
static __always_inline int read_tag(struct task_struct *task, struct ulsp_task_tag *ret_tag)
{
	struct ulsp_task_tag *tag;

	ret_tag->all = ret_tag->exec = 0;
	if (!has_storage(task->group_leader))
		return 0;
	tag = task_tag(task);
	if (tag)
		*ret_tag = *tag;
	else
		ret_tag->all = ret_tag->exec = tag_by_number(task);
	return tag || ret_tag->all;
}

static __always_inline __u64 my_tag(void)
{
	return tag_of(bpf_get_current_task_btf());
}

/* Current has no tag, and that is seen at once; 0: look closer. */
static __always_inline int untagged(void)
{
	return !has_storage(bpf_get_current_task_btf()->group_leader);
}

/* Fails open for a socket made before its process was tagged: 0. */
static __always_inline __u64 sock_tag(struct sock *sk)
{
	__u64 *tag;

	if (!sk->sk_bpf_storage)
		return 0;
	tag = bpf_sk_storage_get(&sk_tags, sk, NULL, 0);
	return tag ? *tag : 0;
}

/* Cgroups below a member are members: the nearest known ancestor has the whole chain's tag. */
enum { CGROUP_DEPTH = 32 }; /* deeper ones are not seen */

static __always_inline __u64 cgroup_tag(const struct cgroup *cgroup)
{
	int up;

	for (up = 0; up < CGROUP_DEPTH; up++) {
		const struct cgroup_subsys_state *parent;
		__u64 id, *tag;

		if (!cgroup)
			break;
		id = cgroup->kn->id;
		tag = bpf_map_lookup_elem(&cgroup_tags, &id);
		if (tag)
			return *tag;
		parent = cgroup->self.parent;
		if (!parent)
			break;
		cgroup = parent->cgroup;
	}
	return 0;
}

#endif
