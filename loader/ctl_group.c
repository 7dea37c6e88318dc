// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl group: list, show, attach, detach, mode. */
#include <string.h>

#include "cleanup.h"
#include "ctl.h"
#include "diag_json.h"

static int group_list(struct ctl *c, int argc, char **argv)
{
	static const char *const titles[] = {"GROUP",	 "MODE",    "RULES>", "CGROUPS>",
					     "ALLOWED>", "DENIED>", "POLICY"};
	scoped(ctl_put) struct json_object *answer = NULL;
	struct json_object *groups;
	struct pol_diags diags;
	struct ctl_table t;
	int r;

	r = ctl_arguments(c, argc, argv, 0, "takes no argument");
	if (r != CTL_OK)
		return r;
	r = ctl_call_text(c, ctl_request(CONTROL_GROUP_LIST), &answer);
	if (r != CTL_OK || !answer)
		return r;
	groups = ctl_get(answer, "groups");
	ctl_table_init(&t, titles, sizeof(titles) / sizeof(*titles));
	for (size_t i = 0; i < json_object_array_length(groups); i++) {
		struct json_object *g = json_object_array_get_idx(groups, i);

		ctl_cell(&t, CTL_BOLD, ctl_get_string(g, "name"));
		ctl_cell(&t, CTL_PLAIN, ctl_get_string(g, "mode"));
		ctl_cell_int(&t, ctl_get_int(g, "rules"));
		ctl_cell_int(&t, ctl_get_int(g, "cgroups"));
		ctl_cell_int(&t, ctl_get_int(g, "allowed"));
		ctl_cell_int(&t, ctl_get_int(g, "denied"));
		ctl_cell(&t, CTL_PLAIN, ctl_get_string(g, "place"));
	}
	ctl_table_print(c, &t);
	diags_from_json(ctl_get(answer, "diagnostics"), &diags);
	pol_diags_print(&diags, stdout, c->colour);
	pol_diags_fini(&diags);
	return CTL_OK;
}

/* A cgroup as a policy names it, the root itself as "/". */
static const char *path_of(struct json_object *o, const char *key)
{
	const char *path = ctl_get_string(o, key);

	return *path ? path : "/";
}

static int group_show(struct ctl *c, int argc, char **argv)
{
	struct json_object *request, *cgroups;
	scoped(ctl_put) struct json_object *answer = NULL;
	int r;

	r = ctl_arguments(c, argc, argv, 1, "give one GROUP");
	if (r != CTL_OK)
		return r;
	request = ctl_request(CONTROL_GROUP_SHOW);
	ctl_add(request, "group", argv[optind]);
	r = ctl_call_text(c, request, &answer);
	if (r != CTL_OK || !answer)
		return r;
	cgroups = ctl_get(answer, "cgroups");
	printf("# group %s, generation %lld\n", argv[optind], ctl_get_int(answer, "generation"));
	for (size_t i = 0; i < json_object_array_length(cgroups); i++) {
		struct json_object *g = json_object_array_get_idx(cgroups, i);

		printf("# attached to %s (%s)\n", path_of(g, "path"), ctl_get_string(g, "kind"));
	}
	fputs(ctl_get_string(answer, "text"), stdout);
	return CTL_OK;
}

static void print_sockets(struct json_object *sockets)
{
	long long outside = ctl_get_int(sockets, "outside");
	long long closed = ctl_get_int(sockets, "closed");

	if (*ctl_get_string(sockets, "error"))
		printf("sockets opened before: unknown (%s)\n", ctl_get_string(sockets, "error"));
	else if (outside && closed == outside)
		printf("sockets opened before: %lld, all closed\n", outside);
	else if (outside)
		printf("sockets opened before: %lld, %lld closed; the rest stay outside the "
		       "group\n",
		       outside, closed);
}

/* As "/", "" and "./": the daemon refuses these and what else comes to the same. */
static bool is_root(const char *cgroup)
{
	return cgroup[strspn(cgroup, "./")] == 0 && !strstr(cgroup, "..");
}

/* Of a command that takes a group and one thing more. */
static struct json_object *request_for(enum control_verb verb, char **argv, const char *key)
{
	struct json_object *request = ctl_request(verb);

	ctl_add(request, "group", argv[optind]);
	ctl_add(request, key, argv[optind + 1]);
	return request;
}

static int group_attach(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {{"existing", required_argument, NULL, 'e'}, {0}};
	const char *existing = NULL;
	long long processes;
	struct json_object *request;
	scoped(ctl_put) struct json_object *answer = NULL;
	int got, r;

	while ((got = ctl_getopt(c, argc, argv, "e:", options)) != -1)
		existing = optarg;
	if (existing && strcmp(existing, "keep") && strcmp(existing, "close"))
		return ctl_usage(c, "--existing is keep or close");
	if (argc - optind != 2)
		return ctl_usage(c, "give GROUP and CGROUP");
	if (is_root(argv[optind + 1]))
		return ctl_fail(c, "the root cgroup can't be a member: name a cgroup below it");
	request = request_for(CONTROL_GROUP_ATTACH, argv, "cgroup");
	ctl_add(request, "existing", existing);
	r = ctl_call_text(c, request, &answer);
	if (r != CTL_OK || !answer)
		return r;
	processes = ctl_get_int(answer, "processes");
	printf("attached %s to %s, %lld process%s\n", argv[optind], path_of(answer, "cgroup"),
	       processes, processes == 1 ? "" : "es");
	print_sockets(ctl_get(answer, "sockets"));
	return CTL_OK;
}

static int group_detach(struct ctl *c, int argc, char **argv)
{
	scoped(ctl_put) struct json_object *answer = NULL;
	int r;

	r = ctl_arguments(c, argc, argv, 2, "give GROUP and CGROUP");
	if (r != CTL_OK)
		return r;
	r = ctl_call_text(c, request_for(CONTROL_GROUP_DETACH, argv, "cgroup"), &answer);
	if (r == CTL_OK && answer)
		printf("detached %s from %s%s\n", argv[optind], path_of(answer, "cgroup"),
		       json_object_get_boolean(ctl_get(answer, "member"))
			       ? ": a member by policy, the next load attaches it again"
			       : "");
	return r;
}

static int group_mode(struct ctl *c, int argc, char **argv)
{
	scoped(ctl_put) struct json_object *answer = NULL;
	int r;

	r = ctl_arguments(c, argc, argv, 2, "give GROUP and audit or enforce");
	if (r != CTL_OK)
		return r;
	if (strcmp(argv[optind + 1], "audit") && strcmp(argv[optind + 1], "enforce"))
		return ctl_usage(c, "the mode is audit or enforce");
	r = ctl_call_text(c, request_for(CONTROL_GROUP_MODE, argv, "mode"), &answer);
	if (r == CTL_OK && answer)
		printf("%s: %s (was %s)\n", argv[optind], argv[optind + 1],
		       ctl_get_string(answer, "was"));
	return r;
}

static const struct command commands[] = {
	{"group list", "", "Groups of the loaded policy", NULL, group_list},
	{"group show", "GROUP", "The group's policy, as text that loads again",
	 "Sets and includes are expanded in place; `mode` is the one in force.\n", group_show},
	{"group attach", "GROUP CGROUP", "Put the group's policy on a cgroup, and all below it",
	 "  -e, --existing keep|close  sockets that its processes opened elsewhere before:\n"
	 "                       keep (default) leaves them outside the group, close ends them\n"
	 "\nCGROUP is relative to the cgroup2 mount, or an absolute path below it.\n"
	 "It stays attached until it is detached or goes.\n",
	 group_attach},
	{"group detach", "GROUP CGROUP", "Take the group's policy off a cgroup", NULL,
	 group_detach},
	{"group mode", "GROUP audit|enforce", "Enforce verdicts, or only record them",
	 "In force until it is changed again or a policy is loaded.\n", group_mode},
};

int cmd_group(struct ctl *c, int argc, char **argv)
{
	return ctl_dispatch(c, commands, sizeof(commands) / sizeof(*commands), argc, argv);
}
