/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Start one ULSP process: descriptors 3.. placed, privileges gone for good,
 * environment its own.
 */
#ifndef SPAWN_H
#define SPAWN_H

#include <sys/types.h>

#include "instance.h"

/* page cache groups files streams slots poke, as 3..9; from 10 on the rings. */
enum { SPAWN_SHARED_FDS = 7, SPAWN_FDS = SPAWN_SHARED_FDS + ULSP_RINGS_EACH };
enum { SPAWN_DIR_BYTES = 240 };

struct spawn {
	char *const *argv;
	const char *user;
	const char *name, *instance;
	const char *dir; /* becomes its user's; NULL: none */
	unsigned ring;	 /* number of the first */
	unsigned nrings;
	int fds[SPAWN_FDS];
	int cgroup_procs; /* of the cgroup that it is to be in; -1: ours */
};

/*
 * Returns the process id once the program runs, and the reading end of its
 * stderr; or a negative errno with the cause.  -EXDEV: it can't be in that cgroup.
 */
pid_t spawn(const struct spawn *s, int *ret_stderr, struct err *e);

#endif
