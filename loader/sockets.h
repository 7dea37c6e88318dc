/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets that a cgroup's processes hold and that were made elsewhere.
 *
 * Hooks run for the cgroup in which a socket was made, so such sockets are
 * outside the group that is put on the cgroup: made before the process moved
 * there, inherited, or passed in.  What processes pass on while this looks is
 * not seen.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stdbool.h>

#include "cgroups.h"

struct sockets_report {
	size_t processes;
	size_t outside; /* IPv4 and IPv6 sockets */
	size_t closed;
};

/*
 * Counts them and, if so wanted, ends them: a connection is reset, a listener
 * stops, anything sent fails with EPIPE.  The descriptor stays the process's:
 * one that is built for it can connect a TCP socket anew.
 */
int sockets_existing(const struct cgroup_root *root, const char *path, bool close_them,
		     struct sockets_report *ret, struct err *e);

#endif
