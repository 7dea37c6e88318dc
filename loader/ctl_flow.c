// SPDX-License-Identifier: GPL-2.0-only
/*
 * ulspctl flow: list, flush.  The daemon answers a page at a time; what is asked
 * for is put together here.
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "ctl.h"

enum { LIST_MOST = 65536 }; /* as many as one ULSP's cache holds */

static void add_int(struct json_object *o, const char *key, long long value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

/* From `after` on; *after gets where to go on, -1 at the end. */
static int ask_page(struct ctl *c, enum control_verb verb, struct json_object *about,
		    long long *after, struct json_object **ret)
{
	struct json_object *request = ctl_request(verb);
	int r;

	json_object_object_foreach(about, key, value)
		json_object_object_add(request, key, json_object_get(value));
	add_int(request, "after", *after);
	r = ctl_call(c, request, ret);
	if (r == CTL_OK)
		*after = ctl_get(*ret, "next") ? ctl_get_int(*ret, "next") : -1;
	return r;
}

/* ---- list ---- */

/* At most `count` of them; *ret_generation is that of the last page. */
static int gather(struct ctl *c, struct json_object *about, long long count,
		  struct json_object *flows, long long *ret_generation, bool *ret_truncated)
{
	long long after = 0;

	*ret_truncated = false;
	while (after >= 0) {
		scoped(ctl_put) struct json_object *answer = NULL;
		struct json_object *page;
		int r = ask_page(c, CONTROL_FLOW_LIST, about, &after, &answer);

		if (r != CTL_OK)
			return r;
		*ret_generation = ctl_get_int(answer, "generation");
		page = ctl_get(answer, "flows");
		for (size_t i = 0; i < json_object_array_length(page); i++) {
			struct json_object *o = json_object_array_get_idx(page, i);

			if (json_object_array_length(flows) == (size_t)count) {
				*ret_truncated = true;
				return CTL_OK;
			}
			json_object_array_add(flows, json_object_get(o));
		}
	}
	return CTL_OK;
}

/* The largest two units, or milliseconds. */
static void left_text(long long ms, char *buf, size_t bytes)
{
	long long s = ms / 1000;

	if (ms < 1000)
		snprintf(buf, bytes, "%lldms", ms);
	else if (s < 60)
		snprintf(buf, bytes, "%llds", s);
	else if (s < 3600)
		snprintf(buf, bytes, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, bytes, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(buf, bytes, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

static const char *or_else(struct json_object *o, const char *key, const char *missing)
{
	return ctl_get(o, key) ? ctl_get_string(o, key) : missing;
}

static void print_flow(struct ctl_table *t, struct json_object *o, bool all)
{
	const char *scope = ctl_get_string(o, "scope"), *verdict = ctl_get_string(o, "verdict");
	bool of_process = !strncmp(scope, "process", strlen("process"));
	char text[64];

	ctl_cell(t, CTL_BOLD, or_else(o, "group", "?"));
	ctl_cell(t, CTL_PLAIN, ctl_get_string(o, "ulsp"));
	ctl_cell(t, CTL_PLAIN, scope);
	ctl_cell(t, CTL_PLAIN, ctl_get_string(o, "op"));
	ctl_cell(t, CTL_PLAIN, or_else(o, "proto", "any"));
	ctl_cell(t, CTL_PLAIN, or_else(o, "addr", "any"));
	ctl_cell(t, CTL_PLAIN, or_else(o, "port", "any"));
	ctl_cell(t, CTL_PLAIN, or_else(o, "pid", of_process ? "ended" : "any"));
	snprintf(text, sizeof(text), "%s%s%s", verdict, ctl_get(o, "errno") ? " " : "",
		 ctl_get_string(o, "errno"));
	ctl_cell(t, ctl_verdict_style(verdict), text);
	left_text(ctl_get_int(o, "left_ms"), text, sizeof(text));
	ctl_cell(t, CTL_PLAIN, text);
	ctl_cell(t, CTL_PLAIN, or_else(o, "rule", "?"));
	if (all)
		ctl_cell(t, CTL_DIM, or_else(o, "void", "-"));
}

static void print_flows(const struct ctl *c, struct json_object *flows, bool all)
{
	static const char *const titles[] = {"GROUP",	 "ULSP",    "SCOPE", "OPERATION",
					     "PROTOCOL", "ADDRESS", "PORT>", "PROCESS>",
					     "VERDICT",	 "LEFT>",   "RULE",  "VOID"};
	struct ctl_table t;

	ctl_table_init(&t, titles, sizeof(titles) / sizeof(*titles) - !all);
	for (size_t i = 0; i < json_object_array_length(flows); i++)
		print_flow(&t, json_object_array_get_idx(flows, i), all);
	ctl_table_print(c, &t);
}

static int flow_list(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {{"group", required_argument, NULL, 'g'},
						{"ulsp", required_argument, NULL, 'u'},
						{"count", required_argument, NULL, 'n'},
						{"all", no_argument, NULL, 'a'},
						{0}};
	scoped(ctl_put) struct json_object *about = json_object_new_object();
	scoped(ctl_put) struct json_object *answer = json_object_new_object();
	struct json_object *flows = json_object_new_array();
	long long count = LIST_MOST, generation = 0;
	bool all = false, truncated;
	int got, r;

	json_object_object_add(answer, "ok", json_object_new_boolean(true));
	json_object_object_add(answer, "flows", flows);
	while ((got = ctl_getopt(c, argc, argv, "g:u:n:a", options)) != -1) {
		if (got == 'g')
			ctl_add(about, "group", optarg);
		else if (got == 'u')
			ctl_add(about, "ulsp", optarg);
		else if (got == 'a')
			all = true;
		else if (ctl_parse_number(optarg, 1, LIST_MOST, &count))
			return ctl_usage(c, "--count %s: not a number from 1 to %d", optarg,
					 LIST_MOST);
	}
	if (optind != argc)
		return ctl_usage(c, "takes no argument");
	json_object_object_add(about, "all", json_object_new_boolean(all));
	r = gather(c, about, count, flows, &generation, &truncated);
	if (r != CTL_OK)
		return r;
	add_int(answer, "generation", generation);
	json_object_object_add(answer, "truncated", json_object_new_boolean(truncated));
	if (c->json) {
		ctl_print_json(answer);
		return CTL_OK;
	}
	print_flows(c, flows, all);
	if (truncated)
		printf("truncated: there are more than %lld\n", count);
	return CTL_OK;
}

/* ---- flush ---- */

static int flow_flush(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {{"group", required_argument, NULL, 'g'},
						{"ulsp", required_argument, NULL, 'u'},
						{0}};
	scoped(ctl_put) struct json_object *about = json_object_new_object();
	scoped(ctl_put) struct json_object *said = json_object_new_object();
	long long after = 0, flushed = 0, voided = 0;
	int got;

	while ((got = ctl_getopt(c, argc, argv, "g:u:", options)) != -1)
		ctl_add(about, got == 'g' ? "group" : "ulsp", optarg);
	if (optind != argc)
		return ctl_usage(c, "takes no argument");
	while (after >= 0) {
		scoped(ctl_put) struct json_object *answer = NULL;
		int r = ask_page(c, CONTROL_FLOW_FLUSH, about, &after, &answer);

		if (r != CTL_OK)
			return r;
		flushed += ctl_get_int(answer, "flushed");
		voided += ctl_get_int(answer, "void");
	}
	if (c->json) {
		json_object_object_add(said, "ok", json_object_new_boolean(true));
		add_int(said, "flushed", flushed);
		add_int(said, "void", voided);
		ctl_print_json(said);
		return CTL_OK;
	}
	printf("flushed %lld verdict%s", flushed, flushed == 1 ? "" : "s");
	if (voided)
		printf(", and %lld void", voided);
	putchar('\n');
	return CTL_OK;
}

static const struct command commands[] = {
	{"flow list", "", "Verdicts that are in force, one a line",
	 "  -g, --group GROUP    of this group only\n"
	 "  -u, --ulsp ULSP      given by this ULSP only\n"
	 "  -a, --all            void ones too, and why they are\n"
	 "  -n, --count N        at most N (default and most: 65536)\n"
	 "\nLEFT is the time until it expires and the ULSP is asked again.\n",
	 flow_list},
	{"flow flush", "", "Remove verdicts: the next operation asks again",
	 "  -g, --group GROUP    of this group only\n"
	 "  -u, --ulsp ULSP      given by this ULSP only\n"
	 "\nWithout options every verdict.  Connections that were allowed stay.\n",
	 flow_flush},
};

int cmd_flow(struct ctl *c, int argc, char **argv)
{
	return ctl_dispatch(c, commands, sizeof(commands) / sizeof(*commands), argc, argv);
}
