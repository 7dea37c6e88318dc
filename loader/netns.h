/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets in the network namespaces of others, by the namespace's cookie.
 * They keep the namespace: those that weren't used for a while are closed.
 */
#ifndef NETNS_H
#define NETNS_H

#include <stdint.h>
#include <sys/types.h>

#include "syn.h"

struct netns; /* the namespaces that are open */

int netns_new(struct netns **ret);
void netns_free(struct netns **ns);

/*
 * Sends as it is, by the routes of the namespace that the process `pid` is in.
 * `mark` and `ifindex` are the packet's; 0: none.  Cookie 0: whichever that is.  -ESRCH: the
 * process is gone or in another namespace by now, and no socket is open in that one.
 */
int netns_send(struct netns *ns, uint64_t cookie, pid_t pid, const struct syn *packet,
	       const struct sockaddr_storage *to, socklen_t to_bytes, uint32_t mark,
	       uint32_t ifindex);
/*
 * Ends a TCP socket that isn't connected yet by SOCK_DESTROY (ECONNABORTED).  -ENOENT: there is
 * none; -EOPNOTSUPP: the kernel doesn't.
 */
int netns_destroy(struct netns *ns, uint64_t cookie, pid_t pid, const struct syn *syn,
		  uint64_t socket_cookie, uint32_t ifindex);

/* Closes what was not used since `since_us` (CLOCK_MONOTONIC); whether something is open. */
int netns_idle(struct netns *ns, uint64_t since_us);

#endif
