/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ULSPs of an instance: started in the order of the policy, unprivileged,
 * with their descriptors and a clean environment; started again with back-off.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <systemd/sd-event.h>

#include "cgroups.h"
#include "instance.h"
#include "policy.h"
#include "supervised.h"

struct supervisor {
	sd_event *event;
	struct instance *instance;
	const struct cgroup_root *root;
	struct supervised **v; /* in the order of the policy */
	size_t n;
	int groups_fd, files_fd, streams_fd; /* read-only, for ULSPs */
	struct parking *parking;	     /* not owned */
	/* NULL, or told of each process that starts or has ended: groups' members can't reach it */
	void (*guard)(void *ctx, pid_t pid, bool on);
	void *guard_ctx;
};

int supervisor_new(sd_event *event, struct instance *i, const struct cgroup_root *root,
		   struct supervisor **ret, struct err *e);
/* Ends every process: SIGTERM, then SIGKILL for it and all it started; waits.  Rings stay. */
void supervisor_free(struct supervisor **s);

struct supervised *supervisor_find(const struct supervisor *s, const char *name);
/* Known by that name, or made with its ring; not started. */
int supervisor_add(struct supervisor *s, const struct pol_ulsp *u, struct supervised **ret,
		   bool *ret_new, struct err *e);
/* Ends its process and forgets it with its ring. */
void supervisor_drop(struct supervisor *s, struct supervised *p);
/* Forgets one that has no process. */
void supervisor_forget(struct supervisor *s, struct supervised *p);
/* Bit per ring of the policy's ULSPs that no rule asks: they get what is logged. */
uint32_t supervisor_log_rings(const struct supervisor *s, const struct pol_policy *p);
/* Order as in the policy, from now on. */
void supervisor_order(struct supervisor *s, const struct pol_policy *p);

#endif
