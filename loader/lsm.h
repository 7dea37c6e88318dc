/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The LSM tier: tags of processes and what groups isolate.
 *
 * One set of programs an instance, loaded when a policy needs it and pinned
 * with its maps under BPFFS/ulsp/NAME/lsm, so that it outlives the daemon.
 * Before it is pinned a test proves that it denies: without bpf in lsm= the
 * kernel attaches the programs and never calls them.
 */
#ifndef LSM_H
#define LSM_H

#include <sys/types.h>

#include "enforced.h"

enum lsm_map {
	LSM_TASK_TAGS,
	LSM_SK_TAGS,
	LSM_SK_EXEC,
	LSM_INODE_TAGS,
	LSM_OBJECT_TAGS,
	LSM_TGID_TAGS,
	LSM_CGROUP_TAGS,
	LSM_EXEC_TAGS,
	LSM_CONFINE,
	LSM_GUARDED,
	LSM_TAGGER,
	LSM_UNIX_PATHS,
	LSM_GUARDED_INODES,
	LSM_GUARDED_BPF,
	LSM_SHM_DEVS,
	LSM_MAPS
};

/* Programs that go through what runs already: processes, then their sockets. */
enum { LSM_TASKS, LSM_SOCKETS, LSM_ITERATORS };
/* Tracing programs: the kernel leaves a call out when it comes while one is preempted. */
enum { LSM_TRACERS = 4 };
/* Programs for the cgroup2 root while a group isolates loopback. */
enum { LSM_LOOPBACK_HOOKS = 4 };

struct lsm {
	int map[LSM_MAPS];
	int iterator[LSM_ITERATORS]; /* links */
	int tracer[LSM_TRACERS];     /* links */
	uint64_t missed;	     /* calls that were left out, as far as they were made good */
	int loopback[LSM_LOOPBACK_HOOKS]; /* programs */
};

/*
 * What is pinned, or else loaded, proved and pinned.  *ret stays NULL, and 0 is returned, when
 * nothing is pinned and `make` is false.
 */
int lsm_open(struct instance *i, bool make, struct lsm **ret, struct err *e);
void lsm_close(struct lsm **l); /* fds; pins stay */
int lsm_unpin(struct instance *i, struct err *e);

/* Put the loopback programs on the root cgroup, or take them off. */
int lsm_loopback(const struct lsm *l, struct instance *i, int root_fd, bool on, struct err *e);
/* What members can't touch: the instance's maps and programs, its directory, the policy's files. */
int lsm_guard_objects(const struct lsm *l, const struct instance *i, const struct enforced *en,
		      struct err *e);

/* Whether a group of the policy needs the tier. */
bool lsm_needed(const struct enforced *en);
enum { LSM_NONE_LEFT = -1 };
/*
 * Make the maps say what the policy says, and tag what runs.  `left`: a slot that a cgroup lost,
 * whose processes are tagged anew, or LSM_NONE_LEFT.
 */
int lsm_sync(struct lsm *l, struct instance *i, const struct cgroup_root *root,
	     const struct enforced *en, int left, struct err *e);
/* Calls of tracing programs that the kernel has left out, ever. */
uint64_t lsm_missed(const struct lsm *l);
/*
 * If some were since the last time: tag what runs once more, and forget processes that are gone.
 * 1: that was so.
 */
int lsm_catch_up(struct lsm *l, struct err *e);
/* Members can't reach this process (or no longer). */
void lsm_guard(const struct lsm *l, pid_t pid, bool on);
/* Whether a process is tagged. */
bool lsm_is_member(const struct lsm *l, pid_t pid);
void lsm_guard_none(const struct lsm *l);

/* The files that `members exec` names must be there; diagnostics. */
int lsm_check(const struct pol_policy *p, struct pol_diags *diags);

#endif
