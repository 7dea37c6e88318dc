// SPDX-License-Identifier: GPL-2.0-only
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

enum { READY_MS = 60000, END_MS = 15000 };

/* Beside us, in the sbin of our prefix, or in PATH. */
static void find_ulspd(char buf[PATH_MAX])
{
	static const char *const places[] = {"/ulspd", "/../sbin/ulspd"};
	char own[PATH_MAX - 32];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	for (size_t i = 0; n > 0 && i < 2; i++) {
		own[n] = 0;
		*strrchr(own, '/') = 0;
		snprintf(buf, PATH_MAX, "%s%s", own, places[i]);
		if (!access(buf, X_OK))
			return;
	}
	strcpy(buf, "ulspd");
}

/* A datagram socket for sd_notify(3), named by the kernel. */
static int notify_socket(char *name, size_t bytes)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(un);
	scoped(scope_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)) ||
	    getsockname(fd, (struct sockaddr *)&un, &len))
		return -errno;
	snprintf(name, bytes, "@%.*s", (int)(len - sizeof(sa_family_t) - 1), un.sun_path + 1);
	return TAKE_FD(fd);
}

__attribute__((noreturn)) static void child(const struct private_instance *p, const char *policy,
					    bool verbose, const char *notify, pid_t parent)
{
	char exe[PATH_MAX];
	char *argv[] = {"ulspd",
			"--instance",
			(char *)p->name,
			"--policy",
			(char *)policy,
			"--ephemeral",
			"--foreground",
			"--log-level",
			verbose ? "info" : "warning",
			NULL};
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid(); /* the terminal's ^C is for the program, the end comes from us */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	if (null >= 0)
		dup2(null, 0);
	dup2(2, 1); /* stdout is the program's */
	setenv("NOTIFY_SOCKET", notify, 1);
	unsetenv("JOURNAL_STREAM");
	find_ulspd(exe);
	execvp(exe, argv);
	fprintf(stderr, "ulspctl: %s: %m\n", exe);
	_exit(127);
}

/* READY=1, the end of ulspd, a signal, or too late. */
static int wait_ready(struct private_instance *p, int notify_fd, int signal_fd, int *ret_signal,
		      struct err *e)
{
	struct pollfd fds[] = {{.fd = notify_fd, .events = POLLIN},
			       {.fd = signal_fd, .events = POLLIN}};
	struct signalfd_siginfo si;
	char text[1024];
	ssize_t n;

	for (;;) {
		if (poll(fds, 2, READY_MS) == 0)
			return err_set(e, -ETIMEDOUT, "ulspd is not ready after %d s",
				       READY_MS / 1000);
		if (fds[0].revents) {
			n = recv(notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT);
			text[n > 0 ? n : 0] = 0;
			if (strstr(text, "READY=1"))
				return 0;
		}
		if (!fds[1].revents || read(signal_fd, &si, sizeof(si)) != sizeof(si))
			continue;
		if (si.ssi_signo != SIGCHLD) {
			*ret_signal = (int)si.ssi_signo;
			return err_set(e, -EINTR, "interrupted");
		}
		if (waitpid(p->pid, NULL, WNOHANG) == p->pid) {
			p->pid = 0;
			return err_set(e, -ECHILD, "the private ulspd did not start");
		}
	}
}

int private_start(struct private_instance *p, const char *policy, bool verbose, int *ret_signal,
		  struct err *e)
{
	scoped(scope_close) int notify_fd = -1, signal_fd = -1;
	char notify[128];
	uint32_t random = 0;
	pid_t parent = getpid();
	sigset_t all;
	int r;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)time(NULL);
	snprintf(p->name, sizeof(p->name), "run-%d-%08x", parent, random);
	notify_fd = notify_socket(notify, sizeof(notify));
	sigprocmask(SIG_BLOCK, NULL, &all); /* the caller's: what it waits for */
	signal_fd = signalfd(-1, &all, SFD_CLOEXEC);
	if (notify_fd < 0 || signal_fd < 0)
		return err_set(e, -errno, "starting ulspd: %m");
	p->pid = fork();
	if (p->pid < 0)
		return err_set(e, -errno, "fork: %m");
	if (!p->pid)
		child(p, policy, verbose, notify, parent);
	r = wait_ready(p, notify_fd, signal_fd, ret_signal, e);
	if (r)
		private_end(p);
	return r;
}

void private_end(struct private_instance *p)
{
	static const char *const files[] = {"control", "lock"};
	char dir[PATH_MAX - 16], path[PATH_MAX];
	bool killed = false;

	if (!*p->name)
		return;
	if (p->pid > 0)
		kill(p->pid, SIGTERM);
	for (int waited = 0; p->pid > 0; waited += 2) {
		if (waitpid(p->pid, NULL, WNOHANG) == p->pid)
			p->pid = 0;
		else if (waited >= END_MS && !killed)
			killed = !kill(p->pid, SIGKILL);
		else
			clock_nap_ms(2);
	}
	/* nothing is left of one that ended as told */
	if (!instance_run_dir(p->name, dir, sizeof(dir)) && !access(dir, F_OK)) {
		instance_destroy(p->name, NULL);
		for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
			snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
			unlink(path);
		}
		rmdir(dir);
	}
	*p->name = 0;
}
