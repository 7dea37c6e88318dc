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
	MAGIC_BPF = 0xcafe4a11,
	MAGIC_BINFMT = 0x42494e4d,
	MAGIC_CGROUP = 0x27e0eb,
	MAGIC_CGROUP2 = 0x63677270,
	MAGIC_CONFIG = 0x62656570,
	MAGIC_DEBUG = 0x64626720,
	MAGIC_PROC = 0x9fa0,
	MAGIC_SECURITY = 0x73636673,
	MAGIC_SYS = 0x62656572,
	MAGIC_TRACE = 0x74726163,
};

/* selinuxfs isn't here: libselinux asks it by writing. */
static __always_inline int filesystem_kind(const struct inode *inode)
{
	switch ((__u32)inode->i_sb->s_magic) {
	case MAGIC_BPF:
		return ULSP_REACH_GUARD;
	case MAGIC_BINFMT:
	case MAGIC_CGROUP:
	case MAGIC_CGROUP2:
	case MAGIC_CONFIG:
	case MAGIC_DEBUG:
	case MAGIC_PROC:
	case MAGIC_SECURITY:
	case MAGIC_SYS:
	case MAGIC_TRACE:
		return ULSP_REACH_ESCAPE;
	}
	return PLACE_FREE;
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
