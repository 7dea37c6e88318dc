// SPDX-License-Identifier: GPL-2.0-only
#include "by_exec.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "image_priv.h"
#include "pins.h"

enum { NAME_BYTES = ULSP_NAME_BYTES + sizeof("+exec") };

static const char *name_of(const char *group, char buf[NAME_BYTES])
{
	snprintf(buf, NAME_BYTES, "%s+exec", group);
	return buf;
}

bool by_exec_wanted(const struct pol_group *p)
{
	for (size_t n = 0; n < p->nmembers; n++)
		if (p->members[n].exec)
			return true;
	return false;
}

int by_exec_load(struct group *g, struct instance *i, const struct image_spec *spec, int sk_exec,
		 struct err *e)
{
	struct image_spec own = *spec;
	char name[NAME_BYTES];

	own.group = name_of(g->policy->name, name);
	own.of = g->image;
	own.sk_exec = sk_exec;
	return image_load(i, &own, &g->by_exec, e);
}

int by_exec_swap(struct group *g, const struct group *old, struct instance *i,
		 const struct cgroup_root *root, struct err *e)
{
	uint64_t id;
	int r;

	if (!g->by_exec)
		return 0;
	if (old && old->by_exec)
		return image_swap(i, old->by_exec, g->by_exec, e);
	r = cgroup_id(root->fd, &id);
	if (r)
		return err_set(e, r, "the cgroup root has no id: %s", strerror(-r));
	return image_attach(i, g->by_exec, root->fd, id, e);
}

void by_exec_drop(struct group *g, struct instance *i, bool last)
{
	if (!g->by_exec)
		return;
	if (last)
		by_exec_unpin(i, g->policy->name, NULL);
	else
		pin_remove(g->by_exec->dir);
	image_free(&g->by_exec);
}

int by_exec_adopt(struct group *g, struct instance *i, uint32_t generation, struct err *e)
{
	char name[NAME_BYTES];

	if (!by_exec_wanted(g->policy))
		return 0;
	return image_adopt(i, name_of(g->policy->name, name), generation, &g->by_exec, e);
}

int by_exec_unpin(struct instance *i, const char *group, struct err *e)
{
	char name[NAME_BYTES];

	return group_unpin(i, name_of(group, name), e);
}
