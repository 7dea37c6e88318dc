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

/* One or two conditions that hold together: their places. */
struct chain_alternative {
	uint32_t first;
	uint32_t second; /* 0: none */
};

/* A rule's alternatives, by what they are on: of each dimension one must hold. */
struct chain_rest {
	uint32_t conds;	  /* in all */
	uint32_t no_task; /* condition's place, where the process matters */
	uint32_t uids, exes, addr2, ports2;
	uint32_t n; /* the sum of those four, in this order in v */
	struct chain_alternative v[];
};

/* One while it is made. */
struct maker {
	struct table *table;
	struct chain_rest *to;
	int error;
};

static uint32_t condition(struct maker *m, enum dec_on on, uint64_t lo, uint64_t hi)
{
	union {
		struct dec_cond cond;
		uint32_t words[DEC_COND_WORDS];
	} c = {.cond = {.on = on, .lo = lo, .hi = hi}};
	uint32_t at = 0;

	if (!m->error)
		m->error = table_share(m->table, c.words, DEC_COND_WORDS, &at);
	m->to->conds++;
	return at;
}

static void put(struct maker *m, uint32_t first, uint32_t second)
{
	m->to->v[m->to->n++] = (struct chain_alternative){first, second};
}

/* Addresses whose upper halves and whose lower halves are in a range each. */
static void put_block(struct maker *m, uint64_t hi_lo, uint64_t hi_hi, uint64_t lo_lo,
		      uint64_t lo_hi)
{
	uint32_t first = condition(m, DEC_ON_ADDR2, hi_lo, hi_hi), second = 0;

	if (lo_lo != 0 || lo_hi != UINT64_MAX)
		second = condition(m, DEC_ON_ADDR2_LOW, lo_lo, lo_hi);
	put(m, first, second);
}

/* At most three blocks: what is left of the first and the last upper half, and those between. */
static void put_addresses6(struct maker *m, const struct span *s)
{
	uint64_t lo = (uint64_t)(s->lo >> 64), hi = (uint64_t)(s->hi >> 64);
	uint64_t lo_low = (uint64_t)s->lo, hi_low = (uint64_t)s->hi;

	if (lo == hi) {
		put_block(m, lo, hi, lo_low, hi_low);
		return;
	}
	if (lo_low != 0)
		put_block(m, lo, lo, lo_low, UINT64_MAX);
	if (hi_low != UINT64_MAX)
		put_block(m, hi, hi, 0, hi_low);
	lo += lo_low != 0;
	hi -= hi_low != UINT64_MAX;
	if (lo <= hi)
		put_block(m, lo, hi, 0, UINT64_MAX);
}

enum { BLOCKS_MAX = 3 };

static void fill(struct maker *m, const struct match *one, int family, const span_int *exes)
{
	const struct pol_rule *rule = one->rule;
	struct chain_rest *to = m->to;
	size_t i;

	if (one->task)
		to->no_task = condition(m, DEC_ON_NO_TASK, 1, UINT8_MAX);
	for (i = 0; i < rule->nuids; i++)
		put(m, condition(m, DEC_ON_UID, rule->uids[i].lo, rule->uids[i].hi), 0);
	to->uids = to->n;
	for (i = 0; i < rule->nexecs; i++) {
		uint64_t device = (uint64_t)(exes[i] >> 64), inode = (uint64_t)exes[i];
		/* the inode first, as it differs more often */
		uint32_t first = condition(m, DEC_ON_EXE_INO, inode, inode);

		put(m, first, condition(m, DEC_ON_EXE_DEV, device, device));
	}
	to->exes = to->n - to->uids;
	for (i = 0; !one->addr2.all && i < one->addr2.n; i++) {
		const struct span *s = &one->addr2.v[i];

		if (family == DEC_V4) /* in the first word */
			put_block(m, (uint64_t)s->lo << 32, (uint64_t)s->hi << 32 | UINT32_MAX, 0,
				  UINT64_MAX);
		else
			put_addresses6(m, s);
	}
	to->addr2 = to->n - to->uids - to->exes;
	for (i = 0; one->port2 && i < rule->from_ports.n; i++) {
		const struct pol_ports *ports = &rule->from_ports.v[i];

		put(m, condition(m, DEC_ON_PORT2, ports->lo, ports->hi), 0);
	}
	to->ports2 = to->n - to->uids - to->exes - to->addr2;
}

static int prepare(struct table *t, struct pol_arena *arena, struct match *one, int family,
		   const span_int *exes, struct pol_diags *diags)
{
	const struct pol_rule *rule = one->rule;
	struct maker m = {.table = t};
	size_t n = rule->nuids + rule->nexecs;

	n += one->addr2.all ? 0 : one->addr2.n;
	n += one->port2 ? rule->from_ports.n : 0;
	if (n >= DEC_CHAIN_MAX)
		return too_many(rule, diags);
	m.to = arena_get(arena, sizeof(*m.to) + BLOCKS_MAX * n * sizeof(m.to->v[0]));
	if (!m.to)
		return -ENOMEM;
	fill(&m, one, family, exes);
	if (m.error)
		return m.error;
	if (m.to->conds >= DEC_CHAIN_MAX)
		return too_many(rule, diags);
	one->chain = m.to;
	return 0;
}

int chain_prepare(struct table *t, struct matches *m, int family, const span_int *const *exes,
		  const struct pol_rule *rules, struct pol_diags *diags)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < m->n; i++)
		if (m->v[i].rest)
			r = prepare(t, m->arena, &m->v[i], family, exes[m->v[i].rule - rules],
				    diags);
	return r;
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

/*
 * One of n alternatives must hold, or with `negated` none: *leaf, where to go
 * on then, becomes the tests' start.
 */
static int dimension(struct table *t, const struct chain_alternative **end, uint32_t n,
		     bool negated, uint32_t no, uint32_t *leaf)
{
	uint32_t holds = negated ? no : *leaf, at = negated ? *leaf : no, next;
	int r = 0;

	if (!n)
		return 0;
	while (r == 0 && n--) {
		const struct chain_alternative *one = --*end;

		next = holds;
		if (one->second)
			r = test(t, one->second, holds, at, &next);
		if (r == 0)
			r = test(t, one->first, next, at, &at);
	}
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
	const struct chain_rest *rest = m->chain;
	const struct chain_alternative *end = rest->v + rest->n;
	uint32_t at = DEC_LEAF(DEC_RULE, m->record), no = *leaf, blind;
	int r;

	r = dimension(t, &end, rest->ports2, false, no, &at);
	if (r == 0)
		r = dimension(t, &end, rest->addr2, false, no, &at);
	blind = m->rule->verdict == ULSP_VERDICT_DENY ? at : no;
	if (r == 0)
		r = dimension(t, &end, rest->exes, m->rule->exec_negated, no, &at);
	if (r == 0)
		r = dimension(t, &end, rest->uids, false, no, &at);
	if (r == 0 && rest->no_task)
		r = test(t, rest->no_task, blind, at, &at);
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
		conds += v[i]->chain->conds;
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
