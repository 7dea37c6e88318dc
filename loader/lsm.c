// SPDX-License-Identifier: GPL-2.0-only
#include "lsm.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf_log.h"
#include "cleanup.h"
#include "confine.h"
#include "lsm_hooks.h"
#include "pins.h"
#include "ulsp_lsm.skel.h"

static const char *const map_names[LSM_MAPS] = {
	[LSM_TASK_TAGS] = "task_tags",
	[LSM_SK_TAGS] = "sk_tags",
	[LSM_SK_EXEC] = "sk_exec",
	[LSM_INODE_TAGS] = "inode_tags",
	[LSM_OBJECT_TAGS] = "object_tags",
	[LSM_TGID_TAGS] = "tgid_tags",
	[LSM_CGROUP_TAGS] = "cgroup_tags",
	[LSM_EXEC_TAGS] = "exec_tags",
	[LSM_CONFINE] = "confine",
	[LSM_GUARDED] = "guarded",
	[LSM_TAGGER] = "tagger_knobs",
	[LSM_UNIX_PATHS] = "unix_paths",
	[LSM_GUARDED_INODES] = "guarded_inodes",
	[LSM_GUARDED_BPF] = "guarded_bpf",
	[LSM_SHM_DEVS] = "shm_devs",
};

static const char *const iterator_names[LSM_ITERATORS] = {
	[LSM_TASKS] = "tag_tasks", [LSM_SOCKETS] = "tag_sockets"};
static const char *const tracer_names[LSM_TRACERS] = {"tag_fork", "tag_exit", "tag_move",
						      "tag_exec"};

static const struct {
	const char *name;
	enum bpf_attach_type type;
} loopback_hooks[LSM_LOOPBACK_HOOKS] = {
	{"loopback_connect4", BPF_CGROUP_INET4_CONNECT},
	{"loopback_connect6", BPF_CGROUP_INET6_CONNECT},
	{"loopback_sendmsg4", BPF_CGROUP_UDP4_SENDMSG},
	{"loopback_sendmsg6", BPF_CGROUP_UDP6_SENDMSG},
};

static void scope_object(struct ulsp_lsm **o)
{
	ulsp_lsm__destroy(*o);
}

static void scope_link(struct bpf_link **l)
{
	bpf_link__destroy(*l);
}

static struct lsm *lsm_new(void)
{
	struct lsm *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	for (size_t m = 0; m < LSM_MAPS; m++)
		l->map[m] = -1;
	for (size_t n = 0; n < LSM_ITERATORS; n++)
		l->iterator[n] = -1;
	for (size_t n = 0; n < LSM_TRACERS; n++)
		l->tracer[n] = -1;
	for (size_t n = 0; n < LSM_LOOPBACK_HOOKS; n++)
		l->loopback[n] = -1;
	return l;
}

void lsm_close(struct lsm **lp)
{
	struct lsm *l = *lp;

	*lp = NULL;
	if (!l)
		return;
	for (size_t m = 0; m < LSM_MAPS; m++)
		scope_close(&l->map[m]);
	for (size_t n = 0; n < LSM_ITERATORS; n++)
		scope_close(&l->iterator[n]);
	for (size_t n = 0; n < LSM_TRACERS; n++)
		scope_close(&l->tracer[n]);
	for (size_t n = 0; n < LSM_LOOPBACK_HOOKS; n++)
		scope_close(&l->loopback[n]);
	free(l);
}

static char *pin_dir(const struct instance *i)
{
	return pin_path("%s/lsm", i->pin_dir);
}

/* ---- the proof ---- */

enum { PROOF_SLOT = 0xfff0 }; /* no group's: what it denies is counted nowhere */

static pid_t fork_waiting(int go[2])
{
	char c;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid)
		return pid;
	close(go[1]);
	if (read(go[0], &c, 1) == 1)
		pause();
	_exit(0);
}

/* A child that is tagged before it goes on, and says how its kill(2) of `target` ended. */
static int tagged_kill(const struct lsm *l, pid_t target)
{
	struct ulsp_task_tag tag = {.all = PROOF_SLOT + 1};
	scoped(scope_close) int pidfd = -1;
	int go[2], status, r;
	pid_t pid;
	char c;

	if (pipe2(go, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(255);
		_exit(kill(target, 0) ? errno : 0);
	}
	close(go[0]);
	pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	r = pidfd < 0 || bpf_map_update_elem(l->map[LSM_TASK_TAGS], &pidfd, &tag, BPF_ANY) ? -errno
											   : 0;
	if (!r && write(go[1], "g", 1) != 1)
		r = -errno;
	close(go[1]);
	if (pid < 0)
		return r;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return r ? r : -ECHILD;
	return r ? r : WEXITSTATUS(status);
}

static int prove(const struct lsm *l, struct err *e)
{
	const struct ulsp_confine c = {.kinds = 1u << ULSP_REACH_SIGNAL};
	__u32 slot = PROOF_SLOT;
	int go[2], r;
	pid_t target;

	if (bpf_map_update_elem(l->map[LSM_CONFINE], &slot, &c, BPF_ANY))
		return err_set(e, -errno, "BPF LSM: can't write the proof's group: %m");
	target = fork_waiting(go);
	if (target < 0)
		return err_set(e, -errno, "BPF LSM: can't fork for the proof: %m");
	close(go[0]);
	r = tagged_kill(l, target);
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	close(go[1]);
	bpf_map_delete_elem(l->map[LSM_CONFINE], &slot);
	if (r < 0)
		return err_set(e, r, "BPF LSM: the proof could not be made: %s", strerror(-r));
	if (r != EPERM)
		return err_set(e, -ENOTSUP,
			       "BPF LSM: the programs are attached and deny nothing: is bpf in "
			       "/sys/kernel/security/lsm?");
	return 0;
}

/* ---- loading ---- */

static int share(struct ulsp_lsm *o, const struct instance *i)
{
	const struct {
		struct bpf_map *map;
		int fd;
	} shared[] = {
		{o->maps.rings, i->rings},
		{o->maps.groups, i->groups},
		{o->maps.streams, i->streams},
		{o->maps.gcount, i->gcount},
	};

	for (size_t n = 0; n < sizeof(shared) / sizeof(shared[0]); n++) {
		int r = bpf_map__reuse_fd(shared[n].map, shared[n].fd);

		if (r)
			return r;
	}
	return 0;
}

static int keep_maps(struct lsm *l, struct ulsp_lsm *o, const char *dir)
{
	for (size_t m = 0; m < LSM_MAPS; m++) {
		struct bpf_map *map = bpf_object__find_map_by_name(o->obj, map_names[m]);
		scoped(scope_free) char *path = pin_path("%s/%s", dir, map_names[m]);
		int r;

		l->map[m] = map ? fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3) : -1;
		if (!path || l->map[m] < 0)
			return -ENOMEM;
		r = pin_fd(l->map[m], path);
		if (r)
			return r;
	}
	return 0;
}

/* If its name is one of these. */
static int keep_link(const struct bpf_link *link, const char *name, const char *const *names,
		     int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(name, names[i]))
			continue;
		fds[i] = fcntl(bpf_link__fd(link), F_DUPFD_CLOEXEC, 3);
		if (fds[i] < 0)
			return -errno;
	}
	return 0;
}

static int attach_one(struct lsm *l, struct bpf_program *p, const char *dir)
{
	scoped(scope_link) struct bpf_link *link = NULL;
	scoped(scope_free) char *path = pin_path("%s/%s", dir, bpf_program__name(p));
	int r;

	link = bpf_program__attach(p);
	if (!link)
		return -errno;
	r = path ? pin_fd(bpf_link__fd(link), path) : -ENOMEM;
	if (!r)
		r = keep_link(link, bpf_program__name(p), iterator_names, l->iterator,
			      LSM_ITERATORS);
	if (!r)
		r = keep_link(link, bpf_program__name(p), tracer_names, l->tracer, LSM_TRACERS);
	return r;
}

/* LSM, tracepoint and iterator programs hang on the kernel; others are for cgroups. */
static int attach_all(struct lsm *l, struct ulsp_lsm *o, const char *dir, struct err *e)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, o->obj)
	{
		enum bpf_prog_type type = bpf_program__type(p);
		int r;

		if (!bpf_program__autoload(p) ||
		    (type != BPF_PROG_TYPE_LSM && type != BPF_PROG_TYPE_TRACING))
			continue;
		r = attach_one(l, p, dir);
		if (r)
			return err_set(e, r, "BPF LSM: can't attach %s: %s", bpf_program__name(p),
				       strerror(-r));
	}
	return 0;
}

/* Theirs are put on the root cgroup when a policy wants them. */
static int keep_loopback(struct lsm *l, struct ulsp_lsm *o, const char *dir)
{
	int r = 0;

	for (size_t n = 0; !r && n < LSM_LOOPBACK_HOOKS; n++) {
		const char *name = loopback_hooks[n].name;
		scoped(scope_free) char *path = pin_path("%s/prog_%s", dir, name);
		struct bpf_program *p = bpf_object__find_program_by_name(o->obj, name);

		l->loopback[n] = p ? fcntl(bpf_program__fd(p), F_DUPFD_CLOEXEC, 3) : -1;
		if (!path || l->loopback[n] < 0)
			return -ENOMEM;
		r = pin_fd(l->loopback[n], path);
	}
	return r;
}

static int load(struct instance *i, struct lsm *l, struct err *e)
{
	scoped(scope_object) struct ulsp_lsm *o = ulsp_lsm__open();
	scoped(scope_free) char *dir = pin_dir(i), *unfinished = NULL;
	scoped(bpf_log_end) struct bpf_log log;
	char cause[320];
	int r;

	bpf_log_begin(&log);
	unfinished = dir ? pin_path("%s~", dir) : NULL;
	if (!o || !unfinished)
		return err_set(e, -ENOMEM, "BPF LSM: the programs can't be opened");
	r = share(o, i);
	if (!r)
		lsm_hooks_select(o->obj);
	if (!r)
		r = ulsp_lsm__load(o);
	if (r)
		return err_set(e, r, "BPF LSM: the kernel refuses the programs: %s: %s",
			       strerror(-r), bpf_log_cause(&log, cause, sizeof(cause)));
	pin_remove(unfinished);
	r = pin_mkdirs(unfinished);
	if (!r)
		r = keep_maps(l, o, unfinished);
	if (!r)
		r = keep_loopback(l, o, unfinished);
	if (r)
		err_set(e, r, "BPF LSM: can't pin: %s", strerror(-r));
	if (!r)
		r = attach_all(l, o, unfinished, e);
	if (!r)
		r = prove(l, e);
	if (!r) {
		r = pin_commit(unfinished, dir);
		if (r)
			err_set(e, r, "BPF LSM: can't pin: %s", strerror(-r));
	}
	if (r)
		pin_remove(unfinished);
	return r;
}

static int open_pin(const char *dir, const char *prefix, const char *name, int *ret)
{
	scoped(scope_free) char *path = pin_path("%s/%s%s", dir, prefix, name);

	*ret = path ? pin_open(path) : -ENOMEM;
	return *ret < 0 ? *ret : 0;
}

static int adopt(struct lsm *l, const char *dir, struct err *e)
{
	int r = 0;

	for (size_t m = 0; m < LSM_MAPS; m++) {
		scoped(scope_free) char *path = pin_path("%s/%s", dir, map_names[m]);

		l->map[m] = path ? pin_open(path) : -ENOMEM;
		if (l->map[m] < 0)
			return err_set(e, -EEXIST,
				       "BPF LSM: the pins at %s are not of this build (%s: %s): "
				       "`ulspctl shutdown` removes them and ends enforcement",
				       dir, map_names[m], strerror(-l->map[m]));
	}
	for (size_t n = 0; !r && n < LSM_ITERATORS; n++)
		r = open_pin(dir, "", iterator_names[n], &l->iterator[n]);
	for (size_t n = 0; !r && n < LSM_TRACERS; n++)
		r = open_pin(dir, "", tracer_names[n], &l->tracer[n]);
	for (size_t n = 0; !r && n < LSM_LOOPBACK_HOOKS; n++)
		r = open_pin(dir, "prog_", loopback_hooks[n].name, &l->loopback[n]);
	return r ? err_set(e, -EEXIST, "BPF LSM: the pins at %s are not of this build", dir) : 0;
}

int lsm_open(struct instance *i, bool make, struct lsm **ret, struct err *e)
{
	scoped(lsm_close) struct lsm *l = lsm_new();
	scoped(scope_free) char *dir = pin_dir(i);
	int r;

	if (!l || !dir)
		return err_set(e, -ENOMEM, "out of memory");
	if (!access(dir, F_OK))
		r = adopt(l, dir, e);
	else if (make)
		r = load(i, l, e);
	else
		return 0;
	if (!r)
		*ret = TAKE_PTR(l);
	return r;
}

int lsm_unpin(struct instance *i, struct err *e)
{
	scoped(scope_free) char *dir = pin_dir(i);
	int r = dir ? pin_remove(dir) : -ENOMEM;

	return r ? err_set(e, r, "BPF LSM: can't remove the pins: %s", strerror(-r)) : 0;
}

void lsm_guard(const struct lsm *l, pid_t pid, bool on)
{
	__u32 tgid = (__u32)pid, one = 1;

	if (!l || pid <= 0)
		return;
	if (on)
		bpf_map_update_elem(l->map[LSM_GUARDED], &tgid, &one, BPF_ANY);
	else
		bpf_map_delete_elem(l->map[LSM_GUARDED], &tgid);
}

bool lsm_is_member(const struct lsm *l, pid_t pid)
{
	scoped(scope_close) int fd = -1;
	struct ulsp_task_tag tag;

	if (!l)
		return false;
	fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	/* Who can't be looked up could be one: it is gone, and needs no answer. */
	if (fd < 0)
		return true;
	return !bpf_map_lookup_elem(l->map[LSM_TASK_TAGS], &fd, &tag) && tag.all;
}

void lsm_guard_none(const struct lsm *l)
{
	__u32 tgid;

	while (l && !bpf_map_get_next_key(l->map[LSM_GUARDED], NULL, &tgid))
		if (bpf_map_delete_elem(l->map[LSM_GUARDED], &tgid))
			return;
}

/* A link's pin is complete or not there, so those that are there stay. */
int lsm_loopback(const struct lsm *l, struct instance *i, int root_fd, bool on, struct err *e)
{
	scoped(scope_free) char *dir = pin_dir(i);

	for (size_t n = 0; n < LSM_LOOPBACK_HOOKS; n++) {
		const char *name = loopback_hooks[n].name;
		scoped(scope_free) char *path = dir ? pin_path("%s/%s", dir, name) : NULL;
		scoped(scope_close) int link = -1;
		int r = path ? 0 : -ENOMEM;

		if (!r && !on)
			r = pin_remove(path);
		if (!r && on && access(path, F_OK)) {
			link = bpf_link_create(l->loopback[n], root_fd, loopback_hooks[n].type,
					       NULL);
			r = link < 0 ? link : pin_fd(link, path);
		}
		if (r)
			return err_set(e, r, "can't put %s on the root cgroup: %s", name,
				       strerror(-r));
	}
	return 0;
}
