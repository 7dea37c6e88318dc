// SPDX-License-Identifier: GPL-2.0-only
#include "ulsp_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

enum {
	END_MS = 1000,	/* the dead need some to be gone; the daemon does nothing else meanwhile */
	MAKE_TRIES = 5, /* other instances remove parents that are empty */
};

static int cgroup_of(const char *instance, const char *ulsp, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "ulsp/%s/ulsp.d/%s", instance, ulsp);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int ulsp_cgroup_make(const struct cgroup_root *root, const char *instance, const char *ulsp)
{
	scoped(scope_close) int dir = -1;
	char path[PATH_MAX];
	int r = cgroup_of(instance, ulsp, path), fd;

	for (int i = 0; !r && i < MAKE_TRIES && dir < 0; i++) {
		r = cgroup_make(root, path);
		if (r == -ENOENT)
			r = 0;
		if (!r)
			dir = cgroup_open(root, path);
	}
	if (r || dir < 0)
		return r ? r : dir;
	fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void ulsp_cgroup_kill(const struct cgroup_root *root, const char *instance, const char *ulsp)
{
	char path[PATH_MAX];

	if (!cgroup_of(instance, ulsp, path))
		cgroup_kill(root, path);
}

int ulsp_cgroup_end(const struct cgroup_root *root, const char *instance, const char *ulsp)
{
	char path[PATH_MAX];
	int r = cgroup_of(instance, ulsp, path);

	if (!r)
		r = cgroup_remove(root, path, END_MS);
	if (r)
		return r;
	/* the parents, when it was the last */
	for (int i = 0; i < 3; i++) {
		*strrchr(path, '/') = 0;
		if (unlinkat(root->fd, path, AT_REMOVEDIR))
			break;
	}
	return 0;
}
