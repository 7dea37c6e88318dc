// SPDX-License-Identifier: GPL-2.0-only
#include "ulsp_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "instance.h"
#include "pins.h"

enum { MAX_ENTRIES = 1000 }; /* a ULSP that fills its directory keeps nobody busy for long */

static int base_of(const char *instance, char buf[PATH_MAX])
{
	char dir[PATH_MAX - 8];
	int r = instance_run_dir(instance, dir, sizeof(dir));

	if (!r)
		snprintf(buf, PATH_MAX, "%s/ulsp", dir);
	return r;
}

static int path_of(const char *instance, const char *ulsp, char *buf, size_t bytes)
{
	scoped(scope_free) char *name = pin_escape(ulsp);
	char base[PATH_MAX];
	int r = name ? base_of(instance, base) : -ENOMEM, n;

	if (r)
		return r;
	n = snprintf(buf, bytes, "%s/%s", base, name);
	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}

/* What is no directory, and empty ones: the owner may have left anything there. */
static void remove_dir(const char *path)
{
	scoped(scope_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;

	if (!dir)
		return;
	fd = -1; /* the stream's */
	for (int i = 0; i < MAX_ENTRIES && (d = readdir(dir)); i++) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if (unlinkat(dirfd(dir), d->d_name, 0))
			unlinkat(dirfd(dir), d->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
	rmdir(path);
}

int ulsp_dir_make(const char *instance, const char *ulsp, char *buf, size_t bytes)
{
	char base[PATH_MAX];
	int r = path_of(instance, ulsp, buf, bytes);

	if (!r)
		r = base_of(instance, base);
	if (r)
		return r;
	remove_dir(buf);
	if (mkdir(base, 0755) && errno != EEXIST)
		return -errno;
	return mkdir(buf, 0755) ? -errno : 0;
}

void ulsp_dir_remove(const char *instance, const char *ulsp)
{
	char path[PATH_MAX], base[PATH_MAX];

	if (path_of(instance, ulsp, path, sizeof(path)) || base_of(instance, base))
		return;
	remove_dir(path);
	rmdir(base); /* with the last */
}

void ulsp_dir_remove_all(const char *instance)
{
	char base[PATH_MAX], path[PATH_MAX + NAME_MAX + 1];
	struct dirent *d;
	DIR *dir;

	if (base_of(instance, base))
		return;
	dir = opendir(base);
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, d->d_name);
		remove_dir(path);
	}
	closedir(dir);
	rmdir(base);
}
