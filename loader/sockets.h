/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets that a cgroup's processes hold and that were opened elsewhere.
 *
 * Hooks run for the cgroup in which a socket was made, so such sockets are
 * outside the group that is put on the cgroup: opened before the process moved
 * there, inherited, or passed in.  They are found by comparing the inodes that
 * the processes hold with what sock_diag(7) says of each socket's cgroup.
 *
 * Not seen: sockets that were neither bound nor connected yet, which sock_diag
 * doesn't list, and what processes pass on while this runs.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stdbool.h>

#include "cgroups.h"

struct sockets_report {
	size_t processes;
	size_t outside; /* IPv4 and IPv6: TCP, UDP, raw */
	size_t closed;
	size_t unknown; /* the kernel doesn't say their cgroup (before 5.9) */
};

/* Counts them and, if so wanted, ends them (SOCK_DESTROY, needs CONFIG_INET_DIAG_DESTROY). */
int sockets_existing(const struct cgroup_root *root, const char *path, bool close_them,
		     struct sockets_report *ret, struct err *e);

#endif
