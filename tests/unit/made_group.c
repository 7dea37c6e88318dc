/* SPDX-License-Identifier: GPL-2.0-only */
#include "made_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

void made_begin(struct made *c, size_t rules_max)
{
	*c = (struct made){0};
	gen_empty(&c->gen, rules_max);
}

void made_compile(struct made *c)
{
	c->result = pol_compile(&c->gen.policy, &c->gen.group, &c->gen.env, &c->diags, &c->table);
}

void made_end(struct made *c)
{
	pol_table_free(&c->table);
	pol_diags_fini(&c->diags);
	gen_fini(&c->gen);
}

void made_assert_said(const struct made *c, enum pol_severity severity, const char *text)
{
	size_t i;

	for (i = 0; i < c->diags.n; i++)
		if (c->diags.v[i].severity == severity && strstr(c->diags.v[i].text, text))
			return;
	pol_diags_print(&c->diags, stderr, false);
	fail_msg("no diagnostic says: %s", text);
}
