/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tagging: a process gets its groups when it is forked, moved to a member
 * cgroup by somebody outside, executes a member's file, or runs already when a
 * policy is loaded (tag_tasks).  A member's own moves only ever add.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "reach.bpf.h"

#define CLONE_THREAD 0x00010000

static __always_inline __u64 exec_tag(struct file *file)
{
	struct ulsp_exec_key key = {};
	__u64 *tag;

	if (!file)
		return 0;
	key.ino = BPF_CORE_READ(file, f_inode, i_ino);
	key.dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	tag = bpf_map_lookup_elem(&exec_tags, &key);
	return tag ? *tag : 0;
}

/* 0, or what keeps it from being tagged as it should. */
static __always_inline int set_tag(struct task_struct *task, const struct ulsp_task_tag *want)
{
	struct ulsp_task_tag *tag;

	tag = bpf_task_storage_get(&task_tags, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!tag)
		return -ENOMEM;
	*tag = *want;
	return 0;
}

static __always_inline void set_tgid(__u32 tgid, __u64 tag)
{
	if (tag)
		bpf_map_update_elem(&tgid_tags, &tgid, &tag, BPF_ANY);
	else
		bpf_map_delete_elem(&tgid_tags, &tgid);
}

/* ---- who is being prepared ---- */

static __always_inline const struct inode *exe_of(const struct task_struct *task)
{
	return BPF_CORE_READ(task, mm, exe_file, f_inode);
}

static const char executor[] = "systemd-executor"; /* since systemd 255 */

/* What process 1 runs to prepare a service: itself, or the executor that it has for that. */
static __always_inline int prepares(const struct file *file, const struct inode *init)
{
	char name[sizeof(executor)];
	const unsigned char *at;

	if (BPF_CORE_READ(file, f_inode) == init)
		return 1;
	at = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	if (bpf_probe_read_kernel_str(name, sizeof(name), at) != sizeof(name))
		return 0;
	return !bpf_strncmp(name, sizeof(name), executor);
}

/*
 * A child of process 1 that has not executed what it is to become: it sets up its own mounts and
 * namespaces, which no member may.  Its groups are due at that execve.
 */
static __always_inline int being_prepared(const struct task_struct *task)
{
	const struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	const struct file *exe;

	if (BPF_CORE_READ(parent, tgid) != 1)
		return 0;
	exe = BPF_CORE_READ(task, mm, exe_file);
	return exe && prepares(exe, exe_of(parent));
}

/* What a cgroup gives a process. */
static __always_inline void give(const struct task_struct *task, struct ulsp_task_tag *tag,
				 __u64 by_cgroup)
{
	int full = 0;

	if (!tag->all && being_prepared(task))
		tag->pending = by_cgroup;
	else
		tag->all = tag_union(tag->all, by_cgroup, &full);
}

/* ---- birth and death ---- */

SEC("lsm/task_alloc")
int BPF_PROG(lsm_task_alloc, struct task_struct *task, unsigned long clone_flags, int ret)
{
	struct ulsp_task_tag *mine;

	if (ret)
		return ret;
	mine = task_tag(bpf_get_current_task_btf());
	if (!mine || !(mine->all | mine->pending))
		return 0;
	/* A child that can't be tagged isn't born. */
	if (set_tag(task, mine))
		return -ENOMEM;
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(tag_fork, struct task_struct *parent, struct task_struct *child)
{
	struct ulsp_task_tag tag = {}, *have = task_tag(child);
	__u64 theirs, ours;

	if (have)
		tag = *have;
	/* Cloned into another cgroup (CLONE_INTO_CGROUP). */
	ours = BPF_CORE_READ(parent, cgroups, dfl_cgrp, kn, id);
	theirs = BPF_CORE_READ(child, cgroups, dfl_cgrp, kn, id);
	if (ours != theirs) {
		give(child, &tag, cgroup_tag(BPF_CORE_READ(child, cgroups, dfl_cgrp)));
		if (tag.all | tag.pending)
			set_tag(child, &tag);
	}
	if (tag.all && child->pid == child->tgid)
		set_tgid(child->tgid, tag.all);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tag_exit, struct task_struct *task)
{
	if (!BPF_CORE_READ(task, signal, live.counter) && tag_of(task))
		set_tgid(task->tgid, 0);
	return 0;
}

/* ---- moves ---- */

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(tag_move, struct cgroup *to, const char *path, struct task_struct *task)
{
	struct ulsp_task_tag tag = {}, *have = task_tag(task);
	__u64 by_cgroup = cgroup_tag(to);

	if (!have && !by_cgroup)
		return 0;
	if (have)
		tag = *have;
	/* By somebody outside: what the old cgroup gave ends. */
	if (!my_tag())
		tag.all = tag.exec;
	tag.pending = 0;
	give(task, &tag, by_cgroup);
	set_tag(task, &tag);
	set_tgid(task->tgid, tag.all);
	return 0;
}

/*
 * Each level of an execution comes here: a script and then its interpreter.  The old leader's tag
 * goes with it when another thread executes, so a tag by the leader is made the thread's own.
 */
SEC("lsm/bprm_check_security")
int BPF_PROG(lsm_exec, struct linux_binprm *bprm, int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ulsp_task_tag tag = {}, *have;
	__u64 by_file;
	int full = 0;

	if (ret)
		return ret;
	have = task_tag(task);
	by_file = exec_tag(bprm->file);
	if (!have && !by_file)
		return 0;
	if (have)
		tag = *have;
	if (tag.pending && !prepares(bprm->file, exe_of(BPF_CORE_READ(task, real_parent)))) {
		tag.all = tag_union(tag.all, tag.pending, &full);
		tag.pending = 0;
	}
	tag.all = tag_union(tag.all, by_file, &full);
	tag.exec = tag_union(tag.exec, by_file, &full);
	if (full || set_tag(task, &tag))
		return -EPERM; /* fails closed: it would run without its group */
	set_tgid(task->tgid, tag.all);
	return 0;
}

/*
 * Sockets of members by executable that no group's cgroup has: programs on the root cgroup judge
 * them by this (knobs.by_exec).  Their creation was judged before, by nobody.
 */
SEC("lsm/socket_post_create")
int BPF_PROG(lsm_exec_socket, struct socket *sock, int family, int type, int protocol, int kern,
	     int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct ulsp_task_tag *mine;
	__u64 by_cgroup, only = 0;
	struct sock *sk;
	int full = 0;
	__u32 at;

	if (ret)
		return ret;
	mine = kern ? NULL : task_tag(task);
	if (!mine || !mine->exec)
		return 0;
	by_cgroup = cgroup_tag(BPF_CORE_READ(task, cgroups, dfl_cgrp));
	for (at = 0; at < ULSP_TAG_SLOTS; at++)
		if (!tag_has(by_cgroup, tag_slot(mine->exec, at)))
			only = tag_with(only, tag_slot(mine->exec, at), &full);
	sk = sock->sk;
	if (!only || !sk)
		return 0;
	/* Out of memory: the socket isn't made, rather than made without its policy. */
	if (!bpf_sk_storage_get(&sk_exec, sk, &only, BPF_SK_STORAGE_GET_F_CREATE))
		return -ENOMEM;
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
	struct task_struct *task = ctx->task;
	struct ulsp_task_tag tag = {}, *have;
	struct mm_struct *mm;
	__u64 by_cgroup;
	int full = 0;

	if (!task || task->flags & 0x00200000 /* PF_KTHREAD */)
		return 0;
	have = bpf_task_storage_get(&task_tags, task, NULL, 0);
	by_cgroup = cgroup_tag(BPF_CORE_READ(task, cgroups, dfl_cgrp));
	mm = task->mm;
	tag.exec = mm ? exec_tag(BPF_CORE_READ(mm, exe_file)) : 0;
	if (have) {
		tag.all = still_valid(have->all);
		tag.exec = tag_union(tag.exec, still_valid(have->exec), &full);
	}
	tag.all = tag_union(tag.all, tag.exec, &full);
	give(task, &tag, by_cgroup);
	if (!(tag.all | tag.pending) && !have)
		return 0;
	set_tag(task, &tag);
	if (task->pid == task->tgid)
		set_tgid(task->tgid, tag.all);
	return 0;
}
