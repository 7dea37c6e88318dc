// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl load: the daemon reads the files; stdin is sent along. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "ctl.h"
#include "diag_json.h"

/* Absolute, with what the user wrote at its end: messages will name it. */
static int absolute(const char *path, char *buf, size_t bytes)
{
	char cwd[PATH_MAX];
	int n;

	while (!strncmp(path, "./", 2))
		path += 2;
	if (*path == '/')
		n = snprintf(buf, bytes, "%s", path);
	else if (getcwd(cwd, sizeof(cwd)))
		n = snprintf(buf, bytes, "%s/%s", strcmp(cwd, "/") ? cwd : "", path);
	else
		return -errno;
	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}

static int print_loaded(struct ctl *c, struct json_object *answer)
{
	long long groups = ctl_get_int(answer, "groups"), rules = ctl_get_int(answer, "rules");
	struct pol_diags diags;

	if (c->json) {
		ctl_print_json(answer);
		return CTL_OK;
	}
	diags_from_json(ctl_get(answer, "diagnostics"), &diags);
	ctl_print_diags(c, &diags);
	pol_diags_fini(&diags);
	printf("loaded: generation %lld, %lld group%s, %lld rule%s, %.1f ms\n",
	       ctl_get_int(answer, "generation"), groups, groups == 1 ? "" : "s", rules,
	       rules == 1 ? "" : "s", (double)ctl_get_int(answer, "time_us") / 1000);
	return CTL_OK;
}

int cmd_load(struct ctl *c, int argc, char **argv)
{
	struct json_object *request, *paths;
	scoped(ctl_put) struct json_object *answer = NULL;
	scoped(scope_free) char *text = NULL;
	char path[PATH_MAX];
	size_t bytes = 0;
	struct err e = {0};
	int r = 0;

	if (ctl_getopt(c, argc, argv, "", NULL) != -1)
		return CTL_USAGE;
	if (optind == argc)
		return ctl_usage(c, "name a policy file");
	request = ctl_request(CONTROL_LOAD);
	if (argc - optind == 1 && !strcmp(argv[optind], "-")) {
		r = ctl_read_stdin(&text, &bytes);
		if (!r)
			r = absolute("<stdin>", path, sizeof(path));
		ctl_add(request, "name", r ? "" : path);
		json_object_object_add(request, "text_bytes",
				       json_object_new_int64((int64_t)bytes));
	} else {
		paths = json_object_new_array();
		json_object_object_add(request, "paths", paths);
		for (int i = optind; i < argc && !r; i++) {
			r = absolute(argv[i], path, sizeof(path));
			json_object_array_add(paths, json_object_new_string(r ? "" : path));
		}
	}
	if (r) {
		json_object_put(request);
		return ctl_fail(c, "%s: %s", text ? "stdin" : "load", strerror(-r));
	}
	r = ctl_ask(c->instance, request, text, bytes, &answer, &e);
	if (r)
		return ctl_fail(c, "%s", e.text);
	r = ctl_check_answer(c, answer);
	return r == CTL_OK ? print_loaded(c, answer) : r;
}
