/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Channels that are files: FIFOs, POSIX message queues (kind IPC), POSIX
 * shared memory (files on the tmpfs mounted at /dev/shm).
 *
 * A queue or a shared file belongs to the group that made it, for as long as
 * it exists, and one without a tag to outside.  A FIFO holds nothing between
 * its uses: it belongs to who opens it first, until nobody has it open.
 *
 * Files of memfd_create() have no name to open: they get to others as passed
 * descriptors (kind UNIX) or by /proc/PID/fd (kind PTRACE).  Queues and shared
 * files are also judged when they are removed, renamed or altered, not when
 * they are looked at (stat).
 */
#ifndef CHANNEL_BPF_H
#define CHANNEL_BPF_H

#include "reach.bpf.h"

#define MQUEUE_MAGIC 0x19800202
#define TMPFS_MAGIC  0x01021994
#define PIPEFS_MAGIC 0x50495045

/* What S_IFMT has of it; vmlinux.h has no macros. */
#define IFMT  0170000
#define IFIFO 0010000
#define IFREG 0100000

/* Devices (super_block.s_dev) mounted at a /dev/shm, by the loader.  Value: 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} shm_devs __weak SEC(".maps");

/* Which of the kinds is a regular file, by its filesystem; 0: none. */
static __always_inline __u32 lasting_kind(const struct inode *inode, __u64 magic)
{
	__u32 dev;

	if (magic == MQUEUE_MAGIC)
		return ULSP_REACH_IPC;
	if (magic != TMPFS_MAGIC)
		return 0;
	dev = inode->i_sb->s_dev;
	return bpf_map_lookup_elem(&shm_devs, &dev) ? ULSP_REACH_SHM : 0;
}

static __always_inline int open_fifo(struct inode *inode, __u64 magic)
{
	__u64 mine, *tag;

	/* Unnamed pipes, by /proc/self/fd or /dev/stdout, are had already. */
	if (magic == PIPEFS_MAGIC)
		return 0;
	mine = my_tag();
	tag = bpf_inode_storage_get(&inode_tags, inode, NULL, 0);
	if (inode->i_pipe)
		return reach(mine, tag ? *tag : 0, ULSP_REACH_FIFO, 0);
	if (!tag && !mine)
		return 0;
	if (!tag)
		tag = bpf_inode_storage_get(&inode_tags, inode, NULL,
					    BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!tag)
		return -ENOMEM;
	*tag = mine;
	return 0;
}

/* `magic`: its filesystem. */
static __always_inline int channel_open(struct inode *inode, __u64 magic)
{
	__u32 format = inode->i_mode & IFMT, kind;
	__u64 mine, *tag;

	if (format == IFIFO)
		return open_fifo(inode, magic);
	kind = format == IFREG ? lasting_kind(inode, magic) : 0;
	if (!kind)
		return 0;
	mine = my_tag();
	tag = bpf_inode_storage_get(&inode_tags, inode, NULL, 0);
	return reach(mine, tag ? *tag : 0, kind, 0);
}

/* Removed, renamed or altered: by its name, `dentry`. */
static __always_inline int reach_lasting(struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;
	__u64 *tag;
	__u32 kind;

	if (!inode)
		return 0;
	kind = lasting_kind(inode, inode->i_sb->s_magic);
	if (!kind)
		return 0;
	tag = bpf_inode_storage_get(&inode_tags, inode, NULL, 0);
	return reach(my_tag(), tag ? *tag : 0, kind, 0);
}

#endif
