// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl check: what a compiler's -fsyntax-only is. */
#include "cleanup.h"
#include "compiled.h"
#include "ctl.h"
#include "diag_json.h"

static void add_count(struct json_object *o, const char *key, size_t n)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)n));
}

static struct json_object *summary(const struct compiled *compiled)
{
	struct json_object *o = json_object_new_object(), *groups = json_object_new_array();

	json_object_object_add(o, "ok", json_object_new_boolean(true));
	for (size_t i = 0; i < compiled->policy->ngroups; i++) {
		struct json_object *g = json_object_new_object();

		ctl_add(g, "name", compiled->policy->groups[i].name);
		add_count(g, "rules", compiled->policy->groups[i].nrules);
		add_count(g, "table_bytes", compiled->tables[i]->nwords * 4);
		json_object_array_add(groups, g);
	}
	json_object_object_add(o, "groups", groups);
	add_count(o, "ulsps", compiled->policy->nulsps);
	json_object_object_add(o, "diagnostics", diags_to_json(&compiled->diags));
	return o;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

int cmd_check(struct ctl *c, int argc, char **argv)
{
	scoped(compiled_free) struct compiled *compiled = NULL;
	scoped(ctl_put) struct json_object *o = NULL;
	size_t groups, rules;
	int r;

	if (ctl_getopt(c, argc, argv, "", NULL) != -1)
		return CTL_USAGE;
	if (optind == argc)
		return ctl_usage(c, "name a policy file");
	r = ctl_compile(c, argv + optind, (size_t)(argc - optind), &compiled);
	if (r != CTL_OK)
		return r;
	if (c->json) {
		o = summary(compiled);
		ctl_print_json(o);
		return CTL_OK;
	}
	ctl_print_diags(c, &compiled->diags);
	groups = compiled->policy->ngroups;
	rules = compiled_rules(compiled);
	printf("ok: %zu group%s, %zu rule%s\n", groups, plural(groups), rules, plural(rules));
	return CTL_OK;
}
