// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl version, shutdown: the daemon itself. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cgroups.h"
#include "cleanup.h"
#include "ctl.h"
#include "pins.h"
#include "probe.h"

int cmd_version(struct ctl *c, int argc, char **argv)
{
	scoped(ctl_put) struct json_object *answer = NULL, *o = NULL;
	struct err e = {0};
	int r;

	r = ctl_arguments(c, argc, argv, 0, "takes no argument");
	if (r != CTL_OK)
		return r;
	r = ctl_ask(c->instance, ctl_request(CONTROL_VERSION_GET), NULL, 0, &answer, &e);
	/* none that runs, or none that this user may ask, is an answer too */
	if (r && r != -ENOTCONN && r != -EACCES && r != -EPERM)
		return ctl_fail(c, "%s", e.text);
	r = answer ? ctl_check_answer(c, answer) : CTL_OK;
	if (r != CTL_OK)
		return r;
	if (!c->json) {
		printf("ulspctl %s (protocol %d, ABI %d)\n", ULSP_VERSION, CONTROL_VERSION,
		       ULSP_ABI);
		if (answer)
			printf("ulspd %s (protocol %lld, ABI %lld), pid %lld, instance %s\n",
			       ctl_get_string(answer, "version"), ctl_get_int(answer, "protocol"),
			       ctl_get_int(answer, "abi"), ctl_get_int(answer, "pid"), c->instance);
		else
			printf("ulspd: %s\n", e.text);
		return CTL_OK;
	}
	o = json_object_new_object();
	json_object_object_add(o, "ok", json_object_new_boolean(true));
	ctl_add(o, "version", ULSP_VERSION);
	json_object_object_add(o, "protocol", json_object_new_int(CONTROL_VERSION));
	json_object_object_add(o, "abi", json_object_new_int(ULSP_ABI));
	json_object_object_add(o, "ulspd", json_object_get(answer));
	ctl_print_json(o);
	return CTL_OK;
}

/* Empty ones; what runs goes on without a policy, as the pins are gone. */
static void remove_cgroups(const char *instance)
{
	const char *below = getenv("ULSP_CGROUP_ROOT");
	struct cgroup_root root = {.fd = -1};
	char path[PATH_MAX], ulsps[PATH_MAX];

	if (cgroup_root_open(below && *below ? below : NULL, &root, NULL))
		return;
	snprintf(path, sizeof(path), "ulsp/%s", instance);
	snprintf(ulsps, sizeof(ulsps), "ulsp/%s/ulsp.d", instance);
	/* ULSPs of a daemon that was killed may be at their end still. */
	for (int tries = 0; tries < 20; tries++) {
		cgroup_prune(&root, path);
		if (faccessat(root.fd, ulsps, F_OK, 0))
			break;
		usleep(100000);
	}
	unlinkat(root.fd, "ulsp", AT_REMOVEDIR); /* of the last instance */
	cgroup_root_close(&root);
}

/* Unless a daemon has just started: then the lock is its own. */
static void remove_run_dir(const char *instance)
{
	char path[PATH_MAX];
	scoped(scope_close) int lock = -1;

	if (instance_run_dir(instance, path, sizeof(path) - sizeof("/lock")))
		return;
	strcat(path, "/lock");
	lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (lock >= 0 && !flock(lock, LOCK_EX | LOCK_NB))
		instance_remove_run_dir(instance);
}

/* Without a daemon the pins are still in force: take them down here. */
static int shutdown_pins(struct ctl *c)
{
	scoped(scope_free) char *escaped = pin_escape(c->instance), *path = NULL;
	char bpffs[PATH_MAX];
	struct err e = {0};

	if (geteuid())
		return ctl_fail(c,
				"no ulspd runs for instance %s, and its pins need root: use sudo",
				c->instance);
	if (!escaped || probe_bpffs(bpffs, sizeof(bpffs)) ||
	    !(path = pin_path("%s/ulsp/%s", bpffs, escaped)) || access(path, F_OK))
		return ctl_fail(c, "no ulspd runs for instance %s and nothing is pinned",
				c->instance);
	if (instance_destroy(c->instance, &e))
		return ctl_fail(c, "%s", e.text);
	remove_cgroups(c->instance);
	remove_run_dir(c->instance);
	if (c->json)
		puts("{\"ok\":true,\"daemon\":false}");
	else
		puts("no ulspd ran; detached and unpinned");
	return CTL_OK;
}

int cmd_shutdown(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {{"keep", no_argument, NULL, 'k'}, {0}};
	struct json_object *request;
	scoped(ctl_put) struct json_object *answer = NULL;
	scoped(scope_close) int fd = -1;
	bool keep = false;
	int got, r;

	while ((got = ctl_getopt(c, argc, argv, "k", options)) != -1)
		keep = true;
	if (optind != argc)
		return ctl_usage(c, "takes no argument");
	if (!keep && ctl_connect(c->instance, &fd, NULL) == -ENOTCONN)
		return shutdown_pins(c);
	request = ctl_request(CONTROL_SHUTDOWN);
	json_object_object_add(request, "keep", json_object_new_boolean(keep));
	r = ctl_call_text(c, request, &answer);
	if (r == CTL_OK && answer)
		puts(keep ? "ulspd ends; the policy stays enforced"
			  : "detached, unpinned; ulspd ends");
	return r;
}
