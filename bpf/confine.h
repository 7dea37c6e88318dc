/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the loader tells the LSM programs: tags, and what a group isolates.
 *
 * A tag is the set of groups that a process belongs to: up to four slots plus
 * one, 16 bits each, from the lowest bits on; 0 is nobody's.  All LSM maps are
 * the instance's: there is one set of LSM programs, not one a group.
 */
#ifndef CONFINE_H
#define CONFINE_H

#include "ulsp_abi.h"

enum { ULSP_TAG_SLOTS = 4, ULSP_TAG_BITS = 16, ULSP_TAG_MASK = 0xffff };

/* A process's tag. */
struct ulsp_task_tag {
	__u64 all;
	__u64 exec; /* of these, by its executable: a move to another cgroup doesn't end them */
};

enum ulsp_confine_flag {
	ULSP_CONFINE_OUTSIDE = 1 << 0, /* peers: processes without a group are peers */
	ULSP_CONFINE_UNIX = 1 << 1,    /* UNIX sockets are judged by rules (op socket) */
	ULSP_CONFINE_PATHS = 1 << 2,   /* peers names paths of UNIX sockets */
};

/* Of a group, replaced as a whole: value of the hash `confine`, key is the slot. */
struct ulsp_confine {
	__u32 kinds; /* bit per enum ulsp_reach; ESCAPE is set for each isolated group */
	__u32 flags; /* enum ulsp_confine_flag */
	__u32 generation;
	__u32 line; /* of `isolate` */
	__u16 file;
	__u16 families;	 /* bit per enum ulsp_proto >= UNIX that rules allow to be created */
	__u32 log_rings; /* rings that get a message of each denial */
	__u64 peers[ULSP_MAX_GROUPS / 64]; /* slots */
};
_Static_assert(sizeof(struct ulsp_confine) == 56, "pinned: raise ULSP_ABI");

/* An executable; key of the hash `exec_tags`, the value is a tag. */
struct ulsp_exec_key {
	__u64 ino;
	__u32 dev;
	__u32 reserved;
};

/*
 * A UNIX socket outside that members may reach; key of the hash `unix_paths`,
 * the value is not used.  The path is as its owner bound it, zero-padded; an
 * abstract name has '@' for its first byte.
 */
struct ulsp_unix_path {
	__u32 slot;
	char path[108];
};

enum ulsp_bpf_type { ULSP_BPF_MAP, ULSP_BPF_PROG };

/* Key of the hash `guarded_bpf`. */
struct ulsp_bpf_key {
	__u32 type; /* enum ulsp_bpf_type */
	__u32 id;
};

/* What messages of LSM operations have in `remote`: the target; and in `local`: the actor. */
struct ulsp_reach_peer {
	__u32 tgid;  /* 0: no process, or not known */
	__u32 group; /* slot plus one; 0: none */
	__u64 reserved;
};
_Static_assert(sizeof(struct ulsp_reach_peer) == 16, "fills ulsp_msg.remote");

#endif
