// SPDX-License-Identifier: GPL-2.0-only
#include "enforced.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "pins.h"
#include "sockets.h"

const char *attach_kind_word(enum attach_kind kind)
{
	static const char *const words[] = {
		[ATTACH_MEMBER] = "member", [ATTACH_HAND] = "by hand", [ATTACH_RUN] = "run"};

	return words[kind];
}

int enforced_new(struct compiled **compiled, uint32_t generation, struct enforced **ret)
{
	struct enforced *en = calloc(1, sizeof(*en));
	const struct pol_policy *p = *compiled ? (*compiled)->policy : NULL;

	if (!en)
		return -ENOMEM;
	en->generation = generation;
	en->n = p ? p->ngroups : 0;
	en->groups = calloc(en->n + 1, sizeof(*en->groups));
	if (!en->groups) {
		free(en);
		return -ENOMEM;
	}
	for (size_t i = 0; i < en->n; i++)
		en->groups[i].policy = &p->groups[i];
	en->compiled = TAKE_PTR(*compiled);
	*ret = en;
	return 0;
}

void enforced_free(struct enforced **enp)
{
	struct enforced *en = *enp;

	*enp = NULL;
	if (!en)
		return;
	for (size_t i = 0; i < en->n; i++) {
		struct group *g = &en->groups[i];

		while (g->n)
			group_forget(g, &g->v[g->n - 1]);
		free(g->v);
		free(g->left.v);
		free(g->told.v);
		image_free(&g->image);
		image_free(&g->by_exec);
	}
	free(en->groups);
	compiled_free(&en->compiled);
	free(en);
}

struct group *enforced_find(const struct enforced *en, const char *name)
{
	for (size_t i = 0; i < en->n; i++) {
		if (!strcmp(en->groups[i].policy->name, name))
			return &en->groups[i];
	}
	return NULL;
}

const struct pol_table *group_table(const struct enforced *en, const struct group *g)
{
	return en->compiled->tables[g - en->groups];
}

/* ---- the book ---- */

struct attachment *group_attachment(const struct group *g, uint64_t id)
{
	for (size_t i = 0; i < g->n; i++) {
		if (g->v[i].id == id)
			return &g->v[i];
	}
	return NULL;
}

int group_note(struct group *g, uint64_t id, const char *path, enum attach_kind kind)
{
	struct attachment *v = reallocarray(g->v, g->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	g->v = v;
	v[g->n] = (struct attachment){.id = id, .path = strdup(path), .kind = kind};
	if (!v[g->n].path)
		return -ENOMEM;
	g->n++;
	return 0;
}

void group_forget(struct group *g, struct attachment *a)
{
	free(a->path);
	memmove(a, a + 1, (size_t)(g->v + g->n - (a + 1)) * sizeof(*a));
	g->n--;
}

/* ---- cgroups ---- */

int group_attach(struct group *g, struct instance *i, const struct cgroup_root *root,
		 const char *path, enum attach_kind kind, uint64_t *ret_id, struct err *e)
{
	scoped(scope_close) int fd = cgroup_open(root, path);
	uint64_t id;
	int r;

	/* every process of the machine: no `members' line can name it either */
	if (!*path)
		return err_set(e, -EINVAL,
			       "the root cgroup can't be a member: name a cgroup below it");
	if (fd < 0)
		return err_set(e, fd, "cgroup /%s: %s", path,
			       fd == -ENOENT ? "there is none" : strerror(-fd));
	r = cgroup_id(fd, &id);
	if (r)
		return err_set(e, r, "cgroup /%s: %s", path, strerror(-r));
	*ret_id = id;
	if (group_attachment(g, id))
		return err_set(e, -EEXIST, "group %s is attached to /%s already", g->policy->name,
			       path);
	r = image_attach(i, g->image, fd, id, e);
	if (r)
		return r;
	r = group_note(g, id, path, kind);
	if (r)
		image_detach(i, g->policy->name, id, NULL);
	return r;
}

int group_detach(struct group *g, struct instance *i, struct attachment *a, struct err *e)
{
	int r = image_detach(i, g->policy->name, a->id, e);

	if (!r)
		group_forget(g, a);
	return r;
}

int group_unpin(struct instance *i, const char *name, struct err *e)
{
	static const char *const trees[] = {"link", "group"}; /* first what calls the rest */
	scoped(scope_free) char *escaped = pin_escape(name);

	for (size_t n = 0; n < 2; n++) {
		scoped(scope_free) char *path =
			escaped ? pin_path("%s/%s/%s", i->pin_dir, trees[n], escaped) : NULL;
		int r = path ? pin_remove(path) : -ENOMEM;

		if (r)
			return err_set(e, r, "removing %s: %s", path ? path : name, strerror(-r));
	}
	return 0;
}

const struct group *enforced_owner(const struct enforced *en, uint64_t id,
				   const struct group *other_than)
{
	for (size_t i = 0; i < en->n; i++) {
		if (&en->groups[i] != other_than && group_attachment(&en->groups[i], id))
			return &en->groups[i];
	}
	return NULL;
}

static bool is_there(const struct cgroup_root *root, const struct attachment *a)
{
	char path[PATH_MAX];

	return cgroup_path(root, a->id, path, sizeof(path)) != -ESTALE;
}

size_t enforced_drop_gone(struct enforced *en, struct instance *i, const struct cgroup_root *root)
{
	size_t dropped = 0;

	for (size_t n = 0; n < en->n; n++) {
		struct group *g = &en->groups[n];

		for (size_t at = g->n; at-- > 0;) {
			struct err e = {0};

			if (is_there(root, &g->v[at]))
				continue;
			log_at(g->v[at].kind == ATTACH_RUN ? LOG_DEBUG : LOG_INFO,
			       "group %s: cgroup /%s is gone", g->policy->name, g->v[at].path);
			/* the kernel has detached it: this removes the pins */
			if (group_detach(g, i, &g->v[at], &e))
				log_warning("group %s: %s", g->policy->name, e.text);
			dropped++;
		}
	}
	return dropped;
}

static const struct member *find_member(const struct member_list *l, size_t group, uint64_t id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].group == group && l->v[i].id == id)
			return &l->v[i];
	}
	return NULL;
}

/* Processes that are in it already may hold sockets from elsewhere: say so. */
static void log_attached(const struct group *g, const struct cgroup_root *root, const char *path)
{
	struct sockets_report s = {0};

	if (!sockets_existing(root, path, false, &s, NULL) && s.outside)
		log_warning(
			"group %s: attached to /%s; %zu sockets of its %zu processes were opened "
			"before and stay outside the group",
			g->policy->name, path, s.outside, s.processes);
	else
		log_info("group %s: attached to /%s", g->policy->name, path);
}

static bool ids_have(const struct cgroup_ids *ids, uint64_t id)
{
	for (size_t i = 0; i < ids->n; i++) {
		if (ids->v[i] == id)
			return true;
	}
	return false;
}

/* Room first, so that what follows can't fail for want of it. */
static int ids_reserve(struct cgroup_ids *ids)
{
	uint64_t *v = reallocarray(ids->v, ids->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	ids->v = v;
	return 0;
}

int group_leave(struct group *g, struct instance *i, struct attachment *a, struct err *e)
{
	bool member = a->kind == ATTACH_MEMBER;
	uint64_t id = a->id;
	int r;

	if (ids_reserve(&g->left))
		return err_set(e, -ENOMEM, "out of memory");
	r = group_detach(g, i, a, e);
	if (!r && member)
		g->left.v[g->left.n++] = id;
	return r;
}

static void tell_once(struct group *g, uint64_t id, const char *why)
{
	if (ids_have(&g->told, id) || ids_reserve(&g->told))
		return;
	g->told.v[g->told.n++] = id;
	log_error("group %s: %s", g->policy->name, why);
}

static void attach_new(struct enforced *en, struct instance *i, const struct cgroup_root *root,
		       const struct member *m)
{
	struct group *g = &en->groups[m->group];
	const struct group *owner = enforced_owner(en, m->id, g);
	struct err e = {0};
	uint64_t id;
	int r;

	if (group_attachment(g, m->id) || ids_have(&g->left, m->id))
		return;
	if (owner)
		r = err_set(&e, -EEXIST, "cgroup /%s belongs to group %s already: it stays there",
			    m->path, owner->policy->name);
	else
		r = group_attach(g, i, root, m->path, ATTACH_MEMBER, &id, &e);
	if (!r)
		log_attached(g, root, m->path);
	else if (is_there(root, &(struct attachment){.id = m->id}))
		tell_once(g, m->id, e.text);
}

static size_t members_attached(const struct enforced *en)
{
	size_t attached = 0;

	for (size_t n = 0; n < en->n; n++) {
		for (size_t at = 0; at < en->groups[n].n; at++)
			attached += en->groups[n].v[at].kind == ATTACH_MEMBER;
	}
	return attached;
}

static void describe_over(const struct enforced *en, const struct member_line *line, char text[256])
{
	snprintf(text, 256,
		 "group %s: %zu cgroups that match \"%.120s\" are not enforced: at most %d are "
		 "attached",
		 en->groups[line->group].policy->name, line->over, line->by->path, MEMBERS_MAX);
}

/* Once until it is over, however often cgroups come and go. */
static void log_over(struct enforced *en, const struct member_list *list)
{
	bool told = *en->trouble;

	en->trouble[0] = 0;
	for (size_t n = 0; n < list->nlines; n++) {
		if (!list->lines[n].over)
			continue;
		describe_over(en, &list->lines[n], en->trouble);
		if (!told)
			log_error("%s", en->trouble);
	}
}

void enforced_coverage(const struct enforced *en, struct members *m, struct pol_diags *ret)
{
	scoped(member_list_fini) struct member_list list = {0};
	struct err e = {0};
	char text[256];
	int r;

	if (!en->compiled)
		return;
	pol_diags_use(ret, en->compiled->policy);
	r = members_find(m, en->compiled->policy, &list, &e);
	if (r || (*en->trouble && !list.over))
		pol_diag_add(ret, POL_WARNING, NULL, "cgroups that match may not be enforced: %s",
			     r ? e.text : en->trouble);
	for (size_t n = 0; n < list.nlines; n++) {
		const struct member_line *line = &list.lines[n];

		if (!line->matched)
			pol_diag_add(ret, POL_NOTE, &line->by->loc,
				     "group %s: members \"%.120s\" matches no cgroup yet",
				     en->groups[line->group].policy->name, line->by->path);
		if (!line->over)
			continue;
		describe_over(en, line, text);
		pol_diag_add(ret, POL_WARNING, &line->by->loc, "%s", text);
	}
	for (size_t n = 0; n < list.n; n++) {
		const struct member *one = &list.v[n];
		const struct group *g = &en->groups[one->group];

		if (!group_attachment(g, one->id) && ids_have(&g->told, one->id))
			pol_diag_add(ret, POL_WARNING, &one->by->loc,
				     "group %s: /%s matches and could not be attached: the log "
				     "says why",
				     g->policy->name, one->path);
	}
}

void enforced_follow(struct enforced *en, struct instance *i, const struct cgroup_root *root,
		     struct members *m)
{
	scoped(scope_free) char **paths = NULL;
	scoped(member_list_fini) struct member_list list = {0};
	size_t npaths = 0;
	struct err e = {0};

	enforced_drop_gone(en, i, root);
	if (!en->compiled)
		return;
	for (size_t n = 0; n < en->n; n++)
		npaths += en->groups[n].n;
	paths = calloc(npaths + 1, sizeof(*paths));
	npaths = 0;
	for (size_t n = 0; paths && n < en->n; n++) {
		for (size_t at = 0; at < en->groups[n].n; at++)
			paths[npaths++] = en->groups[n].v[at].path;
	}
	if (members_follow(m, en->compiled->policy, paths, npaths, &list, &e)) {
		log_error("%s", e.text);
		snprintf(en->trouble, sizeof(en->trouble), "%.*s", (int)sizeof(en->trouble) - 1,
			 e.text);
		return;
	}
	log_over(en, &list);
	for (size_t n = 0; n < list.n; n++) {
		if (!list.over || members_attached(en) < MEMBERS_MAX)
			attach_new(en, i, root, &list.v[n]);
	}
	if (list.over)
		return; /* what is not in the list may match all the same: it stays */
	for (size_t n = 0; n < en->n; n++) {
		struct group *g = &en->groups[n];

		for (size_t at = g->n; at-- > 0;) {
			if (g->v[at].kind != ATTACH_MEMBER || find_member(&list, n, g->v[at].id))
				continue;
			log_info("group %s: /%s is no member any more", g->policy->name,
				 g->v[at].path);
			if (group_detach(g, i, &g->v[at], &e))
				log_error("group %s: %s", g->policy->name, e.text);
		}
	}
}

int run_cgroup(const struct instance *i, const char *group, char *buf, size_t bytes)
{
	int n = snprintf(buf, bytes, "ulsp/%s/%s", i->name, group);

	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}
