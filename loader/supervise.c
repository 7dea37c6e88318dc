// SPDX-License-Identifier: GPL-2.0-only
#include "supervise.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "spawn.h"
#include "ulsp_cgroup.h"

enum { MAX_READS = 200 }; /* of a ULSP's output, each second */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void nap_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* Loads and stores of what a ULSP and the programs touch at the same time. */
static uint64_t heartbeat(const struct supervised *p)
{
	return p->maps.mapped ? __atomic_load_n(&p->maps.mapped->heartbeat_ns, __ATOMIC_RELAXED)
			      : 0;
}

static void clear_heartbeat(struct supervised *p)
{
	if (p->maps.mapped)
		__atomic_store_n(&p->maps.mapped->heartbeat_ns, 0, __ATOMIC_RELEASE);
}

/* What the page says is the earlier program's; how far it read the ring still holds. */
static void clear_counters(struct supervised *p)
{
	struct ulsp_page *page = p->maps.mapped;

	if (!page)
		return;
	page->received = page->lost = page->verdicts = page->late = 0;
	__atomic_store_n(&page->scopes, 0, __ATOMIC_RELAXED);
}

/* ---- one ULSP ---- */

static void free_argv(char **argv)
{
	for (char **a = argv; a && *a; a++)
		free(*a);
	free(argv);
}

static void supervised_free(struct supervised *p)
{
	sd_event_source_disable_unref(p->child);
	sd_event_source_disable_unref(p->timer);
	sd_event_source_disable_unref(p->output);
	free(p->name);
	free(p->user);
	free_argv(p->argv);
	free(p);
}

static const char *user_of(const struct pol_ulsp *u)
{
	return u->user ? u->user : "nobody";
}

bool supervised_differs(const struct supervised *p, const struct pol_ulsp *u)
{
	size_t i = 0;

	if (strcmp(p->user, user_of(u)))
		return true;
	for (; p->argv[i] && i < u->argc; i++) {
		if (strcmp(p->argv[i], u->argv[i]))
			return true;
	}
	return p->argv[i] || i < u->argc;
}

int supervised_define(struct supervised *p, const struct pol_ulsp *u)
{
	char **argv = calloc(u->argc + 1, sizeof(*argv));
	char *user = strdup(user_of(u));
	bool ok = argv && user;

	for (size_t i = 0; ok && i < u->argc; i++) {
		argv[i] = strdup(u->argv[i]);
		ok = argv[i];
	}
	if (!ok) {
		free_argv(argv);
		free(user);
		return -ENOMEM;
	}
	free_argv(p->argv);
	free(p->user);
	p->argv = argv;
	p->user = user;
	p->restart = u->restart;
	p->ring_bytes = u->ring_bytes ? u->ring_bytes : 1 << 20;
	p->asked = u->asked;
	return 0;
}

/* ---- its output: a line of its stderr is a line of our log ---- */

static void say_dropped(struct supervised *p)
{
	if (p->lines_dropped)
		log_warning("%s: %u lines more, dropped", p->name, p->lines_dropped);
	p->lines_dropped = 0;
}

/* Control characters could end the line, or colour what follows it. */
static void log_line(struct supervised *p, const char *line, size_t bytes)
{
	char text[4 * sizeof(p->line) + 1];
	uint64_t now = now_ns() / 1000;
	size_t n = 0;

	if (now - p->lines_since_us >= 1000000) {
		say_dropped(p);
		p->lines_since_us = now;
		p->lines = 0;
	}
	if (p->lines >= ULSP_LOG_LINES) {
		p->lines_dropped++;
		return;
	}
	p->lines++;
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "\\x%02x", c);
		else
			text[n++] = (char)c;
	}
	text[n] = 0;
	log_notice("%s: %s", p->name, text);
}

static void log_lines(struct supervised *p, bool all)
{
	char *end;

	while ((end = memchr(p->line, '\n', p->line_bytes)) ||
	       (p->line_bytes && (all || p->line_bytes == sizeof(p->line)))) {
		size_t bytes = end ? (size_t)(end - p->line) : p->line_bytes;
		size_t taken = end ? bytes + 1 : bytes;

		if (bytes)
			log_line(p, p->line, bytes);
		memmove(p->line, p->line + taken, p->line_bytes - taken);
		p->line_bytes -= taken;
	}
}

/* Whether there was something; false: not now, or never again (*ret_end). */
static bool read_output(struct supervised *p, int fd, bool *ret_end)
{
	ssize_t n = read(fd, p->line + p->line_bytes, sizeof(p->line) - p->line_bytes);

	*ret_end = !n || (n < 0 && errno != EAGAIN && errno != EINTR);
	if (n <= 0)
		return false;
	p->line_bytes += (size_t)n;
	log_lines(p, false);
	return true;
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
	struct supervised *p = ctx;
	bool end;

	(void)revents;
	if (!read_output(p, fd, &end) && end) {
		log_lines(p, true);
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	return 0;
}

/* Its last words. */
static void finish_output(struct supervised *p)
{
	bool end;

	for (int i = 0; p->output && i < MAX_READS; i++) {
		if (!read_output(p, sd_event_source_get_io_fd(p->output), &end))
			break;
	}
	log_lines(p, true);
	say_dropped(p);
	p->output = sd_event_source_disable_unref(p->output);
}

/* ---- start, end, start again ---- */

static void start_later(struct supervised *p);

/* What it started, also in other sessions: nothing of it may keep the ring or the cache. */
static void end_rest(struct supervised *p)
{
	int r = ulsp_cgroup_end(p->owner->root, p->owner->instance->name, p->name);

	if (r)
		log_warning("ulsp %s: processes that it started may still run: %s", p->name,
			    strerror(-r));
}

/* All that it started too. */
static void kill_hard(struct supervised *p)
{
	log_warning("ulsp %s: process %d does not end %d ms after SIGTERM, killing it", p->name,
		    p->pid, ULSP_STOP_MS);
	p->kills++;
	kill(-p->pid, SIGKILL); /* it has a session, so a process group, of its own */
	ulsp_cgroup_kill(p->owner->root, p->owner->instance->name, p->name);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct supervised *p = ctx;
	struct err e = {0};

	(void)source;
	(void)usec;
	if (p->pid) { /* it was told to end and has not */
		kill_hard(p);
		return 0;
	}
	if (supervised_start(p, &e)) {
		snprintf(p->why, sizeof(p->why), "%.*s", (int)sizeof(p->why) - 1, e.text);
		log_error("ulsp %s: %s", p->name, e.text);
		start_later(p);
	}
	return 0;
}

static void arm(struct supervised *p, uint64_t delay_us)
{
	uint64_t at;

	sd_event_now(p->owner->event, CLOCK_MONOTONIC, &at);
	at += delay_us;
	if (!p->timer)
		sd_event_add_time(p->owner->event, &p->timer, CLOCK_MONOTONIC, at, 1000, on_timer,
				  p);
	else
		sd_event_source_set_time(p->timer, at);
	sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static void start_later(struct supervised *p)
{
	uint64_t most = ULSP_BACKOFF_MAX_MS * 1000ull;

	if (!p->backoff_us)
		p->backoff_us = ULSP_BACKOFF_MIN_MS * 1000ull;
	log_info("ulsp %s: next start in %llu ms", p->name,
		 (unsigned long long)p->backoff_us / 1000);
	arm(p, p->backoff_us);
	p->backoff_us = p->backoff_us * 2 < most ? p->backoff_us * 2 : most;
}

static void forget(struct supervised *p)
{
	struct supervisor *s = p->owner;

	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i] != p)
			continue;
		memmove(s->v + i, s->v + i + 1, (s->n - i - 1) * sizeof(*s->v));
		s->n--;
		break;
	}
	supervised_free(p);
}

static int on_exit_of(sd_event_source *source, const siginfo_t *si, void *ctx)
{
	struct supervised *p = ctx;
	bool failed = si->si_code != CLD_EXITED || si->si_status;
	uint64_t now;

	(void)source;
	clear_heartbeat(p);
	if (p->owner->guard)
		p->owner->guard(p->owner->guard_ctx, p->pid, false);
	p->pid = 0;
	if (p->timer)
		sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	p->child = sd_event_source_disable_unref(p->child);
	end_rest(p);
	finish_output(p);
	if (p->dropped) {
		forget(p);
		return 0;
	}
	snprintf(p->why, sizeof(p->why), "%s %d",
		 si->si_code == CLD_EXITED ? "exited with status" : "ended by signal",
		 si->si_status);
	log_at(p->stopping ? LOG_INFO
	       : failed	   ? LOG_WARNING
			   : LOG_NOTICE,
	       "ulsp %s: %s", p->name, p->why);
	sd_event_now(p->owner->event, CLOCK_MONOTONIC, &now);
	if (now - p->started_us > ULSP_STABLE_MS * 1000ull)
		p->backoff_us = 0;
	if (p->again) {
		p->backoff_us = 0;
		arm(p, 0);
	} else if (p->restart == POL_RESTART_ALWAYS ||
		   (p->restart == POL_RESTART_ON_FAILURE && failed)) {
		start_later(p);
	}
	p->again = p->stopping = false;
	return 0;
}

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
		nap_ms(5);
		if (kill(pid, 0) || !is_ours(p, pid))
			return;
	}
	log_warning("ulsp %s: process %d of an earlier daemon does not end, killing it", p->name,
		    pid);
	p->kills++;
	kill(pid, SIGKILL);
	for (int waited = 0; waited < 200 && !kill(pid, 0) && is_ours(p, pid); waited += 5)
		nap_ms(5);
}

int supervised_refit(struct supervised *p, struct err *e)
{
	bool made;
	int r = instance_ulsp_refit(p->owner->instance, p->name, p->ring_bytes, &p->maps, &made, e);

	if (!r && made)
		log_notice(
			"ulsp %s: has a new ring or cache: the size changed, or it froze its own",
			p->name);
	return r;
}

int supervised_renew(struct supervised *p, struct err *e)
{
	int r = instance_ulsp_renew(p->owner->instance, p->name, p->ring_bytes, &p->maps, e);

	if (r)
		return r;
	p->renewed = true;
	log_info("ulsp %s: another program or user, so a cache of its own", p->name);
	return 0;
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
	struct spawn spec = {
		.argv = p->argv,
		.user = p->user,
		.name = p->name,
		.instance = s->instance->name,
		.ring = p->maps.slot,
		.fds = {p->maps.ring, p->maps.page, p->maps.cache, s->groups_fd, s->files_fd,
			s->streams_fd},
	};
	struct err cause = {0};
	int fd, r;
	pid_t pid;

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
	p->line_bytes = 0;
	p->started_us = now_ns() / 1000;
	r = sd_event_add_child(s->event, &p->child, pid, WEXITED, on_exit_of, p);
	if (r < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		p->pid = 0;
		close(fd);
		return err_set(e, r, "ulsp %s: %s", p->name, strerror(-r));
	}
	if (sd_event_add_io(s->event, &p->output, fd, EPOLLIN, on_output, p) < 0)
		close(fd);
	else
		sd_event_source_set_io_fd_own(p->output, true);
	/* one that floods us waits; of what is read, so many lines are logged */
	if (p->output)
		sd_event_source_set_ratelimit(p->output, 1000000, MAX_READS);
	log_info("ulsp %s: started as process %d", p->name, pid);
	return 0;
}

int supervised_start(struct supervised *p, struct err *e)
{
	int r;

	if (p->pid)
		return 0;
	wait_for_predecessor(p);
	end_rest(p);
	r = supervised_refit(p, e);
	if (r)
		return r;
	clear_heartbeat(p);
	if (p->renewed)
		clear_counters(p);
	r = start_process(p, e);
	if (!r)
		p->renewed = false;
	return r;
}

static void tell_to_end(struct supervised *p)
{
	if (p->stopping && p->pid)
		return; /* told before: asking again gives it no more time */
	p->stopping = true;
	if (p->timer)
		sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	if (!p->pid)
		return;
	kill(p->pid, SIGTERM);
	arm(p, ULSP_STOP_MS * 1000ull);
}

void supervised_restart(struct supervised *p)
{
	p->backoff_us = 0;
	if (!p->pid) {
		arm(p, 0);
		return;
	}
	p->again = true;
	tell_to_end(p);
}

uint64_t supervised_heartbeat_age_ms(const struct supervised *p)
{
	uint64_t beat = heartbeat(p), now = now_ns();

	if (!beat || beat > now + ULSP_HEARTBEAT_NS)
		return UINT64_MAX;
	return now > beat ? (now - beat) / 1000000 : 0;
}

const char *supervised_state(const struct supervised *p)
{
	uint64_t beat = heartbeat(p), now = now_ns();
	int on = SD_EVENT_OFF;

	if (p->pid)
		return !beat ? "starting" : ULSP_HEARTBEAT_FRESH(beat, now) ? "running" : "silent";
	if (p->timer)
		sd_event_source_get_enabled(p->timer, &on);
	return on == SD_EVENT_OFF ? "stopped" : "backing-off";
}

/* ---- all of them ---- */

/* The same map by another descriptor that can only read. */
static int read_only(int fd)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, opts, .open_flags = BPF_F_RDONLY);
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &bytes))
		return -errno;
	return bpf_map_get_fd_by_id_opts(info.id, &opts);
}

int supervisor_new(sd_event *event, struct instance *i, const struct cgroup_root *root,
		   struct supervisor **ret, struct err *e)
{
	struct supervisor *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->event = event;
	s->instance = i;
	s->root = root;
	s->groups_fd = read_only(i->groups);
	s->files_fd = read_only(i->files);
	s->streams_fd = read_only(i->streams);
	if (s->groups_fd < 0 || s->files_fd < 0 || s->streams_fd < 0) {
		supervisor_free(&s);
		return err_set(e, -EIO, "the instance's maps can't be opened for reading");
	}
	*ret = s;
	return 0;
}

void supervisor_free(struct supervisor **sp)
{
	struct supervisor *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		s->v[i]->child = sd_event_source_disable_unref(s->v[i]->child);
		tell_to_end(s->v[i]);
	}
	for (int waited = 0; waited < ULSP_STOP_MS + 1000; waited += 5) {
		size_t alive = 0;

		for (size_t i = 0; i < s->n; i++) {
			struct supervised *p = s->v[i];

			if (p->pid && waitpid(p->pid, NULL, WNOHANG) == p->pid) {
				p->pid = 0;
				clear_heartbeat(p);
			}
			alive += p->pid != 0;
			if (p->pid && waited == ULSP_STOP_MS)
				kill_hard(p);
		}
		if (!alive)
			break;
		nap_ms(5);
	}
	for (size_t i = 0; i < s->n; i++) {
		end_rest(s->v[i]);
		finish_output(s->v[i]);
		supervised_free(s->v[i]);
	}
	free(s->v);
	scope_close(&s->groups_fd);
	scope_close(&s->files_fd);
	scope_close(&s->streams_fd);
	free(s);
}

struct supervised *supervisor_find(const struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!s->v[i]->dropped && !strcmp(s->v[i]->name, name))
			return s->v[i];
	}
	return NULL;
}

int supervisor_add(struct supervisor *s, const struct pol_ulsp *u, struct supervised **ret,
		   bool *ret_new, struct err *e)
{
	struct supervised *p = supervisor_find(s, u->name), **v;
	int r;

	if (p) {
		*ret = p;
		*ret_new = false;
		return 0;
	}
	v = reallocarray(s->v, s->n + 1, sizeof(struct supervised *));
	if (v)
		s->v = v;
	p = calloc(1, sizeof(*p));
	if (!v || !p || !(p->name = strdup(u->name)) || supervised_define(p, u)) {
		if (p)
			supervised_free(p);
		return err_set(e, -ENOMEM, "out of memory");
	}
	p->owner = s;
	r = instance_ulsp_maps(s->instance, u->name, p->ring_bytes, &p->maps, e);
	if (r) {
		supervised_free(p);
		return r;
	}
	s->v[s->n++] = p;
	*ret = p;
	*ret_new = true;
	return 0;
}

void supervisor_drop(struct supervisor *s, struct supervised *p)
{
	clear_heartbeat(p);
	instance_ulsp_drop(s->instance, p->name, &p->maps);
	p->maps.mapped = NULL;
	p->dropped = true;
	if (!p->pid) {
		forget(p);
		return;
	}
	tell_to_end(p);
}

static int find_index(const struct pol_policy *p, const char *name)
{
	for (size_t i = 0; i < p->nulsps; i++) {
		if (!strcmp(p->ulsps[i].name, name))
			return (int)i;
	}
	return (int)p->nulsps; /* those that are being dropped come last */
}

uint32_t supervisor_log_rings(const struct supervisor *s, const struct pol_policy *p)
{
	uint32_t rings = 0;

	for (size_t i = 0; i < p->nulsps; i++) {
		const struct supervised *one = supervisor_find(s, p->ulsps[i].name);

		if (one && !p->ulsps[i].asked)
			rings |= 1u << one->maps.slot;
	}
	return rings;
}

void supervisor_order(struct supervisor *s, const struct pol_policy *p)
{
	for (size_t i = 1; i < s->n; i++) {
		struct supervised *one = s->v[i];
		size_t at = i;

		for (; at && find_index(p, s->v[at - 1]->name) > find_index(p, one->name); at--)
			s->v[at] = s->v[at - 1];
		s->v[at] = one;
	}
}
