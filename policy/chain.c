/* SPDX-License-Identifier: GPL-2.0-only */
#include "chain.h"

#include <errno.h>

#include "arena.h"
#include "decide.h"

static int too_many(const struct pol_rule *rule, struct pol_diags *diags)
{
	pol_diag_add(diags, POL_ERROR, &rule->loc,
		     "more than %d conditions on uid, exec and the other end's address and port "
		     "apply to one operation: this rule passes the limit",
		     DEC_CHAIN_MAX - 1);
	return -E2BIG;
}

/* A rule's conditions by what they are on, in the order of match.conds. */
struct dims {
	size_t no_task, uids, exes, addr2, ports2;
};

static struct dims dims_of(const struct match *m)
{
	return (struct dims){
		.no_task = m->task,
		.uids = m->rule->nuids,
		.exes = m->rule->nexecs,
		.addr2 = m->addr2.all ? 0 : m->addr2.n,
		.ports2 = m->port2 ? m->rule->from_ports.n : 0,
	};
}

/* Adds a condition's place to those of a match. */
static int put(struct table *t, struct match *m, enum dec_on on, span_int lo, span_int hi,
	       uint32_t *conds)
{
	union {
		struct dec_cond cond;
		uint32_t words[DEC_COND_WORDS];
	} c = {.cond = {
		       .on = on,
		       .lo = {(uint64_t)(lo >> 64), (uint64_t)lo},
		       .hi = {(uint64_t)(hi >> 64), (uint64_t)hi},
	       }};

	return table_share(t, c.words, DEC_COND_WORDS, &conds[m->nconds++]);
}

static int conditions(struct table *t, struct match *m, const struct dims *d, int family,
		      const span_int *exes, uint32_t *conds)
{
	unsigned shift = family == DEC_V4 ? 96 : 0; /* IPv4 is in the first word */
	span_int below = ((span_int)1 << shift) - 1;
	const struct pol_rule *rule = m->rule;
	size_t i;
	int r = 0;

	if (d->no_task)
		r = put(t, m, DEC_ON_NO_TASK, 1, UINT8_MAX, conds);
	for (i = 0; r == 0 && i < d->uids; i++)
		r = put(t, m, DEC_ON_UID, rule->uids[i].lo, rule->uids[i].hi, conds);
	for (i = 0; r == 0 && i < d->exes; i++)
		r = put(t, m, DEC_ON_EXE, exes[i], exes[i], conds);
	for (i = 0; r == 0 && i < d->addr2; i++)
		r = put(t, m, DEC_ON_ADDR2, m->addr2.v[i].lo << shift,
			m->addr2.v[i].hi << shift | below, conds);
	for (i = 0; r == 0 && i < d->ports2; i++)
		r = put(t, m, DEC_ON_PORT2, rule->from_ports.v[i].lo, rule->from_ports.v[i].hi,
			conds);
	return r;
}

int chain_prepare(struct table *t, struct matches *m, int family, const span_int *const *exes,
		  const struct pol_rule *rules, struct pol_diags *diags)
{
	uint32_t *conds;
	size_t i, n;
	int r;

	for (i = 0; i < m->n; i++) {
		struct match *one = &m->v[i];
		struct dims d;

		if (!one->rest)
			continue;
		d = dims_of(one);
		n = d.no_task + d.uids + d.exes + d.addr2 + d.ports2;
		if (n >= DEC_CHAIN_MAX)
			return too_many(one->rule, diags);
		conds = arena_get(m->arena, n * sizeof(*conds));
		if (!conds)
			return -ENOMEM;
		r = conditions(t, one, &d, family, exes[one->rule - rules], conds);
		if (r < 0)
			return r;
		one->conds = conds;
	}
	return 0;
}

static int test(struct table *t, uint32_t cond, uint32_t yes, uint32_t no, uint32_t *ret_leaf)
{
	uint32_t words[DEC_TEST_WORDS] = {cond, no, yes}, at;
	int r = table_share(t, words, DEC_TEST_WORDS, &at);

	if (r < 0)
		return r;
	t->kinds |= 1u << DEC_CHAIN;
	*ret_leaf = DEC_LEAF(DEC_CHAIN, at);
	return 0;
}

/* One of n conditions must hold, or with `negated` none: *leaf becomes the tests' start. */
static int dimension(struct table *t, const uint32_t **end, size_t n, bool negated, uint32_t no,
		     uint32_t *leaf)
{
	uint32_t yes = *leaf, at = negated ? yes : no;
	int r = 0;

	if (!n)
		return 0;
	while (r == 0 && n--)
		r = test(t, *--*end, negated ? no : yes, at, &at);
	*leaf = at;
	return r;
}

/*
 * A rule's tests before what comes after it.  Where nothing is known of a
 * process, rules that deny match without their conditions on it, and others
 * don't.
 */
static int rule_tests(struct table *t, const struct match *m, uint32_t *leaf)
{
	const uint32_t *end = m->conds + m->nconds;
	uint32_t at = DEC_LEAF(DEC_RULE, m->record), no = *leaf, blind;
	struct dims d = dims_of(m);
	int r;

	r = dimension(t, &end, d.ports2, false, no, &at);
	if (r == 0)
		r = dimension(t, &end, d.addr2, false, no, &at);
	blind = m->rule->verdict == ULSP_VERDICT_DENY ? at : no;
	if (r == 0)
		r = dimension(t, &end, d.exes, m->rule->exec_negated, no, &at);
	if (r == 0)
		r = dimension(t, &end, d.uids, false, no, &at);
	if (r == 0 && d.no_task)
		r = test(t, *--end, blind, at, &at);
	if (r == 0)
		*leaf = at;
	return r;
}

int chain_leaf(const struct chain_leaf *c, const struct match *const *v, size_t n,
	       uint32_t *ret_leaf)
{
	size_t i, conds = 0;
	uint32_t leaf = 0;
	int r = 0;

	for (i = 0; i < n && v[i]->rest; i++) {
		conds += v[i]->nconds;
		if (conds >= DEC_CHAIN_MAX)
			return too_many(v[i]->rule, c->diags);
		c->reached(c->ctx, v[i]);
	}
	if (i < n) {
		c->reached(c->ctx, v[i]);
		leaf = DEC_LEAF(DEC_RULE, v[i]->record);
	}
	while (r == 0 && i-- > 0)
		r = rule_tests(c->table, v[i], &leaf);
	if (r < 0)
		return r;
	if (conds > c->table->tests)
		c->table->tests = (uint32_t)conds;
	*ret_leaf = leaf;
	return 0;
}
