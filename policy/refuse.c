/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clauses that the language has and this version does not enforce.  None is
 * ignored: what is left out by `degrade allow` still gets its warning.
 */
#include "refuse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALL_PROTOS  ((1u << ULSP_PROTO_COUNT) - 1)
#define INET_PROTOS ((1u << ULSP_PROTO_INET_COUNT) - 1)

static const char *const proto_words[] = {
#define PROTO(n, NAME, word, text) [n] = word,
#include "protos.def"
#undef PROTO
};

struct refusal {
	const struct pol_group *g;
	const struct pol_env *env;
	struct pol_diags *diags;
	int result;
};

/* What needs BPF LSM: an error unless it is there or the group degrades. */
static void needs_lsm(struct refusal *f, const struct pol_loc *loc, const char *what)
{
	const char *why = f->env->lsm_why ? f->env->lsm_why : "this kernel doesn't have it";

	if (f->env->lsm)
		return;
	if (f->g->degrade_allow) {
		pol_diag_add(f->diags, POL_WARNING, loc, "%s is not enforced: it needs BPF LSM: %s",
			     what, why);
		return;
	}
	pol_diag_add(f->diags, POL_ERROR, loc,
		     "%s needs BPF LSM: %s ('degrade allow' in the group loads the rest)", what,
		     why);
	f->result = -EOPNOTSUPP;
}

static void unsupported(struct refusal *f, const struct pol_loc *loc, const char *what)
{
	pol_diag_add(f->diags, POL_ERROR, loc, "%s is not supported by this version", what);
	f->result = -EOPNOTSUPP;
}

static bool is_any(const struct pol_rule *rule)
{
	return (rule->protos & ALL_PROTOS) == ALL_PROTOS;
}

/* Families that are not IPv4 or IPv6: their sockets are allowed or denied when they are made. */
static void refuse_family(struct refusal *f, const struct pol_rule *rule, const char *word)
{
	char what[96];

	snprintf(what, sizeof(what), "protocol %s", word);
	needs_lsm(f, &rule->loc, what);
	if (!f->env->lsm)
		return;
	if (rule->ops != 1u << ULSP_OP_SOCKET) {
		snprintf(what, sizeof(what), "protocol %s for other operations than socket", word);
		unsupported(f, &rule->loc, what);
	}
	if (rule->nuids || rule->nexecs || rule->limit || rule->verdict > ULSP_VERDICT_DENY) {
		snprintf(what, sizeof(what), "protocol %s with a condition, a rate or a ULSP",
			 word);
		unsupported(f, &rule->loc, what);
	}
}

static void refuse_in_rule(struct refusal *f, const struct pol_rule *rule)
{
	const struct pol_loc *loc = &rule->loc;

	if (rule->verdict == ULSP_VERDICT_SERVE)
		unsupported(f, loc, "serve");
	if (rule->nnames)
		unsupported(f, loc, "name");
	if (is_any(rule)) /* all of IPv4 and IPv6 */
		return;
	for (unsigned i = ULSP_PROTO_INET_COUNT; i < ULSP_PROTO_COUNT; i++)
		if (rule->protos & 1u << i)
			refuse_family(f, rule, proto_words[i]);
}

static bool names_others(const struct pol_group *g)
{
	for (size_t i = 0; i < g->npeers; i++)
		if (strcmp(g->peers[i], "self") && strcmp(g->peers[i], "none"))
			return true;
	return false;
}

bool pol_needs_lsm(const struct pol_group *g)
{
	if (g->isolate || names_others(g))
		return true;
	for (size_t i = 0; i < g->nmembers; i++)
		if (g->members[i].exec)
			return true;
	for (size_t i = 0; i < g->nrules; i++)
		if (!is_any(&g->rules[i]) && g->rules[i].protos & ALL_PROTOS & ~INET_PROTOS)
			return true;
	return false;
}

int refuse_unsupported(const struct pol_group *g, const struct pol_env *env,
		       struct pol_diags *diags)
{
	struct refusal f = {.g = g, .env = env, .diags = diags};

	if (g->isolate)
		needs_lsm(&f, &g->isolate_loc, "isolate");
	for (size_t i = 0; i < g->nmembers; i++)
		if (g->members[i].exec)
			needs_lsm(&f, &g->members[i].loc, "members exec");
	if (names_others(g))
		needs_lsm(&f, &g->peers_loc, "peers");
	for (size_t i = 0; i < g->nrules; i++)
		refuse_in_rule(&f, &g->rules[i]);
	return f.result;
}
