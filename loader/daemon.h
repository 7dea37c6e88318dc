/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's state: one instance, the policy that it enforces, and who is
 * served.  The kernel's pins are the truth; what is here can be made again
 * from them, which is what a daemon does that is started on a live instance.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <systemd/sd-event.h>

#include "cgroups.h"
#include "compiled.h"
#include "enforced.h"
#include "image.h"
#include "instance.h"
#include "lsm.h"
#include "members.h"
#include "monitor.h"
#include "parking.h"
#include "server.h"
#include "supervisor.h"

struct daemon_options {
	const char *instance;
	const char *policy;	 /* file or directory; NULL: what is pinned */
	const char *cgroup_root; /* NULL: the cgroup2 mount */
	bool ephemeral;		 /* leave nothing behind at the end */
};

struct daemon {
	struct daemon_options options;
	sd_event *event;
	struct cgroup_root root;
	struct instance *instance;
	struct members *members;
	struct supervisor *supervisor;
	struct lsm *lsm; /* NULL: no policy needs it */
	struct monitor *monitor;
	struct parking *parking;
	struct server *server;
	struct enforced *now;	    /* never NULL after the start; may have no group */
	sd_event_source *tick;	    /* each second, for what the kernel left out */
	bool destroy;		    /* at the end: detach and unpin everything */
	struct client *last_client; /* who asked for the end: answered when it is done */
};

/* Everything up to serving; -errno with the cause, nothing half made stays. */
int daemon_open(const struct daemon_options *o, sd_event *event, struct daemon **ret,
		struct err *e);
/* Ends ULSPs; leaves enforcement, or takes everything down when `destroy` or ephemeral. */
void daemon_close(struct daemon **d);
/* Attach and detach as members came and went; the LSM tier hears of it. */
void daemon_follow(struct daemon *d);
/* After a cgroup was attached, or detached from the group of slot `left`.  Logs what fails. */
void daemon_retag(struct daemon *d, int left);
/* The daemon and its ULSPs can't be reached by members. */
void daemon_guard(struct daemon *d);
/* Load options.policy again; logs the outcome. */
void daemon_reload(struct daemon *d);
/* What enforced_coverage() says, and in the log too. */
void daemon_coverage(struct daemon *d, struct pol_diags *ret);
/* Each with its place, as a line of the log. */
void daemon_log_diags(const struct pol_diags *diags);

/* What an earlier daemon left pinned becomes d->now (takeover.c). */
int daemon_adopt(struct daemon *d, struct err *e);

/*
 * Replace the policy, all or nothing (transaction.c).  *ret_diags gets what is
 * to be said of this load: when it failed, the compiler's diagnostics, else what
 * is not in d->now->compiled's; the caller ends them.
 */
int transaction_load(struct daemon *d, const struct compiled_source *source,
		     struct pol_diags *ret_diags, struct err *e);

/* Answers every request (requests.c). */
void requests_handle(void *ctx, struct client *c, const struct control_request *r);

/* Policy files' slots in the instance, by index in pol_policy.files; malloc'ed (takeover.c). */
int daemon_file_slots(struct daemon *d, const struct pol_policy *p, uint16_t **ret, struct err *e);

#endif
