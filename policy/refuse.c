/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clauses that the language has and this version does not enforce.  None is
 * ignored: what is left out by `degrade allow` still gets its warning.
 */
#include "refuse.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define ALL_PROTOS  ((1u << ULSP_PROTO_COUNT) - 1)
#define INET_PROTOS ((1u << ULSP_PROTO_INET_COUNT) - 1)

static const char *const proto_words[] = {
#define PROTO(n, NAME, word, text) [n] = word,
#include "protos.def"
#undef PROTO
};

static int unsupported(struct pol_diags *diags, const struct pol_loc *loc, const char *what)
{
	pol_diag_add(diags, POL_ERROR, loc, "%s is not supported by this version", what);
	return -EOPNOTSUPP;
}

/* What needs BPF LSM: an error unless the group degrades. */
static int needs_lsm(const struct pol_group *g, struct pol_diags *diags, const struct pol_loc *loc,
		     const char *what)
{
	if (g->degrade_allow) {
		pol_diag_add(diags, POL_WARNING, loc,
			     "%s is not enforced: not supported by this version, it needs BPF LSM",
			     what);
		return 0;
	}
	pol_diag_add(diags, POL_ERROR, loc,
		     "%s is not supported by this version: it needs BPF LSM ('degrade allow' in "
		     "the group loads the rest)",
		     what);
	return -EOPNOTSUPP;
}

static int refuse_in_rule(const struct pol_group *g, const struct pol_rule *rule,
			  struct pol_diags *diags)
{
	const struct pol_loc *loc = &rule->loc;
	char what[64];
	unsigned i;
	int r = 0;

	if (rule->verdict == ULSP_VERDICT_SERVE)
		r = unsupported(diags, loc, "serve");
	if (rule->limit)
		r = unsupported(diags, loc, "limit");
	if (rule->nnames)
		r = unsupported(diags, loc, "name");
	if (rule->hold_ms)
		r = unsupported(diags, loc, "hold");
	if (rule->down == POL_DOWN_HOLD)
		r = unsupported(diags, loc, "down hold");
	if ((rule->protos & ALL_PROTOS) == ALL_PROTOS)
		return r; /* "any" is what there is on this tier */
	for (i = ULSP_PROTO_INET_COUNT; i < ULSP_PROTO_COUNT; i++) {
		if (!(rule->protos & 1u << i))
			continue;
		snprintf(what, sizeof(what), "protocol %s", proto_words[i]);
		if (needs_lsm(g, diags, loc, what) < 0)
			r = -EOPNOTSUPP;
	}
	return r;
}

int refuse_unsupported(const struct pol_group *g, struct pol_diags *diags)
{
	size_t i;
	int r = 0;

	if (g->isolate && needs_lsm(g, diags, &g->isolate_loc, "isolate") < 0)
		r = -EOPNOTSUPP;
	for (i = 0; i < g->nmembers; i++)
		if (g->members[i].exec &&
		    needs_lsm(g, diags, &g->members[i].loc, "members exec") < 0)
			r = -EOPNOTSUPP;
	for (i = 0; i < g->npeers; i++) {
		if (!strcmp(g->peers[i], "self") || !strcmp(g->peers[i], "none"))
			continue;
		if (needs_lsm(g, diags, &g->peers_loc, "peers") < 0)
			r = -EOPNOTSUPP;
		break;
	}
	for (i = 0; i < g->nrules; i++)
		if (refuse_in_rule(g, &g->rules[i], diags) < 0)
			r = -EOPNOTSUPP;
	return r;
}
