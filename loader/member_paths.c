// SPDX-License-Identifier: GPL-2.0-only
#include "member_paths.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "probe.h"

#define SYSFS_CGROUP "/sys/fs/cgroup"

/* What follows `dir` in a path without leading '/'; NULL: it is not below. */
static const char *below(const char *path, const char *dir)
{
	size_t n;

	dir += *dir == '/';
	n = strlen(dir);
	if (!n || strncmp(path, dir, n) || (path[n] && path[n] != '/'))
		return NULL;
	return path + n + (path[n] == '/');
}

int member_paths_check(const struct pol_policy *p, const char *root, struct pol_diags *diags)
{
	char mount[PATH_MAX] = "";
	int r = 0;

	if (!root || !*root) {
		probe_cgroup2(mount, sizeof(mount));
		root = mount;
	}
	for (size_t i = 0; i < p->ngroups; i++) {
		const struct pol_group *g = &p->groups[i];

		for (size_t j = 0; j < g->nmembers; j++) {
			const struct pol_member *m = &g->members[j];
			const char *meant = m->exec ? NULL : below(m->path, root);

			if (meant && *meant)
				pol_diag_add(diags, POL_ERROR, &m->loc,
					     "a cgroup's path is relative to the cgroup2 root %s: "
					     "write \"%s\"",
					     root, meant);
			else if (meant)
				pol_diag_add(diags, POL_ERROR, &m->loc,
					     "the root cgroup can't be a member: name a cgroup "
					     "below it");
			else if (!m->exec && below(m->path, SYSFS_CGROUP))
				pol_diag_add(diags, POL_ERROR, &m->loc,
					     "a cgroup's path is relative to the cgroup2 root%s%s: "
					     "write it without \"" SYSFS_CGROUP "\"",
					     *root ? " " : "", root);
			else
				continue;
			r = -EINVAL;
		}
	}
	return r;
}
