/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names that a member may not make, remove or change: in bpffs, where our maps
 * and links are pinned, in our directories, and in the kernel's filesystems (a
 * directory of cgroupfs is a cgroup).  Who is outside may: an administrator
 * removes us by removing the pins.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "channel.bpf.h"
#include "places.bpf.h"

/* `dentry` need not exist yet. */
static __always_inline int change(struct inode *dir, struct dentry *dentry)
{
	__u64 mine = my_tag();
	int kind;

	if (!mine)
		return 0;
	kind = filesystem_kind(dir);
	if (kind == PLACE_FREE && is_guarded_path(dentry))
		kind = ULSP_REACH_GUARD;
	return kind == PLACE_FREE ? 0 : forbid(mine, kind);
}

SEC("lsm/inode_create")
int BPF_PROG(lsm_create, struct inode *dir, struct dentry *dentry, umode_t mode, int ret)
{
	return ret ? ret : change(dir, dentry);
}

SEC("lsm/inode_mkdir")
int BPF_PROG(lsm_mkdir, struct inode *dir, struct dentry *dentry, umode_t mode, int ret)
{
	return ret ? ret : change(dir, dentry);
}

SEC("lsm/inode_mknod")
int BPF_PROG(lsm_mknod, struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev, int ret)
{
	return ret ? ret : change(dir, dentry);
}

SEC("lsm/inode_symlink")
int BPF_PROG(lsm_symlink, struct inode *dir, struct dentry *dentry, const char *to, int ret)
{
	return ret ? ret : change(dir, dentry);
}

SEC("lsm/inode_unlink")
int BPF_PROG(lsm_unlink, struct inode *dir, struct dentry *dentry, int ret)
{
	if (!ret)
		ret = change(dir, dentry);
	return ret ? ret : reach_lasting(dentry);
}

SEC("lsm/inode_rmdir")
int BPF_PROG(lsm_rmdir, struct inode *dir, struct dentry *dentry, int ret)
{
	return ret ? ret : change(dir, dentry);
}

/* A second name in a place of its own would be no longer guarded. */
SEC("lsm/inode_link")
int BPF_PROG(lsm_link, struct dentry *old, struct inode *dir, struct dentry *dentry, int ret)
{
	if (!ret)
		ret = change(dir, old);
	return ret ? ret : change(dir, dentry);
}

SEC("lsm/inode_rename")
int BPF_PROG(lsm_rename, struct inode *old_dir, struct dentry *old, struct inode *new_dir,
	     struct dentry *new, int ret)
{
	if (!ret)
		ret = change(old_dir, old);
	if (!ret)
		ret = change(new_dir, new);
	if (!ret)
		ret = reach_lasting(old);
	return ret ? ret : reach_lasting(new); /* what is replaced */
}

/* Owner, mode, size, attributes: a shell that writes to its own /proc/PID also truncates. */
static __always_inline int alter(struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;
	__u64 mine = my_tag();
	int kind;

	if (!inode)
		return 0;
	kind = mine ? write_kind(inode, mine) : PLACE_FREE;
	if (mine && kind == PLACE_FREE && is_guarded_path(dentry))
		kind = ULSP_REACH_GUARD;
	return kind == PLACE_FREE ? reach_lasting(dentry) : forbid(mine, kind);
}

SEC("?lsm/inode_setattr")
int BPF_PROG(lsm_setattr_args2, struct dentry *dentry, struct iattr *attr, int ret)
{
	return ret ? ret : alter(dentry);
}

/* 6.12; not 6.1. */
SEC("?lsm/inode_setattr")
int BPF_PROG(lsm_setattr_args3, void *idmap, struct dentry *dentry, struct iattr *attr, int ret)
{
	return ret ? ret : alter(dentry);
}

SEC("lsm/inode_setxattr")
int BPF_PROG(lsm_setxattr, void *idmap, struct dentry *dentry, const char *name, const void *value,
	     size_t size, int flags, int ret)
{
	return ret ? ret : alter(dentry);
}

SEC("lsm/inode_removexattr")
int BPF_PROG(lsm_removexattr, void *idmap, struct dentry *dentry, const char *name, int ret)
{
	return ret ? ret : alter(dentry);
}

/* Access lists are attributes before 6.2. */
SEC("?lsm/inode_set_acl")
int BPF_PROG(lsm_set_acl, void *idmap, struct dentry *dentry, const char *name,
	     struct posix_acl *acl, int ret)
{
	return ret ? ret : alter(dentry);
}

SEC("?lsm/inode_remove_acl")
int BPF_PROG(lsm_remove_acl, void *idmap, struct dentry *dentry, const char *name, int ret)
{
	return ret ? ret : alter(dentry);
}
