/* SPDX-License-Identifier: GPL-2.0-only */
/* Channels that are files: made, and FIFOs that are open.  Opened: files.bpf.c. */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "channel.bpf.h"

/* A new file gets its name: the only hook that sees queues and files without a name being made. */
SEC("lsm/d_instantiate")
int BPF_PROG(lsm_file_made, struct dentry *dentry, struct inode *inode)
{
	__u64 mine;

	if (!inode || untagged() || (inode->i_mode & IFMT) != IFREG ||
	    !lasting_kind(inode, inode->i_sb->s_magic))
		return 0;
	mine = my_tag();
	if (!mine || inode->i_nlink > 1) /* another name of an old file */
		return 0;
	/* Fails closed: without a tag it is outside's, and its maker can't open it. */
	bpf_inode_storage_get(&inode_tags, inode, &mine, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
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
