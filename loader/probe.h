/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this kernel and this process can do: each capability is tried, not
 * guessed from a version, and comes with the reason when it is missing.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>

struct probe_row {
	const char *id;	  /* "cgroup-connect" */
	const char *tier; /* "base", "cgroup", "lsm" */
	const char *what; /* one line: what it is for */
	bool required;	  /* ulspd doesn't start without it */
	bool ok;
	char why[256]; /* when not ok: the reason and the fix */
};
/* Runs every probe; rows are malloc'ed. */
int probe_all(struct probe_row **ret, size_t *ret_n);

/* Whether BPF LSM enforces here, as far as this process may look; `why` not otherwise. */
bool probe_lsm_tier(char *why, size_t bytes);

/* Mount points from /proc/self/mountinfo; -ENOENT when there is none. */
int probe_cgroup2(char *buf, size_t bytes);
int probe_bpffs(char *buf, size_t bytes); /* mounts /sys/fs/bpf when none is mounted */

#endif
