// SPDX-License-Identifier: GPL-2.0-only
#include "cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "probe.h"

enum { FILEID_KERNFS = 0xfe }; /* a file handle that is the id, since 5.6 */

struct id_handle {
	struct file_handle h;
	uint64_t id;
};

int cgroup_root_open(const char *path, struct cgroup_root *ret, struct err *e)
{
	scoped(scope_free) char *copy = NULL;
	scoped(scope_close) int fd = -1;
	char found[PATH_MAX];
	struct statfs fs;
	int r;

	if (!path) {
		r = probe_cgroup2(found, sizeof(found));
		if (r)
			return err_set(e, r,
				       "no cgroup2 is mounted: mount -t cgroup2 none "
				       "/sys/fs/cgroup/unified, or boot with it");
		path = found;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "cgroup root %s: %m", path);
	if (fstatfs(fd, &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
		return err_set(e, -ENOTDIR, "cgroup root %s: not a cgroup2 directory", path);
	copy = realpath(path, NULL);
	if (!copy)
		return err_set(e, -errno, "cgroup root %s: %m", path);
	ret->path = TAKE_PTR(copy);
	ret->fd = TAKE_FD(fd);
	return 0;
}

void cgroup_root_close(struct cgroup_root *root)
{
	free(root->path);
	root->path = NULL;
	if (root->fd >= 0)
		close(root->fd);
	root->fd = -1;
}

int cgroup_normalize(const struct cgroup_root *root, const char *text, char *buf, size_t bytes,
		     struct err *e)
{
	size_t n = strlen(root->path), out = 0;

	if (!strncmp(text, root->path, n) && (!text[n] || text[n] == '/'))
		text += n;
	else if (!strncmp(text, "/sys/fs/", 8))
		return err_set(e, -EINVAL, "%s: not below the cgroup2 root %s", text, root->path);
	while (*text) {
		size_t part = strcspn(text, "/");

		if (part == 2 && !strncmp(text, "..", 2))
			return err_set(e, -EINVAL, "a cgroup's path must not contain \"..\"");
		if (part && !(part == 1 && *text == '.')) {
			if (out + part + 2 > bytes)
				return err_set(e, -ENAMETOOLONG, "the cgroup's path is too long");
			if (out)
				buf[out++] = '/';
			memcpy(buf + out, text, part);
			out += part;
		}
		text += part + (text[part] == '/');
	}
	buf[out] = 0;
	return 0;
}

int cgroup_open(const struct cgroup_root *root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, root->fd, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int cgroup_id(int fd, uint64_t *ret)
{
	struct id_handle h = {.h.handle_bytes = sizeof(h.id)};
	int mount;

	if (name_to_handle_at(fd, "", &h.h, &mount, AT_EMPTY_PATH))
		return -errno;
	memcpy(ret, h.h.f_handle, sizeof(*ret));
	return 0;
}

int cgroup_path(const struct cgroup_root *root, uint64_t id, char *buf, size_t bytes)
{
	struct id_handle h = {.h.handle_bytes = sizeof(h.id), .h.handle_type = FILEID_KERNFS};
	scoped(scope_close) int fd = -1;
	char link[64], path[PATH_MAX];
	size_t root_bytes = strlen(root->path);
	ssize_t n;

	memcpy(h.h.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(root->fd, &h.h, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = 0;
	if (strncmp(path, root->path, root_bytes) || (path[root_bytes] && path[root_bytes] != '/'))
		return -EXDEV;
	if (n > 10 && !strcmp(path + n - 10, " (deleted)"))
		return -ESTALE;
	n = snprintf(buf, bytes, "%s", path + root_bytes + (path[root_bytes] == '/'));
	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}

int cgroup_make(const struct cgroup_root *root, const char *path)
{
	char part[PATH_MAX];
	size_t at = 0;
	int n = snprintf(part, sizeof(part), "%s", path);

	if (n < 0 || (size_t)n >= sizeof(part))
		return -ENAMETOOLONG;
	while (path[at]) {
		at += strcspn(path + at, "/");
		part[at] = 0;
		if (mkdirat(root->fd, part, 0755) && errno != EEXIST)
			return -errno;
		if (path[at])
			part[at++] = '/';
	}
	return 0;
}

/* ---- walking ---- */

struct walk {
	const struct cgroup_root *root;
	cgroup_visit visit;
	void *ctx;
	size_t seen;
};

static int walk_one(struct walk *w, const char *path, int depth)
{
	scoped(scope_close) int fd = cgroup_open(w->root, path);
	scoped(scope_closedir) DIR *dir = NULL;
	struct dirent *entry;
	char below[PATH_MAX];
	uint64_t id = 0;
	int r;

	if (fd < 0)
		return fd == -ENOENT && depth ? 0 : fd; /* went meanwhile */
	if (w->seen++ >= CGROUP_WALK_MAX || depth > CGROUP_DEPTH_MAX)
		return -E2BIG;
	r = cgroup_id(fd, &id);
	if (!r)
		r = w->visit(w->ctx, fd, path, id);
	if (r < 0)
		return r;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	fd = -1;
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		r = snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "", entry->d_name);
		if (r < 0 || (size_t)r >= sizeof(below))
			return -ENAMETOOLONG;
		r = walk_one(w, below, depth + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

int cgroup_walk(const struct cgroup_root *root, const char *path, cgroup_visit visit, void *ctx)
{
	struct walk w = {.root = root, .visit = visit, .ctx = ctx};

	return walk_one(&w, path, 0);
}

int cgroup_pids(int fd, int (*each)(void *ctx, int pid), void *ctx)
{
	scoped(scope_close) int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	scoped(scope_fclose) FILE *f = procs < 0 ? NULL : fdopen(procs, "r");
	int pid, r;

	if (!f)
		return -errno;
	procs = -1;
	while (fscanf(f, "%d", &pid) == 1) {
		r = each(ctx, pid);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- removing ---- */

static int kill_pid(void *ctx, int pid)
{
	(void)ctx;
	if (pid > 0)
		kill(pid, SIGKILL);
	return 0;
}

/* cgroup.kill came with 5.14 and takes the subtree; before that, one by one. */
static int kill_one(void *ctx, int fd, const char *path, uint64_t id)
{
	scoped(scope_close) int f = openat(fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	(void)ctx;
	(void)path;
	(void)id;
	if (f >= 0 && write(f, "1", 1) == 1)
		return 0;
	return cgroup_pids(fd, kill_pid, NULL);
}

void cgroup_kill(const struct cgroup_root *root, const char *path)
{
	cgroup_walk(root, path, kill_one, NULL);
}

static int remove_below(const struct cgroup_root *root, const char *path, int depth)
{
	int fd = cgroup_open(root, path);
	scoped(scope_closedir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char below[PATH_MAX];
	int n;

	if (!dir)
		return fd < 0 ? (fd == -ENOENT ? 0 : fd) : -errno;
	if (depth > CGROUP_DEPTH_MAX)
		return -E2BIG;
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		n = snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (n > 0 && (size_t)n < sizeof(below))
			remove_below(root, below, depth + 1);
	}
	return unlinkat(root->fd, path, AT_REMOVEDIR) && errno != ENOENT ? -errno : 0;
}

int cgroup_prune(const struct cgroup_root *root, const char *path)
{
	return *path ? remove_below(root, path, 0) : -EINVAL;
}

int cgroup_remove(const struct cgroup_root *root, const char *path, int timeout_ms)
{
	int r;

	if (!*path)
		return -EINVAL;
	for (int waited = 0;; waited += 2) {
		r = remove_below(root, path, 0);
		if (r != -EBUSY || waited >= timeout_ms)
			return r;
		cgroup_kill(root, path);
		clock_nap_ms(2);
	}
}
