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
 * descriptors (kind UNIX) or by /proc/PID/fd (kind PTRACE).  Opening is what is
 * judged: a file's removal and its size (unlink, truncate, stat) are not.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

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

/* Which of the kinds is a regular file on it; 0: none. */
static __always_inline __u32 lasting_kind(const struct inode *inode)
{
	const struct super_block *sb = inode->i_sb;
	__u32 dev;

	if ((inode->i_mode & IFMT) != IFREG)
		return 0;
	if (sb->s_magic == MQUEUE_MAGIC)
		return ULSP_REACH_IPC;
	if (sb->s_magic != TMPFS_MAGIC)
		return 0;
	dev = sb->s_dev;
	return bpf_map_lookup_elem(&shm_devs, &dev) ? ULSP_REACH_SHM : 0;
}

/* A new file gets its name: the only hook that sees queues and files without a name being made. */
SEC("lsm/d_instantiate")
int BPF_PROG(lsm_file_made, struct dentry *dentry, struct inode *inode)
{
	__u64 mine;

	if (!inode || !lasting_kind(inode))
		return 0;
	mine = my_tag();
	if (!mine || inode->i_nlink > 1) /* another name of an old file */
		return 0;
	/* Fails closed: without a tag it is outside's, and its maker can't open it. */
	bpf_inode_storage_get(&inode_tags, inode, &mine, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

static __always_inline int open_fifo(struct inode *inode)
{
	__u64 mine, *tag;

	/* Unnamed pipes, by /proc/self/fd or /dev/stdout, are had already. */
	if (inode->i_sb->s_magic == PIPEFS_MAGIC)
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

SEC("lsm/file_open")
int BPF_PROG(lsm_channel_open, struct file *file, int ret)
{
	struct inode *inode;
	__u64 mine, *tag;
	__u32 kind;

	if (ret)
		return ret;
	inode = file->f_inode;
	if ((inode->i_mode & IFMT) == IFIFO)
		return open_fifo(inode);
	kind = lasting_kind(inode);
	if (!kind)
		return 0;
	mine = my_tag();
	tag = bpf_inode_storage_get(&inode_tags, inode, NULL, 0);
	return reach(mine, tag ? *tag : 0, kind, 0);
}

/*
 * Two that open a FIFO at once both see that nobody has it open; the second made it its own, so
 * the first is turned away.  Before 6.9 there is no such hook, and that race is open.
 */
SEC("?lsm/file_post_open")
int BPF_PROG(lsm_fifo_opened, struct file *file, int mask, int ret)
{
	struct inode *inode;
	__u64 *tag;

	if (ret)
		return ret;
	inode = file->f_inode;
	if ((inode->i_mode & IFMT) != IFIFO || inode->i_sb->s_magic == PIPEFS_MAGIC)
		return 0;
	tag = bpf_inode_storage_get(&inode_tags, inode, NULL, 0);
	return reach(my_tag(), tag ? *tag : 0, ULSP_REACH_FIFO, 0);
}
