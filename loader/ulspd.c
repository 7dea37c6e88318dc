// SPDX-License-Identifier: GPL-2.0-only
/* ulspd: loads and enforces a policy, serves the control socket, supervises ULSPs. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "cleanup.h"
#include "daemon.h"
#include "log.h"

enum { MAX_FDS = 65536 };
enum { EXIT_USAGE = 2, OPT_LOG_LEVEL = 256, OPT_CGROUP_ROOT, OPT_EPHEMERAL, OPT_VERSION };

static const struct option options[] = {
	{"instance", required_argument, NULL, 'i'},
	{"policy", required_argument, NULL, 'p'},
	{"foreground", no_argument, NULL, 'f'},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"cgroup-root", required_argument, NULL, OPT_CGROUP_ROOT},
	{"ephemeral", no_argument, NULL, OPT_EPHEMERAL},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{0},
};

struct settings {
	struct daemon_options daemon;
	bool foreground;
	int level;
};

static void help(void)
{
	puts("Usage: ulspd [OPTION]...\n\n"
	     "Enforce a policy on groups of processes and send their networking operations to\n"
	     "ULSPs.  What is enforced stays so when ulspd ends; `ulspctl shutdown` takes it "
	     "down.\n\n"
	     "  -i, --instance NAME     own pins, control socket and run directory\n"
	     "                          ($ULSP_INSTANCE, default system)\n"
	     "  -p, --policy FILE|DIR   load this; a directory stands for all *.ulsp in it; "
	     "without\n"
	     "                          it, what an earlier ulspd left pinned stays in force\n"
	     "  -f, --foreground        don't detach from the terminal; else the log goes to the\n"
	     "                          journal, or to the file log in the run directory\n"
	     "      --log-level LEVEL   error, warning, notice, info (default), debug\n"
	     "      --cgroup-root DIR   a cgroup2 directory to take for the root "
	     "($ULSP_CGROUP_ROOT)\n"
	     "      --ephemeral         take everything down at the end\n"
	     "  -h, --help              print this\n"
	     "      --version           print the version\n\n"
	     "SIGHUP loads --policy again; SIGTERM and SIGINT end ulspd.\n"
	     "Exit status: 0 ended as told, 1 failed, 2 usage.");
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct settings *s)
{
	int got;

	while ((got = getopt_long(argc, argv, "i:p:fh", options, NULL)) != -1) {
		switch (got) {
		case 'i':
			s->daemon.instance = optarg;
			break;
		case 'p':
			s->daemon.policy = optarg;
			break;
		case 'f':
			s->foreground = true;
			break;
		case OPT_LOG_LEVEL:
			if (log_parse_level(optarg, &s->level)) {
				fprintf(stderr, "ulspd: no log level \"%s\"\n", optarg);
				return EXIT_USAGE;
			}
			break;
		case OPT_CGROUP_ROOT:
			s->daemon.cgroup_root = optarg;
			break;
		case OPT_EPHEMERAL:
			s->daemon.ephemeral = true;
			break;
		case 'h':
			help();
			return EXIT_SUCCESS;
		case OPT_VERSION:
			printf("ulspd %s\n", ULSP_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs("Try 'ulspd --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "ulspd: unexpected argument \"%s\"\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (!control_instance_ok(s->daemon.instance)) {
		fprintf(stderr, "ulspd: \"%s\" is no instance name\n", s->daemon.instance);
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- signals ---- */

static int on_end(sd_event_source *source, const struct signalfd_siginfo *si, void *ctx)
{
	(void)ctx;
	log_notice("%s: ending", strsignal((int)si->ssi_signo));
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_hup(sd_event_source *source, const struct signalfd_siginfo *si, void *ctx)
{
	(void)source;
	(void)si;
	daemon_reload(ctx);
	return 0;
}

static int block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	return sigprocmask(SIG_BLOCK, &set, NULL) ? -errno : 0;
}

/* ---- into the background: the parent waits until the daemon is ready ---- */

static int detach(int *ret_ready_fd)
{
	scoped(scope_close) int null = -1;
	int fds[2];
	char ok = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid) {
		close(fds[1]);
		_exit(read(fds[0], &ok, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(fds[0]);
	setsid();
	/* ULSPs have our standard output, and start before we are ready. */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDOUT_FILENO);
	*ret_ready_fd = fds[1];
	return 0;
}

/* Where the log goes without a terminal and without a journal. */
static int open_log_file(const char *instance)
{
	char dir[PATH_MAX], path[PATH_MAX + 8];

	if (instance_run_dir(instance, dir, sizeof(dir)))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* Away from the terminal and from whoever waits for our output. */
static void leave_output(const char *instance)
{
	scoped(scope_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	scoped(scope_close) int file = -1;

	if (null < 0)
		return;
	if (log_to_journal())
		file = open_log_file(instance);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(file >= 0 ? file : null, STDERR_FILENO);
}

static void say_ready(struct daemon *d, int *ready_fd)
{
	sd_notifyf(0, "READY=1\nSTATUS=Enforcing generation %u, %zu groups", d->now->generation,
		   d->now->n);
	if (*ready_fd < 0)
		return;
	if (chdir("/") || write(*ready_fd, "1", 1) < 0)
		log_warning("the starting process is gone");
	close(*ready_fd);
	*ready_fd = -1;
	leave_output(d->options.instance);
}

static void put_event(sd_event **event)
{
	sd_event_unref(*event);
}

static int serve(const struct settings *s, int *ready_fd)
{
	scoped(put_event) sd_event *event = NULL;
	struct daemon *d = NULL;
	struct err e = {0};
	int r = sd_event_default(&event);

	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGTERM, on_end, NULL);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGINT, on_end, NULL);
	if (r >= 0)
		r = sd_event_set_watchdog(event, true);
	if (r < 0) {
		log_error("event loop: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (daemon_open(&s->daemon, event, &d, &e)) {
		log_error("%s", e.text);
		return EXIT_FAILURE;
	}
	r = sd_event_add_signal(event, NULL, SIGHUP, on_hup, d);
	if (r >= 0) {
		say_ready(d, ready_fd);
		r = sd_event_loop(event);
	}
	sd_notify(0, "STOPPING=1");
	daemon_close(&d);
	if (r < 0)
		log_error("event loop: %s", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The background changes the directory, and SIGHUP comes later. */
static int make_absolute(const char **path)
{
	static char absolute[2 * PATH_MAX];
	char cwd[PATH_MAX];

	if (!*path || **path == '/')
		return 0;
	if (!getcwd(cwd, sizeof(cwd)))
		return -errno;
	while (!strncmp(*path, "./", 2))
		*path += 2;
	snprintf(absolute, sizeof(absolute), "%s/%s", cwd, *path);
	*path = absolute;
	return 0;
}

static void raise_limits(void)
{
	const struct rlimit memory = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit files;

	/* maps were charged to it before 5.11 */
	setrlimit(RLIMIT_MEMLOCK, &memory);
	/* some 20 programs and maps a group, twice while one policy replaces another */
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < MAX_FDS) {
		files.rlim_cur = MAX_FDS;
		if (files.rlim_max < MAX_FDS)
			files.rlim_max = MAX_FDS;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	struct settings s = {
		.daemon = {.instance = getenv("ULSP_INSTANCE"),
			   .cgroup_root = getenv("ULSP_CGROUP_ROOT")},
		.level = LOG_INFO,
	};
	int ready_fd = -1, r;

	if (!s.daemon.instance || !*s.daemon.instance)
		s.daemon.instance = "system";
	r = parse_options(argc, argv, &s);

	if (r >= 0)
		return r;
	log_open(s.daemon.instance, s.level);
	if (s.daemon.cgroup_root && !*s.daemon.cgroup_root)
		s.daemon.cgroup_root = NULL;
	if (geteuid()) {
		log_error("ulspd needs root: BPF programs are loaded and attached");
		return EXIT_FAILURE;
	}
	raise_limits();
	r = block_signals();
	if (!r)
		r = make_absolute(&s.daemon.policy);
	if (!r && !s.foreground)
		r = detach(&ready_fd);
	if (r) {
		log_error("starting: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	return serve(&s, &ready_fd);
}
