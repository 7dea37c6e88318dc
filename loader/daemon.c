// SPDX-License-Identifier: GPL-2.0-only
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "probe.h"

enum { TICK_US = 1000000 };

/* ---- start ---- */

/* What is missing, all of it, each with its fix. */
static int check_kernel(struct err *e)
{
	scoped(scope_free) struct probe_row *rows = NULL;
	size_t n, missing = 0;
	int r = probe_all(&rows, &n);

	if (r)
		return err_set(e, r, "probing the kernel failed: %s", strerror(-r));
	for (size_t i = 0; i < n; i++) {
		if (rows[i].ok || !rows[i].required)
			continue;
		log_error("%s: %s", rows[i].id, rows[i].why);
		missing++;
	}
	return missing ? err_set(e, -ENOTSUP, "%zu required capabilities are missing", missing) : 0;
}

/* The last instance that goes takes the directory of all with it: try again then. */
static int open_instance(struct daemon *d, struct err *e)
{
	int r;

	for (int tries = 0; tries < 5; tries++) {
		r = instance_open(d->options.instance, &d->instance, e);
		if (r != -ENOENT)
			break;
	}
	return r;
}

static void guard(void *ctx, pid_t pid, bool on)
{
	struct daemon *d = ctx;

	lsm_guard(d->lsm, pid, on);
}

void daemon_guard(struct daemon *d)
{
	lsm_guard(d->lsm, getpid(), true);
	for (size_t i = 0; i < d->supervisor->n; i++)
		lsm_guard(d->lsm, d->supervisor->v[i]->pid, true);
}

void daemon_retag(struct daemon *d, int left)
{
	struct err e = {0};

	if (d->lsm && lsm_sync(d->lsm, d->instance, &d->root, d->now, left, &e))
		log_error("%s", e.text);
}

void daemon_follow(struct daemon *d)
{
	enforced_follow(d->now, d->instance, &d->root, d->members);
	daemon_retag(d, LSM_NONE_LEFT);
}

static void on_cgroups(void *ctx)
{
	daemon_follow(ctx);
}

static void log_diag(const struct pol_diag *g)
{
	static const char *const words[] = {
		[POL_ERROR] = "error", [POL_WARNING] = "warning", [POL_NOTE] = "note"};
	int level = g->severity == POL_ERROR  ? LOG_ERR
		    : g->severity == POL_NOTE ? LOG_NOTICE
					      : LOG_WARNING;

	if (g->file && g->line)
		log_at(level, "%s:%u:%u: %s: %s", g->file, g->line, g->col, words[g->severity],
		       g->text);
	else
		log_at(level, "%s: %s", words[g->severity], g->text);
}

void daemon_log_diags(const struct pol_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		log_diag(&diags->v[i]);
}

void daemon_coverage(struct daemon *d, struct pol_diags *ret)
{
	enforced_coverage(d->now, d->members, ret);
	daemon_log_diags(ret);
}

static int load(struct daemon *d, struct err *e)
{
	const struct compiled_source source = {.paths = &d->options.policy, .npaths = 1};
	struct pol_diags diags;
	int r = transaction_load(d, &source, &diags, e);

	daemon_log_diags(r ? &diags : &d->now->compiled->diags);
	if (r) {
		pol_diags_fini(&diags);
		return r;
	}
	daemon_coverage(d, &diags);
	pol_diags_fini(&diags);
	log_notice("loaded %s: generation %u, %zu group%s", d->options.policy, d->now->generation,
		   d->now->n, d->now->n == 1 ? "" : "s");
	return 0;
}

/* An adopted policy stays in force when the new one is bad: a restart must not open the gate. */
static int load_at_start(struct daemon *d, struct err *e)
{
	int r = d->options.policy ? load(d, e) : 0;

	if (!r || !d->now->compiled)
		return r;
	log_error("%s", e->text);
	log_error("keeping the policy of generation %u", d->now->generation);
	return 0;
}

/* Only where BPF LSM is in use and the kernel can preempt programs something is ever to do. */
static int on_tick(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct daemon *d = ctx;
	struct err e = {0};
	int r = d->lsm ? lsm_catch_up(d->lsm, &e) : 0;

	if (r < 0)
		log_error("%s", e.text);
	else if (r)
		log_info("tagged what runs once more: the kernel left calls out");
	sd_event_source_set_time(source, usec + TICK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int open_parts(struct daemon *d, struct err *e)
{
	struct compiled *none = NULL;
	char path[PATH_MAX];
	int r;

	r = control_path(d->options.instance, path, sizeof(path));
	if (r)
		return err_set(e, r, "the run directory's path is too long");
	r = cgroup_root_open(d->options.cgroup_root, &d->root, e);
	if (!r)
		r = check_kernel(e);
	if (!r)
		r = open_instance(d, e);
	if (!r)
		r = members_new(d->event, &d->root, on_cgroups, d, &d->members);
	if (!r)
		r = enforced_new(&none, 0, &d->now);
	if (!r)
		r = supervisor_new(d->event, d->instance, &d->root, &d->supervisor, e);
	if (!r)
		r = parking_new(d->instance, &d->parking, e);
	if (!r)
		d->supervisor->parking = d->parking;
	if (!r)
		r = monitor_new(d->event, d->instance, &d->root, &d->monitor);
	if (!r)
		r = lsm_open(d->instance, false, &d->lsm, e);
	if (!r) {
		d->supervisor->guard = guard;
		d->supervisor->guard_ctx = d;
		lsm_guard_none(d->lsm); /* an earlier daemon's */
		daemon_guard(d);
	}
	if (!r && d->instance->adopted)
		r = daemon_adopt(d, e);
	if (!r)
		r = load_at_start(d, e);
	if (r)
		return r;
	daemon_follow(d);
	r = sd_event_add_time_relative(d->event, &d->tick, CLOCK_MONOTONIC, TICK_US, TICK_US / 10,
				       on_tick, d);
	if (r < 0)
		return r;
	return server_new(d->event, path, requests_handle, d, &d->server, e);
}

int daemon_open(const struct daemon_options *o, sd_event *event, struct daemon **ret, struct err *e)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->options = *o;
	d->event = event;
	d->root.fd = -1;
	r = open_parts(d, e);
	if (r) {
		if (!*e->text)
			err_set(e, r, "%s", strerror(-r));
		/* what this start made goes again; what was there before stays */
		d->destroy = d->instance && !d->instance->adopted;
		daemon_close(&d);
		return r;
	}
	*ret = d;
	return 0;
}

/* ---- reload ---- */

void daemon_reload(struct daemon *d)
{
	struct err e = {0};

	if (!d->options.policy) {
		log_warning("SIGHUP: nothing to reload, started without --policy");
		return;
	}
	sd_notify(0, "RELOADING=1");
	if (load(d, &e)) {
		log_error("%s", e.text);
		log_error("keeping the policy of generation %u", d->now->generation);
		sd_notifyf(0, "READY=1\nSTATUS=Reload failed, enforcing generation %u: %s",
			   d->now->generation, e.text);
		return;
	}
	sd_notifyf(0, "READY=1\nSTATUS=Enforcing generation %u, %zu groups", d->now->generation,
		   d->now->n);
}

/* ---- end ---- */

/* The cgroups of `ulspctl run`.  Ephemeral: their programs would go on without a policy. */
static void remove_run_cgroups(struct daemon *d)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "ulsp/%s", d->options.instance);

	if (n > 0 && (size_t)n < sizeof(path) && d->options.ephemeral)
		cgroup_remove(&d->root, path, 2000);
	else
		cgroup_prune(&d->root, path);	    /* where programs go on, their cgroups stay */
	unlinkat(d->root.fd, "ulsp", AT_REMOVEDIR); /* of the last instance */
}

static void answer_last(struct daemon *d, int error, const struct err *e)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ok", json_object_new_boolean(!error));
	if (error)
		json_object_object_add(o, "error", json_object_new_string(e->text));
	client_answer(d->last_client, o);
}

void daemon_close(struct daemon **dp)
{
	struct daemon *d = *dp;
	struct err e = {0};
	bool destroy;
	int r = 0;

	*dp = NULL;
	if (!d)
		return;
	destroy = d->instance && (d->destroy || d->options.ephemeral);
	/* while the instance is locked: the socket's name is ours only so long */
	if (d->server)
		server_stop(d->server);
	sd_event_source_disable_unref(d->tick);
	monitor_free(&d->monitor);
	supervisor_free(&d->supervisor);
	parking_free(&d->parking);
	if (destroy && d->root.fd >= 0)
		remove_run_cgroups(d);
	members_free(&d->members);
	enforced_free(&d->now);
	lsm_close(&d->lsm);
	if (destroy) { /* locked until all is gone */
		r = instance_destroy(d->options.instance, &e);
		instance_remove_run_dir(d->options.instance);
	}
	if (r)
		log_error("%s", e.text);
	instance_close(&d->instance);
	if (d->last_client)
		answer_last(d, r, &e);
	server_free(&d->server);
	cgroup_root_close(&d->root);
	free(d);
}
