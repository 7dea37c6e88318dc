/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that a member may not write, whether it opens them, is given them or
 * had them open before it was a member; and what it may not push into a
 * terminal.
 *
 * This is what keeps it in its cgroup: cgroup.procs, cgroup.threads and
 * cgroup.kill are files, and the only other way is CLONE_INTO_CGROUP (tag.bpf.c).
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "channel.bpf.h"
#include "passing.bpf.h"
#include "places.bpf.h"
#include "proc.bpf.h"

enum {
	READABLE = 0x1, /* FMODE_READ */
	WRITABLE = 0x2, /* FMODE_WRITE */
	MAY_WRITE = 0x2,
	PUSH_INPUT = 0x5412,  /* TIOCSTI */
	PASTE_INPUT = 0x541c, /* TIOCLINUX */
};

static __always_inline int hold(struct file *file, struct inode *inode, __u64 magic)
{
	__u64 mine;
	int kind;

	/* Pins are read too: iterators act when they are. */
	if (!(file->f_mode & WRITABLE) && magic != MAGIC_BPF)
		return 0;
	mine = my_tag();
	if (!mine || (inode->i_mode & KIND) == DIRECTORY)
		return 0;
	kind = write_kind(inode, mine);
	if (kind == PLACE_FREE && is_guarded_path(BPF_CORE_READ(file, f_path.dentry)))
		kind = ULSP_REACH_GUARD;
	return kind == PLACE_FREE ? 0 : forbid(mine, kind);
}

/* One program for all that judge an open: who is in no group pays most for its being called. */
SEC("lsm/file_open")
int BPF_PROG(lsm_file_open, struct file *file, int ret)
{
	struct inode *inode;
	__u64 magic;

	if (ret)
		return ret;
	inode = file->f_inode;
	magic = inode->i_sb->s_magic;
	ret = channel_open(inode, magic);
	if (!ret)
		ret = proc_open(inode, magic);
	return ret ? ret : hold(file, inode, magic);
}

SEC("lsm/file_receive")
int BPF_PROG(lsm_file_receive, struct file *file, int ret)
{
	struct inode *inode;

	if (ret)
		return ret;
	inode = file->f_inode;
	ret = hold(file, inode, inode->i_sb->s_magic);
	return ret ? ret : passed(file);
}

/* For what was open before its process was a member.  Every read and write comes here. */
SEC("?lsm/file_permission")
int BPF_PROG(lsm_file_write, struct file *file, int mask, int ret)
{
	struct inode *inode;
	__u64 mine;
	int kind;

	if (ret)
		return ret;
	if (!(mask & MAY_WRITE) || untagged())
		return 0;
	/* Most files leave before the tag is looked up. */
	inode = file->f_inode;
	if (filesystem_kind(inode) == PLACE_FREE && (inode->i_mode & KIND) != CHARACTERS)
		return 0;
	mine = my_tag();
	if (!mine)
		return 0;
	kind = write_kind(inode, mine);
	return kind == PLACE_FREE ? 0 : forbid(mine, kind);
}

static __always_inline int push(unsigned int cmd)
{
	if (cmd != PUSH_INPUT && cmd != PASTE_INPUT)
		return 0;
	return forbid(my_tag(), ULSP_REACH_ESCAPE);
}

SEC("lsm/file_ioctl")
int BPF_PROG(lsm_push, struct file *file, unsigned int cmd, unsigned long arg, int ret)
{
	if (ret)
		return ret;
	return push(cmd);
}

/* Of a 32-bit system call; 6.1.0 to 6.7 had no hook of its own for it. */
SEC("?lsm/file_ioctl_compat")
int BPF_PROG(lsm_push_compat, struct file *file, unsigned int cmd, unsigned long arg, int ret)
{
	if (ret)
		return ret;
	return push(cmd);
}
