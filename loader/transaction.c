// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading a policy: all of it or nothing.
 *
 * The steps stand below in the order in which they run.  Up to start_ulsps()
 * everything is made beside what is enforced, so a failure only throws away
 * what is new.  swap_groups() moves each group's links to its new image; from
 * there until publish() a failure moves them back.  After publish() the new
 * policy is in force, and what is left is taking down what it doesn't need.
 *
 * No instant is less filtered than both policies: cgroups are detached from
 * groups that lose them only after those that gain them are attached.
 */
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "by_exec.h"
#include "cleanup.h"
#include "log.h"
#include "member_paths.h"
#include "sockets.h"

enum {
	HEARTBEAT_WAIT_MS = 1000, /* for ULSPs that rules ask, before the swap */
	MAX_LOOKS = 32,
};

struct transaction {
	struct daemon *d;
	struct err *e;
	struct compiled *compiled;
	struct enforced *old, *next;
	struct member_list members;
	uint8_t *rings;	 /* by ULSP of the policy */
	bool *ulsp_new;	 /* made by this load, by ULSP */
	bool *slot_new;	 /* by group */
	uint32_t *modes; /* of groups that were there, before */
	size_t nulsps;	 /* that were added to the supervisor so far */
	size_t nslots;	 /* groups that have their slot so far */
	size_t nswapped; /* groups that were swapped so far */
	struct added {
		const struct member *member;
		uint64_t id;
	} * added; /* cgroups that were attached so far */
	size_t nadded;
	bool lsm_new;  /* this load made the LSM tier */
	bool isolated; /* its maps were written */
};

static struct group *old_of(const struct transaction *t, const struct group *g)
{
	return enforced_find(t->old, g->policy->name);
}

/* Above every generation that is pinned, also of a load that was cut off by a crash. */
static uint32_t next_generation(const struct daemon *d)
{
	uint32_t most = d->now->generation;
	char path[PATH_MAX];
	DIR *groups, *one;
	struct dirent *g, *n;

	snprintf(path, sizeof(path), "%s/group", d->instance->pin_dir);
	groups = opendir(path);
	while (groups && (g = readdir(groups))) {
		if (g->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/group/%s", d->instance->pin_dir, g->d_name);
		one = opendir(path);
		while (one && (n = readdir(one))) {
			unsigned long value = strtoul(n->d_name, NULL, 10);

			if (value < UINT32_MAX && value > most)
				most = (uint32_t)value;
		}
		if (one)
			closedir(one);
	}
	if (groups)
		closedir(groups);
	return most + 1;
}

/* ---- the steps ---- */

static int parse(struct transaction *t, const struct compiled_source *source)
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

/* Tables name rings, so the rings come first. */
static int make_rings(struct transaction *t)
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

static int compile(struct transaction *t)
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

static int take_slots(struct transaction *t)
{
	int r;

	for (; t->nslots < t->next->n; t->nslots++) {
		struct group *g = &t->next->groups[t->nslots], *old = old_of(t, g);

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

static int find_members(struct transaction *t)
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

static int load_images(struct transaction *t)
{
	const struct pol_policy *p = t->next->compiled->policy;
	int r;

	t->next->log_rings = supervisor_log_rings(t->d->supervisor, p);
	for (size_t i = 0; i < t->next->n; i++) {
		struct group *g = &t->next->groups[i];
		struct image_spec spec = {
			.group = g->policy->name,
			.slot = g->slot,
			.generation = t->next->generation,
			.table = group_table(t->next, g),
			.log_rings = t->next->log_rings,
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
	const struct timespec step = {.tv_nsec = 1000000};

	for (size_t i = 0; i < p->nulsps; i++) {
		struct supervised *s = supervisor_find(t->d->supervisor, p->ulsps[i].name);

		if (!t->ulsp_new[i] || !p->ulsps[i].asked)
			continue;
		for (int waited = 0; waited < HEARTBEAT_WAIT_MS; waited++) {
			if (supervised_heartbeat_age_ms(s) != UINT64_MAX)
				break;
			nanosleep(&step, NULL);
		}
		if (supervised_heartbeat_age_ms(s) == UINT64_MAX)
			log_warning("ulsp %s: no heartbeat yet, its rules' fail mode applies",
				    s->name);
	}
}

static int start_ulsps(struct transaction *t)
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

static void set_group(struct ulsp_group *g, uint32_t mode, uint32_t generation)
{
	/* the stricter mode first, the laxer last, whichever side of the swap that is */
	__atomic_store_n(&g->mode, mode, __ATOMIC_RELEASE);
	__atomic_store_n(&g->generation, generation, __ATOMIC_RELEASE);
}

static int swap_groups(struct transaction *t)
{
	struct err e;
	int r;

	for (; t->nswapped < t->next->n; t->nswapped++) {
		struct group *g = &t->next->groups[t->nswapped], *old = old_of(t, g);
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
static int attach_members(struct transaction *t)
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

/*
 * The tier is loaded and proved before anything is swapped; its maps are written when the groups
 * have their slots and cgroups.
 */
static int load_lsm(struct transaction *t)
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

static int isolate(struct transaction *t)
{
	if (!t->d->lsm)
		return 0;
	t->isolated = true;
	return lsm_sync(t->d->lsm, t->d->instance, &t->d->root, t->next, LSM_NONE_LEFT, t->e);
}

static int publish(struct transaction *t)
{
	scoped(scope_free) char *text = NULL;
	int r = pol_print(t->next->compiled->policy, POL_PRINT_LINES, &text);

	if (r)
		return err_set(t->e, r, "printing the policy: %s", strerror(-r));
	return instance_put_policy(t->d->instance, text, t->next->generation, t->e);
}

/* ---- failure: everything as before, last step first ---- */

static void undo(struct transaction *t)
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
		struct group *g = &t->next->groups[--t->nswapped], *old = old_of(t, g);

		if (old && image_swap(i, g->image, old->image, &e))
			log_error("undoing the load: group %s: %s", g->policy->name, e.text);
		if (old && old->by_exec && g->by_exec &&
		    image_swap(i, g->by_exec, old->by_exec, &e))
			log_error("undoing the load: group %s: %s", g->policy->name, e.text);
		set_group(&i->group[g->slot], t->modes[t->nswapped], t->old->generation);
	}
	for (size_t n = 0; t->next && n < t->next->n; n++) {
		struct group *g = &t->next->groups[n];

		by_exec_drop(g, i, !old_of(t, g) || !old_of(t, g)->by_exec);
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

/* ---- success: take down what the new policy doesn't need ---- */

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
		uint64_t ring_bytes = one->ring_bytes;

		if (supervised_define(one, &p->ulsps[i]))
			log_error("ulsp %s: out of memory", one->name);
		if (differs && !t->ulsp_new[i] && supervised_renew(one, &e))
			log_error("%s", e.text);
		if (one->ring_bytes != ring_bytes && !t->ulsp_new[i]) {
			if (supervised_refit(one, &e)) {
				log_error("%s: it keeps its ring", e.text);
				one->ring_bytes = ring_bytes;
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
static void report_modes(struct transaction *t, struct pol_diags *ret)
{
	for (size_t i = 0; i < t->next->n; i++) {
		const struct group *g = &t->next->groups[i], *old = old_of(t, g);
		bool audit = g->policy->mode == ULSP_MODE_AUDIT;

		if (!old || t->modes[i] == old->policy->mode || t->modes[i] == g->policy->mode)
			continue;
		pol_diags_use(ret, t->next->compiled->policy);
		pol_diag_add(ret, POL_NOTE, &g->policy->loc,
			     "group %s: mode %s now; %s, set by hand, ended with this load",
			     g->policy->name, audit ? "audit" : "enforce",
			     audit ? "enforce" : "audit");
	}
}

static void finish(struct transaction *t)
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

/* ---- */

static void move_diags(struct pol_diags *from, struct pol_diags *to)
{
	*to = *from;
	*from = (struct pol_diags){0};
}

static int run(struct transaction *t, const struct compiled_source *source)
{
	int r = parse(t, source);

	if (!r)
		r = make_rings(t);
	if (!r)
		r = compile(t);
	if (!r)
		r = take_slots(t);
	if (!r)
		r = find_members(t);
	if (!r)
		r = load_lsm(t);
	if (!r)
		r = load_images(t);
	if (!r)
		r = start_ulsps(t);
	if (!r)
		r = swap_groups(t);
	if (!r)
		r = attach_members(t);
	if (!r)
		r = isolate(t);
	if (!r)
		r = publish(t);
	return r;
}

int transaction_load(struct daemon *d, const struct compiled_source *source,
		     struct pol_diags *ret_diags, struct err *e)
{
	struct transaction t = {.d = d, .e = e, .old = d->now};
	int r = run(&t, source);

	*ret_diags = (struct pol_diags){0};
	if (r) {
		undo(&t);
		if (t.next)
			move_diags(&t.next->compiled->diags, ret_diags);
		else if (t.compiled)
			move_diags(&t.compiled->diags, ret_diags);
		enforced_free(&t.next);
		compiled_free(&t.compiled);
	} else {
		report_modes(&t, ret_diags);
		finish(&t);
	}
	member_list_fini(&t.members);
	free(t.rings);
	free(t.ulsp_new);
	free(t.slot_new);
	free(t.modes);
	free(t.added);
	return r;
}
