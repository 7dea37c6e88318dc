/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One ULSP of an instance and its process.
 *
 * Its ring, page and cache are the instance's and outlive its process:
 * messages wait in the ring, and its heartbeat is 0 as long as no process runs.
 * A ULSP gets SIGTERM when the daemon dies, so that a new daemon can start it
 * again on the same ring; two never read one ring.  Its processes have a cgroup
 * to themselves and end together: none keeps the ring or the cache.
 */
#ifndef SUPERVISED_H
#define SUPERVISED_H

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "instance.h"
#include "policy.h"
#include "ulsp_output.h"

enum {
	ULSP_BACKOFF_MIN_MS = 100,
	ULSP_BACKOFF_MAX_MS = 30000,
	ULSP_STABLE_MS = 10000, /* a run this long makes the next back-off short again */
	ULSP_STOP_MS = 5000,	/* from SIGTERM to SIGKILL */
};

struct supervisor;

struct supervised {
	struct supervisor *owner;
	/* as the policy says, copied */
	char *name, *user;
	char **argv;
	enum pol_restart restart;
	struct ulsp_shape shape;
	uint32_t spin_us;
	bool asked;

	struct ulsp_maps maps;
	pid_t pid; /* 0: no process */
	unsigned restarts;
	unsigned kills;			 /* because it did not end when it was told to */
	bool stopping;			 /* it was told to end */
	bool again;			 /* start it when it has ended, whatever the policy says */
	bool uncontained;		 /* said that it has no cgroup of its own */
	bool renewed;			 /* the next process is the first of its program */
	bool dropped;			 /* forget it when it has ended */
	uint64_t started_us, backoff_us; /* CLOCK_MONOTONIC; the next one */
	char why[160];			 /* it doesn't run */

	sd_event_source *child, *timer;
	struct ulsp_output output;
};

/* Whether the policy's definition differs from what runs. */
bool supervised_differs(const struct supervised *p, const struct pol_ulsp *u);
int supervised_define(struct supervised *p, const struct pol_ulsp *u);
/* Returns when the program was executed, or says why it could not be. */
int supervised_start(struct supervised *p, struct err *e);
void supervised_restart(struct supervised *p);
/* Its rings as its definition says; the process that runs keeps the old ones until it ends. */
int supervised_refit(struct supervised *p, struct err *e);
/* A cache of its own for a new program: what runs until then decides nothing any more. */
int supervised_renew(struct supervised *p, struct err *e);
/* Its process has ended, which the event loop will hear of. */
bool supervised_has_ended(const struct supervised *p);
/* "starting", "running", "silent", "backing-off", "stopped". */
const char *supervised_state(const struct supervised *p);
/* UINT64_MAX: none, or one from the future. */
uint64_t supervised_heartbeat_age_ms(const struct supervised *p);

#endif
