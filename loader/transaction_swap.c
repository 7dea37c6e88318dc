// SPDX-License-Identifier: GPL-2.0-only
/*
 * The swap: groups' links move to the new images, cgroups that became members
 * are attached, the LSM tier hears of it, and the policy is published; and the
 * way back from wherever a load failed.
 */
#include "transaction_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "by_exec.h"
#include "cleanup.h"
#include "log.h"

static void set_group(struct ulsp_group *g, uint32_t mode, uint32_t generation)
{
	/* the stricter mode first, the laxer last, whichever side of the swap that is */
	__atomic_store_n(&g->mode, mode, __ATOMIC_RELEASE);
	__atomic_store_n(&g->generation, generation, __ATOMIC_RELEASE);
}

int transaction_swap_groups(struct transaction *t)
{
	struct err e;
	int r;

	for (; t->nswapped < t->next->n; t->nswapped++) {
		struct group *g = &t->next->groups[t->nswapped], *old = transaction_old(t, g);
		struct ulsp_group *live = &t->d->instance->group[g->slot];

		if (g->policy->mode == ULSP_MODE_ENFORCE || !old)
			set_group(live, g->policy->mode, live->generation);
		r = old ? image_swap(t->d->instance, old->image, g->image, t->e) : 0;
		if (!r) {
			r = by_exec_swap(g, old, t->d->instance, &t->d->root, t->e);
			if (r && old)
				image_swap(t->d->instance, g->image, old->image, &e);
		}
		if (r) {
			set_group(live, t->modes[t->nswapped], live->generation);
			return r;
		}
		set_group(live, g->policy->mode, t->next->generation);
		for (size_t i = 0; old && i < old->n; i++) {
			if (group_note(g, old->v[i].id, old->v[i].path, old->v[i].kind)) {
				t->nswapped++;
				return err_set(t->e, -ENOMEM, "out of memory");
			}
		}
	}
	return 0;
}

/* A cgroup that went between the look and now is no failure. */
int transaction_attach_members(struct transaction *t)
{
	int r;

	t->added = calloc(t->members.n + 1, sizeof(*t->added));
	if (!t->added)
		return err_set(t->e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < t->members.n; i++) {
		const struct member *m = &t->members.v[i];
		struct group *g = &t->next->groups[m->group];
		struct attachment *a = group_attachment(g, m->id);
		uint64_t id;

		if (a) {
			a->kind = ATTACH_MEMBER;
			continue;
		}
		r = group_attach(g, t->d->instance, &t->d->root, m->path, ATTACH_MEMBER, &id, t->e);
		if (r == -ENOENT || r == -ENODEV)
			continue;
		if (r)
			return r;
		t->added[t->nadded++] = (struct added){.member = m, .id = id};
	}
	return 0;
}

int transaction_isolate(struct transaction *t)
{
	if (!t->d->lsm)
		return 0;
	t->isolated = true;
	return lsm_sync(t->d->lsm, t->d->instance, &t->d->root, t->next, LSM_NONE_LEFT, t->e);
}

int transaction_publish(struct transaction *t)
{
	scoped(scope_free) char *text = NULL;
	int r = pol_print(t->next->compiled->policy, POL_PRINT_LINES, &text);

	if (r)
		return err_set(t->e, r, "printing the policy: %s", strerror(-r));
	return instance_put_policy(t->d->instance, text, t->next->generation, t->e);
}

void transaction_undo(struct transaction *t)
{
	struct instance *i = t->d->instance;
	struct err e = {0};

	if (t->lsm_new) {
		lsm_close(&t->d->lsm);
		if (lsm_unpin(i, &e))
			log_error("undoing the load: %s", e.text);
	}
	while (t->nadded) {
		struct added *a = &t->added[--t->nadded];

		if (image_detach(i, t->next->groups[a->member->group].policy->name, a->id, &e))
			log_error("undoing the load: %s", e.text);
	}
	while (t->nswapped) {
		struct group *g = &t->next->groups[--t->nswapped], *old = transaction_old(t, g);

		if (old && image_swap(i, g->image, old->image, &e))
			log_error("undoing the load: group %s: %s", g->policy->name, e.text);
		if (old && old->by_exec && g->by_exec &&
		    image_swap(i, g->by_exec, old->by_exec, &e))
			log_error("undoing the load: group %s: %s", g->policy->name, e.text);
		set_group(&i->group[g->slot], t->modes[t->nswapped], t->old->generation);
	}
	for (size_t n = 0; t->next && n < t->next->n; n++) {
		struct group *g = &t->next->groups[n];

		by_exec_drop(g, i, !transaction_old(t, g) || !transaction_old(t, g)->by_exec);
		if (g->image && image_retire(i, &g->image, group_table(t->next, g), &e))
			log_error("undoing the load: group %s: %s", g->policy->name, e.text);
	}
	while (t->nslots) {
		struct group *g = &t->next->groups[--t->nslots];

		if (!t->slot_new[t->nslots])
			continue;
		if (group_unpin(i, g->policy->name, &e))
			log_error("undoing the load: group %s: %s", g->policy->name, e.text);
		instance_group_free(i, g->slot);
	}
	while (t->nulsps) {
		const struct pol_policy *p = (t->next ? t->next->compiled : t->compiled)->policy;
		const char *name = p->ulsps[--t->nulsps].name;

		if (t->ulsp_new[t->nulsps])
			supervisor_drop(t->d->supervisor, supervisor_find(t->d->supervisor, name));
	}
	if (t->isolated && t->d->lsm &&
	    lsm_sync(t->d->lsm, i, &t->d->root, t->old, LSM_NONE_LEFT, &e))
		log_error("undoing the load: %s", e.text);
}
