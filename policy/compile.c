/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A group to its decision table: every operation in both address families
 * becomes a root; equal pieces of roots are stored once.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "decide.h"
#include "refuse.h"
#include "root.h"

struct compiler {
	const struct pol_group *g;
	const struct pol_env *env;
	struct pol_diags *diags;
	struct table table;
	struct records records;
	struct pol_arena *arena;
	const span_int **exes; /* by rule: its executables, device << 64 | inode */
	struct chain_leaf leaf;
	struct portfn portfn;
	enum ulsp_op op;		  /* the one in hand */
	uint32_t verdicts[ULSP_OP_COUNT]; /* bit per verdict that can come out */
};

void pol_table_free(struct pol_table **t)
{
	if (!*t)
		return;
	free((*t)->words);
	free((*t)->rules);
	free(*t);
	*t = NULL;
}

/* The identity of one that isn't there: no file system has it. */
static const span_int exe_gone = ~(span_int)0 >> 32;

/* The identity of every executable; one diagnostic for each that isn't there. */
static int find_executables(struct compiler *c)
{
	enum pol_severity severity = c->env->exe_may_miss ? POL_WARNING : POL_ERROR;
	size_t i, j;
	int r, error = 0;

	c->exes = arena_get(c->arena, c->g->nrules * sizeof(*c->exes));
	if (!c->exes)
		return -ENOMEM;
	for (i = 0; i < c->g->nrules; i++) {
		const struct pol_rule *rule = &c->g->rules[i];
		span_int *ids = arena_get(c->arena, rule->nexecs * sizeof(*ids));
		uint32_t device = 0;
		uint64_t inode = 0;

		if (!ids)
			return -ENOMEM;
		for (j = 0; j < rule->nexecs; j++) {
			r = c->env->exe(c->env->ctx, rule->execs[j], &device, &inode);
			ids[j] = r < 0 ? exe_gone : (span_int)device << 64 | inode;
			if (r == 0)
				continue;
			pol_diag_add(c->diags, severity, &rule->loc, "exec \"%s\": %s",
				     rule->execs[j], strerror(-r));
			if (severity == POL_ERROR)
				error = -ENOENT;
		}
		c->exes[i] = ids;
	}
	return error;
}

static enum ulsp_verdict verdict_of(const struct compiler *c, uint32_t record)
{
	const struct pol_rule *rule = c->records.rule[record];

	if (rule)
		return rule->verdict;
	return record == c->records.n - 2 ? c->g->default_verdict : ULSP_VERDICT_ALLOW;
}

static void reached(void *ctx, const struct match *m)
{
	struct compiler *c = ctx;

	c->verdicts[c->op] |= 1u << verdict_of(c, m->record);
}

static int compile_root(struct compiler *c, enum ulsp_op op, int family)
{
	struct matches m;
	uint32_t parts[DEC_PARTS];
	int r;

	c->op = op;
	r = matches_init(&m, c->g, &c->records, op, family);
	if (r < 0)
		return r;
	r = chain_prepare(&c->table, &m, family, c->exes, c->g->rules, c->diags);
	if (r == 0)
		r = root_build(&c->portfn, &m, family, c->env->merge_max, parts);
	if (r == 0)
		memcpy(&c->table.words[DEC_ROOT(op, family, 0)], parts, sizeof(parts));
	matches_fini(&m);
	return r;
}

static uint16_t file_slot(const struct compiler *c, const struct pol_loc *loc)
{
	if (!loc->line)
		return 0;
	return c->env->file_index ? c->env->file_index[loc->file] : loc->file;
}

static struct dec_rule default_record(const struct compiler *c)
{
	const struct pol_group *g = c->g;
	struct dec_rule to = {
		.verdict = g->default_verdict,
		.reason = ULSP_REASON_DEFAULT,
		.counter = g->default_id,
		.flags = g->default_log ? DEC_RULE_LOG : 0,
	};

	if (g->default_given) {
		to.line = g->default_loc.line;
		to.file = file_slot(c, &g->default_loc);
	}
	if (to.verdict != ULSP_VERDICT_ALLOW)
		to.error = (int16_t) - (g->default_error ? g->default_error : EPERM);
	return to;
}

static uint32_t clamped(uint64_t number)
{
	return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

static void limit_record(const struct pol_rule *rule, struct dec_rule *to)
{
	to->rate_per_hour = clamped(rule->rate_per_hour);
	to->burst = rule->burst ? rule->burst : clamped((rule->rate_per_hour + 3599) / 3600);
	to->flags |= DEC_RULE_LIMIT;
	if (rule->per_process)
		to->flags |= DEC_RULE_PER_PROCESS;
	if (rule->nuids || rule->nexecs)
		to->flags |= DEC_RULE_OF_PROCESS;
}

static struct dec_rule rule_record(const struct compiler *c, const struct pol_rule *rule)
{
	struct dec_rule to = {
		.id = rule->id,
		.counter = rule->id,
		.line = rule->loc.line,
		.file = file_slot(c, &rule->loc),
		.verdict = rule->verdict,
		.reason = ULSP_REASON_RULE,
		.cache_ms = clamped(rule->cache_ms),
	};

	if (to.verdict != ULSP_VERDICT_ALLOW)
		to.error = (int16_t) - (rule->error ? rule->error : EPERM);
	if (rule->log)
		to.flags |= DEC_RULE_LOG;
	if (rule->down == POL_DOWN_ALLOW)
		to.flags |= DEC_RULE_DOWN_ALLOW;
	if (to.verdict == ULSP_VERDICT_ASK && c->env->ring_of_ulsp)
		to.ring = c->env->ring_of_ulsp[rule->ulsp_index];
	if (rule->limit) {
		limit_record(rule, &to);
	} else {
		to.hold_ms = clamped(rule->hold_ms);
		to.down_ms = clamped(rule->down_hold_ms);
	}
	return to;
}

static int append_records(struct compiler *c)
{
	enum { WORDS = sizeof(struct dec_rule) / 4 };
	struct dec_rule *v = calloc(c->records.n, sizeof(*v));
	uint32_t *words, at;
	size_t i;
	int r;

	if (!v)
		return -ENOMEM;
	for (i = 0; i < c->records.n - 2; i++) {
		v[i] = rule_record(c, c->records.rule[i]);
		if (i >= c->g->nrules)
			v[i].flags |= DEC_RULE_FOR_BIND;
	}
	v[i++] = default_record(c);
	v[i].reason = ULSP_REASON_IMPLIED;
	v[i].counter = c->g->implied_id;
	r = table_append(&c->table, (uint32_t *)v, c->records.n * WORDS, &at);
	free(v);
	if (r < 0)
		return r;
	words = c->table.words;
	words[DEC_H_RULES] = at;
	words[DEC_H_RULE_COUNT] = (uint32_t)c->records.n;
	return 0;
}

/* The header, and the size that the walker's checks rely on. */
static int finish(struct compiler *c)
{
	static const uint32_t zero[DEC_MIN_WORDS - DEC_HEADER_WORDS];
	uint32_t at;
	int r = 0;

	if (c->table.n < DEC_MIN_WORDS)
		r = table_append(&c->table, zero, DEC_MIN_WORDS - DEC_HEADER_WORDS, &at);
	c->table.words[DEC_H_MAGIC] = DEC_MAGIC;
	c->table.words[DEC_H_NO_RULE] = c->table.words[DEC_H_NO_RULE + 1] = DEC_VALUE_MASK;
	c->table.words[DEC_H_KINDS] = c->table.kinds;
	c->table.words[DEC_H_TESTS] = c->table.tests;
	c->table.words[DEC_H_WORDS] = (uint32_t)c->table.n;
	return r;
}

static bool is_held(const struct pol_rule *rule)
{
	return rule->verdict == ULSP_VERDICT_ASK && (rule->hold_ms || rule->down_hold_ms);
}

/*
 * Connections, datagrams and binds are always seen, for messages and counters;
 * the rest costs something on every packet or socket and is there when a rule
 * can make a difference.
 */
static unsigned needs(const struct compiler *c)
{
	const uint32_t refused = 1u << ULSP_VERDICT_DENY | 1u << ULSP_VERDICT_ASK;
	unsigned need = POL_NEED_BIND | POL_NEED_CONNECT | POL_NEED_SENDTO;
	uint32_t ops = 0;
	size_t i;

	for (i = 0; i < c->g->nrules; i++) {
		ops |= c->g->rules[i].ops;
		if (c->g->rules[i].per_process && c->g->rules[i].ops & 1u << ULSP_OP_ACCEPT)
			need |= POL_NEED_LISTEN; /* notes whose a listener is */
		if (!is_held(&c->g->rules[i]))
			continue;
		if (c->g->rules[i].ops & 1u << ULSP_OP_CONNECT)
			need |= POL_NEED_HOLD;
		if (c->g->rules[i].ops & 1u << ULSP_OP_ACCEPT) /* who listens is to be known */
			need |= POL_NEED_LISTEN;
	}
	if (ops & 1u << ULSP_OP_SOCKET)
		need |= POL_NEED_SOCKET;
	if (ops & 1u << ULSP_OP_LISTEN || c->verdicts[ULSP_OP_LISTEN] & refused)
		need |= POL_NEED_LISTEN | POL_NEED_INGRESS;
	if (ops & 1u << ULSP_OP_ACCEPT)
		need |= POL_NEED_INGRESS;
	if (ops & 1u << ULSP_OP_RECVFROM)
		need |= POL_NEED_RECVFROM | POL_NEED_INGRESS;
	if ((c->verdicts[ULSP_OP_CONNECT] | c->verdicts[ULSP_OP_SENDTO]) & refused)
		need |= POL_NEED_BACKSTOP;
	return need;
}

static int compile(struct compiler *c)
{
	int r, op, family;

	r = refuse_unsupported(c->g, c->env, c->diags);
	if (r < 0)
		return r;
	c->arena = arena_new();
	if (!c->arena)
		return -ENOMEM;
	r = find_executables(c);
	if (r == 0)
		r = records_init(&c->records, c->g);
	if (r == 0)
		r = table_init(&c->table);
	for (op = 0; op < ULSP_OP_COUNT; op++)
		for (family = 0; r == 0 && family < DEC_FAMILIES; family++)
			r = compile_root(c, op, family);
	if (r == 0)
		r = append_records(c);
	return r < 0 ? r : finish(c);
}

int pol_compile(const struct pol_policy *p, const struct pol_group *g, const struct pol_env *env,
		struct pol_diags *diags, struct pol_table **ret)
{
	struct compiler c = {.g = g, .env = env, .diags = diags};
	size_t errors = diags->errors;
	struct pol_table *t;
	int r;

	(void)p;
	c.leaf = (struct chain_leaf){&c.table, diags, reached, &c};
	c.portfn.leaf = &c.leaf;
	t = calloc(1, sizeof(*t));
	r = t ? compile(&c) : -ENOMEM;
	if (r == 0) {
		*t = (struct pol_table){
			.words = c.table.words,
			.nwords = c.table.n,
			.nrules = c.records.n,
			.rules = c.records.rule,
			.needs = needs(&c),
		};
		c.table.words = NULL;
		c.records.rule = NULL;
		*ret = t;
		t = NULL;
	} else if (r == -E2BIG && diags->errors == errors) {
		pol_diag_add(diags, POL_ERROR, &g->loc,
			     "group %s: its rules make tables of more than %d MiB", g->name,
			     TABLE_BUDGET_WORDS / ((1 << 20) / 4));
	}
	free(t);
	portfn_fini(&c.portfn);
	table_fini(&c.table);
	records_fini(&c.records);
	arena_free(&c.arena);
	return r;
}
