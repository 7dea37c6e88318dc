/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who: the operation's process, its socket's owner, protocol class, addresses.
 *
 * The group is a constant of the program, which is attached to the group's own
 * cgroups.  The task is read through its BTF pointer, which every program type
 * may do since 5.11; bpf_get_current_pid_tgid() and bpf_get_current_comm() are
 * allowed in sock_addr programs only since 6.10.
 */
#ifndef WHO_BPF_H
#define WHO_BPF_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "event.bpf.h"

#define PF_KTHREAD 0x00200000

static __always_inline __u8 proto_class(__u32 type, __u32 protocol)
{
	switch (protocol) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return ULSP_PROTO_ICMP;
	}
	if (type == SOCK_RAW)
		return ULSP_PROTO_RAW;
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
		return ULSP_PROTO_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return ULSP_PROTO_UDP;
	}
	return ULSP_PROTO_OTHER;
}

/* MPTCP's number has 9 bits; what it puts on the wire is TCP. */
static __always_inline __u8 ip_proto(__u32 protocol)
{
	return protocol == IPPROTO_MPTCP ? IPPROTO_TCP : protocol;
}

/* Ports mean something for these classes only. */
static __always_inline int has_ports(__u8 proto)
{
	return proto == ULSP_PROTO_TCP || proto == ULSP_PROTO_UDP;
}

static __always_inline void addr_v4(__u32 *to, __be32 addr)
{
	to[0] = bpf_ntohl(addr);
	to[1] = to[2] = to[3] = 0;
}

static __always_inline void addr_v6(__u32 *to, __be32 a, __be32 b, __be32 c, __be32 d)
{
	to[0] = bpf_ntohl(a);
	to[1] = bpf_ntohl(b);
	to[2] = bpf_ntohl(c);
	to[3] = bpf_ntohl(d);
}

/* Host-order words of ::ffff:a.b.c.d. */
static __always_inline int is_mapped(const __u32 *words)
{
	return !words[0] && !words[1] && words[2] == 0xffff;
}

static __always_inline int is_any(const __u32 *words)
{
	return !(words[0] | words[1] | words[2] | words[3]);
}

/* A mapped address becomes the IPv4 address that it is. */
static __always_inline void unmap(__u32 *words)
{
	words[0] = words[3];
	words[1] = words[2] = words[3] = 0;
}

/* Device and inode of the executable; 0 when the task has none. */
static __always_inline void task_exe(struct task_struct *task, __u32 *ret_dev, __u64 *ret_ino)
{
	struct super_block *sb;
	struct mm_struct *mm;
	struct inode *inode;
	struct file *file;

	mm = task->mm;
	if (!mm)
		return;
	file = mm->exe_file;
	if (!file)
		return;
	inode = file->f_inode;
	if (!inode)
		return;
	sb = inode->i_sb;
	if (!sb)
		return;
	*ret_dev = sb->s_dev;
	*ret_ino = inode->i_ino;
}

/* What the rules may ask about the task; constants remove what they don't. */
static __always_inline void task_key(struct event *ev)
{
	struct task_struct *task;
	const struct cred *cred;

	if (!(knobs.flags & (ULSP_KNOB_UID | ULSP_KNOB_EXE)))
		return;
	task = bpf_get_current_task_btf();
	if (task->flags & PF_KTHREAD) { /* MPTCP's path manager, a kernel service */
		ev->key.no_task = 1;
		return;
	}
	cred = task->cred;
	if (cred)
		ev->key.uid = cred->uid.val;
	else
		ev->key.no_task = 1; /* fails closed */
	if (knobs.flags & ULSP_KNOB_EXE)
		task_exe(task, &ev->key.exe_dev, &ev->key.exe_ino);
}

/* The same from what was noted about a socket, where no process acts. */
static __always_inline void owner_key(struct event *ev, const struct sock_state *s)
{
	ev->flags |= ULSP_MSG_NO_TASK;
	if (!s || !s->owned) {
		ev->key.no_task = 1;
		return;
	}
	ev->key.uid = s->uid;
	ev->key.exe_dev = s->exe_dev;
	ev->key.exe_ino = s->exe_ino;
}

/* CLOCK_BOOTTIME, as field 22 of /proc/PID/stat has it in clock ticks. */
static __always_inline __u64 task_start_ns(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	return leader ? leader->start_boottime : 0;
}

static __always_inline __u64 task_cgroup(struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	struct cgroup *cgroup;
	struct kernfs_node *node;

	if (!set)
		return 0;
	cgroup = set->dfl_cgrp;
	if (!cgroup)
		return 0;
	node = cgroup->kn;
	return node ? node->id : 0;
}

static __always_inline void task_comm(struct task_struct *task, char *to)
{
	int i;

#pragma unroll
	for (i = 0; i < ULSP_COMM_BYTES; i++)
		to[i] = task->comm[i];
}

/* Note the current task as the socket's owner. */
static __always_inline void own(struct sock_state *s)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct cred *cred = task->cred;

	s->pid = task->pid;
	s->tgid = task->tgid;
	if (cred) {
		s->uid = cred->uid.val;
		s->gid = cred->gid.val;
	}
	s->start_ns = task_start_ns(task);
	s->cgroup = task_cgroup(task);
	task_comm(task, s->comm);
	if (knobs.flags & ULSP_KNOB_EXE)
		task_exe(task, &s->exe_dev, &s->exe_ino);
	s->owned = !!cred;
}

#endif
