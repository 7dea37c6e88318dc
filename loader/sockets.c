// SPDX-License-Identifier: GPL-2.0-only
#include "sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

enum {
	MAX_PROCESSES = 32768,
	MAX_INODES = 1 << 20,
	DUMP_BYTES = 65536,
};

struct numbers {
	uint64_t *v;
	size_t n, room;
};

struct held {
	const struct cgroup_root *root;
	struct numbers cgroups; /* of the subtree */
	struct numbers pids;
};

/* The sockets held in one network namespace. */
struct space {
	uint64_t netns;
	int pid; /* a process that is in it */
	struct numbers inodes;
};
struct spaces {
	struct space *v;
	size_t n;
};

static void numbers_fini(struct numbers *l)
{
	free(l->v);
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

/* ---- who holds what ---- */

static int add_pid(void *ctx, int pid)
{
	struct held *h = ctx;

	return pid > 0 ? add(&h->pids, (uint64_t)pid, MAX_PROCESSES) : 0;
}

static int visit(void *ctx, int fd, const char *path, uint64_t id)
{
	struct held *h = ctx;
	int r = add(&h->cgroups, id, CGROUP_WALK_MAX);

	(void)path;
	if (r)
		return r;
	r = cgroup_pids(fd, add_pid, h);
	return r == -EOPNOTSUPP || r == -ENODEV ? 0 : r; /* a threaded cgroup; one that went */
}

static struct space *space_of(struct spaces *s, int pid)
{
	char path[64];
	struct stat st;
	struct space *v;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	if (stat(path, &st))
		return NULL;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].netns == st.st_ino)
			return &s->v[i];
	}
	v = reallocarray(s->v, s->n + 1, sizeof(*v));
	if (!v)
		return NULL;
	s->v = v;
	v[s->n] = (struct space){.netns = st.st_ino, .pid = pid};
	return &v[s->n++];
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int add_sockets(struct spaces *s, int pid)
{
	scoped(close_dir) DIR *dir = NULL;
	struct space *space = space_of(s, pid);
	struct dirent *entry;
	char path[64], link[64];
	int r;

	if (!space)
		return 0; /* it ended */
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (n < 0 || strncmp(link, "socket:[", 8))
			continue;
		link[n] = 0;
		r = add(&space->inodes, strtoull(link + 8, NULL, 10), MAX_INODES);
		if (r)
			return r;
	}
	return 0;
}

static void spaces_fini(struct spaces *s)
{
	for (size_t i = 0; i < s->n; i++)
		numbers_fini(&s->v[i].inodes);
	free(s->v);
}

/* ---- what the kernel says of them ---- */

/* A sock_diag socket in the network namespace of a process; this one stays where it is. */
static int diag_open(int pid)
{
	scoped(scope_close) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	scoped(scope_close) int other = -1;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	other = open(path, O_RDONLY | O_CLOEXEC);
	if (own < 0 || other < 0 || setns(other, CLONE_NEWNET))
		return -errno;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		fd = -errno;
	if (setns(own, CLONE_NEWNET))
		abort(); /* never go on in a namespace of somebody else */
	return fd;
}

struct request {
	struct nlmsghdr h;
	struct inet_diag_req_v2 r;
};

static int send_request(int fd, uint16_t type, uint16_t flags, const struct inet_diag_req_v2 *body)
{
	struct request q = {
		.h = {.nlmsg_len = sizeof(q), .nlmsg_type = type,
		      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
		.r = *body,
	};

	return send(fd, &q, sizeof(q), 0) == sizeof(q) ? 0 : -errno;
}

static int destroy(int fd, const struct inet_diag_msg *m, uint8_t protocol)
{
	struct inet_diag_req_v2 body = {
		.sdiag_family = m->idiag_family, .sdiag_protocol = protocol, .id = m->id};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[256];
	} reply;
	int r = send_request(fd, SOCK_DESTROY, NLM_F_ACK, &body);

	if (r)
		return r;
	if (recv(fd, &reply, sizeof(reply), 0) < (ssize_t)sizeof(reply.h) + (ssize_t)sizeof(int))
		return -EIO;
	return reply.h.nlmsg_type == NLMSG_ERROR ? reply.e.error : -EIO;
}

struct dump {
	const struct space *space;
	const struct numbers *cgroups;
	int destroy_fd; /* -1: leave them */
	uint8_t protocol;
	struct sockets_report *report;
	int error; /* the first of destroying */
};

static void judge(struct dump *d, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));
	const struct rtattr *a = (const void *)(m + 1);
	uint64_t cgroup = 0;
	int r;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || !has(&d->space->inodes, m->idiag_inode))
		return;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(a) >= sizeof(cgroup))
			memcpy(&cgroup, RTA_DATA(a), sizeof(cgroup));
	}
	if (!cgroup) {
		d->report->unknown++;
		return;
	}
	if (has(d->cgroups, cgroup))
		return;
	d->report->outside++;
	if (d->destroy_fd < 0)
		return;
	r = destroy(d->destroy_fd, m, d->protocol);
	if (!r)
		d->report->closed++;
	else if (!d->error)
		d->error = r;
}

static int run_dump(struct dump *d, int fd, uint8_t family)
{
	struct inet_diag_req_v2 body = {
		.sdiag_family = family, .sdiag_protocol = d->protocol, .idiag_states = ~0u};
	scoped(scope_free) char *buf = malloc(DUMP_BYTES);
	int r;

	if (!buf)
		return -ENOMEM;
	r = send_request(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &body);
	while (!r) {
		ssize_t n = recv(fd, buf, DUMP_BYTES, 0);
		const struct nlmsghdr *h = (const void *)buf;

		if (n <= 0)
			return n ? -errno : -EIO;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			judge(d, h);
		}
	}
	return r;
}

/* Protocols that the kernel can't list (no raw_diag, no IPv6) hold no such sockets for us. */
static int examine(const struct space *space, const struct numbers *cgroups, bool close_them,
		   struct sockets_report *report, struct err *e)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_RAW};
	static const uint8_t families[] = {AF_INET, AF_INET6};
	scoped(scope_close) int fd = diag_open(space->pid);
	scoped(scope_close) int destroy_fd = close_them ? diag_open(space->pid) : -1;
	struct dump d = {.space = space, .cgroups = cgroups, .destroy_fd = destroy_fd,
			 .report = report};

	if (fd == -ENOENT || fd == -ESRCH)
		return 0; /* the process ended */
	if (fd < 0)
		return err_set(e, fd, "sock_diag: %s", strerror(-fd));
	for (size_t p = 0; p < sizeof(protocols); p++) {
		for (size_t f = 0; f < sizeof(families); f++) {
			int r;

			d.protocol = protocols[p];
			r = run_dump(&d, fd, families[f]);
			if (r && r != -ENOENT && r != -EINVAL && r != -EPROTONOSUPPORT)
				return err_set(e, r, "sock_diag: %s", strerror(-r));
		}
	}
	if (d.error)
		return err_set(e, d.error, "a socket could not be closed: %s",
			       strerror(-d.error));
	return 0;
}

static void held_fini(struct held *h)
{
	numbers_fini(&h->cgroups);
	numbers_fini(&h->pids);
}

int sockets_existing(const struct cgroup_root *root, const char *path, bool close_them,
		     struct sockets_report *ret, struct err *e)
{
	scoped(held_fini) struct held held = {.root = root};
	scoped(spaces_fini) struct spaces spaces = {0};
	struct sockets_report report = {0};
	int r;

	r = cgroup_walk(root, path, visit, &held);
	if (r)
		return err_set(e, r, "/%s: %s", path,
			       r == -E2BIG ? "too many processes or cgroups to look at"
					   : strerror(-r));
	sort(&held.cgroups);
	report.processes = held.pids.n;
	for (size_t i = 0; i < held.pids.n && !r; i++)
		r = add_sockets(&spaces, (int)held.pids.v[i]);
	if (r)
		return err_set(e, r, "/%s: %s", path, strerror(-r));
	for (size_t i = 0; i < spaces.n; i++) {
		if (!spaces.v[i].inodes.n)
			continue;
		sort(&spaces.v[i].inodes);
		r = examine(&spaces.v[i], &held.cgroups, close_them, &report, e);
		if (r)
			return r;
	}
	*ret = report;
	return 0;
}
