// SPDX-License-Identifier: GPL-2.0-only
#include "ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "compiled.h"
#include "diag_json.h"
#include "member_paths.h"

int ctl_read_stdin(char **ret, size_t *ret_bytes)
{
	scoped(scope_free) char *text = malloc(CONTROL_TEXT_BYTES + 1);
	size_t bytes;

	if (!text)
		return -ENOMEM;
	bytes = fread(text, 1, CONTROL_TEXT_BYTES + 1, stdin);
	if (ferror(stdin))
		return -EIO;
	if (bytes > CONTROL_TEXT_BYTES)
		return -EFBIG;
	text[bytes] = 0;
	*ret = TAKE_PTR(text);
	*ret_bytes = bytes;
	return 0;
}

void ctl_print_diags(const struct ctl *c, const struct pol_diags *d)
{
	(void)c;
	pol_diags_print(d, stderr, isatty(STDERR_FILENO) && !getenv("NO_COLOR"));
}

static int report(struct ctl *c, const struct compiled *compiled, int error)
{
	struct json_object *o;

	if (!compiled)
		return ctl_fail(c, "%s", strerror(-error));
	if (!c->json) {
		ctl_print_diags(c, &compiled->diags);
		if (!compiled->diags.errors)
			fprintf(stderr, "ulspctl: %s\n", strerror(-error));
		return CTL_FAILED;
	}
	o = json_object_new_object();
	json_object_object_add(o, "ok", json_object_new_boolean(false));
	ctl_add(o, "error", "the policy has errors");
	json_object_object_add(o, "diagnostics", diags_to_json(&compiled->diags));
	ctl_print_json(o);
	json_object_put(o);
	return CTL_FAILED;
}

int ctl_compile(struct ctl *c, char *const *paths, size_t n, struct compiled **ret)
{
	scoped(scope_free) char *text = NULL;
	struct compiled_source source = {.paths = (const char *const *)paths, .npaths = n};
	scoped(compiled_free) struct compiled *compiled = NULL;
	int r;

	if (n == 1 && !strcmp(paths[0], "-")) {
		r = ctl_read_stdin(&text, &source.text_bytes);
		if (r)
			return ctl_fail(c, "stdin: %s", strerror(-r));
		source.name = "<stdin>";
		source.text = text;
	}
	r = compiled_parse(&source, &compiled);
	if (!r)
		r = compiled_tables(compiled, NULL, NULL, false);
	if (!r)
		r = member_paths_check(compiled->policy, getenv("ULSP_CGROUP_ROOT"),
				       &compiled->diags);
	if (r)
		return report(c, compiled, r);
	*ret = TAKE_PTR(compiled);
	return CTL_OK;
}
