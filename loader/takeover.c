// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking over what an earlier daemon left: enforcement goes on untouched, the
 * pinned text is compiled again only for names, and ULSPs are started again on
 * their pinned rings.
 */
#include "daemon.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "by_exec.h"
#include "cleanup.h"
#include "log.h"

/* Slots of files that only earlier policies used, when all are taken. */
static void free_file_slots(struct daemon *d, const struct pol_policy *p)
{
	const struct pol_policy *now = d->now && d->now->compiled ? d->now->compiled->policy : NULL;

	for (size_t i = 0; i < ULSP_MAX_FILES; i++) {
		const char *name = d->instance->file[i];
		bool used = false;

		for (size_t j = 0; j < p->nfiles; j++)
			used |= !strncmp(p->files[j], name, ULSP_PATH_BYTES - 1);
		for (size_t j = 0; now && j < now->nfiles; j++)
			used |= !strncmp(now->files[j], name, ULSP_PATH_BYTES - 1);
		if (!used)
			memset(d->instance->file[i], 0, ULSP_PATH_BYTES);
	}
}

static void mark(bool *used, const struct pol_loc *at)
{
	if (at->line)
		used[at->file] = true;
}

int daemon_file_slots(struct daemon *d, const struct pol_policy *p, uint16_t **ret, struct err *e)
{
	scoped(scope_free) uint16_t *files = calloc(p->nfiles + 1, sizeof(*files));
	scoped(scope_free) bool *used = calloc(p->nfiles + 1, sizeof(*used));
	int r;

	if (!files || !used)
		return err_set(e, -ENOMEM, "out of memory");
	/* set files have no rules, so no message names them */
	for (size_t i = 0; i < p->ngroups; i++) {
		mark(used, &p->groups[i].default_loc);
		for (size_t j = 0; j < p->groups[i].nrules; j++)
			mark(used, &p->groups[i].rules[j].loc);
	}
	for (size_t i = 0; i < p->nfiles; i++) {
		if (!used[i])
			continue;
		r = instance_file_slot(d->instance, p->files[i], &files[i], e);
		if (r == -ENOSPC) {
			free_file_slots(d, p);
			r = instance_file_slot(d->instance, p->files[i], &files[i], e);
		}
		if (r)
			return r;
	}
	*ret = TAKE_PTR(files);
	return 0;
}

static int add_ulsps(struct daemon *d, const struct pol_policy *p, uint8_t *rings, struct err *e)
{
	struct supervised *s;
	bool is_new;
	int r;

	for (size_t i = 0; i < p->nulsps; i++) {
		r = supervisor_add(d->supervisor, &p->ulsps[i], &s, &is_new, e);
		if (r)
			return r;
		rings[i] = s->maps.slot;
	}
	return 0;
}

static enum attach_kind kind_of(const struct daemon *d, const struct group *g, const char *path)
{
	char run[PATH_MAX];

	return !run_cgroup(d->instance, g->policy->name, run, sizeof(run)) && !strcmp(run, path)
		       ? ATTACH_RUN
		       : ATTACH_HAND;
}

static int adopt_group(struct daemon *d, struct enforced *en, struct group *g,
		       const struct member_list *members, struct err *e)
{
	scoped(scope_free) uint64_t *ids = NULL;
	const char *name = g->policy->name;
	char path[PATH_MAX];
	size_t n = 0;
	int r;

	r = instance_group_slot(d->instance, name, &g->slot, e);
	if (!r)
		r = image_adopt(d->instance, name, en->generation, &g->image, e);
	if (!r && !g->image)
		r = err_set(e, -ENOENT, "group %s of the pinned policy has no pinned image", name);
	if (!r)
		r = by_exec_adopt(g, d->instance, en->generation, e);
	if (!r)
		r = image_cgroups(d->instance, name, &ids, &n);
	for (size_t i = 0; !r && i < n; i++) {
		enum attach_kind kind;

		r = cgroup_path(&d->root, ids[i], path, sizeof(path));
		if (r == -ESTALE) { /* it went while no daemon ran */
			r = image_detach(d->instance, name, ids[i], e);
			continue;
		}
		if (r) /* not below our root: another mount's, keep it */
			snprintf(path, sizeof(path), "(cgroup %llu)", (unsigned long long)ids[i]);
		kind = kind_of(d, g, path);
		for (size_t j = 0; j < members->n; j++) {
			if (members->v[j].id == ids[i] && &en->groups[members->v[j].group] == g)
				kind = ATTACH_MEMBER;
		}
		r = group_note(g, ids[i], path, kind);
	}
	return r;
}

/* The text in force, compiled: NULL when nothing was loaded. */
static int compile_pinned(struct daemon *d, struct compiled **ret, uint32_t *ret_generation,
			  struct err *e)
{
	scoped(scope_free) char *text = NULL;
	scoped(compiled_free) struct compiled *compiled = NULL;
	scoped(scope_free) uint16_t *files = NULL;
	struct compiled_source source = {.name = "(pinned policy)"};
	uint8_t rings[ULSP_MAX_RINGS] = {0};
	int r;

	r = instance_get_policy(d->instance, &text, ret_generation, e);
	if (r == -ENOENT || (!r && (!text || !*text)))
		return 0;
	if (r)
		return r;
	source.text = text;
	source.text_bytes = strlen(text);
	r = compiled_parse(&source, &compiled);
	if (!r && compiled->policy->nulsps >= ULSP_MAX_RINGS)
		r = -E2BIG;
	if (!r)
		r = add_ulsps(d, compiled->policy, rings, e);
	if (!r)
		r = daemon_file_slots(d, compiled->policy, &files, e);
	if (!r)
		r = compiled_tables(compiled, rings, files, true);
	if (compiled)
		daemon_log_diags(&compiled->diags);
	if (r)
		return err_set(e, r,
			       "the pinned policy of generation %u does not compile; it stays "
			       "enforced; `ulspctl -i %s shutdown` removes it",
			       *ret_generation, d->instance->name);
	*ret = TAKE_PTR(compiled);
	return 0;
}

/* Groups of a load that was cut off, before or after its text was put. */
static void drop_strangers(struct daemon *d, const struct enforced *en)
{
	for (uint32_t slot = 0; slot < ULSP_MAX_GROUPS; slot++) {
		const struct ulsp_group *g = &d->instance->group[slot];
		char name[ULSP_NAME_BYTES];
		struct err e = {0};

		if (!g->in_use)
			continue;
		snprintf(name, sizeof(name), "%.*s", ULSP_NAME_BYTES - 1, g->name);
		if (enforced_find(en, name))
			continue;
		log_warning("group %s is of a load that was cut off: removed", name);
		if (by_exec_unpin(d->instance, name, &e) || group_unpin(d->instance, name, &e))
			log_error("group %s: %s", name, e.text);
		instance_group_free(d->instance, slot);
	}
}

int daemon_adopt(struct daemon *d, struct err *e)
{
	scoped(compiled_free) struct compiled *compiled = NULL;
	scoped(enforced_free) struct enforced *en = NULL;
	scoped(member_list_fini) struct member_list members = {0};
	uint32_t generation = 0;
	int r = compile_pinned(d, &compiled, &generation, e);

	if (r || !compiled)
		return r;
	r = enforced_new(&compiled, generation, &en);
	if (!r)
		en->log_rings = supervisor_log_rings(d->supervisor, en->compiled->policy);
	if (!r)
		r = members_find(d->members, en->compiled->policy, &members, e);
	for (size_t i = 0; !r && i < en->n; i++)
		r = adopt_group(d, en, &en->groups[i], &members, e);
	if (r)
		return r;
	drop_strangers(d, en);
	for (size_t i = 0; i < en->n; i++)
		__atomic_store_n(&d->instance->group[en->groups[i].slot].generation, generation,
				 __ATOMIC_RELEASE);
	log_notice("adopted generation %u: %zu groups stay enforced", generation, en->n);
	enforced_free(&d->now);
	d->now = TAKE_PTR(en);
	for (size_t i = 0; i < d->supervisor->n; i++) {
		struct err why = {0};

		if (supervised_start(d->supervisor->v[i], &why))
			log_error("%s", why.text);
	}
	return 0;
}
