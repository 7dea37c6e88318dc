/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules as they are judged by. */
#include "rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ulsp_abi.h"

_Static_assert((int)RULES_OPS >= (int)ULSP_OP_COUNT, "a default for each operation");

static const char *const op_words[] = {
#define OP(n, NAME, word, text) [n] = word,
#include "ops.def"
#undef OP
};
static const char *const proto_words[] = {
#define PROTO(n, NAME, word, text) [n] = word,
#include "protos.def"
#undef PROTO
};

#define COUNT(words) (sizeof(words) / sizeof((words)[0]))

static int find_word(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (words[i] && !strcmp(words[i], word))
			return (int)i;
	return -1;
}

int fw_op_number(const char *word)
{
	return find_word(op_words, COUNT(op_words), word);
}

int fw_proto_number(const char *word)
{
	return find_word(proto_words, COUNT(proto_words), word);
}

static const char *word_of(const char *const *words, size_t n, int number)
{
	return number >= 0 && (size_t)number < n && words[number] ? words[number] : "any";
}

const char *fw_op_word(int op)
{
	return word_of(op_words, COUNT(op_words), op);
}

const char *fw_proto_word(int proto)
{
	return word_of(proto_words, COUNT(proto_words), proto);
}

void fw_rule_fini(struct fw_rule *rule)
{
	free(rule->exe);
	free(rule->group);
	rule->exe = rule->group = NULL;
}

void fw_rules_free(struct fw_rules **r)
{
	if (!r || !*r)
		return;
	for (size_t i = 0; i < (*r)->n; i++)
		fw_rule_fini(&(*r)->v[i]);
	free((*r)->v);
	free(*r);
	*r = NULL;
}

static bool in_prefix(const struct fw_rule *rule, const struct fw_query *q)
{
	unsigned int whole = rule->prefix / 8u, rest = rule->prefix % 8u;

	if (!rule->family)
		return true;
	if (rule->family != q->family || memcmp(rule->addr, q->addr, whole))
		return false;
	return !rest || !((rule->addr[whole] ^ q->addr[whole]) >> (8 - rest));
}

static bool matches(const struct fw_rule *rule, const struct fw_query *q, bool unknown_exe)
{
	const char *exe;

	if ((rule->op >= 0 && rule->op != q->op) || (rule->proto >= 0 && rule->proto != q->proto))
		return false;
	if (q->port < rule->port_lo || q->port > rule->port_hi || !in_prefix(rule, q))
		return false;
	if (!rule->any_uid && rule->uid != q->uid)
		return false;
	if (rule->group && (!q->group || strcmp(rule->group, q->group)))
		return false;
	if (!rule->exe)
		return true;
	exe = q->exe ? q->exe(q->ctx) : NULL;
	return exe ? !strcmp(exe, rule->exe) : unknown_exe;
}

bool fw_rule_is_about(const struct fw_rule *rule, const struct fw_query *q)
{
	return matches(rule, q, false);
}

static const struct fw_default *default_of(const struct fw_rules *r, int op)
{
	return op >= 0 && op < RULES_OPS && r->by_op[op].given ? &r->by_op[op] : &r->fallback;
}

/* An `ask' that says nothing else: what the default says, and nothing is what it may ask too. */
static struct fw_verdict otherwise(const struct fw_rules *r, struct fw_verdict v, int op)
{
	const struct fw_default *d = default_of(r, op);

	if (d->verdict.ask)
		d = d->else_given ? d : r->fallback.verdict.ask ? NULL : &r->fallback;
	v.allow = d && d->verdict.allow;
	v.error = v.allow ? 0 : d ? d->verdict.error : -EPERM;
	return v;
}

struct fw_verdict fw_rules_judge(const struct fw_rules *r, const struct fw_query *q)
{
	const struct fw_default *d;

	for (size_t i = 0; i < r->n; i++) {
		const struct fw_verdict *v = &r->v[i].verdict;

		if (!matches(&r->v[i], q, v->ask || !v->allow))
			continue;
		return v->ask && !r->v[i].else_given ? otherwise(r, *v, q->op) : *v;
	}
	d = default_of(r, q->op);
	if (d->verdict.ask && !d->else_given)
		return otherwise(r, d->verdict, q->op);
	return d->verdict;
}
