// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl stats: counters, group by group. */
#include <string.h>

#include "cleanup.h"
#include "ctl.h"

static void print_ops(const struct ctl *c, struct json_object *ops)
{
	static const char *const titles[] = {"  OPERATION", "ALLOWED>", "DENIED>"};
	struct ctl_table t;
	char name[32];

	ctl_table_init(&t, titles, sizeof(titles) / sizeof(*titles));
	json_object_object_foreach(ops, key, value)
	{
		if (!ctl_get_int(value, "allowed") && !ctl_get_int(value, "denied"))
			continue;
		snprintf(name, sizeof(name), "  %s", key);
		ctl_cell(&t, CTL_PLAIN, name);
		ctl_cell_int(&t, ctl_get_int(value, "allowed"));
		ctl_cell_int(&t, ctl_get_int(value, "denied"));
	}
	ctl_table_print(c, &t);
}

/* Those that are not zero, in one line. */
static void print_counts(const char *label, struct json_object *counts)
{
	bool any = false;

	json_object_object_foreach(counts, key, value)
	{
		if (!json_object_get_int64(value))
			continue;
		if (any)
			fputs(", ", stdout);
		else
			printf("  %s: ", label);
		printf("%s %lld", key, (long long)json_object_get_int64(value));
		any = true;
	}
	if (any)
		putchar('\n');
}

static void print_rules(const struct ctl *c, struct json_object *rules, bool zero)
{
	static const char *const titles[] = {"HITS>", "AUDITED>", "RULE", "TEXT"};
	struct ctl_table t;
	size_t shown = 0;

	ctl_table_init(&t, titles, sizeof(titles) / sizeof(*titles));
	for (size_t i = 0; i < json_object_array_length(rules); i++) {
		struct json_object *r = json_object_array_get_idx(rules, i);

		if (!zero && !ctl_get_int(r, "hits"))
			continue;
		ctl_cell_int(&t, ctl_get_int(r, "hits"));
		ctl_cell_int(&t, ctl_get_int(r, "audited"));
		ctl_cell(&t, CTL_PLAIN, ctl_get_string(r, "rule"));
		ctl_cell(&t, CTL_PLAIN, ctl_get_string(r, "text"));
		shown++;
	}
	if (!shown) { /* in the last column: it would widen that of the numbers */
		for (size_t i = 0; i + 1 < t.columns; i++)
			ctl_cell(&t, CTL_PLAIN, "");
		ctl_cell(&t, CTL_DIM, "(no rule matched yet)");
	}
	ctl_table_print(c, &t);
}

static void print_streams(struct json_object *streams)
{
	for (size_t i = 0; i < json_object_array_length(streams); i++) {
		struct json_object *s = json_object_array_get_idx(streams, i);

		if (ctl_get_int(s, "sent"))
			printf("  to %s: %lld messages, %lld lost (ring full)\n",
			       ctl_get_string(s, "to"), ctl_get_int(s, "sent"),
			       ctl_get_int(s, "lost"));
	}
}

static void print_ulsps(const struct ctl *c, struct json_object *ulsps)
{
	static const char *const titles[] = {"ULSP",  "STATE",	   "RECEIVED>",
					     "LOST>", "VERDICTS>", "HEARTBEAT>"};
	struct ctl_table t;
	char age[32];

	if (!json_object_array_length(ulsps))
		return;
	ctl_table_init(&t, titles, sizeof(titles) / sizeof(*titles));
	for (size_t i = 0; i < json_object_array_length(ulsps); i++) {
		struct json_object *u = json_object_array_get_idx(ulsps, i);

		snprintf(age, sizeof(age), "%lld ms", ctl_get_int(u, "heartbeat_ms"));
		ctl_cell(&t, CTL_BOLD, ctl_get_string(u, "name"));
		ctl_cell(&t, CTL_PLAIN, ctl_get_string(u, "state"));
		ctl_cell_int(&t, ctl_get_int(u, "received"));
		ctl_cell_int(&t, ctl_get_int(u, "lost"));
		ctl_cell_int(&t, ctl_get_int(u, "verdicts"));
		ctl_cell(&t, CTL_PLAIN, ctl_get(u, "heartbeat_ms") ? age : "-");
	}
	ctl_table_print(c, &t);
}

/* Those that operations have waited for. */
static void print_waits(const struct ctl *c, struct json_object *ulsps)
{
	static const char *const titles[] = {"ULSP",  "SLOTS>",	  "SPUN>",     "ANSWERED>",
					     "HELD>", "WAITING>", "RELEASED>", "REFUSED>",
					     "LATE>", "FAILED>"};
	static const char *const fields[] = {"held",	"waiting", "released",
					     "refused", "late",	   "failed"};
	struct ctl_table t;
	bool any = false;

	ctl_table_init(&t, titles, sizeof(titles) / sizeof(*titles));
	for (size_t i = 0; i < json_object_array_length(ulsps); i++) {
		struct json_object *u = json_object_array_get_idx(ulsps, i);
		struct json_object *parked = ctl_get(u, "parked");

		if (!ctl_get_int(u, "spun") && !ctl_get_int(u, "slots") &&
		    !ctl_get_int(parked, "held"))
			continue;
		any = true;
		ctl_cell(&t, CTL_BOLD, ctl_get_string(u, "name"));
		ctl_cell_int(&t, ctl_get_int(u, "slots"));
		ctl_cell_int(&t, ctl_get_int(u, "spun"));
		ctl_cell_int(&t, ctl_get_int(u, "spun_answered"));
		for (size_t n = 0; n < sizeof(fields) / sizeof(*fields); n++)
			ctl_cell_int(&t, ctl_get_int(parked, fields[n]));
	}
	if (any)
		putchar('\n');
	if (any)
		ctl_table_print(c, &t);
}

int cmd_stats(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{"group", required_argument, NULL, 'g'}, {"zero", no_argument, NULL, 'z'}, {0}};
	struct json_object *request = ctl_request(CONTROL_STATS), *groups;
	scoped(ctl_put) struct json_object *answer = NULL;
	bool zero = false;
	int got, r;

	while ((got = ctl_getopt(c, argc, argv, "g:z", options)) != -1) {
		if (got == 'g')
			ctl_add(request, "group", optarg);
		else
			zero = true;
	}
	if (optind != argc) {
		json_object_put(request);
		return ctl_usage(c, "takes no argument");
	}
	r = ctl_call_text(c, request, &answer);
	if (r != CTL_OK || !answer)
		return r;
	groups = ctl_get(answer, "groups");
	for (size_t i = 0; i < json_object_array_length(groups); i++) {
		struct json_object *g = json_object_array_get_idx(groups, i);

		ctl_style(c, CTL_BOLD);
		printf("group %s (%s)\n", ctl_get_string(g, "name"), ctl_get_string(g, "mode"));
		ctl_style(c, CTL_PLAIN);
		print_ops(c, ctl_get(g, "ops"));
		print_counts("reasons", ctl_get(g, "reasons"));
		print_counts("denied by isolation", ctl_get(g, "isolation"));
		print_streams(ctl_get(g, "streams"));
		print_rules(c, ctl_get(g, "rules"), zero);
		putchar('\n');
	}
	print_ulsps(c, ctl_get(answer, "ulsps"));
	print_waits(c, ctl_get(answer, "ulsps"));
	return CTL_OK;
}
