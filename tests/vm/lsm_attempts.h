/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lists of what a member must not be able to do: each works outside, fails
 * with EPERM inside, and works and is counted where it is only audited.
 */
#ifndef LSM_ATTEMPTS_H
#define LSM_ATTEMPTS_H

#include <stddef.h>
#include <stdint.h>

struct lsm_attempt {
	const char *name;
	int (*fn)(void *);
	int outside; /* what it fails with when nothing is in its way */
	void *arg;
};

/* By GROUP_A, denied as `kind`; prepare() before each run. */
void lsm_attempts(const struct lsm_attempt *list, size_t count, uint32_t kind,
		  void (*prepare)(void));

/* main() of what has one list, all ESCAPE; up() sets up. */
int lsm_escapes(const struct lsm_attempt *list, size_t count, void (*prepare)(void),
		int (*up)(void **state));

/* What children return: a positive error or 0. */
int lsm_error(long r);
int lsm_write_file(const char *path, const char *text);
int lsm_child(long pid); /* of a clone; the child ends at once */
int lsm_clone3(uint64_t flags, int cgroup);

#endif
