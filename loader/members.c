// SPDX-License-Identifier: GPL-2.0-only
#include "members.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cleanup.h"

enum { WATCH_MASK = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR };

struct watch {
	int wd;
	bool needed;
};

struct members {
	const struct cgroup_root *root;
	void (*changed)(void *ctx);
	void *ctx;
	int fd; /* inotify */
	sd_event_source *source;
	struct watch *watches;
	size_t nwatches;
};

struct scan {
	struct members *m;
	bool follow;
	const struct pol_member *by;
	size_t group;
	struct member_list *list;
	struct err *e;
};

void member_list_fini(struct member_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
	free(l->lines);
	*l = (struct member_list){0};
}

/* ---- watches ---- */

static int watch_add(struct members *m, int dir_fd)
{
	char path[64];
	struct watch *v;
	int wd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	wd = inotify_add_watch(m->fd, path, WATCH_MASK);
	if (wd < 0)
		return errno == ENOENT ? 0 : -errno;
	for (size_t i = 0; i < m->nwatches; i++) {
		if (m->watches[i].wd == wd) {
			m->watches[i].needed = true;
			return 0;
		}
	}
	v = m->nwatches < MEMBERS_MAX_WATCHES
		    ? reallocarray(m->watches, m->nwatches + 1, sizeof(*v))
		    : NULL;
	if (!v) {
		inotify_rm_watch(m->fd, wd);
		return m->nwatches < MEMBERS_MAX_WATCHES ? -ENOMEM : -E2BIG;
	}
	m->watches = v;
	v[m->nwatches++] = (struct watch){.wd = wd, .needed = true};
	return 0;
}

static void watch_sweep(struct members *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->nwatches; i++) {
		if (m->watches[i].needed)
			m->watches[kept++] = m->watches[i];
		else
			inotify_rm_watch(m->fd, m->watches[i].wd);
	}
	m->nwatches = kept;
}

/* The nearest parent that exists: the rest is noticed level by level. */
static int watch_parent(struct members *m, const char *path)
{
	char parent[PATH_MAX];
	char *slash;
	int r;

	if (!*path)
		return 0;
	snprintf(parent, sizeof(parent), "%s", path);
	do {
		scoped(scope_close) int fd = -1;

		slash = strrchr(parent, '/');
		*(slash ? slash : parent) = 0;
		fd = cgroup_open(m->root, parent);
		if (fd >= 0) {
			r = watch_add(m, fd);
			return r;
		}
	} while (*parent);
	return 0;
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct members *m = ctx;
	ssize_t n;

	(void)source;
	(void)revents;
	do
		n = read(fd, buf, sizeof(buf));
	while (n > 0);
	m->changed(m->ctx);
	return 0;
}

int members_new(sd_event *event, const struct cgroup_root *root, void (*changed)(void *ctx),
		void *ctx, struct members **ret)
{
	struct members *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	*m = (struct members){.root = root, .changed = changed, .ctx = ctx};
	m->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	r = m->fd < 0 ? -errno : sd_event_add_io(event, &m->source, m->fd, EPOLLIN, on_events, m);
	if (r < 0) {
		members_free(&m);
		return r;
	}
	*ret = m;
	return 0;
}

void members_free(struct members **mp)
{
	struct members *m = *mp;

	*mp = NULL;
	if (!m)
		return;
	sd_event_source_disable_unref(m->source);
	if (m->fd >= 0)
		close(m->fd);
	free(m->watches);
	free(m);
}

/* ---- matching ---- */

static int add_match(struct scan *s, const char *path, int fd)
{
	struct member_list *l = s->list;
	struct member_line *line = &l->lines[l->nlines - 1];
	struct member *v;
	uint64_t id;
	int r = cgroup_id(fd, &id);

	if (r)
		return r;
	line->matched++;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id == id && l->v[i].group == s->group)
			return 0; /* two patterns of one group */
	}
	if (l->n == MEMBERS_MAX) {
		line->over++;
		l->over++;
		return 0;
	}
	v = reallocarray(l->v, l->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	l->v = v;
	v[l->n] = (struct member){.group = s->group, .id = id, .path = strdup(path), .by = s->by};
	if (!v[l->n].path)
		return -ENOMEM;
	l->n++;
	return 0;
}

static int join(const char *path, const char *name, char buf[PATH_MAX])
{
	int n = snprintf(buf, PATH_MAX, "%s%s%s", path, *path ? "/" : "", name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* `pattern`: what is left to match below `path`. */
static int match(struct scan *s, const char *path, const char *pattern, int depth)
{
	scoped(scope_close) int fd = cgroup_open(s->m->root, path);
	scoped(scope_closedir) DIR *dir = NULL;
	char level[NAME_MAX + 1], below[PATH_MAX];
	size_t bytes = strcspn(pattern, "/");
	const char *rest = pattern + bytes + (pattern[bytes] == '/');
	struct dirent *entry;
	int r;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENODEV ? 0 : fd;
	if (!*pattern)
		return add_match(s, path, fd);
	if (bytes > NAME_MAX || depth > CGROUP_DEPTH_MAX)
		return -ENAMETOOLONG;
	memcpy(level, pattern, bytes);
	level[bytes] = 0;
	if (s->follow) {
		r = watch_add(s->m, fd);
		if (r)
			return err_set(s->e, r, "can't follow cgroups: %s",
				       r == -E2BIG || r == -ENOSPC ? "too many directories to watch"
								   : strerror(-r));
	}
	if (!strpbrk(level, "*?[\\")) {
		r = join(path, level, below);
		return r ? r : match(s, below, rest, depth + 1);
	}
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	fd = -1;
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || fnmatch(level, entry->d_name, FNM_PERIOD))
			continue;
		r = join(path, entry->d_name, below);
		if (!r)
			r = match(s, below, rest, depth + 1);
		if (r)
			return r;
	}
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->path, ((const struct member *)b)->path);
}

static int add_line(struct member_list *l, const struct pol_member *by, size_t group)
{
	struct member_line *lines = reallocarray(l->lines, l->nlines + 1, sizeof(*lines));

	if (!lines)
		return -ENOMEM;
	l->lines = lines;
	lines[l->nlines++] = (struct member_line){.by = by, .group = group};
	return 0;
}

static int scan(struct members *m, const struct pol_policy *p, bool follow, struct member_list *ret,
		struct err *e)
{
	struct member_list list = {0};
	struct scan s = {.m = m, .follow = follow, .list = &list, .e = e};

	for (size_t i = 0; i < p->ngroups; i++) {
		const struct pol_group *g = &p->groups[i];

		s.group = i;
		for (size_t j = 0; j < g->nmembers; j++) {
			size_t before = list.n;
			int r;

			if (g->members[j].exec)
				continue;
			s.by = &g->members[j];
			r = add_line(&list, s.by, i);
			if (!r)
				r = match(&s, "", s.by->path, 0);
			if (r) {
				member_list_fini(&list);
				return e && !*e->text ? err_set(e, r, "members cgroup \"%s\": %s",
								s.by->path, strerror(-r))
						      : r;
			}
			/* readdir has no order of its own */
			if (list.n > before)
				qsort(list.v + before, list.n - before, sizeof(*list.v), by_path);
		}
	}
	*ret = list;
	return 0;
}

int members_find(struct members *m, const struct pol_policy *p, struct member_list *ret,
		 struct err *e)
{
	return scan(m, p, false, ret, e);
}

int members_follow(struct members *m, const struct pol_policy *p, char *const *paths, size_t npaths,
		   struct member_list *ret, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < m->nwatches; i++)
		m->watches[i].needed = false;
	for (size_t i = 0; i < npaths && !r; i++)
		r = watch_parent(m, paths[i]);
	if (r)
		return err_set(e, r, "can't follow cgroups: %s", strerror(-r));
	r = scan(m, p, true, ret, e);
	if (!r)
		watch_sweep(m);
	return r;
}
