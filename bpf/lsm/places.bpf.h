/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Places where a member may change nothing: the kernel's own filesystems, by
 * which it is controlled (ESCAPE), bpffs, and the directories that the loader
 * names in guarded_inodes (GUARD).
 */
#ifndef PLACES_BPF_H
#define PLACES_BPF_H

#include "reach.bpf.h"

enum {
	PLACE_FREE = -1, /* else enum ulsp_reach */
	PLACE_DEPTH = 4, /* directories below a guarded one are too, down to here */
};

enum {
	MAGIC_BINDER = 0x6c6f6f70,
	MAGIC_BPF = 0xcafe4a11,
	MAGIC_BINFMT = 0x42494e4d,
	MAGIC_CGROUP = 0x27e0eb,
	MAGIC_CGROUP2 = 0x63677270,
	MAGIC_CONFIG = 0x62656570,
	MAGIC_DEBUG = 0x64626720,
	MAGIC_EFI = 0xde5e81e4,
	MAGIC_FUSE_CONTROL = 0x65735543,
	MAGIC_PROC = 0x9fa0,
	MAGIC_PSTORE = 0x6165676c,
	MAGIC_RESCTRL = 0x7655821,
	MAGIC_SECURITY = 0x73636673,
	MAGIC_SYS = 0x62656572,
	MAGIC_TRACE = 0x74726163,
};

enum {
	KIND = 0170000,
	DIRECTORY = 0040000,
	CHARACTERS = 0020000,
	MEM_MAJOR = 1, /* mem, kmem, port: minor 1, 2, 4 */
	MINOR_BITS = 20,
};

/* selinuxfs isn't here: libselinux asks it by writing. */
static __always_inline int filesystem_kind(const struct inode *inode)
{
	switch ((__u32)inode->i_sb->s_magic) {
	case MAGIC_BPF:
		return ULSP_REACH_GUARD;
	case MAGIC_BINDER:
	case MAGIC_BINFMT:
	case MAGIC_CGROUP:
	case MAGIC_CGROUP2:
	case MAGIC_CONFIG:
	case MAGIC_DEBUG:
	case MAGIC_EFI:
	case MAGIC_FUSE_CONTROL:
	case MAGIC_PROC:
	case MAGIC_PSTORE:
	case MAGIC_RESCTRL:
	case MAGIC_SECURITY:
	case MAGIC_SYS:
	case MAGIC_TRACE:
		return ULSP_REACH_ESCAPE;
	}
	return PLACE_FREE;
}

/* Whose /proc/PID it is, 0: nobody's. */
static __always_inline __u32 proc_tgid(struct inode *inode)
{
	const struct proc_inode *proc;
	const struct task_struct *task;
	const struct hlist_node *first;
	const struct pid *pid;

	proc = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	pid = BPF_CORE_READ(proc, pid);
	if (!pid)
		return 0;
	first = BPF_CORE_READ(pid, tasks[0].first);
	if (!first)
		return 0;
	task = (void *)first - bpf_core_field_offset(struct task_struct, pid_links);
	return BPF_CORE_READ(task, tgid);
}

/* Its own /proc/PID, or that of a process in the same groups. */
static __always_inline int is_ours(struct inode *inode, __u64 mine)
{
	__u32 tgid = proc_tgid(inode);
	__u64 *theirs;

	if (!tgid)
		return 0;
	if (tgid == (__u32)bpf_get_current_task_btf()->tgid)
		return 1;
	theirs = bpf_map_lookup_elem(&tgid_tags, &tgid);
	return theirs && *theirs == mine;
}

static __always_inline int is_memory(const struct inode *inode)
{
	__u32 minor = inode->i_rdev & ((1 << MINOR_BITS) - 1);

	return (inode->i_mode & KIND) == CHARACTERS && inode->i_rdev >> MINOR_BITS == MEM_MAJOR &&
	       (minor == 1 || minor == 2 || minor == 4);
}

/* What the kernel or we are controlled by. */
static __always_inline int write_kind(struct inode *inode, __u64 mine)
{
	int kind = filesystem_kind(inode);

	if (kind == PLACE_FREE)
		return is_memory(inode) ? ULSP_REACH_ESCAPE : PLACE_FREE;
	if (inode->i_sb->s_magic == MAGIC_PROC && is_ours(inode, mine))
		return PLACE_FREE;
	return kind;
}

static __always_inline int is_guarded_inode(const struct inode *inode)
{
	struct ulsp_exec_key key = {
		.ino = BPF_CORE_READ(inode, i_ino),
		.dev = BPF_CORE_READ(inode, i_sb, s_dev),
	};

	return bpf_map_lookup_elem(&guarded_inodes, &key) != NULL;
}

/* A guarded directory, or what is in it or not far below. */
static __always_inline int is_guarded_path(const struct dentry *dentry)
{
	int up;

	for (up = 0; up <= PLACE_DEPTH; up++) {
		const struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		const struct inode *inode = BPF_CORE_READ(dentry, d_inode);

		if (inode && is_guarded_inode(inode))
			return 1;
		if (parent == dentry)
			break;
		dentry = parent;
	}
	return 0;
}

#endif
