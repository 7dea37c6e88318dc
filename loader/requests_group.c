// SPDX-License-Identifier: GPL-2.0-only
#include "requests.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "explain.h"
#include "log.h"
#include "sockets.h"
#include "words.h"

static uint32_t live_mode(const struct daemon *d, const struct group *g)
{
	return d->instance->group[g->slot].mode;
}

int request_group_list(const struct request *r)
{
	const struct enforced *en = r->d->now;
	struct json_object *list = json_object_new_array();
	const struct pol_diags none = {0};
	struct pol_diags now = {0};

	enforced_coverage(en, r->d->members, &now);
	add_diags(r->answer, &now, &none);
	pol_diags_fini(&now);
	json_object_object_add(r->answer, "groups", list);
	add_int(r->answer, "generation", en->generation);
	for (size_t i = 0; i < en->n; i++) {
		const struct group *g = &en->groups[i];
		struct json_object *o = json_object_new_object();
		struct ulsp_group_count count = {0};
		uint64_t allowed = 0, denied = 0;
		char place[PATH_MAX];

		group_counts(r->d, g, &count);
		for (size_t op = 0; op < ULSP_OP_COUNT; op++) {
			allowed += count.ops[op][0];
			denied += count.ops[op][1];
		}
		snprintf(place, sizeof(place), "%s:%u",
			 en->compiled->policy->files[g->policy->loc.file], g->policy->loc.line);
		add_string(o, "name", g->policy->name);
		add_string(o, "mode", mode_word(live_mode(r->d, g)));
		add_int(o, "rules", g->policy->nrules);
		add_int(o, "cgroups", g->n);
		add_int(o, "allowed", allowed);
		add_int(o, "denied", denied);
		add_string(o, "place", place);
		json_object_array_add(list, o);
	}
	return 0;
}

/* A policy of this group alone, with the ULSPs that it names and the mode in force. */
static int print_alone(const struct request *r, const struct group *g, char **ret)
{
	const struct pol_policy *p = r->d->now->compiled->policy;
	struct pol_group group = *g->policy;
	struct pol_policy alone = *p;
	scoped(scope_free) struct pol_ulsp *ulsps = calloc(p->nulsps + 1, sizeof(*ulsps));

	if (!ulsps)
		return -ENOMEM;
	alone.nulsps = 0;
	for (size_t i = 0; i < p->nulsps; i++) {
		/* one that nobody asks is a logger of every group */
		bool named = !p->ulsps[i].asked;

		for (size_t j = 0; j < group.nrules; j++)
			named |= group.rules[j].ulsp &&
				 !strcmp(group.rules[j].ulsp, p->ulsps[i].name);
		if (named)
			ulsps[alone.nulsps++] = p->ulsps[i];
	}
	group.mode = live_mode(r->d, g);
	alone.ulsps = ulsps;
	alone.groups = &group;
	alone.ngroups = 1;
	return pol_print(&alone, 0, ret);
}

int request_group_show(const struct request *r)
{
	scoped(scope_free) char *text = NULL;
	struct json_object *list;
	struct group *g;
	int result = request_group(r, &g);

	if (result)
		return result;
	result = print_alone(r, g, &text);
	if (result)
		return err_set(r->e, result, "printing the group: %s", strerror(-result));
	add_string(r->answer, "group", g->policy->name);
	add_string(r->answer, "text", text);
	add_string(r->answer, "mode", mode_word(live_mode(r->d, g)));
	add_int(r->answer, "generation", r->d->now->generation);
	list = json_object_new_array();
	json_object_object_add(r->answer, "cgroups", list);
	for (size_t i = 0; i < g->n; i++) {
		struct json_object *o = json_object_new_object();

		add_string(o, "path", g->v[i].path);
		add_int(o, "id", g->v[i].id);
		add_string(o, "kind", attach_kind_word(g->v[i].kind));
		json_object_array_add(list, o);
	}
	return 0;
}

static void follow(const struct request *r)
{
	daemon_follow(r->d);
}

static void add_sockets(const struct request *r, const char *path, bool close_them)
{
	struct json_object *o = json_object_new_object();
	struct sockets_report s = {0};
	struct err e = {0};

	if (sockets_existing(&r->d->root, path, close_them, &s, &e))
		add_string(o, "error", e.text);
	add_int(o, "outside", s.outside);
	add_int(o, "closed", s.closed);
	json_object_object_add(r->answer, "sockets", o);
	add_int(r->answer, "processes", s.processes);
}

int request_group_attach(const struct request *r)
{
	const char *existing = control_string(r->in, "existing");
	const struct group *owner;
	struct attachment *a;
	struct group *g;
	char path[PATH_MAX];
	uint64_t id;
	int result = request_group(r, &g);

	if (result)
		return result;
	if (existing && strcmp(existing, "keep") && strcmp(existing, "close"))
		return err_set(r->e, -EINVAL, "existing is \"keep\" or \"close\"");
	result = cgroup_normalize(&r->d->root, control_string(r->in, "cgroup"), path, sizeof(path),
				  r->e);
	if (result)
		return result;
	{
		scoped(scope_close) int fd = cgroup_open(&r->d->root, path);

		if (fd < 0 || cgroup_id(fd, &id))
			return err_set(r->e, fd < 0 ? fd : -EIO, "there is no cgroup /%s below %s",
				       path, r->d->root.path);
	}
	owner = enforced_owner(r->d->now, id, g);
	if (owner)
		return err_set(r->e, -EEXIST, "cgroup /%s belongs to group %s already", path,
			       owner->policy->name);
	a = group_attachment(g, id);
	if (a)
		return err_set(r->e, -EEXIST, "group %s is attached to /%s already",
			       g->policy->name, path);
	result = group_attach(g, r->d->instance, &r->d->root, path, ATTACH_HAND, &id, r->e);
	if (result)
		return result;
	log_notice("group %s: attached to /%s by hand", g->policy->name, path);
	add_string(r->answer, "group", g->policy->name);
	add_string(r->answer, "cgroup", path);
	add_sockets(r, path, existing && !strcmp(existing, "close"));
	follow(r);
	return 0;
}

int request_group_detach(const struct request *r)
{
	struct attachment *a = NULL;
	struct group *g;
	char path[PATH_MAX];
	bool member;
	int result = request_group(r, &g);

	if (!result)
		result = cgroup_normalize(&r->d->root, control_string(r->in, "cgroup"), path,
					  sizeof(path), r->e);
	if (result)
		return result;
	for (size_t i = 0; i < g->n && !a; i++) {
		if (!strcmp(g->v[i].path, path))
			a = &g->v[i];
	}
	if (!a)
		return err_set(r->e, -ENOENT, "group %s is not attached to /%s", g->policy->name,
			       path);
	member = a->kind == ATTACH_MEMBER;
	result = group_leave(g, r->d->instance, a, r->e);
	if (result)
		return result;
	daemon_retag(r->d, (int)g->slot);
	log_notice("group %s: detached from /%s by hand", g->policy->name, path);
	add_string(r->answer, "group", g->policy->name);
	add_string(r->answer, "cgroup", path);
	add_flag(r->answer, "member", member);
	return 0;
}

int request_group_mode(const struct request *r)
{
	const char *mode = control_string(r->in, "mode");
	bool audit = !strcmp(mode, "audit");
	struct group *g;
	int result = request_group(r, &g);

	if (result)
		return result;
	if (!audit && strcmp(mode, "enforce"))
		return err_set(r->e, -EINVAL, "the mode is audit or enforce");
	add_string(r->answer, "group", g->policy->name);
	add_string(r->answer, "was", mode_word(live_mode(r->d, g)));
	add_string(r->answer, "mode", mode);
	__atomic_store_n(&r->d->instance->group[g->slot].mode,
			 audit ? ULSP_MODE_AUDIT : ULSP_MODE_ENFORCE, __ATOMIC_RELEASE);
	log_notice("group %s: mode %s", g->policy->name, mode);
	return 0;
}

/* The cgroup below which `ulspctl run` makes one of its own for each program. */
int request_group_run(const struct request *r)
{
	struct group *g;
	char path[PATH_MAX];
	uint64_t id;
	int result = request_group(r, &g);

	if (!result)
		result = run_cgroup(r->d->instance, g->policy->name, path, sizeof(path));
	if (result)
		return result;
	result = cgroup_make(&r->d->root, path);
	if (result)
		return err_set(r->e, result, "making cgroup /%s: %s", path, strerror(-result));
	result = group_attach(g, r->d->instance, &r->d->root, path, ATTACH_RUN, &id, r->e);
	if (result && result != -EEXIST)
		return result;
	if (!result)
		follow(r);
	add_string(r->answer, "group", g->policy->name);
	add_string(r->answer, "cgroup", path);
	add_string(r->answer, "root", r->d->root.path);
	return 0;
}

static int decide(void *ctx, const struct dec_key *key, uint32_t *ret_rule)
{
	return image_decide(ctx, key, ret_rule);
}

int request_explain(const struct request *r)
{
	struct explain_query q = {
		.op = control_string(r->in, "op"),
		.proto = control_string(r->in, "proto"),
		.addr = control_string(r->in, "addr"),
		.port = control_int(r->in, "port", 0),
		.from = control_string(r->in, "from"),
		.to = control_string(r->in, "to"),
		.exec = control_string(r->in, "exec"),
	};
	int64_t uid = control_int(r->in, "uid", 0);
	struct json_object *o = NULL;
	struct group *g;
	int result = request_group(r, &g);

	if (result)
		return result;
	if (uid < 0 || uid > UINT32_MAX)
		return err_set(r->e, -EINVAL, "uid %lld is none", (long long)uid);
	q.uid = (uint32_t)uid;
	result = explain(&q, r->d->now->compiled, g->policy, live_mode(r->d, g), decide, g->image,
			 &o, r->e);
	if (result)
		return result;
	json_object_object_foreach(o, key, value)
		json_object_object_add(r->answer, key, json_object_get(value));
	json_object_put(o);
	add_int(r->answer, "generation", r->d->now->generation);
	return 0;
}
