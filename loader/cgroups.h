/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cgroup2 tree: from paths to directories and ids, and back.
 *
 * Paths are relative to the root, without leading or trailing '/'; the root is
 * "".  An id names a cgroup for good: it is never given to another.
 */
#ifndef CGROUPS_H
#define CGROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "instance.h"

struct cgroup_root {
	char *path;
	int fd;
};

/* `path` NULL: the cgroup2 mount.  -ENOENT: none; -ENOTDIR: not a cgroup2 directory. */
int cgroup_root_open(const char *path, struct cgroup_root *ret, struct err *e);
void cgroup_root_close(struct cgroup_root *root);

/* What a user wrote, also an absolute path below the root, as a path. */
int cgroup_normalize(const struct cgroup_root *root, const char *text, char *buf, size_t bytes,
		     struct err *e);
/* A directory that is really below the root; returns the fd. */
int cgroup_open(const struct cgroup_root *root, const char *path);
int cgroup_id(int fd, uint64_t *ret);
/* -ESTALE: the cgroup is gone. */
int cgroup_path(const struct cgroup_root *root, uint64_t id, char *buf, size_t bytes);
/* Makes the cgroup and its parents, mode 0755. */
int cgroup_make(const struct cgroup_root *root, const char *path);
/* Removes a cgroup and those below as far as nobody is in them; -EBUSY: somebody is. */
int cgroup_prune(const struct cgroup_root *root, const char *path);
/* Kills what is in a cgroup and below, without waiting. */
void cgroup_kill(const struct cgroup_root *root, const char *path);
/*
 * Kills what is in a cgroup and below and removes it, waiting for the dead at
 * most timeout_ms.  -EBUSY: still somebody there.
 */
int cgroup_remove(const struct cgroup_root *root, const char *path, int timeout_ms);

/* Every cgroup of a subtree, itself first; stops at a negative return and gives it back. */
typedef int (*cgroup_visit)(void *ctx, int fd, const char *path, uint64_t id);
enum { CGROUP_WALK_MAX = 16384, CGROUP_DEPTH_MAX = 32 };
int cgroup_walk(const struct cgroup_root *root, const char *path, cgroup_visit visit, void *ctx);
/* Calls back with each process id of one cgroup. */
int cgroup_pids(int fd, int (*each)(void *ctx, int pid), void *ctx);

#endif
