/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules that no operation reaches, because rules before them match whatever
 * they match.
 *
 * For every operation and family a sweep over the addresses asks, wherever a
 * rule that nothing has reached yet applies, which of its ports earlier rules
 * leave over.  A rule with conditions hides those whose conditions are at
 * least as narrow; two such rules that only together cover a third are not
 * seen to hide it, so what is reported is certain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"
#include "match.h"

/* Pairs of rules that are compared at most: half a second or so. */
enum { WORK_MAX = 4 << 20 };

struct fate {
	bool reached;
	bool applies;	      /* somewhere at all */
	uint32_t first, last; /* of the rules that hide it */
	unsigned nhiders;     /* 3: or more */
};

struct reach {
	const struct pol_group *g;
	struct fate *fates;  /* by rule */
	size_t left;	     /* of this operation's rules, not reached */
	uint64_t *unreached; /* bit per match */
	const struct matches *m;
	size_t work;
};

static bool spans_within(const struct sweep_set *inner, const struct sweep_set *outer)
{
	size_t i, j = 0;

	if (outer->all)
		return true;
	if (inner->all)
		return false;
	for (i = 0; i < inner->n; i++) {
		while (j < outer->n && outer->v[j].hi < inner->v[i].hi)
			j++;
		if (j == outer->n || outer->v[j].lo > inner->v[i].lo)
			return false;
	}
	return true;
}

static bool ports2_within(const struct match *inner, const struct match *outer)
{
	const struct pol_portset *in = &inner->rule->from_ports, *out = &outer->rule->from_ports;
	size_t i, j = 0;

	if (!outer->port2)
		return true;
	if (!inner->port2)
		return false;
	for (i = 0; i < in->n; i++) {
		while (j < out->n && out->v[j].hi < in->v[i].hi)
			j++;
		if (j == out->n || out->v[j].lo > in->v[i].lo)
			return false;
	}
	return true;
}

static bool uids_within(const struct pol_rule *inner, const struct pol_rule *outer)
{
	size_t i, j = 0;

	if (!outer->uids)
		return true;
	if (!inner->uids)
		return false;
	for (i = 0; i < inner->nuids; i++) {
		while (j < outer->nuids && outer->uids[j].hi < inner->uids[i].hi)
			j++;
		if (j == outer->nuids || outer->uids[j].lo > inner->uids[i].lo)
			return false;
	}
	return true;
}

static bool names(const struct pol_rule *rule, const char *exec)
{
	size_t i;

	for (i = 0; i < rule->nexecs; i++)
		if (!strcmp(rule->execs[i], exec))
			return true;
	return false;
}

static bool execs_within(const struct pol_rule *inner, const struct pol_rule *outer)
{
	const struct pol_rule *less = inner, *more = outer;
	size_t i;

	if (!outer->execs)
		return true;
	if (!inner->execs || (inner->exec_negated && !outer->exec_negated))
		return false;
	if (!inner->exec_negated && outer->exec_negated) {
		for (i = 0; i < inner->nexecs; i++)
			if (names(outer, inner->execs[i]))
				return false;
		return true;
	}
	if (inner->exec_negated) {
		less = outer;
		more = inner;
	}
	for (i = 0; i < less->nexecs; i++)
		if (!names(more, less->execs[i]))
			return false;
	return true;
}

/* Whether an operation that meets the one's conditions meets the other's. */
static bool rest_within(const struct match *inner, const struct match *outer)
{
	if (!outer->rest)
		return true;
	/* without a process only what denies applies */
	if (outer->task && outer->rule->verdict != ULSP_VERDICT_DENY &&
	    inner->rule->verdict == ULSP_VERDICT_DENY)
		return false;
	return spans_within(&inner->addr2, &outer->addr2) && ports2_within(inner, outer) &&
	       uids_within(inner->rule, outer->rule) && execs_within(inner->rule, outer->rule);
}

static void hide(struct fate *f, uint32_t hider)
{
	if (!f->nhiders) {
		f->first = f->last = hider;
		f->nhiders = 1;
	} else if (hider != f->first && hider != f->last) {
		f->nhiders = f->nhiders == 1 ? 2 : 3;
		if (hider < f->first)
			f->first = hider;
		if (hider > f->last)
			f->last = hider;
	}
}

static uint64_t ports_in(const struct spans *s)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		n += (uint64_t)(s->v[i].hi - s->v[i].lo) + 1;
	return n;
}

static int all_ports(struct spans *to, const struct sweep_set *ports)
{
	size_t i;
	int r = 0;

	if (ports->all)
		return spans_add(to, 0, ((span_int)ULSP_PROTO_INET_COUNT << 16) - 1);
	for (i = 0; r == 0 && i < ports->n; i++)
		r = spans_add(to, ports->v[i].lo, ports->v[i].hi);
	return r;
}

/* What earlier rules leave of one rule where these apply: 1 when something. */
static int left_over(struct reach *c, size_t i, const struct active *active)
{
	const struct match *one = &c->m->v[i];
	struct fate *fate = &c->fates[one->record];
	struct spans left = {0}, less = {0};
	uint64_t before, after;
	size_t j;
	int r;

	fate->applies = true;
	r = all_ports(&left, &one->ports);
	before = ports_in(&left);
	for (j = active_next(active, 0); r == 0 && j < i && before;
	     j = active_next(active, j + 1)) {
		if (++c->work > WORK_MAX) {
			r = -E2BIG;
			break;
		}
		if (!rest_within(one, &c->m->v[j]))
			continue;
		less.n = 0;
		r = all_ports(&less, &c->m->v[j].ports);
		if (r == 0)
			r = spans_subtract(&left, &less);
		after = ports_in(&left);
		if (after < before)
			hide(fate, c->m->v[j].record);
		before = after;
	}
	spans_fini(&left);
	spans_fini(&less);
	return r < 0 ? r : before != 0;
}

static int interval(void *ctx, span_int end, const struct active *active)
{
	struct reach *c = ctx;
	size_t words = c->m->n / 64 + 1, w, i;
	uint64_t bits;
	int r;

	(void)end;
	c->work += words / 16 + 1;
	for (w = 0; w < words; w++) {
		for (bits = active->level[0][w] & c->unreached[w]; bits; bits &= bits - 1) {
			i = w * 64 + __builtin_ctzll(bits);
			r = left_over(c, i, active);
			if (r < 0)
				return r;
			if (!r)
				continue;
			c->fates[c->m->v[i].record].reached = true;
			c->unreached[w] &= ~(1ull << i % 64);
			if (!--c->left)
				return 1;
		}
	}
	return 0;
}

static int operation(struct reach *c, enum ulsp_op op, int family)
{
	const struct sweep_set **sets = NULL;
	struct sweep sweep = {0};
	struct matches m;
	size_t i, spans = 0;
	int r;

	r = matches_init(&m, c->g, NULL, op, family);
	if (r < 0)
		return r;
	c->m = &m;
	c->left = 0;
	sets = calloc(m.n + 1, sizeof(*sets));
	c->unreached = calloc(m.n / 64 + 1, sizeof(*c->unreached));
	if (!sets || !c->unreached)
		r = -ENOMEM;
	for (i = 0; r == 0 && i < m.n; i++) {
		sets[i] = &m.zones[m.v[i].zone].set;
		spans += sets[i]->n;
		if (!c->fates[m.v[i].record].reached) {
			c->unreached[i / 64] |= 1ull << i % 64;
			c->left++;
		}
	}
	if (r == 0 && c->left)
		r = spans > WORK_MAX
			    ? -E2BIG
			    : sweep_run(&sweep, sets, m.n, match_address_max(family), interval, c);
	sweep_fini(&sweep);
	free(c->unreached);
	free(sets);
	matches_fini(&m);
	return r < 0 ? r : 0;
}

static void place(const struct pol_policy *p, const struct pol_group *g, uint32_t rule, char *text,
		  size_t bytes)
{
	const struct pol_loc *loc = &g->rules[rule].loc;

	if (loc->file < p->nfiles)
		snprintf(text, bytes, "%s:%u", p->files[loc->file], loc->line);
	else
		snprintf(text, bytes, "line %u", loc->line);
}

/* The parser has said so. */
static bool is_empty(const struct pol_rule *rule)
{
	return (!rule->to.any && !rule->to.n) || (!rule->from.any && !rule->from.n) ||
	       (!rule->to_ports.any && !rule->to_ports.n) ||
	       (!rule->from_ports.any && !rule->from_ports.n);
}

static void report(const struct pol_policy *p, const struct reach *c, struct pol_diags *diags)
{
	char first[512], last[512];
	size_t i;

	for (i = 0; i < c->g->nrules; i++) {
		const struct pol_rule *rule = &c->g->rules[i];
		const struct fate *f = &c->fates[i];

		if (f->reached || !(rule->protos & ((1u << ULSP_PROTO_INET_COUNT) - 1)))
			continue;
		if (!f->applies) {
			if (!is_empty(rule))
				pol_diag_add(diags, POL_WARNING, &rule->loc,
					     "rule never matches: no operation has both these "
					     "addresses");
			continue;
		}
		place(p, c->g, f->first, first, sizeof(first));
		if (f->nhiders > 1)
			place(p, c->g, f->last, last, sizeof(last));
		if (f->nhiders == 1)
			pol_diag_add(diags, POL_WARNING, &rule->loc,
				     "rule never matches: hidden by %s", first);
		else
			pol_diag_add(diags, POL_WARNING, &rule->loc,
				     f->nhiders == 2
					     ? "rule never matches: hidden by %s and %s together"
					     : "rule never matches: hidden by %s to %s together",
				     first, last);
	}
}

int pol_check_reachable(const struct pol_policy *p, const struct pol_group *g,
			struct pol_diags *diags)
{
	struct reach c = {.g = g};
	int r = 0, op, family;

	if (!g->nrules)
		return 0;
	c.fates = calloc(g->nrules, sizeof(*c.fates));
	if (!c.fates)
		return -ENOMEM;
	for (op = 0; op < ULSP_OP_COUNT; op++)
		for (family = 0; r == 0 && family < DEC_FAMILIES; family++)
			r = operation(&c, op, family);
	if (r == 0) {
		report(p, &c, diags);
	} else if (r == -E2BIG) {
		pol_diag_add(diags, POL_NOTE, &g->loc,
			     "group %s: unreachable rules not checked: too many rules", g->name);
		r = 0;
	}
	free(c.fates);
	return r;
}
