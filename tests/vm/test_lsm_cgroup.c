/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leaving the cgroup of a group: by its files, however they were opened and
 * whoever writes for the member, and by what clones or makes cgroups.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_attempts.h"
#include "lsm_fixture.h"
#include "lsm_uring.h"

#define CGROUPS "/tmp/cgroups"
#define ROOM	CGROUPS "/room"	 /* not the members' */
#define EMPTY	CGROUPS "/empty" /* made anew for each attempt */

/* Opened before anybody is a member. */
static struct {
	int procs, kill, directory;
} earlier;

static void make_empty(void)
{
	mkdir(EMPTY, 0755);
}

static int up(void **state)
{
	int r = lsm_up(state);

	if (r)
		return r;
	lsm_confine(GROUP_A, 1u << ULSP_REACH_ESCAPE, 0, 0);
	mkdir(CGROUPS, 0755);
	if (mount("none", CGROUPS, "cgroup2", 0, NULL) || (mkdir(ROOM, 0755) && errno != EEXIST))
		return -1;
	earlier.procs = open(ROOM "/cgroup.procs", O_WRONLY | O_CLOEXEC);
	earlier.kill = open(ROOM "/cgroup.kill", O_WRONLY | O_CLOEXEC);
	earlier.directory = open(ROOM, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return earlier.procs < 0 || earlier.kill < 0 || earlier.directory < 0;
}

/* ---- its files ---- */

struct text {
	const char *file, *text;
};

static int write_text(void *arg)
{
	const struct text *t = arg;

	return lsm_write_file(t->file, t->text);
}

static struct text to_procs = {ROOM "/cgroup.procs", "0"}, to_kill = {ROOM "/cgroup.kill", "1"},
		   to_freeze = {ROOM "/cgroup.freeze", "0"},
		   to_subtree = {ROOM "/cgroup.subtree_control", ""};

static int to_threads(void *arg)
{
	(void)arg;
	/* Only within a threaded subtree: refused late when it is allowed. */
	return lsm_error(open(ROOM "/cgroup.threads", O_WRONLY));
}

struct late {
	int *fd;
	const char *text;
};

static int write_late(void *arg)
{
	const struct late *l = arg;

	return lsm_error(write(*l->fd, l->text, strlen(l->text)));
}

static struct late late_procs = {&earlier.procs, "0"}, late_kill = {&earlier.kill, "1"};

static int make_cgroup(void *arg)
{
	int r;

	(void)arg;
	r = lsm_error(mkdir(ROOM "/more", 0755));
	rmdir(ROOM "/more");
	return r;
}

static int remove_cgroup(void *arg)
{
	(void)arg;
	return lsm_error(rmdir(EMPTY));
}

static int chown_procs(void *arg)
{
	(void)arg;
	return lsm_error(chown(ROOM "/cgroup.procs", 0, 0));
}

static int clone_into(void *arg)
{
	(void)arg;
	return lsm_clone3(CLONE_INTO_CGROUP, earlier.directory);
}

/* A descriptor that somebody outside passes. */
static int receive(void *arg)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	char c;
	int s[2];

	(void)arg;
	memcpy(CMSG_DATA(&control.head), &earlier.procs, sizeof(int));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) || sendmsg(s[0], &m, 0) != 1)
		return 253;
	iov.iov_base = &c;
	if (recvmsg(s[1], &m, 0) != 1)
		return 252;
	return m.msg_flags & MSG_CTRUNC ? EPERM : 0;
}

static int set_attribute(void *arg)
{
	(void)arg;
	return lsm_error(setxattr(ROOM, "trusted.ulsp", "x", 1, 0));
}

static int remove_attribute(void *arg)
{
	(void)arg;
	return lsm_error(removexattr(ROOM, "trusted.none"));
}

/* ---- by others' hands ---- */

static int by_worker(void *arg)
{
	(void)arg;
	return -uring_open(ROOM "/cgroup.procs", O_WRONLY, 0, IOSQE_ASYNC);
}

static int by_poller(void *arg)
{
	(void)arg;
	return -uring_open(ROOM "/cgroup.procs", O_WRONLY, IORING_SETUP_SQPOLL, 0);
}

static int by_ring(void *arg)
{
	(void)arg;
	return -uring_open(ROOM "/cgroup.procs", O_WRONLY, 0, 0);
}

static int by_personality(void *arg)
{
	(void)arg;
	return -uring_open("/tmp", O_RDONLY, 0, URING_PERSONALITY);
}

static void *thread_moves(void *arg)
{
	(void)arg;
	return (void *)(long)write_text(&to_procs);
}

static int by_thread(void *arg)
{
	pthread_t thread;
	void *r;

	if (pthread_create(&thread, NULL, thread_moves, arg) || pthread_join(thread, &r))
		return 253;
	return (int)(long)r;
}

static int by_grandchild(void *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(write_text(&to_procs));
	(void)arg;
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static const struct lsm_attempt attempts[] = {
	{"cgroup.procs", write_text, 0, &to_procs},
	{"cgroup.threads", to_threads, 0, NULL},
	{"cgroup.kill", write_text, 0, &to_kill},
	{"cgroup.freeze", write_text, 0, &to_freeze},
	{"cgroup.subtree_control", write_text, 0, &to_subtree},
	{"cgroup.procs, opened earlier", write_late, 0, &late_procs},
	{"cgroup.kill, opened earlier", write_late, 0, &late_kill},
	{"cgroup.procs, passed", receive, 0, NULL},
	{"cgroup.procs, by a thread", by_thread, 0, NULL},
	{"cgroup.procs, by a grandchild", by_grandchild, 0, NULL},
	{"cgroup.procs, io_uring", by_ring, 0, NULL},
	{"cgroup.procs, io_uring's worker", by_worker, 0, NULL},
	{"cgroup.procs, io_uring's poller", by_poller, 0, NULL},
	{"io_uring, registered credentials", by_personality, 0, NULL},
	{"CLONE_INTO_CGROUP", clone_into, 0, NULL},
	{"mkdir of a cgroup", make_cgroup, 0, NULL},
	{"rmdir of a cgroup", remove_cgroup, 0, NULL},
	{"chown of cgroup.procs", chown_procs, 0, NULL},
	{"setxattr of a cgroup", set_attribute, 0, NULL},
	{"removexattr of a cgroup", remove_attribute, ENODATA, NULL},
};

int main(void)
{
	return lsm_escapes(attempts, sizeof(attempts) / sizeof(attempts[0]), make_empty, up);
}
