// SPDX-License-Identifier: GPL-2.0-only
/*
 * The next policy, made beside the one in force: its tables, rings, slots,
 * images and ULSPs.  A failure of these steps only throws away what is new.
 */
#include "transaction_priv.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "by_exec.h"
#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "member_paths.h"

enum { HEARTBEAT_WAIT_MS = 1000 }; /* for ULSPs that rules ask, before the swap */

/* Above every generation that is pinned, also of a load that was cut off by a crash. */
static uint32_t next_generation(const struct daemon *d)
{
	uint32_t most = d->now->generation;
	scoped(scope_closedir) DIR *groups = NULL;
	char path[PATH_MAX];
	struct dirent *g, *n;

	snprintf(path, sizeof(path), "%s/group", d->instance->pin_dir);
	groups = opendir(path);
	while (groups && (g = readdir(groups))) {
		scoped(scope_closedir) DIR *one = NULL;

		if (g->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/group/%s", d->instance->pin_dir, g->d_name);
		one = opendir(path);
		while (one && (n = readdir(one))) {
			unsigned long value = strtoul(n->d_name, NULL, 10);

			if (value < UINT32_MAX && value > most)
				most = (uint32_t)value;
		}
	}
	return most + 1;
}

int transaction_parse(struct transaction *t, const struct compiled_source *source)
{
	int r = compiled_parse(source, &t->compiled);
	size_t n;

	if (r)
		return err_set(t->e, r, r == -EINVAL ? "the policy has errors" : "parsing: %s",
			       strerror(-r));
	n = t->compiled->policy->nulsps;
	t->rings = calloc(n + 1, sizeof(*t->rings));
	t->ulsp_new = calloc(n + 1, sizeof(*t->ulsp_new));
	n = t->compiled->policy->ngroups;
	t->slot_new = calloc(n + 1, sizeof(*t->slot_new));
	t->modes = calloc(n + 1, sizeof(*t->modes));
	if (!t->rings || !t->ulsp_new || !t->slot_new || !t->modes)
		return err_set(t->e, -ENOMEM, "out of memory");
	if (t->compiled->policy->nulsps >= ULSP_MAX_RINGS)
		return err_set(t->e, -E2BIG, "the policy has %zu ULSPs, an instance at most %d",
			       t->compiled->policy->nulsps, ULSP_MAX_RINGS - 1);
	return 0;
}

int transaction_make_rings(struct transaction *t)
{
	const struct pol_policy *p = t->compiled->policy;
	struct supervised *s;
	int r;

	for (; t->nulsps < p->nulsps; t->nulsps++) {
		r = supervisor_add(t->d->supervisor, &p->ulsps[t->nulsps], &s,
				   &t->ulsp_new[t->nulsps], t->e);
		if (r)
			return r;
		t->rings[t->nulsps] = s->maps.slot;
	}
	return 0;
}

int transaction_compile(struct transaction *t)
{
	scoped(scope_free) uint16_t *files = NULL;
	int r = daemon_file_slots(t->d, t->compiled->policy, &files, t->e);

	if (r)
		return r;
	r = compiled_tables(t->compiled, t->rings, files, false);
	if (r)
		return err_set(t->e, r,
			       t->compiled->diags.errors ? "the policy has errors"
							 : "compiling: %s",
			       strerror(-r));
	return enforced_new(&t->compiled, next_generation(t->d), &t->next);
}

int transaction_take_slots(struct transaction *t)
{
	int r;

	for (; t->nslots < t->next->n; t->nslots++) {
		struct group *g = &t->next->groups[t->nslots], *old = transaction_old(t, g);

		r = instance_group_slot(t->d->instance, g->policy->name, &g->slot, t->e);
		if (r)
			return r;
		t->slot_new[t->nslots] = !old;
		t->modes[t->nslots] = t->d->instance->group[g->slot].mode;
	}
	return 0;
}

/* What a user attached by hand stays attached, so another group can't have it. */
static int check_by_hand(struct transaction *t, const struct member *m)
{
	const char *name = t->next->groups[m->group].policy->name;

	for (size_t i = 0; i < t->old->n; i++) {
		const struct group *g = &t->old->groups[i];
		const struct attachment *a = group_attachment(g, m->id);

		if (!a || a->kind == ATTACH_MEMBER || !strcmp(g->policy->name, name) ||
		    !enforced_find(t->next, g->policy->name))
			continue;
		pol_diag_add(&t->next->compiled->diags, POL_ERROR, &m->by->loc,
			     "cgroup /%s was attached to group %s by hand: detach it first",
			     m->path, g->policy->name);
		return err_set(t->e, -EEXIST, "groups %s and %s have the same member",
			       g->policy->name, name);
	}
	return 0;
}

int transaction_find_members(struct transaction *t)
{
	struct member_list *l = &t->members;
	int r = member_paths_check(t->next->compiled->policy, t->d->root.path,
				   &t->next->compiled->diags);

	if (r)
		return err_set(t->e, r, "the policy has errors");
	r = members_find(t->d->members, t->next->compiled->policy, l, t->e);
	for (size_t i = 0; !r && i < l->nlines; i++) {
		if (l->lines[i].over)
			r = err_set(t->e, -E2BIG,
				    "group %s: members match more than %d cgroups in all",
				    t->next->groups[l->lines[i].group].policy->name, MEMBERS_MAX);
	}

	for (size_t i = 0; !r && i < l->n; i++) {
		r = check_by_hand(t, &l->v[i]);
		for (size_t j = 0; j < i && !r; j++) {
			if (l->v[i].id != l->v[j].id)
				continue;
			pol_diag_add(&t->next->compiled->diags, POL_ERROR, &l->v[i].by->loc,
				     "cgroup /%s is a member of group %s already", l->v[i].path,
				     t->next->groups[l->v[j].group].policy->name);
			r = err_set(t->e, -EEXIST, "groups %s and %s have the same member",
				    t->next->groups[l->v[j].group].policy->name,
				    t->next->groups[l->v[i].group].policy->name);
		}
	}
	return r;
}

int transaction_load_lsm(struct transaction *t)
{
	int r;

	if (t->d->lsm || !lsm_needed(t->next))
		return 0;
	t->lsm_new = true;
	if (lsm_check(t->next->compiled->policy, &t->next->compiled->diags))
		return err_set(t->e, -EINVAL, "the policy has errors");
	r = lsm_open(t->d->instance, true, &t->d->lsm, t->e);
	if (!r)
		daemon_guard(t->d);
	return r;
}

int transaction_load_images(struct transaction *t)
{
	const struct pol_policy *p = t->next->compiled->policy;
	bool holds = false;
	int r;

	t->next->log_rings = supervisor_log_rings(t->d->supervisor, p);
	for (size_t i = 0; i < t->next->n; i++)
		holds |= image_holds(group_table(t->next, &t->next->groups[i]));
	for (size_t i = 0; i < t->next->n; i++) {
		struct group *g = &t->next->groups[i];
		struct image_spec spec = {
			.group = g->policy->name,
			.slot = g->slot,
			.generation = t->next->generation,
			.table = group_table(t->next, g),
			.log_rings = t->next->log_rings,
			.restarts = holds,
		};

		r = image_load(t->d->instance, &spec, &g->image, t->e);
		if (!r && t->d->lsm && by_exec_wanted(g->policy))
			r = by_exec_load(g, t->d->instance, &spec, t->d->lsm->map[LSM_SK_EXEC],
					 t->e);
		if (r)
			return r;
	}
	return 0;
}

/* Those that rules ask get a moment to come up: their first questions would be denied. */
static void wait_for_heartbeats(struct transaction *t)
{
	const struct pol_policy *p = t->next->compiled->policy;

	for (size_t i = 0; i < p->nulsps; i++) {
		struct supervised *s = supervisor_find(t->d->supervisor, p->ulsps[i].name);

		if (!t->ulsp_new[i] || !p->ulsps[i].asked)
			continue;
		for (int waited = 0; waited < HEARTBEAT_WAIT_MS && !supervised_has_ended(s);
		     waited++) {
			if (supervised_heartbeat_age_ms(s) != UINT64_MAX)
				break;
			clock_nap_ms(1);
		}
		if (supervised_heartbeat_age_ms(s) == UINT64_MAX)
			pol_diag_add(&t->next->compiled->diags, POL_WARNING, &p->ulsps[i].loc,
				     "ulsp %s %s: its rules' fail mode applies", s->name,
				     supervised_has_ended(s) ? "has ended at once, see its log"
							     : "has no heartbeat yet");
	}
}

int transaction_start_ulsps(struct transaction *t)
{
	const struct pol_policy *p = t->next->compiled->policy;
	int r;

	for (size_t i = 0; i < p->nulsps; i++) {
		struct supervised *s = supervisor_find(t->d->supervisor, p->ulsps[i].name);

		r = t->ulsp_new[i] ? supervised_start(s, t->e) : 0;
		if (r)
			return r;
	}
	wait_for_heartbeats(t);
	return 0;
}
