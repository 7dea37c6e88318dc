// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl explain: which rule decides; the answer has one form, online and offline. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "compiled.h"
#include "ctl.h"
#include "explain.h"

enum { OPT_FROM = 256, OPT_TO };

static const struct option options[] = {
	{"policy", required_argument, NULL, 'p'}, {"uid", required_argument, NULL, 'u'},
	{"exec", required_argument, NULL, 'x'},	  {"from", required_argument, NULL, OPT_FROM},
	{"to", required_argument, NULL, OPT_TO},  {0},
};

static int ask_offline(struct ctl *c, char *policy, const char *group,
		       const struct explain_query *q, struct json_object **ret)
{
	scoped(compiled_free) struct compiled *compiled = NULL;
	const struct pol_group *g;
	struct err e = {0};
	int r = ctl_compile(c, &policy, 1, &compiled);

	if (r != CTL_OK)
		return r;
	g = pol_find_group(compiled->policy, group);
	if (!g)
		return ctl_fail(c, "%s has no group \"%s\"", policy, group);
	r = explain(q, compiled, g, g->mode, explain_offline,
		    compiled->tables[g - compiled->policy->groups], ret, &e);
	if (r)
		return ctl_fail(c, "%s", e.text);
	json_object_object_add(*ret, "ok", json_object_new_boolean(true));
	return CTL_OK;
}

static int ask_online(struct ctl *c, const char *group, const struct explain_query *q,
		      struct json_object **ret)
{
	struct json_object *request = ctl_request(CONTROL_EXPLAIN);

	ctl_add(request, "group", group);
	ctl_add(request, "op", q->op);
	ctl_add(request, "proto", q->proto);
	ctl_add(request, "addr", q->addr);
	json_object_object_add(request, "port", json_object_new_int64(q->port));
	json_object_object_add(request, "uid", json_object_new_int64(q->uid));
	ctl_add(request, "from", q->from);
	ctl_add(request, "to", q->to);
	ctl_add(request, "exec", q->exec);
	return ctl_call(c, request, ret);
}

static void print_answer(const struct ctl *c, struct json_object *o)
{
	const char *verdict = ctl_get_string(o, "verdict");
	const char *error = ctl_get_string(o, "errno"), *ulsp = ctl_get_string(o, "ulsp");

	fputs("verdict  ", stdout);
	ctl_style(c, ctl_verdict_style(verdict));
	if (ctl_get(o, "rate"))
		printf("%s to %s, burst %lld, per %s; %s above", verdict, ctl_get_string(o, "rate"),
		       ctl_get_int(o, "burst"), ctl_get_string(o, "per"), error);
	else
		printf("%s%s%s%s%s", verdict, *ulsp ? " " : "", ulsp, *error ? " " : "", error);
	ctl_style(c, CTL_PLAIN);
	printf("%s\n", !strcmp(ctl_get_string(o, "mode"), "audit") ? " (audit: not enforced)" : "");
	printf("rule     %s\n", ctl_get_string(o, "rule"));
	printf("text     %s\n", ctl_get_string(o, "text"));
	printf("reason   %s\n", ctl_get_string(o, "reason"));
	printf("group    %s (%s)\n", ctl_get_string(o, "group"), ctl_get_string(o, "mode"));
}

int cmd_explain(struct ctl *c, int argc, char **argv)
{
	struct explain_query q = {.uid = getuid()};
	scoped(ctl_put) struct json_object *answer = NULL;
	scoped(scope_free) char *exec = NULL;
	char *policy = NULL;
	long long n;
	int got, r;

	while ((got = ctl_getopt(c, argc, argv, "p:u:x:", options)) != -1) {
		switch (got) {
		case 'p':
			policy = optarg;
			break;
		case 'u':
			if (ctl_parse_number(optarg, 0, UINT32_MAX - 1, &n))
				return ctl_usage(c, "--uid %s: not a user id", optarg);
			q.uid = (uint32_t)n;
			break;
		case 'x':
			free(exec);
			exec = realpath(optarg, NULL);
			if (!exec)
				return ctl_fail(c, "--exec %s: %s", optarg, strerror(errno));
			q.exec = exec;
			break;
		case OPT_FROM:
			q.from = optarg;
			break;
		case OPT_TO:
			q.to = optarg;
			break;
		}
	}
	if (argc - optind != 5)
		return ctl_usage(c, "give GROUP OP PROTO ADDR PORT");
	q.op = argv[optind + 1];
	q.proto = argv[optind + 2];
	q.addr = argv[optind + 3];
	if (ctl_parse_number(argv[optind + 4], 0, UINT16_MAX, &n))
		return ctl_usage(c, "\"%s\" is no port", argv[optind + 4]);
	q.port = n;
	r = policy ? ask_offline(c, policy, argv[optind], &q, &answer)
		   : ask_online(c, argv[optind], &q, &answer);
	if (r != CTL_OK)
		return r;
	if (c->json)
		ctl_print_json(answer);
	else
		print_answer(c, answer);
	return CTL_OK;
}
