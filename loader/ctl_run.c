// SPDX-License-Identifier: GPL-2.0-only
/*
 * ulspctl run: a program as a member of a group.
 *
 * The program gets a cgroup of its own below the group's, moves itself there
 * and is executed with the caller's user, environment, directory and terminal.
 * When it ends, what is left in its cgroup is killed and the cgroup removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroups.h"
#include "cleanup.h"
#include "compiled.h"
#include "ctl.h"
#include "private.h"
#include "words.h"

enum { REMOVE_MS = 5000, CANNOT_EXECUTE = 126, NOT_FOUND = 127 };

static const struct option options[] = {
	{"policy", required_argument, NULL, 'p'},
	{"group", required_argument, NULL, 'g'},
	{"verbose", no_argument, NULL, 'v'},
	{0},
};

/* What ends or interrupts us is passed on to the program. */
static const int passed_on[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

static void block(sigset_t *ret_before)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(*passed_on); i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, ret_before);
}

/* ---- which instance ---- */

/* A group and the ULSPs that it names, as text without places. */
static char *text_of(const struct pol_policy *p, const struct pol_group *g)
{
	struct pol_policy alone = *p;
	struct pol_group group = *g;
	struct pol_ulsp *ulsps = calloc(p->nulsps + 1, sizeof(*ulsps));
	char *text = NULL;

	if (!ulsps)
		return NULL;
	alone.ulsps = ulsps;
	alone.nulsps = 0;
	for (size_t i = 0; i < p->nulsps; i++) {
		if (!p->ulsps[i].asked)
			ulsps[alone.nulsps++] = p->ulsps[i];
		for (size_t j = 0; j < g->nrules && p->ulsps[i].asked; j++) {
			if (g->rules[j].ulsp && !strcmp(g->rules[j].ulsp, p->ulsps[i].name)) {
				ulsps[alone.nulsps++] = p->ulsps[i];
				break;
			}
		}
	}
	alone.groups = &group;
	alone.ngroups = 1;
	if (pol_print(&alone, 0, &text))
		text = NULL;
	free(ulsps);
	return text;
}

/* Whether the daemon enforces this very group. */
static bool daemon_has(const char *instance, const struct pol_policy *p, const struct pol_group *g)
{
	struct compiled_source source = {.name = "<running>"};
	scoped(ctl_put) struct json_object *answer = NULL;
	scoped(compiled_free) struct compiled *running = NULL;
	const struct pol_group *theirs;
	scoped(scope_free) char *ours_text = NULL, *their_text = NULL;

	if (ctl_ask(instance, ctl_request(CONTROL_POLICY), NULL, 0, &answer, NULL))
		return false;
	source.text = ctl_get_string(answer, "text");
	source.text_bytes = strlen(source.text);
	compiled_parse(&source, &running);
	if (!running || !running->policy)
		return false;
	theirs = pol_find_group(running->policy, g->name);
	if (!theirs)
		return false;
	/* audit that was set by hand would enforce nothing */
	if (strcmp(ctl_get_string(ctl_get(answer, "modes"), g->name), mode_word(g->mode)))
		return false;
	ours_text = text_of(p, g);
	their_text = text_of(running->policy, theirs);
	return ours_text && their_text && !strcmp(ours_text, their_text);
}

/* The policy's group: the named one, or the only one. */
static int choose_group(struct ctl *c, const struct compiled *compiled, const char *policy,
			const char **name, const struct pol_group **ret)
{
	if (!*name && compiled->policy->ngroups != 1)
		return ctl_usage(c, "%s has %zu groups: say which with --group", policy,
				 compiled->policy->ngroups);
	if (!*name)
		*name = compiled->policy->groups[0].name;
	*ret = pol_find_group(compiled->policy, *name);
	return *ret ? CTL_OK : ctl_fail(c, "%s has no group \"%s\"", policy, *name);
}

/* ---- the program's cgroup ---- */

static int make_cgroup(struct ctl *c, const char *instance, const char *group,
		       struct cgroup_root *root, char path[PATH_MAX])
{
	struct json_object *request = ctl_request(CONTROL_GROUP_RUN);
	scoped(ctl_put) struct json_object *answer = NULL;
	struct err e = {0};
	struct ctl as = *c;
	int r;

	as.instance = instance;
	ctl_add(request, "group", group);
	r = ctl_call(&as, request, &answer);
	if (r != CTL_OK)
		return r;
	if (cgroup_root_open(ctl_get_string(answer, "root"), root, &e))
		return ctl_fail(c, "%s", e.text);
	for (int n = 0;; n++) {
		snprintf(path, PATH_MAX, "%s/%d.%d", ctl_get_string(answer, "cgroup"), getpid(), n);
		if (!mkdirat(root->fd, path, 0755))
			return CTL_OK;
		if (errno != EEXIST || n > 100)
			return ctl_fail(c, "cgroup /%s: %s", path, strerror(errno));
	}
}

/* ---- the program ---- */

__attribute__((noreturn)) static void become(char **argv, int procs_fd, const sigset_t *mask)
{
	if (write(procs_fd, "0", 1) != 1) {
		fprintf(stderr, "ulspctl: joining the group's cgroup: %m\n");
		_exit(CTL_FAILED);
	}
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	fprintf(stderr, "ulspctl: %s: %m\n", argv[0]);
	_exit(errno == ENOENT ? NOT_FOUND : CANNOT_EXECUTE);
}

/* Until the program ends; returns its status as a shell has it. */
static int attend(pid_t pid, struct private_instance *private)
{
	sigset_t set;
	siginfo_t si;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(*passed_on); i++)
		sigaddset(&set, passed_on[i]);
	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (private->pid > 0 && waitpid(private->pid, NULL, WNOHANG) == private->pid) {
			private->pid = 0;
			fprintf(stderr, "ulspctl: the private ulspd has ended\n");
		}
		if (sigwaitinfo(&set, &si) < 0 || si.si_signo == SIGCHLD)
			continue;
		/* the terminal has sent it to the program as well */
		if (si.si_code != SI_KERNEL)
			kill(pid, si.si_signo);
	}
}

static int run_in(struct ctl *c, const char *instance, const char *group, char **argv,
		  struct private_instance *private, const sigset_t *mask)
{
	struct cgroup_root root = {.fd = -1};
	scoped(scope_close) int dir = -1, procs = -1;
	char path[PATH_MAX];
	int r = make_cgroup(c, instance, group, &root, path);
	pid_t pid;

	if (r != CTL_OK)
		goto out;
	dir = cgroup_open(&root, path);
	procs = dir < 0 ? -1 : openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	pid = procs < 0 ? -1 : fork();
	if (!pid)
		become(argv, procs, mask);
	r = pid < 0 ? ctl_fail(c, "starting %s: %s", argv[0], strerror(errno))
		    : attend(pid, private);
	if (cgroup_remove(&root, path, REMOVE_MS))
		fprintf(stderr, "ulspctl: cgroup /%s could not be removed: %m\n", path);
out:
	cgroup_root_close(&root);
	return r;
}

static int run_private(struct ctl *c, const char *policy, bool verbose, const char *group,
		       char **argv, const sigset_t *mask)
{
	struct private_instance private = {0};
	struct err e = {0};
	int ended_by = 0, r;

	if (geteuid())
		return ctl_fail(c, "a private instance needs root: use sudo");
	r = private_start(&private, policy, verbose, &ended_by, &e);
	if (ended_by)
		return 128 + ended_by;
	if (r)
		return ctl_fail(c, "%s", e.text);
	r = run_in(c, private.name, group, argv, &private, mask);
	private_end(&private);
	return r;
}

int cmd_run(struct ctl *c, int argc, char **argv)
{
	scoped(compiled_free) struct compiled *compiled = NULL;
	struct private_instance none = {0};
	const struct pol_group *g = NULL;
	const char *group = NULL;
	char *policy = NULL;
	bool verbose = false;
	sigset_t mask;
	int got, r;

	while ((got = ctl_getopt(c, argc, argv, "+p:g:v", options)) != -1) {
		if (got == 'p')
			policy = optarg;
		else if (got == 'g')
			group = optarg;
		else
			verbose = true;
	}
	if (optind == argc)
		return ctl_usage(c, "give a program after --");
	if (!policy && !group)
		return ctl_usage(c, "give --group, --policy, or both");
	if (policy) {
		r = ctl_compile(c, &policy, 1, &compiled);
		if (r == CTL_OK)
			r = choose_group(c, compiled, policy, &group, &g);
		if (r != CTL_OK)
			return r;
	}
	block(&mask);
	fflush(NULL);
	if (!policy || daemon_has(c->instance, compiled->policy, g))
		return run_in(c, c->instance, group, argv + optind, &none, &mask);
	return run_private(c, policy, verbose, group, argv + optind, &mask);
}
