/* SPDX-License-Identifier: GPL-2.0-only */
#include "pins.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"

enum { PIN_DEPTH_MAX = 8 }; /* an instance's tree has 4 levels */

char *pin_path(const char *format, ...)
{
	char *path = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&path, format, ap) < 0)
		path = NULL;
	va_end(ap);
	return path;
}

/* Everything but letters, digits, '-' and '_' becomes "%2e"; nothing is ever ambiguous. */
char *pin_escape(const char *name)
{
	static const char hex[] = "0123456789abcdef";
	char *escaped = malloc(strlen(name) * 3 + 1), *to = escaped;

	if (!escaped)
		return NULL;
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (isalnum(c) || c == '-' || c == '_') {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	*to = 0;
	return escaped;
}

int pin_mkdirs(const char *path)
{
	scoped(scope_free) char *copy = strdup(path);
	char *slash;

	if (!copy)
		return -ENOMEM;
	for (slash = strchr(copy + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = 0;
		if (mkdir(copy, 0700) && errno != EEXIST)
			return -errno;
		if (!slash)
			return 0;
		*slash = '/';
	}
}

/* Also stops a link that someone else holds open. */
static int remove_pin(const char *path)
{
	struct bpf_link_info info = {};
	scoped(scope_close) int fd = bpf_obj_get(path);
	__u32 size = sizeof(info);

	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
	    info.type == BPF_LINK_TYPE_CGROUP)
		bpf_link_detach(fd); /* -ENOLINK: its cgroup is gone already */
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

static int remove_below(const char *path, int depth)
{
	scoped(scope_closedir) DIR *dir = NULL;
	struct dirent *entry;
	int error = 0;

	if (depth > PIN_DEPTH_MAX)
		return -ELOOP;
	dir = opendir(path);
	if (!dir)
		return errno == ENOTDIR ? remove_pin(path) : errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		scoped(scope_free) char *sub = NULL;
		int r;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		sub = pin_path("%s/%s", path, entry->d_name);
		r = sub ? remove_below(sub, depth + 1) : -ENOMEM;
		if (r && !error)
			error = r;
	}
	if (rmdir(path) && errno != ENOENT && !error)
		error = -errno;
	return error;
}

int pin_remove(const char *path)
{
	return remove_below(path, 0);
}

int pin_fd(int fd, const char *path)
{
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

int pin_replace(int fd, const char *path)
{
	scoped(scope_free) char *unfinished = pin_path("%s~", path);
	int r;

	if (!unfinished)
		return -ENOMEM;
	unlink(unfinished);
	r = pin_fd(fd, unfinished);
	return r ? r : pin_commit(unfinished, path);
}

int pin_open(const char *path)
{
	int fd = bpf_obj_get(path);

	return fd < 0 ? -errno : fd;
}

int pin_commit(const char *from, const char *to)
{
	return rename(from, to) ? -errno : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool unfinished_name(const char *name)
{
	size_t n = strlen(name);

	return n && name[n - 1] == '~';
}

int pin_list(const char *path, char ***ret)
{
	scoped(scope_closedir) DIR *dir = opendir(path);
	scoped(pin_list_free) char **names = calloc(1, sizeof(*names));
	struct dirent *entry;
	size_t n = 0;

	if (!dir)
		return -errno;
	if (!names)
		return -ENOMEM;
	while ((entry = readdir(dir))) {
		char **more;

		if (entry->d_name[0] == '.' || unfinished_name(entry->d_name))
			continue;
		more = realloc(names, (n + 2) * sizeof(*names));
		if (!more)
			return -ENOMEM;
		names = more;
		names[n + 1] = NULL;
		names[n] = strdup(entry->d_name);
		if (!names[n])
			return -ENOMEM;
		n++;
	}
	qsort(names, n, sizeof(*names), by_name);
	*ret = TAKE_PTR(names);
	return 0;
}

void pin_list_free(char ***names)
{
	size_t i;

	if (!*names)
		return;
	for (i = 0; (*names)[i]; i++)
		free((*names)[i]);
	free(*names);
	*names = NULL;
}

static int sweep_below(const char *path, int depth)
{
	scoped(scope_closedir) DIR *dir = opendir(path);
	struct dirent *entry;
	int error = 0;

	if (!dir || depth > PIN_DEPTH_MAX)
		return 0; /* a pin */
	while ((entry = readdir(dir))) {
		scoped(scope_free) char *sub = NULL;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		sub = pin_path("%s/%s", path, entry->d_name);
		if (!sub)
			return -ENOMEM;
		r = unfinished_name(entry->d_name) ? pin_remove(sub) : sweep_below(sub, depth + 1);
		if (r && !error)
			error = r;
	}
	return error;
}

int pin_sweep(const char *dir)
{
	return sweep_below(dir, 0);
}
