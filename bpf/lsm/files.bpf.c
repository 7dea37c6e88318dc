/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files that a member may not write, whether it opens them, is given them or
 * had them open before it was a member; and what it may not push into a
 * terminal.
 *
 * This is what keeps it in its cgroup: cgroup.procs, cgroup.threads and
 * cgroup.kill are files, and the only other way is CLONE_INTO_CGROUP.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "places.bpf.h"

enum {
	READABLE = 0x1, /* FMODE_READ */
	WRITABLE = 0x2, /* FMODE_WRITE */
	MAY_WRITE = 0x2,
	KIND = 0170000,
	DIRECTORY = 0040000,
	CHARACTERS = 0020000,
	MEM_MAJOR = 1, /* mem, kmem, port: minor 1, 2, 4 */
	PUSH_INPUT = 0x5412,   /* TIOCSTI */
	PASTE_INPUT = 0x541c,  /* TIOCLINUX */
	MINOR_BITS = 20,
};
#define INTO_CGROUP 0x200000000ull /* CLONE_INTO_CGROUP */

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

static __always_inline int hold(struct file *file)
{
	struct inode *inode = file->f_inode;
	__u64 mine;
	int kind;

	/* Pins are read too: iterators act when they are. */
	if (!(file->f_mode & WRITABLE) && inode->i_sb->s_magic != MAGIC_BPF)
		return 0;
	mine = my_tag();
	if (!mine || (inode->i_mode & KIND) == DIRECTORY)
		return 0;
	kind = write_kind(inode, mine);
	if (kind == PLACE_FREE && is_guarded_path(BPF_CORE_READ(file, f_path.dentry)))
		kind = ULSP_REACH_GUARD;
	return kind == PLACE_FREE ? 0 : forbid(mine, kind);
}

SEC("lsm/file_open")
int BPF_PROG(lsm_file_open, struct file *file, int ret)
{
	if (ret)
		return ret;
	return hold(file);
}

SEC("lsm/file_receive")
int BPF_PROG(lsm_file_receive, struct file *file, int ret)
{
	if (ret)
		return ret;
	return hold(file);
}

/* Optional: only for what was open before, and every write pays for it. */
SEC("?lsm/file_permission")
int BPF_PROG(lsm_file_write, struct file *file, int mask, int ret)
{
	struct inode *inode;
	__u64 mine;
	int kind;

	if (ret)
		return ret;
	if (!(mask & MAY_WRITE))
		return 0;
	mine = my_tag();
	if (!mine)
		return 0;
	inode = file->f_inode;
	kind = write_kind(inode, mine);
	return kind == PLACE_FREE ? 0 : forbid(mine, kind);
}

SEC("lsm/task_alloc")
int BPF_PROG(lsm_clone_into, struct task_struct *task, unsigned long clone_flags, int ret)
{
	if (ret)
		return ret;
	if (!(clone_flags & INTO_CGROUP))
		return 0;
	return forbid(my_tag(), ULSP_REACH_ESCAPE);
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
