// SPDX-License-Identifier: GPL-2.0-only
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

enum {
	FIRST_FD = 3,
	HIGH_FD = 64, /* above everything that is placed */
	MAX_GIDS = 64,
	MAX_FDS = 1024,
	ENV_VARS = 8,
};

#define SAFE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What the child needs, made before the fork: nothing there may allocate or ask NSS. */
struct plan {
	char exe[PATH_MAX];
	uid_t uid;
	gid_t gid, gids[MAX_GIDS];
	int ngids;
	char *env[ENV_VARS + 1];
	char env_text[ENV_VARS][256];
	pid_t parent;
	int report; /* the child says here why it failed; closed by exec */
	int stderr_fd;
};

/* ---- before the fork ---- */

static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

static bool try_dir(const char *dir, size_t dir_bytes, const char *name, char exe[PATH_MAX])
{
	int n = snprintf(exe, PATH_MAX, "%.*s/%s", (int)dir_bytes, dir, name);

	return n > 0 && n < PATH_MAX && is_program(exe);
}

/* Beside the daemon, in the libexec directory of its prefix, then in PATH. */
static int find_program(const char *name, char exe[PATH_MAX], struct err *e)
{
	const char *path = getenv("PATH");
	char own[PATH_MAX];
	ssize_t n;

	if (strchr(name, '/')) {
		if (snprintf(exe, PATH_MAX, "%s", name) >= PATH_MAX)
			return err_set(e, -ENAMETOOLONG, "the path is too long");
		if (!is_program(exe))
			return err_set(e, -ENOENT, "%s is no program that can be executed", name);
		return 0;
	}
	n = readlink("/proc/self/exe", own, sizeof(own) - 32);
	if (n > 0) {
		own[n] = 0;
		*strrchr(own, '/') = 0;
		if (try_dir(own, strlen(own), name, exe))
			return 0;
		strcat(own, "/../libexec/ulsp");
		if (try_dir(own, strlen(own), name, exe))
			return 0;
	}
	if (!path || !*path)
		path = SAFE_PATH;
	for (size_t bytes; *path; path += bytes + (path[bytes] == ':')) {
		bytes = strcspn(path, ":");
		if (bytes && try_dir(path, bytes, name, exe))
			return 0;
	}
	return err_set(e, -ENOENT, "program %s was not found", name);
}

static int find_user(const char *user, struct plan *p, struct err *e)
{
	struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return err_set(e, errno ? -errno : -ENOENT, "there is no user %s", user);
	p->uid = pw->pw_uid;
	p->gid = pw->pw_gid;
	p->ngids = MAX_GIDS;
	if (getgrouplist(user, pw->pw_gid, p->gids, &p->ngids) < 0)
		p->ngids = MAX_GIDS;
	return 0;
}

__attribute__((format(printf, 3, 4))) static void set_env(struct plan *p, int index,
							  const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(p->env_text[index], sizeof(p->env_text[index]), format, ap);
	va_end(ap);
	p->env[index] = p->env_text[index];
}

static void make_env(const struct spawn *s, struct plan *p)
{
	size_t n;

	set_env(p, 0, "ULSP_FDS=page=3 cache=4 groups=5 files=6 streams=7 slots=8 poke=9");
	for (unsigned k = 0; k < s->nrings; k++) {
		n = strlen(p->env_text[0]);
		snprintf(p->env_text[0] + n, sizeof(p->env_text[0]) - n, " ring=%u",
			 FIRST_FD + SPAWN_SHARED_FDS + k);
	}
	set_env(p, 1, "ULSP_NAME=%s", s->name);
	set_env(p, 2, "ULSP_RING=%u", s->ring);
	set_env(p, 3, "ULSP_ABI=%d", ULSP_ABI);
	set_env(p, 4, "ULSP_INSTANCE=%s", s->instance);
	set_env(p, 5, "PATH=" SAFE_PATH);
	set_env(p, 6, "LANG=C.UTF-8");
	if (s->dir)
		set_env(p, 7, "ULSP_DIR=%s", s->dir);
}

/* ---- in the child ---- */

struct failure {
	int error;
	char stage[40];
};

__attribute__((noreturn)) static void fail(const struct plan *p, const char *stage)
{
	struct failure f = {.error = errno};

	memcpy(f.stage, stage, strnlen(stage, sizeof(f.stage) - 1));
	if (write(p->report, &f, sizeof(f)) < 0)
		_exit(126);
	_exit(127);
}

static void place_fds(const struct spawn *s, struct plan *p)
{
	int high[SPAWN_FDS], null;

	for (unsigned i = 0; i < SPAWN_SHARED_FDS + s->nrings; i++) {
		high[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
		if (high[i] < 0)
			fail(p, "placing descriptors");
	}
	p->report = fcntl(p->report, F_DUPFD_CLOEXEC, HIGH_FD);
	p->stderr_fd = fcntl(p->stderr_fd, F_DUPFD_CLOEXEC, HIGH_FD);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (p->report < 0 || p->stderr_fd < 0 || null < 0 || dup2(null, 0) < 0 ||
	    dup2(p->stderr_fd, 2) < 0)
		fail(p, "placing descriptors");
	for (unsigned i = 0; i < SPAWN_SHARED_FDS + s->nrings; i++) {
		if (dup2(high[i], (int)(FIRST_FD + i)) < 0)
			fail(p, "placing descriptors");
	}
	/* whatever else is open ends with exec, marked or not (kernel 5.11) */
	syscall(SYS_close_range, FIRST_FD + SPAWN_SHARED_FDS + s->nrings, ~0u,
		1 << 2 /* CLOSE_RANGE_CLOEXEC */);
}

static void drop_privileges(const struct plan *p)
{
	if (setgroups((size_t)p->ngids, p->gids) || setresgid(p->gid, p->gid, p->gid) ||
	    setresuid(p->uid, p->uid, p->uid))
		fail(p, "becoming its user");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail(p, "no_new_privs");
	/* after the user changed, which clears it */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM))
		fail(p, "parent-death signal");
	if (getppid() != p->parent)
		_exit(125); /* the daemon died before the line above */
}

/* The daemon's own limit is higher than what select(2) in a ULSP can take. */
static void limit_files(void)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur > MAX_FDS) {
		files.rlim_cur = MAX_FDS;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static const char joining[] = "joining its cgroup";

__attribute__((noreturn)) static void child(const struct spawn *s, struct plan *p)
{
	sigset_t none;

	/* while it has all privileges and has started nothing */
	if (s->cgroup_procs >= 0 && write(s->cgroup_procs, "0", 1) != 1)
		fail(p, joining);
	sigemptyset(&none);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	umask(022);
	limit_files();
	place_fds(s, p);
	if (chdir("/"))
		fail(p, "chdir");
	drop_privileges(p);
	execve(p->exe, s->argv, p->env);
	fail(p, "exec");
}

/* ---- */

pid_t spawn(const struct spawn *s, int *ret_stderr, struct err *e)
{
	scoped(scope_free) struct plan *p = calloc(1, sizeof(*p));
	scoped(scope_close) int out_read = -1, out_write = -1, report_read = -1, report_write = -1;
	struct failure f;
	int pipe_fds[2], r;
	ssize_t n;
	pid_t pid;

	if (!p)
		return -ENOMEM;
	r = find_program(s->argv[0], p->exe, e);
	if (!r)
		r = find_user(s->user, p, e);
	if (!r && s->dir && lchown(s->dir, p->uid, p->gid))
		r = err_set(e, -errno, "can't give %s to user %s: %m", s->dir, s->user);
	if (r)
		return r;
	make_env(s, p);
	p->parent = getpid();
	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_set(e, -errno, "pipe: %m");
	report_read = pipe_fds[0];
	report_write = pipe_fds[1];
	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_set(e, -errno, "pipe: %m");
	out_read = pipe_fds[0];
	out_write = pipe_fds[1];
	fcntl(out_read, F_SETFL, O_NONBLOCK);
	p->report = report_write;
	p->stderr_fd = out_write;
	pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "fork: %m");
	if (!pid)
		child(s, p);
	close(report_write);
	report_write = -1;
	do
		n = read(report_read, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(f)) {
		waitpid(pid, NULL, 0);
		return err_set(e, strcmp(f.stage, joining) ? -f.error : -EXDEV,
			       "%s: %.*s as user %s: %s", p->exe, (int)sizeof(f.stage), f.stage,
			       s->user, strerror(f.error));
	}
	*ret_stderr = TAKE_FD(out_read);
	return pid;
}
