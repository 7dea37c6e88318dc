// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl ulsp: list, show, restart. */
#include <string.h>

#include "cleanup.h"
#include "ctl.h"

static enum ctl_style state_style(const char *state)
{
	return !strcmp(state, "running")    ? CTL_GOOD
	       : !strcmp(state, "starting") ? CTL_BOLD
					    : CTL_BAD;
}

static int ulsp_list(struct ctl *c, int argc, char **argv)
{
	static const char *const titles[] = {"ULSP",	  "STATE", "PID>",	"USER",
					     "RESTARTS>", "SENT>", "RECEIVED>", "LOST>"};
	scoped(ctl_put) struct json_object *answer = NULL;
	struct json_object *list;
	struct ctl_table t;
	int r;

	r = ctl_arguments(c, argc, argv, 0, "takes no argument");
	if (r != CTL_OK)
		return r;
	r = ctl_call_text(c, ctl_request(CONTROL_ULSP_LIST), &answer);
	if (r != CTL_OK || !answer)
		return r;
	list = ctl_get(answer, "ulsps");
	ctl_table_init(&t, titles, sizeof(titles) / sizeof(*titles));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *u = json_object_array_get_idx(list, i);

		ctl_cell(&t, CTL_BOLD, ctl_get_string(u, "name"));
		ctl_cell(&t, state_style(ctl_get_string(u, "state")), ctl_get_string(u, "state"));
		if (ctl_get_int(u, "pid"))
			ctl_cell_int(&t, ctl_get_int(u, "pid"));
		else
			ctl_cell(&t, CTL_PLAIN, "-");
		ctl_cell(&t, CTL_PLAIN, ctl_get_string(u, "user"));
		ctl_cell_int(&t, ctl_get_int(u, "restarts"));
		ctl_cell_int(&t, ctl_get_int(u, "sent"));
		ctl_cell_int(&t, ctl_get_int(u, "received"));
		ctl_cell_int(&t, ctl_get_int(u, "lost"));
	}
	ctl_table_print(c, &t);
	return CTL_OK;
}

static void print_ulsp(const struct ctl *c, struct json_object *u)
{
	struct json_object *argv = ctl_get(u, "argv"), *parked = ctl_get(u, "parked");

	printf("ulsp      %s\nstate     ", ctl_get_string(u, "name"));
	ctl_style(c, state_style(ctl_get_string(u, "state")));
	printf("%s", ctl_get_string(u, "state"));
	ctl_style(c, CTL_PLAIN);
	if (*ctl_get_string(u, "why"))
		printf(" (%s)", ctl_get_string(u, "why"));
	printf("\nexec     ");
	for (size_t i = 0; i < json_object_array_length(argv); i++)
		printf(" %s", json_object_get_string(json_object_array_get_idx(argv, i)));
	printf("\nuser      %s\nrestart   %s, %lld so far, %lld killed\n",
	       ctl_get_string(u, "user"), ctl_get_string(u, "restart"), ctl_get_int(u, "restarts"),
	       ctl_get_int(u, "kills"));
	if (ctl_get_int(u, "pid"))
		printf("pid       %lld, for %lld s\n", ctl_get_int(u, "pid"),
		       ctl_get_int(u, "running_ms") / 1000);
	if (ctl_get(u, "heartbeat_ms"))
		printf("heartbeat %lld ms ago\n", ctl_get_int(u, "heartbeat_ms"));
	printf("rings     %lld of %lld bytes, number %lld%s\n", ctl_get_int(u, "rings"),
	       ctl_get_int(u, "ring_bytes"), ctl_get_int(u, "ring"),
	       json_object_get_boolean(ctl_get(u, "asked")) ? ", asked by rules"
							    : ", log messages");
	printf("messages  %lld sent, %lld received, %lld lost\n", ctl_get_int(u, "sent"),
	       ctl_get_int(u, "received"), ctl_get_int(u, "lost"));
	printf("verdicts  %lld, %lld late\n", ctl_get_int(u, "verdicts"), ctl_get_int(u, "late"));
	if (!json_object_get_boolean(ctl_get(u, "asked")))
		return;
	printf("spin      %lld us, %lld waits, %lld answered (%lld%% of the last)\n",
	       ctl_get_int(u, "spin_us"), ctl_get_int(u, "spun"), ctl_get_int(u, "spun_answered"),
	       ctl_get_int(u, "spun_success"));
	printf("slots     %lld in use\n", ctl_get_int(u, "slots"));
	printf("parked    %lld connections, %lld waiting, %lld released, %lld refused, %lld late, "
	       "%lld failed\n",
	       ctl_get_int(parked, "held"), ctl_get_int(parked, "waiting"),
	       ctl_get_int(parked, "released"), ctl_get_int(parked, "refused"),
	       ctl_get_int(parked, "late"), ctl_get_int(parked, "failed"));
}

static int ask_about(struct ctl *c, int argc, char **argv, enum control_verb verb,
		     struct json_object **ret)
{
	struct json_object *request;
	int r;

	r = ctl_arguments(c, argc, argv, 1, "give one ULSP");
	if (r != CTL_OK)
		return r;
	request = ctl_request(verb);
	ctl_add(request, "ulsp", argv[optind]);
	return ctl_call_text(c, request, ret);
}

static int ulsp_show(struct ctl *c, int argc, char **argv)
{
	scoped(ctl_put) struct json_object *answer = NULL;
	int r = ask_about(c, argc, argv, CONTROL_ULSP_SHOW, &answer);

	if (r == CTL_OK && answer)
		print_ulsp(c, ctl_get(answer, "ulsp"));
	return r;
}

static int ulsp_restart(struct ctl *c, int argc, char **argv)
{
	scoped(ctl_put) struct json_object *answer = NULL;
	int r = ask_about(c, argc, argv, CONTROL_ULSP_RESTART, &answer);

	if (r == CTL_OK && answer)
		printf("%s: restarting\n", argv[optind]);
	return r;
}

static const struct command commands[] = {
	{"ulsp list", "", "Every ULSP, its state and counters", NULL, ulsp_list},
	{"ulsp show", "ULSP", "One ULSP in detail", NULL, ulsp_show},
	{"ulsp restart", "ULSP", "End it and start it again",
	 "Messages meanwhile wait in its ring.  Also starts one that has ended or is backing "
	 "off.\n",
	 ulsp_restart},
};

int cmd_ulsp(struct ctl *c, int argc, char **argv)
{
	return ctl_dispatch(c, commands, sizeof(commands) / sizeof(*commands), argc, argv);
}
