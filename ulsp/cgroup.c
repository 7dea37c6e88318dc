/* SPDX-License-Identifier: BSD-2-Clause */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "handle.h"

/* A walk that found nothing isn't repeated at once: a flood of dead cgroups must not cost more. */
enum { WALK_PAUSE_NS = 200000000 };

void ulsp_cgroups_fini(struct ulsp_cgroups *c)
{
	for (size_t i = 0; i < ULSP_CGROUP_SLOTS; i++)
		free(c->slots[i].path);
	free(c->root);
	memset(c, 0, sizeof(*c));
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static char *find_mount(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *found = NULL, *type, point[PATH_MAX];
	size_t bytes = 0;

	if (!f)
		return NULL;
	while (!found && getline(&line, &bytes, f) > 0) {
		type = strstr(line, " - ");
		if (!type || strncmp(type + 3, "cgroup2 ", 8) ||
		    sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1)
			continue;
		unescape(point);
		found = strdup(point);
	}
	free(line);
	fclose(f);
	return found;
}

static int is_cgroup(const struct ulsp_cgroups *c, const char *path, uint64_t id)
{
	char full[PATH_MAX];
	struct stat st;
	int n;

	n = snprintf(full, sizeof(full), "%s/%s", c->root, path);
	return n > 0 && (size_t)n < sizeof(full) && !stat(full, &st) && st.st_ino == id;
}

/* Where process `pid` is now: its "0::/path" line. */
static char *of_process(const struct ulsp_cgroups *c, pid_t pid, uint64_t id)
{
	char name[64], *line = NULL, *found = NULL;
	size_t bytes = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
	f = fopen(name, "re");
	if (!f)
		return NULL;
	while (!found && getline(&line, &bytes, f) > 0) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (is_cgroup(c, line + 4, id))
			found = strdup(line + 4);
	}
	free(line);
	fclose(f);
	return found;
}

struct walk {
	uint64_t id;
	unsigned int left; /* directories that may still be looked at */
	char path[PATH_MAX];
};

/* Depth first below the directory that fd is open on; closes fd. */
static int walk(struct walk *w, int fd, size_t len, int depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int found = 0;

	if (!d) {
		close(fd);
		return 0;
	}
	while (!found && (e = readdir(d))) {
		int n, child;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		if (!w->left)
			break;
		w->left--;
		n = snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "/" : "",
			     e->d_name);
		if (n < 0 || (size_t)n >= sizeof(w->path) - len)
			continue;
		if (e->d_ino == w->id) {
			found = 1;
			break;
		}
		if (depth >= ULSP_CGROUP_DEPTH_MAX)
			continue;
		child = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0)
			found = walk(w, child, len + (size_t)n, depth + 1);
	}
	closedir(d);
	return found;
}

static char *by_walk(struct ulsp_cgroups *c, uint64_t id)
{
	struct walk w = {.id = id, .left = ULSP_CGROUP_WALK_MAX};
	uint64_t now = ulsp_now_ns(CLOCK_MONOTONIC);
	int fd;

	if (c->walk_ns && now < c->walk_ns + WALK_PAUSE_NS)
		return NULL;
	fd = open(c->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (walk(&w, fd, 0, 0)) {
		c->walk_ns = 0;
		return strdup(w.path);
	}
	c->walk_ns = now;
	return NULL;
}

int ulsp_cgroups_path(struct ulsp_cgroups *c, uint64_t id, pid_t hint, char *buf, size_t bytes)
{
	size_t slot = id % ULSP_CGROUP_SLOTS, len;
	const char *path;

	if (!id)
		return -ENOENT;
	if (!c->root)
		c->root = find_mount();
	if (!c->root)
		return -ENOENT;
	if (c->slots[slot].id != id || !c->slots[slot].path) {
		char *found = is_cgroup(c, "", id) ? strdup("/") : NULL;

		if (!found && hint > 0)
			found = of_process(c, hint, id);
		if (!found)
			found = by_walk(c, id);
		if (!found)
			return -ENOENT;
		free(c->slots[slot].path);
		c->slots[slot].path = found;
		c->slots[slot].id = id;
	}
	path = c->slots[slot].path;
	len = strlen(path);
	if (len >= bytes)
		return -ENOSPC;
	memcpy(buf, path, len + 1);
	return (int)len;
}
