// SPDX-License-Identifier: GPL-2.0-only
#include "sockets.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "held.h"
#include "knobs.h"
#include "programs.h"
#include "ulsp.skel.h"

enum {
	MAX_PROCESSES = 65536,
	MAX_SOCKETS = 1 << 20,
	READ_SOCKETS = 256, /* at once */
};

struct numbers {
	uint64_t *v;
	size_t n, room;
};

struct members_of {
	struct numbers cgroups; /* of the subtree */
	struct numbers pids;
};

static void numbers_fini(struct numbers *l)
{
	free(l->v);
}

static void members_fini(struct members_of *m)
{
	numbers_fini(&m->cgroups);
	numbers_fini(&m->pids);
}

static int add(struct numbers *l, uint64_t value, size_t most)
{
	if (l->n == l->room) {
		size_t room = l->room * 2 + 64;
		uint64_t *v = reallocarray(l->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->room = room;
	}
	if (l->n >= most)
		return -E2BIG;
	l->v[l->n++] = value;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void sort(struct numbers *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare);
}

static bool has(const struct numbers *l, uint64_t value)
{
	return l->n && bsearch(&value, l->v, l->n, sizeof(*l->v), compare);
}

static int add_pid(void *ctx, int pid)
{
	struct members_of *m = ctx;

	return pid > 0 ? add(&m->pids, (uint64_t)pid, MAX_PROCESSES) : 0;
}

static int visit(void *ctx, int fd, const char *path, uint64_t id)
{
	struct members_of *m = ctx;
	int r = add(&m->cgroups, id, CGROUP_WALK_MAX);

	(void)path;
	if (!r)
		r = cgroup_pids(fd, add_pid, m);
	/* a threaded cgroup lists its processes above; one that went has none */
	return r == -EOPNOTSUPP || r == -ENODEV || r == -ENOENT ? 0 : r;
}

/* ---- the iterator ---- */

static void skel_free(struct ulsp_bpf **o)
{
	ulsp_bpf__destroy(*o);
}

static void link_free(struct bpf_link **l)
{
	bpf_link__destroy(*l);
}

/* A descriptor from which the sockets of all processes are read. */
static int open_iterator(int *ret, struct err *e)
{
	scoped(skel_free) struct ulsp_bpf *o = programs_open();
	scoped(link_free) struct bpf_link *link = NULL;
	struct bpf_program *prog;
	struct bpf_map *map;
	int fd, r;

	if (!o)
		return err_set(e, -errno, "the programs can't be opened: %m");
	bpf_object__for_each_program(prog, o->obj)
		bpf_program__set_autoload(prog, prog == o->progs.ulsp_held);
	bpf_object__for_each_map(map, o->obj)
		bpf_map__set_autocreate(map, bpf_map__is_internal(map));
	r = ulsp_bpf__load(o);
	if (r)
		return err_set(e, r, "this kernel can't list sockets by process: %s", strerror(-r));
	link = bpf_program__attach_iter(o->progs.ulsp_held, NULL);
	fd = link ? bpf_iter_create(bpf_link__fd(link)) : -errno;
	if (fd < 0)
		return err_set(e, fd, "this kernel can't list sockets by process: %s",
			       strerror(-fd));
	*ret = fd;
	return 0;
}

/* ---- ending one ---- */

static int end_socket(const struct held_socket *held)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	scoped(scope_close) int pidfd = (int)syscall(SYS_pidfd_open, held->tgid, 0);
	scoped(scope_close) int fd = -1;
	struct stat st;

	if (pidfd >= 0)
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, held->fd, 0);
	if (fd < 0)
		return errno == ESRCH || errno == EBADF ? 0 : -errno; /* it closed it itself */
	if (fstat(fd, &st) || !S_ISSOCK(st.st_mode) || st.st_ino != held->inode)
		return 0; /* the number is another's by now */
	/* the first resets a TCP connection and wakes its users; both may say "not connected" */
	if (held->type == SOCK_STREAM && connect(fd, &none, sizeof(none)) && errno == EPERM)
		return -errno;
	if (shutdown(fd, SHUT_RDWR) && errno != ENOTCONN)
		return -errno;
	return 0;
}

/* ---- all of them ---- */

struct found {
	struct held_socket *v;
	size_t n, room;
};

static void found_fini(struct found *f)
{
	free(f->v);
}

static int keep(struct found *f, const struct held_socket *held)
{
	if (f->n == MAX_SOCKETS)
		return -E2BIG;
	if (f->n == f->room) {
		size_t room = f->room * 2 + 64;
		struct held_socket *v = reallocarray(f->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		f->v = v;
		f->room = room;
	}
	f->v[f->n++] = *held;
	return 0;
}

/* What members hold and no cgroup of the subtree made. */
static int find(int fd, const struct members_of *m, struct found *ret)
{
	struct held_socket held[READ_SOCKETS];
	size_t bytes = 0, whole;
	int r;

	for (;;) {
		ssize_t n = read(fd, (char *)held + bytes, sizeof(held) - bytes);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n ? -errno : 0;
		bytes += (size_t)n;
		whole = bytes / sizeof(*held);
		for (size_t i = 0; i < whole; i++) {
			if (!has(&m->pids, held[i].tgid) || has(&m->cgroups, held[i].cgroup))
				continue;
			r = keep(ret, &held[i]);
			if (r)
				return r;
		}
		/* a part of a record stays for the next read */
		bytes -= whole * sizeof(*held);
		memmove(held, held + whole, bytes);
	}
}

static int by_inode(const void *a, const void *b)
{
	const struct held_socket *x = a, *y = b;

	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* One socket can be held many times. */
static int count(struct found *f, bool close_them, struct sockets_report *report)
{
	int error = 0, r;

	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), by_inode);
	for (size_t i = 0; i < f->n; i++) {
		if (i && f->v[i].inode == f->v[i - 1].inode)
			continue;
		report->outside++;
		r = close_them ? end_socket(&f->v[i]) : 0;
		report->closed += close_them && !r;
		error = error ? error : r;
	}
	return error;
}

int sockets_existing(const struct cgroup_root *root, const char *path, bool close_them,
		     struct sockets_report *ret, struct err *e)
{
	scoped(members_fini) struct members_of members = {0};
	scoped(scope_close) int fd = -1;
	scoped(found_fini) struct found found = {0};
	struct sockets_report report = {0};
	int r = cgroup_walk(root, path, visit, &members);

	if (r)
		return err_set(e, r, "/%s: %s", path,
			       r == -E2BIG ? "too many processes or cgroups to look at"
					   : strerror(-r));
	report.processes = members.pids.n;
	if (members.pids.n) {
		sort(&members.cgroups);
		sort(&members.pids);
		r = open_iterator(&fd, e);
		if (r)
			return r;
		r = find(fd, &members, &found);
		if (r)
			return err_set(e, r, "listing sockets: %s", strerror(-r));
	}
	r = count(&found, close_them, &report);
	*ret = report;
	return r ? err_set(e, r, "a socket could not be closed: %s", strerror(-r)) : 0;
}
