/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tagging: a process gets its groups when it is forked, moved to a member
 * cgroup by somebody outside, executes a member's file, or runs already when a
 * policy is loaded (tag_tasks).  A member's own moves only ever add.
 *
 * All of these happen at once.  Whoever writes a tag, or makes a process that
 * tag_tasks may have passed by, looks where the process is after it is there:
 * the later of two sees what the earlier did.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "reach.bpf.h"

#define CLONE_THREAD	  0x00010000
#define CLONE_INTO_CGROUP 0x200000000ull

static __always_inline __u64 exec_tag(struct file *file)
{
	struct ulsp_exec_key key = {};
	__u64 *tag;

	if (!file)
		return 0;
	key.ino = file->f_inode->i_ino;
	key.dev = file->f_inode->i_sb->s_dev;
	tag = bpf_map_lookup_elem(&exec_tags, &key);
	return tag ? *tag : 0;
}

/* 0, or what keeps it from being tagged as it should. */
static __always_inline int set_tag(struct task_struct *task, const struct ulsp_task_tag *want)
{
	struct ulsp_task_tag *tag;

	tag = bpf_task_storage_get(&task_tags, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!tag) /* two made its first at once: the other's is there now */
		tag = bpf_task_storage_get(&task_tags, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!tag)
		return -ENOMEM;
	*tag = *want;
	return 0;
}

static __always_inline int set_tgid(struct task_struct *task, __u64 tag)
{
	__u32 tgid = task->tgid;
	int r = 0;

	if (tag)
		r = bpf_map_update_elem(&tgid_tags, &tgid, &tag, BPF_ANY);
	/* Dead: tag_exit may have been before us. */
	if (!tag || !BPF_CORE_READ(task, signal, live.counter))
		bpf_map_delete_elem(&tgid_tags, &tgid);
	return r;
}

__u32 untaggable;

/* Counted for each group of `wanted` that `got` hasn't. */
__attribute__((noinline)) int tag_missed(__u64 wanted, __u64 got)
{
	__u32 at;

	for (at = 0; at < ULSP_TAG_SLOTS; at++) {
		__u32 slot = tag_slot(wanted, at), key = slot - 1;
		struct ulsp_group_count *count;

		if (!slot || tag_has(got, slot))
			continue;
		count = bpf_map_lookup_elem(&gcount, &key);
		if (count)
			count->reasons[ULSP_REASON_UNTAGGED]++;
	}
	return 0;
}

/* *tag is to have `more` too; 1 when it has no room for all of it. */
static __always_inline int add_tag(__u64 *tag, __u64 more)
{
	int full = 0;

	*tag = tag_union(*tag, more, &full);
	if (full)
		tag_missed(more, *tag);
	return full;
}

/*
 * Where nothing can be refused.  By its number a process is still judged; one that is tagged
 * neither way is ended if it is current, and is counted.
 */
static __always_inline void tag_process(struct task_struct *leader, const struct ulsp_task_tag *tag)
{
	int unstored = set_tag(leader, tag), unlisted = set_tgid(leader, tag->all);

	if ((!unstored && !unlisted) || !tag->all)
		return;
	tag_missed(tag->all, 0);
	if (!unstored)
		return;
	__sync_fetch_and_add(&untaggable, 1);
	if (unlisted && leader->tgid == bpf_get_current_task_btf()->tgid)
		bpf_send_signal(SIGNAL_KILL);
}

/* ---- who is being prepared ---- */

static const char executor[] = "systemd-executor"; /* since systemd 255 */

/* What process 1 runs to prepare a service: itself, or the executor that it has for that. */
static __always_inline int prepares(const struct task_struct *task, const struct inode *init)
{
	const struct file *exe = BPF_CORE_READ(task, mm, exe_file);
	char name[sizeof(executor)];
	const unsigned char *at;

	if (!exe)
		return 0;
	if (BPF_CORE_READ(exe, f_inode) == init)
		return 1;
	at = BPF_CORE_READ(exe, f_path.dentry, d_name.name);
	if (bpf_probe_read_kernel_str(name, sizeof(name), at) != sizeof(name))
		return 0;
	return !bpf_strncmp(name, sizeof(name), executor);
}

/*
 * A child of process 1, or its helper, that has not executed what it is to become: it sets up its
 * own mounts and namespaces, which no member may.  Its cgroup's groups are due at that execve.
 */
static __always_inline int being_prepared(const struct task_struct *task)
{
	const struct task_struct *parent = BPF_CORE_READ(task, real_parent), *up;
	const struct inode *init;

	up = BPF_CORE_READ(parent, tgid) == 1 ? parent : BPF_CORE_READ(parent, real_parent);
	if (BPF_CORE_READ(up, tgid) != 1)
		return 0;
	init = BPF_CORE_READ(up, mm, exe_file, f_inode);
	return prepares(task, init) && (parent == up || prepares(parent, init));
}

/* ---- tags ---- */

static __always_inline __u64 given_by_cgroup(const struct task_struct *task,
					     const struct cgroup *cgroup)
{
	__u64 tag = cgroup_tag(cgroup);

	return tag && being_prepared(task) ? 0 : tag;
}

/* What its cgroup and its file give, added. */
static __always_inline void add_given(struct task_struct *task, struct ulsp_task_tag *tag)
{
	struct mm_struct *mm = task->mm;

	if (mm)
		add_tag(&tag->exec, exec_tag(mm->exe_file));
	add_tag(&tag->all, given_by_cgroup(task, task->cgroups->dfl_cgrp));
	add_tag(&tag->all, tag->exec);
}

static __always_inline bool same_tag(const struct ulsp_task_tag *a, const struct ulsp_task_tag *b)
{
	return a->all == b->all && a->exec == b->exec;
}

static __always_inline bool is_leader(const struct task_struct *task)
{
	return task->pid == task->tgid;
}

/* ---- birth and death ---- */

SEC("lsm/task_alloc")
int BPF_PROG(lsm_task_alloc, struct task_struct *task, unsigned long clone_flags, int ret)
{
	struct ulsp_task_tag mine;

	if (ret)
		return ret;
	if (!read_tag(bpf_get_current_task_btf(), &mine) || !mine.all)
		return 0;
	if (clone_flags & CLONE_INTO_CGROUP && forbid(mine.all, ULSP_REACH_ESCAPE))
		return -EPERM;
	if (clone_flags & CLONE_THREAD)
		return 0;
	/* A child that can't be tagged isn't born. */
	if (set_tag(task, &mine))
		return -ENOMEM;
	return 0;
}

/*
 * The parent's tag came by task_alloc.  Since then the parent may have been moved, a policy loaded,
 * tag_tasks gone by; or the child was cloned into another cgroup (CLONE_INTO_CGROUP).
 */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(tag_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_struct *leader = child->group_leader;
	struct ulsp_task_tag have, tag;
	int had = read_tag(child, &have);

	tag = have;
	add_given(child, &tag);
	if (!tag.all || !leader)
		return 0;
	if (!had || !same_tag(&have, &tag))
		tag_process(leader, &tag);
	else if (is_leader(child) && set_tgid(child, tag.all))
		tag_missed(tag.all, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tag_exit, struct task_struct *task)
{
	if (tag_of(task) && !BPF_CORE_READ(task, signal, live.counter))
		set_tgid(task, 0);
	return 0;
}

/* ---- moves ---- */

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(tag_move, struct cgroup *to, const char *path, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct ulsp_task_tag tag;
	__u64 by_cgroup;

	/* Members are of cgroup2, whose number is 0; cgroups of others have the same ids. */
	if (!leader || BPF_CORE_READ(to, root, hierarchy_id))
		return 0;
	by_cgroup = given_by_cgroup(task, to);
	if (!read_tag(task, &tag) && !by_cgroup)
		return 0;
	/* By somebody outside: what the old cgroup gave ends, unless other threads are there. */
	if (is_leader(task) && !my_tag())
		tag.all = tag.exec;
	add_tag(&tag.all, by_cgroup);
	tag_process(leader, &tag);
	return 0;
}

/*
 * Each level of an execution comes here: a script and then its interpreter.  The old leader's tag
 * goes with it when another thread executes, so a tag by the leader is made the thread's own.
 * A move can't be refused when its group has no room: what comes after it is.
 */
SEC("lsm/bprm_check_security")
int BPF_PROG(lsm_exec, struct linux_binprm *bprm, int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ulsp_task_tag have, tag;
	__u64 by_file;
	int had, full;

	if (ret)
		return ret;
	had = read_tag(task, &have);
	by_file = exec_tag(bprm->file);
	if (!had && !by_file)
		return 0;
	tag = have;
	full = add_tag(&tag.all, given_by_cgroup(task, task->cgroups->dfl_cgrp));
	full |= add_tag(&tag.all, by_file);
	full |= add_tag(&tag.exec, by_file);
	if (!full && had && is_leader(task) && same_tag(&have, &tag))
		return 0;
	if (full || set_tag(task, &tag))
		return -EPERM; /* fails closed: it would run without its group */
	set_tgid(task, tag.all);
	return 0;
}

/* Moved since, or given a group since; and the leader is another, when a thread has executed. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(tag_exec, struct task_struct *task)
{
	struct ulsp_task_tag have, tag;
	int had = read_tag(task, &have);

	tag = have;
	add_given(task, &tag);
	if (!tag.all || (had && same_tag(&have, &tag)))
		return 0;
	tag_process(task, &tag);
	return 0;
}

/* ---- what runs already ---- */

/*
 * Slots that are still groups', without the one that lost a cgroup: it is given anew.  Told by the
 * loader.
 */
static __always_inline __u64 still_valid(__u64 tag)
{
	__u32 zero = 0, at, *left = bpf_map_lookup_elem(&tagger_knobs, &zero);
	__u64 valid = 0;
	int full = 0;

	for (at = 0; at < ULSP_TAG_SLOTS; at++) {
		__u32 slot = tag_slot(tag, at), key = slot - 1;
		const struct ulsp_group *group;

		if (!slot || (left && *left == slot))
			continue;
		group = bpf_map_lookup_elem(&groups, &key);
		if (group && group->in_use)
			valid = tag_with(valid, slot, &full);
	}
	return valid;
}

SEC("iter/task")
int tag_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct ulsp_task_tag have, tag;
	int had;

	if (!task || task->flags & 0x00200000 /* PF_KTHREAD */)
		return 0;
	leader = task->group_leader;
	if (!leader)
		return 0;
	had = read_tag(task, &have);
	tag = have;
	if (is_leader(task)) {
		tag.all = still_valid(tag.all);
		tag.exec = still_valid(tag.exec);
	}
	add_given(task, &tag);
	if (!had && !tag.all)
		return 0;
	if (!had || !same_tag(&have, &tag))
		tag_process(leader, &tag);
	/* Moved before we wrote. */
	read_tag(task, &have);
	tag = have;
	add_given(task, &tag);
	if (!same_tag(&have, &tag))
		tag_process(leader, &tag);
	else
		set_tgid(task, tag.all);
	return 0;
}
