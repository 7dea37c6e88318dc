// SPDX-License-Identifier: GPL-2.0-only
/*
 * The start of a ULSP's process: its predecessor is gone, its ring fits, it has
 * a cgroup of its own and its descriptors, and its stderr is read.
 */
#include "supervised_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache.h"
#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "parking.h"
#include "spawn.h"
#include "supervisor.h"
#include "ulsp_cgroup.h"
#include "ulsp_dir.h"

/* An earlier daemon's process may still be ending: it must not share the ring with a new one. */
static bool is_ours(const struct supervised *p, pid_t pid)
{
	char path[64], env[4096], name[ULSP_NAME_BYTES + 16], instance[ULSP_NAME_BYTES + 16];
	scoped(scope_close) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, env, sizeof(env));
	snprintf(name, sizeof(name), "ULSP_NAME=%s", p->name);
	snprintf(instance, sizeof(instance), "ULSP_INSTANCE=%s", p->owner->instance->name);
	return n > 0 && memmem(env, (size_t)n, name, strlen(name) + 1) &&
	       memmem(env, (size_t)n, instance, strlen(instance) + 1);
}

static void wait_for_predecessor(struct supervised *p)
{
	pid_t pid = p->maps.mapped ? (pid_t)p->maps.mapped->pid : 0;

	if (pid <= 1 || pid == p->pid || kill(pid, 0) || !is_ours(p, pid))
		return;
	kill(pid, SIGTERM);
	for (int waited = 0; waited < ULSP_STOP_MS; waited += 5) {
		clock_nap_ms(5);
		if (kill(pid, 0) || !is_ours(p, pid))
			return;
	}
	log_warning("ulsp %s: process %d of an earlier daemon does not end, killing it", p->name,
		    pid);
	p->kills++;
	kill(pid, SIGKILL);
	for (int waited = 0; waited < 200 && !kill(pid, 0) && is_ours(p, pid); waited += 5)
		clock_nap_ms(5);
}

/* -1: none can be made, which is said once. */
static int make_cgroup(struct supervised *p)
{
	int fd = ulsp_cgroup_make(p->owner->root, p->owner->instance->name, p->name);

	if (fd >= 0)
		return fd;
	if (!p->uncontained)
		log_warning("ulsp %s: no cgroup of its own, so what it starts may outlive it: %s",
			    p->name, strerror(-fd));
	p->uncontained = true;
	return -1;
}

static pid_t spawn_contained(struct supervised *p, struct spawn *spec, int *ret_stderr,
			     struct err *e)
{
	scoped(scope_close) int procs = make_cgroup(p);
	pid_t pid;

	spec->cgroup_procs = procs;
	pid = spawn(spec, ret_stderr, e);
	if (pid != -EXDEV)
		return pid;
	if (!p->uncontained)
		log_warning("%s; what it starts may outlive it", e->text);
	p->uncontained = true;
	spec->cgroup_procs = -1;
	return spawn(spec, ret_stderr, e);
}

static int start_process(struct supervised *p, struct err *e)
{
	struct supervisor *s = p->owner;
	scoped(scope_close) int poke = parking_poke_open(s->parking, p->maps.slot);
	struct spawn spec = {
		.argv = p->argv,
		.user = p->user,
		.name = p->name,
		.instance = s->instance->name,
		.ring = p->maps.slot,
		.nrings = p->maps.nrings,
		.fds = {p->maps.page, p->maps.cache, s->groups_fd, s->files_fd, s->streams_fd,
			p->maps.slots, poke},
	};
	struct err cause = {0};
	char dir[SPAWN_DIR_BYTES];
	int fd, r;
	pid_t pid;

	memcpy(spec.fds + SPAWN_SHARED_FDS, p->maps.rings, sizeof(p->maps.rings));
	if (poke < 0)
		return err_set(e, poke, "ulsp %s: %s", p->name, strerror(-poke));
	r = ulsp_dir_make(s->instance->name, p->name, dir, sizeof(dir));
	if (r)
		log_warning("ulsp %s: no directory of its own: %s", p->name, strerror(-r));
	else
		spec.dir = dir;
	pid = spawn_contained(p, &spec, &fd, &cause);
	if (pid < 0)
		return err_set(e, pid, "ulsp %s: %s", p->name, cause.text);
	if (p->started_us)
		p->restarts++;
	p->pid = pid;
	if (s->guard)
		s->guard(s->guard_ctx, pid, true);
	/* for the next daemon, also when it never says so itself */
	if (p->maps.mapped)
		__atomic_store_n(&p->maps.mapped->pid, (uint32_t)pid, __ATOMIC_RELAXED);
	p->why[0] = 0;
	p->started_us = clock_now_ns() / 1000;
	r = sd_event_add_child(s->event, &p->child, pid, WEXITED, supervised_on_exit, p);
	if (r < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		p->pid = 0;
		close(fd);
		return err_set(e, r, "ulsp %s: %s", p->name, strerror(-r));
	}
	ulsp_output_open(&p->output, s->event, p->name, fd);
	log_info("ulsp %s: started as process %d", p->name, pid);
	return 0;
}

int supervised_start(struct supervised *p, struct err *e)
{
	int r;

	if (p->pid)
		return 0;
	wait_for_predecessor(p);
	supervised_end_rest(p);
	r = supervised_refit(p, e);
	if (r)
		return r;
	supervised_clear_readers(p);
	ulsp_cache_release(p->maps.sets);
	if (p->renewed)
		supervised_clear_counters(p);
	r = start_process(p, e);
	if (!r)
		p->renewed = false;
	return r;
}
