// SPDX-License-Identifier: GPL-2.0-only
#include "supervised_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "clock.h"
#include "log.h"
#include "supervisor.h"

/*
 * Loads and stores of what a ULSP and the programs touch at the same time.  The oldest heartbeat
 * is the ULSP's: operations of some threads find that ring only.
 */
static uint64_t heartbeat(const struct supervised *p)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t k = 0; p->maps.mapped && k < p->maps.nrings; k++) {
		uint64_t beat =
			__atomic_load_n(&p->maps.mapped->readers[k].heartbeat_ns, __ATOMIC_RELAXED);

		oldest = beat < oldest ? beat : oldest;
	}
	return oldest == UINT64_MAX ? 0 : oldest;
}

void supervised_clear_readers(struct supervised *p)
{
	for (uint32_t k = 0; p->maps.mapped && k < ULSP_RINGS_EACH; k++) {
		__atomic_store_n(&p->maps.mapped->readers[k].heartbeat_ns, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&p->maps.mapped->readers[k].open, 0, __ATOMIC_RELAXED);
	}
}

void supervised_clear_counters(struct supervised *p)
{
	struct ulsp_page *page = p->maps.mapped;

	if (!page)
		return;
	for (uint32_t k = 0; k < ULSP_RINGS_EACH; k++) {
		struct ulsp_reader *reader = &page->readers[k];

		reader->received = reader->lost = reader->verdicts = reader->late = 0;
	}
	__atomic_store_n(&page->scopes, 0, __ATOMIC_RELAXED);
}

static void free_argv(char **argv)
{
	for (char **a = argv; a && *a; a++)
		free(*a);
	free(argv);
}

void supervised_free(struct supervised *p)
{
	sd_event_source_disable_unref(p->child);
	sd_event_source_disable_unref(p->timer);
	ulsp_output_forget(&p->output);
	free(p->name);
	free(p->user);
	free_argv(p->argv);
	free(p);
}

static const char *user_of(const struct pol_ulsp *u)
{
	return u->user ? u->user : "nobody";
}

bool supervised_differs(const struct supervised *p, const struct pol_ulsp *u)
{
	size_t i = 0;

	if (strcmp(p->user, user_of(u)))
		return true;
	for (; p->argv[i] && i < u->argc; i++) {
		if (strcmp(p->argv[i], u->argv[i]))
			return true;
	}
	return p->argv[i] || i < u->argc;
}

int supervised_define(struct supervised *p, const struct pol_ulsp *u)
{
	char **argv = calloc(u->argc + 1, sizeof(*argv));
	char *user = strdup(user_of(u));
	bool ok = argv && user;

	for (size_t i = 0; ok && i < u->argc; i++) {
		argv[i] = strdup(u->argv[i]);
		ok = argv[i];
	}
	if (!ok) {
		free_argv(argv);
		free(user);
		return -ENOMEM;
	}
	free_argv(p->argv);
	free(p->user);
	p->argv = argv;
	p->user = user;
	p->restart = u->restart;
	p->shape.ring_bytes = u->ring_bytes ? u->ring_bytes : 1 << 20;
	p->shape.rings = u->rings ? u->rings : 1;
	p->spin_us = u->spin_us;
	p->asked = u->asked;
	return 0;
}

int supervised_refit(struct supervised *p, struct err *e)
{
	bool made;
	int r = instance_ulsp_refit(p->owner->instance, p->name, p->shape, &p->maps, &made, e);

	if (!r && made)
		log_notice("ulsp %s: has new rings or a new cache: another size or number, or it "
			   "froze its own",
			   p->name);
	return r;
}

int supervised_renew(struct supervised *p, struct err *e)
{
	int r = instance_ulsp_renew(p->owner->instance, p->name, p->shape, &p->maps, e);

	if (r)
		return r;
	p->renewed = true;
	log_info("ulsp %s: another program or user, so a cache of its own", p->name);
	return 0;
}

uint64_t supervised_heartbeat_age_ms(const struct supervised *p)
{
	uint64_t beat = heartbeat(p), now = clock_now_ns();

	if (!beat || beat > now + ULSP_HEARTBEAT_NS)
		return UINT64_MAX;
	return now > beat ? (now - beat) / 1000000 : 0;
}

bool supervised_has_ended(const struct supervised *p)
{
	siginfo_t info = {.si_pid = 0};

	return p->pid > 0 && !waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       info.si_pid;
}

const char *supervised_state(const struct supervised *p)
{
	uint64_t beat = heartbeat(p), now = clock_now_ns();
	int on = SD_EVENT_OFF;

	if (p->pid)
		return !beat ? "starting" : ULSP_HEARTBEAT_FRESH(beat, now) ? "running" : "silent";
	if (p->timer)
		sd_event_source_get_enabled(p->timer, &on);
	return on == SD_EVENT_OFF ? "stopped" : "backing-off";
}
