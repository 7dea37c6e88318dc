// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a ULSP's process and what follows: whatever else it started ends
 * too, then it is forgotten, started again at once, or after a back-off.
 */
#include "supervised_priv.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "supervisor.h"
#include "ulsp_cgroup.h"
#include "ulsp_dir.h"

static void start_later(struct supervised *p);

void supervised_end_rest(struct supervised *p)
{
	int r = ulsp_cgroup_end(p->owner->root, p->owner->instance->name, p->name);

	if (r)
		log_warning("ulsp %s: processes that it started may still run: %s", p->name,
			    strerror(-r));
	ulsp_dir_remove(p->owner->instance->name, p->name);
}

void supervised_kill(struct supervised *p)
{
	log_warning("ulsp %s: process %d does not end %d ms after SIGTERM, killing it", p->name,
		    p->pid, ULSP_STOP_MS);
	p->kills++;
	kill(-p->pid, SIGKILL); /* it has a session, so a process group, of its own */
	ulsp_cgroup_kill(p->owner->root, p->owner->instance->name, p->name);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct supervised *p = ctx;
	struct err e = {0};

	(void)source;
	(void)usec;
	if (p->pid) { /* it was told to end and has not */
		supervised_kill(p);
		return 0;
	}
	if (supervised_start(p, &e)) {
		snprintf(p->why, sizeof(p->why), "%.*s", (int)sizeof(p->why) - 1, e.text);
		log_error("ulsp %s: %s", p->name, e.text);
		start_later(p);
	}
	return 0;
}

static void arm(struct supervised *p, uint64_t delay_us)
{
	uint64_t at;

	sd_event_now(p->owner->event, CLOCK_MONOTONIC, &at);
	at += delay_us;
	if (!p->timer)
		sd_event_add_time(p->owner->event, &p->timer, CLOCK_MONOTONIC, at, 1000, on_timer,
				  p);
	else
		sd_event_source_set_time(p->timer, at);
	sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static void start_later(struct supervised *p)
{
	uint64_t most = ULSP_BACKOFF_MAX_MS * 1000ull;

	if (!p->backoff_us)
		p->backoff_us = ULSP_BACKOFF_MIN_MS * 1000ull;
	log_info("ulsp %s: next start in %llu ms", p->name,
		 (unsigned long long)p->backoff_us / 1000);
	arm(p, p->backoff_us);
	p->backoff_us = p->backoff_us * 2 < most ? p->backoff_us * 2 : most;
}

int supervised_on_exit(sd_event_source *source, const siginfo_t *si, void *ctx)
{
	struct supervised *p = ctx;
	bool failed = si->si_code != CLD_EXITED || si->si_status;
	uint64_t now;

	(void)source;
	supervised_clear_readers(p);
	if (p->owner->guard)
		p->owner->guard(p->owner->guard_ctx, p->pid, false);
	p->pid = 0;
	if (p->timer)
		sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	p->child = sd_event_source_disable_unref(p->child);
	supervised_end_rest(p);
	ulsp_output_close(&p->output);
	if (p->dropped) {
		supervisor_forget(p->owner, p);
		return 0;
	}
	snprintf(p->why, sizeof(p->why), "%s %d",
		 si->si_code == CLD_EXITED ? "exited with status" : "ended by signal",
		 si->si_status);
	log_at(p->stopping ? LOG_INFO
	       : failed	   ? LOG_WARNING
			   : LOG_NOTICE,
	       "ulsp %s: %s", p->name, p->why);
	sd_event_now(p->owner->event, CLOCK_MONOTONIC, &now);
	if (now - p->started_us > ULSP_STABLE_MS * 1000ull)
		p->backoff_us = 0;
	if (p->again) {
		p->backoff_us = 0;
		arm(p, 0);
	} else if (p->restart == POL_RESTART_ALWAYS ||
		   (p->restart == POL_RESTART_ON_FAILURE && failed)) {
		start_later(p);
	}
	p->again = p->stopping = false;
	return 0;
}

void supervised_end(struct supervised *p)
{
	if (p->stopping && p->pid)
		return; /* told before: asking again gives it no more time */
	p->stopping = true;
	if (p->timer)
		sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	if (!p->pid)
		return;
	kill(p->pid, SIGTERM);
	arm(p, ULSP_STOP_MS * 1000ull);
}

void supervised_restart(struct supervised *p)
{
	p->backoff_us = 0;
	if (!p->pid) {
		arm(p, 0);
		return;
	}
	p->again = true;
	supervised_end(p);
}
