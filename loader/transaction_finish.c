// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a load that succeeded: the new policy is in force, and what it
 * doesn't need is taken down.
 */
#include "transaction_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "by_exec.h"
#include "cleanup.h"
#include "log.h"
#include "rates.h"
#include "sockets.h"
#include "words.h"

enum { MAX_LOOKS = 32 };

static void drop_group(struct daemon *d, struct group *g)
{
	const char *name = g->policy->name;
	struct err e = {0};
	char path[PATH_MAX];

	if (by_exec_unpin(d->instance, name, &e) || group_unpin(d->instance, name, &e))
		log_error("group %s: %s", name, e.text);
	instance_group_free(d->instance, g->slot);
	if (!run_cgroup(d->instance, name, path, sizeof(path)) &&
	    unlinkat(d->root.fd, path, AT_REMOVEDIR) && errno == EBUSY)
		log_warning("group %s: programs of `ulspctl run` go on without a policy", name);
	log_info("group %s: gone with the new policy", name);
}

static void drop_groups(struct transaction *t)
{
	struct err e = {0};

	for (size_t n = 0; n < t->old->n; n++) {
		struct group *g = &t->old->groups[n];
		const char *name = g->policy->name;
		const struct group *next = enforced_find(t->next, name);

		by_exec_drop(g, t->d->instance, next && !next->by_exec);
		if (!next)
			drop_group(t->d, g);
		else if (g->image &&
			 image_retire(t->d->instance, &g->image, group_table(t->old, g), &e))
			log_error("group %s: %s", name, e.text);
		if (next)
			rates_prune(t->d->instance, next->slot, group_table(t->next, next));
	}
}

/* Nobody needs it any more: no operation pays for it. */
static void drop_lsm(struct transaction *t)
{
	struct err e = {0};

	if (!t->d->lsm || lsm_needed(t->next))
		return;
	lsm_close(&t->d->lsm);
	if (lsm_unpin(t->d->instance, &e))
		log_error("%s", e.text);
}

static void update_ulsps(struct transaction *t)
{
	const struct pol_policy *p = t->d->now->compiled->policy;
	struct supervisor *s = t->d->supervisor;
	struct err e = {0};

	for (size_t i = s->n; i-- > 0;) {
		struct supervised *one = s->v[i];
		bool wanted = false;

		for (size_t j = 0; j < p->nulsps; j++)
			wanted |= !strcmp(p->ulsps[j].name, one->name);
		if (!wanted && !one->dropped)
			supervisor_drop(s, one);
	}
	for (size_t i = 0; i < p->nulsps; i++) {
		struct supervised *one = supervisor_find(s, p->ulsps[i].name);
		bool differs = supervised_differs(one, &p->ulsps[i]);
		struct ulsp_shape shape = one->shape;

		if (supervised_define(one, &p->ulsps[i]))
			log_error("ulsp %s: out of memory", one->name);
		instance_ulsp_spin(t->d->instance, &one->maps, one->spin_us);
		if (differs && !t->ulsp_new[i] && supervised_renew(one, &e))
			log_error("%s", e.text);
		if ((one->shape.ring_bytes != shape.ring_bytes ||
		     one->shape.rings != shape.rings) &&
		    !t->ulsp_new[i]) {
			if (supervised_refit(one, &e)) {
				log_error("%s: it keeps its rings", e.text);
				one->shape = shape;
			} else {
				differs = true;
			}
		}
		if (differs)
			supervised_restart(one);
	}
	supervisor_order(s, p);
}

/* Each look goes through every process, so only so many are looked at. */
static void report_sockets(struct transaction *t)
{
	for (size_t i = 0; i < t->nadded && i < MAX_LOOKS; i++) {
		const struct member *m = t->added[i].member;
		struct sockets_report s = {0};

		if (sockets_existing(&t->d->root, m->path, false, &s, NULL) || !s.outside)
			continue;
		pol_diag_add(&t->next->compiled->diags, POL_WARNING, &m->by->loc,
			     "%zu sockets of the %zu processes in /%s were opened before and stay "
			     "outside the group",
			     s.outside, s.processes, m->path);
	}
}

/* Once, in the load's own answer: it is no lasting property of the policy. */
void transaction_report_modes(struct transaction *t, struct pol_diags *ret)
{
	for (size_t i = 0; i < t->next->n; i++) {
		const struct group *g = &t->next->groups[i], *old = transaction_old(t, g);

		if (!old || t->modes[i] == old->policy->mode || t->modes[i] == g->policy->mode)
			continue;
		pol_diags_use(ret, t->next->compiled->policy);
		pol_diag_add(ret, POL_NOTE, &g->policy->loc,
			     "group %s: mode %s now; %s, set by hand, ended with this load",
			     g->policy->name, mode_word(g->policy->mode), mode_word(t->modes[i]));
	}
}

void transaction_finish(struct transaction *t)
{
	report_sockets(t);
	drop_groups(t);
	drop_lsm(t);
	enforced_free(&t->old);
	t->d->now = TAKE_PTR(t->next);
	update_ulsps(t);
	daemon_follow(t->d);
	monitor_update(t->d->monitor);
}
