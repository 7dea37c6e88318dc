/* SPDX-License-Identifier: GPL-2.0-only */
/* Where cgroup2 and bpffs are mounted, by /proc/self/mountinfo. */
#include "probe.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cleanup.h"

static const char bpffs_default[] = "/sys/fs/bpf";

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *path)
{
	char *from = path, *to = path;

	while (*from) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				       (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = 0;
}

/* A mount point: best one of the whole file system, at `preferred`, else the first. */
static int find_mount(const char *type, const char *preferred, char *buf, size_t bytes)
{
	scoped(scope_fclose) FILE *f = fopen("/proc/self/mountinfo", "re");
	scoped(scope_free) char *line = NULL;
	size_t room = 0;
	int best = -1;

	if (!f)
		return -errno;
	/* id parent major:minor root point options [optional...] - type source super */
	while (getline(&line, &room, f) > 0) {
		char *save, *field[5], *dash = strstr(line, " - "), *fs;
		int i, rank;

		if (!dash)
			continue;
		*dash = 0;
		fs = strtok_r(dash + 3, " ", &save);
		if (!fs || strcmp(fs, type))
			continue;
		for (i = 0; i < 5; i++) {
			field[i] = strtok_r(i ? NULL : line, " ", &save);
			if (!field[i])
				break;
		}
		if (i < 5)
			continue;
		unescape(field[4]);
		rank = 2 * !strcmp(field[3], "/") + !strcmp(field[4], preferred);
		if (rank <= best)
			continue;
		if (snprintf(buf, bytes, "%s", field[4]) >= (int)bytes)
			return -ENAMETOOLONG;
		best = rank;
	}
	return best < 0 ? -ENOENT : 0;
}

int probe_cgroup2(char *buf, size_t bytes)
{
	return find_mount("cgroup2", "/sys/fs/cgroup", buf, bytes);
}

int probe_bpffs(char *buf, size_t bytes)
{
	int r = find_mount("bpf", bpffs_default, buf, bytes);

	if (r != -ENOENT)
		return r;
	/* As bpftool does; the kernel makes the directory, a container may lack it. */
	if (mkdir(bpffs_default, 0700) && errno != EEXIST && errno != EPERM)
		return -errno;
	if (mount("bpf", bpffs_default, "bpf", 0, "mode=0700"))
		return -errno;
	return find_mount("bpf", bpffs_default, buf, bytes);
}
