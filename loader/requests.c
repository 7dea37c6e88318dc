// SPDX-License-Identifier: GPL-2.0-only
#include "requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "diag_json.h"
#include "log.h"
#include "words.h"

int request_group(const struct request *r, struct group **ret)
{
	const char *name = control_string(r->in, "group");
	struct group *g = enforced_find(r->d->now, name);
	struct nearest guess;

	if (!g) {
		nearest_init(&guess, name, strlen(name));
		for (size_t i = 0; i < r->d->now->n; i++)
			nearest_try(&guess, r->d->now->groups[i].policy->name);
		return err_set(r->e, -ENOENT, "no group \"%.60s\"%s%s%s", name,
			       guess.best ? ": did you mean \"" : "", guess.best ? guess.best : "",
			       guess.best ? "\"?" : "");
	}
	*ret = g;
	return 0;
}

static int request_version(const struct request *r)
{
	add_string(r->answer, "version", ULSP_VERSION);
	add_int(r->answer, "protocol", CONTROL_VERSION);
	add_int(r->answer, "abi", ULSP_ABI);
	add_int(r->answer, "pid", (uint64_t)getpid());
	add_string(r->answer, "instance", r->d->options.instance);
	add_int(r->answer, "generation", r->d->now->generation);
	return 0;
}

/* ---- the policy ---- */

void add_diags(struct json_object *o, const struct pol_diags *a, const struct pol_diags *b)
{
	struct json_object *list = diags_to_json(a), *more = diags_to_json(b);

	for (size_t i = 0; i < json_object_array_length(more); i++)
		json_object_array_add(list, json_object_get(json_object_array_get_idx(more, i)));
	json_object_put(more);
	json_object_object_add(o, "diagnostics", list);
}

static int request_load(const struct request *r)
{
	size_t n = control_count(r->in, "paths");
	scoped(scope_free) const char **paths = calloc(n + 1, sizeof(*paths));
	const char *name = control_string(r->in, "name");
	struct compiled_source source = {
		.paths = paths,
		.npaths = n,
		.name = name && *name ? name : "<stdin>",
		.text = r->in->text,
		.text_bytes = r->in->text_bytes,
	};
	uint64_t began_ns = clock_now_ns();
	const struct pol_diags none = {0};
	struct pol_diags diags;
	int result;

	if (!paths)
		return err_set(r->e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		paths[i] = control_at(r->in, "paths", i);
	result = transaction_load(r->d, &source, &diags, r->e);
	if (!result)
		daemon_coverage(r->d, &diags);
	add_diags(r->answer, result ? &none : &r->d->now->compiled->diags, &diags);
	pol_diags_fini(&diags);
	if (result) {
		log_warning("load refused: %s; generation %u stays", r->e->text,
			    r->d->now->generation);
		return result;
	}
	add_int(r->answer, "generation", r->d->now->generation);
	add_int(r->answer, "groups", r->d->now->n);
	add_int(r->answer, "rules", compiled_rules(r->d->now->compiled));
	add_int(r->answer, "time_us", (clock_now_ns() - began_ns) / 1000);
	log_notice("loaded %s: generation %u, %zu group%s", n ? paths[0] : source.name,
		   r->d->now->generation, r->d->now->n, r->d->now->n == 1 ? "" : "s");
	return 0;
}

static int request_policy(const struct request *r)
{
	struct json_object *modes;
	scoped(scope_free) char *text = NULL;
	int result = 0;

	if (r->d->now->compiled)
		result = pol_print(r->d->now->compiled->policy, POL_PRINT_LINES, &text);
	if (result)
		return err_set(r->e, result, "printing the policy: %s", strerror(-result));
	add_string(r->answer, "text", text ? text : "");
	add_int(r->answer, "generation", r->d->now->generation);
	/* what is in force, also by hand */
	modes = json_object_new_object();
	json_object_object_add(r->answer, "modes", modes);
	for (size_t i = 0; i < r->d->now->n; i++) {
		const struct group *g = &r->d->now->groups[i];

		add_string(modes, g->policy->name, mode_word(r->d->instance->group[g->slot].mode));
	}
	return 0;
}

/* What a load said that was no error: what this kernel doesn't cover. */
static int request_doctor(const struct request *r)
{
	const struct compiled *c = r->d->now->compiled;
	const struct pol_diags none = {0};
	struct pol_diags now = {0};

	enforced_coverage(r->d->now, r->d->members, &now);
	add_int(r->answer, "generation", r->d->now->generation);
	add_int(r->answer, "groups", r->d->now->n);
	add_diags(r->answer, c ? &c->diags : &none, &now);
	pol_diags_fini(&now);
	return 0;
}

/* ---- the stream of messages ---- */

struct stream {
	struct watcher *watcher;
	struct client *client;
};

static bool push(void *ctx, const char *line, size_t bytes)
{
	struct stream *s = ctx;

	return client_push(s->client, line, bytes);
}

static void end_stream(void *ctx)
{
	struct stream *s = ctx;

	monitor_unwatch(&s->watcher);
	free(s);
}

static int request_monitor(const struct request *r)
{
	const char *output = control_string(r->in, "output");
	bool json = !output || !strcmp(output, "json");
	struct group *g = NULL;
	struct stream *s;
	int result;

	if (!json && strcmp(output, "text"))
		return err_set(r->e, -EINVAL, "output is \"json\" or \"text\"");
	result = control_string(r->in, "group") ? request_group(r, &g) : 0;
	if (result)
		return result;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(r->e, -ENOMEM, "out of memory");
	s->client = r->client;
	result = monitor_watch(r->d->monitor, g ? (int)g->slot : -1, json, push, s, &s->watcher,
			       r->e);
	if (result) {
		free(s);
		return result;
	}
	client_stream(r->client, end_stream, s);
	return 0;
}

/* ---- the end ---- */

static int request_shutdown(const struct request *r)
{
	log_notice("shutdown asked for: ending");
	r->d->destroy = !control_flag(r->in, "keep");
	r->d->last_client = r->client;
	return sd_event_exit(r->d->event, 0);
}

/* ---- */

static int (*const handlers[CONTROL_VERBS])(const struct request *r) = {
	[CONTROL_VERSION_GET] = request_version,
	[CONTROL_LOAD] = request_load,
	[CONTROL_POLICY] = request_policy,
	[CONTROL_GROUP_LIST] = request_group_list,
	[CONTROL_GROUP_SHOW] = request_group_show,
	[CONTROL_GROUP_ATTACH] = request_group_attach,
	[CONTROL_GROUP_DETACH] = request_group_detach,
	[CONTROL_GROUP_MODE] = request_group_mode,
	[CONTROL_GROUP_RUN] = request_group_run,
	[CONTROL_EXPLAIN] = request_explain,
	[CONTROL_MONITOR] = request_monitor,
	[CONTROL_ULSP_LIST] = request_ulsp_list,
	[CONTROL_ULSP_SHOW] = request_ulsp_show,
	[CONTROL_ULSP_RESTART] = request_ulsp_restart,
	[CONTROL_FLOW_LIST] = request_flow_list,
	[CONTROL_FLOW_FLUSH] = request_flow_flush,
	[CONTROL_STATS] = request_stats,
	[CONTROL_DOCTOR] = request_doctor,
	[CONTROL_SHUTDOWN] = request_shutdown,
};

void requests_handle(void *ctx, struct client *c, const struct control_request *in)
{
	struct err e = {0};
	struct request r = {
		.d = ctx, .client = c, .in = in, .answer = json_object_new_object(), .e = &e};
	int result;

	add_flag(r.answer, "ok", true);
	/* Root as it may be, it is what the policy confines. */
	if (lsm_is_member(r.d->lsm, client_pid(c)))
		result = err_set(&e, -EPERM, "members of a group can't control its policy");
	else
		result = handlers[in->verb](&r);
	if (r.d->last_client == c) {
		json_object_put(r.answer); /* it is answered when all is done */
		return;
	}
	if (result < 0) {
		add_flag(r.answer, "ok", false);
		add_string(r.answer, "error", *e.text ? e.text : strerror(-result));
	}
	client_answer(c, r.answer);
}
