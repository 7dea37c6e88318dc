// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl doctor: the kernel is probed here, the loaded policy is asked for. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "ctl.h"
#include "diag_json.h"
#include "probe.h"

static struct json_object *row_json(const struct probe_row *row)
{
	struct json_object *o = json_object_new_object();

	ctl_add(o, "id", row->id);
	ctl_add(o, "tier", row->tier);
	ctl_add(o, "what", row->what);
	json_object_object_add(o, "required", json_object_new_boolean(row->required));
	json_object_object_add(o, "ok", json_object_new_boolean(row->ok));
	if (!row->ok)
		ctl_add(o, "why", row->why);
	return o;
}

static void print_rows(const struct ctl *c, const struct probe_row *rows, size_t n)
{
	static const char *const titles[] = {"", "TIER", "CAPABILITY", "WHAT FOR, OR WHY NOT"};
	struct ctl_table t;

	ctl_table_init(&t, titles, sizeof(titles) / sizeof(*titles));
	for (size_t i = 0; i < n; i++) {
		const struct probe_row *row = &rows[i];

		ctl_cell(&t,
			 row->ok	 ? CTL_GOOD
			 : row->required ? CTL_BAD
					 : CTL_BOLD,
			 row->ok	 ? "yes"
			 : row->required ? "NO"
					 : "no");
		ctl_cell(&t, CTL_PLAIN, row->tier);
		ctl_cell(&t, CTL_PLAIN, row->id);
		ctl_cell(&t, CTL_PLAIN, row->ok ? row->what : row->why);
	}
	ctl_table_print(c, &t);
}

/* What the daemon says about the loaded policy: diagnostics that a load gave. */
static void print_policy(const struct ctl *c, struct json_object *answer, const char *why)
{
	struct pol_diags diags;

	if (!answer) {
		printf("\npolicy: %s\n", why);
		return;
	}
	diags_from_json(ctl_get(answer, "diagnostics"), &diags);
	printf("\npolicy: generation %lld, %lld group%s; %s\n", ctl_get_int(answer, "generation"),
	       ctl_get_int(answer, "groups"), ctl_get_int(answer, "groups") == 1 ? "" : "s",
	       diags.n ? "not covered or worth a look:" : "all of it is enforced");
	pol_diags_print(&diags, stdout, c->colour);
	pol_diags_fini(&diags);
}

int cmd_doctor(struct ctl *c, int argc, char **argv)
{
	scoped(scope_free) struct probe_row *rows = NULL;
	scoped(ctl_put) struct json_object *answer = NULL, *o = NULL;
	bool missing = false;
	struct err e = {0};
	size_t n;
	int r;

	r = ctl_arguments(c, argc, argv, 0, "takes no argument");
	if (r != CTL_OK)
		return r;
	if (geteuid())
		return ctl_fail(c, "doctor probes the kernel, which needs root: use sudo");
	r = probe_all(&rows, &n);
	if (r)
		return ctl_fail(c, "probing failed: %s", strerror(-r));
	for (size_t i = 0; i < n; i++)
		missing |= rows[i].required && !rows[i].ok;
	ctl_ask(c->instance, ctl_request(CONTROL_DOCTOR), NULL, 0, &answer, &e);
	if (!c->json) {
		print_rows(c, rows, n);
		print_policy(c, answer, e.text);
		return missing ? CTL_FAILED : CTL_OK;
	}
	o = json_object_new_object();
	json_object_object_add(o, "ok", json_object_new_boolean(!missing));
	json_object_object_add(o, "capabilities", json_object_new_array());
	for (size_t i = 0; i < n; i++)
		json_object_array_add(ctl_get(o, "capabilities"), row_json(&rows[i]));
	json_object_object_add(o, "policy", json_object_get(answer));
	ctl_print_json(o);
	return missing ? CTL_FAILED : CTL_OK;
}
