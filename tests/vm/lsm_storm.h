/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many processes at once, in cgroups whose groups change meanwhile.  What they
 * share is in one page that they keep across execve(2).  When it ends, each
 * tries to signal the test, which is nobody's.
 */
#ifndef LSM_STORM_H
#define LSM_STORM_H

#include <stdatomic.h>
#include <sys/types.h>

/* Cgroups of the test's own, from its working directory. */
#define START	"start" /* nobody's, unless a test makes it a group's */
#define MEMBERS "a"	/* GROUP_A's */
#define OTHERS	"b"	/* GROUP_B's */

struct storm {
	pid_t target;
	atomic_int check;   /* the storm ends: try, and say how it ended */
	atomic_int started; /* storms that are in START */
	atomic_int waiting;
	atomic_int denied, passed, other;
	atomic_int made; /* forks, threads, executions */
};
extern struct storm *storm;
extern int storm_fd; /* of its page */

/* cmocka group setup, with the LSM programs and both groups; lsm_down() ends it. */
int storm_up(void **state);
/* A new one: nobody's START. */
void storm_begin(void);
/* A process in START; ends by itself after a minute.  Waits until it is there. */
void storm_start(void (*fn)(void));
/* Waits for all, after they have tried. */
void storm_end(void);

void storm_nap(void);
void storm_attempt(void);
void storm_wait_and_attempt(void);

void storm_cgroup_of(const char *path, int slot);
/* As the loader does; `left`: a slot that lost a cgroup, or NOBODY. */
void storm_tag_running(int left);
/*
 * As the daemon does each second: once more, where the kernel left calls of tracing programs out
 * because one was preempted in itself (7.2).  Says so.
 */
void storm_catch_up(void);
void storm_become_members(void); /* those in START */
void storm_move(pid_t pid, const char *cgroup);
/* Those of one cgroup to another, until it is empty. */
void storm_move_all(const char *from, const char *to);
int storm_count(const char *cgroup);

#endif
