/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a cgroup2 id to its path, without privilege.
 *
 * An id is the inode number of the cgroup's directory, is never given again,
 * and a cgroup2 directory cannot be renamed; so a path that was found stays
 * right.  Tried in order: what was found before, where the process is now (if
 * that is the id), a bounded walk of the tree.
 */
#ifndef ULSP_CGROUP_H
#define ULSP_CGROUP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	ULSP_CGROUP_SLOTS = 64,	      /* remembered ids, direct mapped */
	ULSP_CGROUP_WALK_MAX = 20000, /* directories that a walk looks at: some 20 ms */
	ULSP_CGROUP_DEPTH_MAX = 32,
};

struct ulsp_cgroups {
	char *root;	  /* mount point; NULL: not looked for yet */
	uint64_t walk_ns; /* last walk, CLOCK_MONOTONIC */
	struct {
		uint64_t id;
		char *path;
	} slots[ULSP_CGROUP_SLOTS];
};

void ulsp_cgroups_fini(struct ulsp_cgroups *c);
/* Returns the length; -ENOENT: no such cgroup (any more), or no cgroup2 in sight. */
int ulsp_cgroups_path(struct ulsp_cgroups *c, uint64_t id, pid_t hint, char *buf, size_t bytes);

#endif
