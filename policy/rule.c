/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The builder of rules and defaults: clauses as they come, each at most once.
 */
#include <ctype.h>
#include <string.h>

#include "parse.h"
#include "words.h"

#define BIT(n) (1u << (n))

enum {
	MAX_NAME_BYTES = 253,	  /* of a domain name */
	HOURS_OF_YEAR = 366 * 24, /* a bucket's time in nanoseconds stays far below 64 bits */
};

/* Note a clause; false: it was there already. */
static bool note(struct parser *p, enum clause c, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;

	b->port_of = c == CLAUSE_FROM ? CLAUSE_FROM_PORT : CLAUSE_TO_PORT;
	if (b->loc[c].line) {
		pol_diag_add(p->diags, POL_ERROR, loc, "'%s' is given twice", clause_word(c));
		b->bad = true;
		return false;
	}
	b->loc[c] = *loc;
	return true;
}

/* ---- clauses ---- */

void rule_begin(struct parser *p, enum ulsp_verdict verdict, const struct pol_loc *loc)
{
	p->rule = (struct rule_builder){.port_of = CLAUSE_TO_PORT, .open = true};
	p->rule.rule = (struct pol_rule){
		.loc = *loc,
		.verdict = verdict,
		.to.any = true,
		.from.any = true,
		.to_ports.any = true,
		.from_ports.any = true,
	};
}

void rule_ulsp(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	if (!name->s)
		return;
	p->rule.rule.ulsp = keep_text(p, name->s, name->n);
	if (p->rule.rule.ulsp)
		ref_add(p, &p->ulsp_refs, p->rule.rule.ulsp, loc);
}

void rule_limit(struct parser *p, const struct atom *rate, const struct pol_loc *loc)
{
	p->rule.rule.limit = true;
	p->rule.rule.rate_per_hour = rate->lo;
	if (!rate->bad && rate->lo == 0)
		pol_diag_add(p->diags, POL_ERROR, loc, "a rate of nothing: write 'deny'");
	if (!rate->bad && rate->lo > UINT32_MAX)
		pol_diag_add(p->diags, POL_ERROR, loc, "a rate is at most %u/s", UINT32_MAX / 3600);
}

void rule_burst(struct parser *p, const struct atom *number, const struct pol_loc *loc)
{
	struct pol_rule *r = &p->rule.rule;

	if (number->lo != number->hi || number->lo == 0 || number->lo > UINT32_MAX)
		pol_diag_add(p->diags, POL_ERROR, loc, "a burst is one number from 1 to %u",
			     UINT32_MAX);
	else if (r->rate_per_hour && number->lo > r->rate_per_hour * HOURS_OF_YEAR)
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "at this rate a burst of %u takes more than a year to come back",
			     (unsigned)number->lo);
	r->burst = (uint32_t)number->lo;
}

void rule_per(struct parser *p, const struct text *word, const struct pol_loc *loc)
{
	if (!word->s)
		return;
	if (!strcmp(word->s, "process"))
		p->rule.rule.per_process = true;
	else if (strcmp(word->s, "group") != 0)
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "a rate is 'per group' or 'per process', not per '%s'", word->s);
}

void rule_op(struct parser *p, int op, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;

	if (op < 0) {
		b->any_op = true;
		b->rule.ops = BIT(ULSP_OP_COUNT) - 1;
	} else if (b->rule.ops & BIT(op)) {
		pol_diag_add(p->diags, POL_ERROR, loc, "'%s' is given twice", op_word(op));
	} else {
		b->rule.ops |= BIT(op);
	}
	if (!b->ops_loc.line)
		b->ops_loc = *loc;
}

void rule_proto(struct parser *p, int proto, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;

	if (proto < 0) {
		b->any_proto = true;
		b->rule.protos = BIT(ULSP_PROTO_COUNT) - 1;
	} else if (b->rule.protos & BIT(proto)) {
		pol_diag_add(p->diags, POL_ERROR, loc, "'%s' is given twice", proto_word(proto));
	} else {
		b->rule.protos |= BIT(proto);
	}
	if (!b->protos_loc.line)
		b->protos_loc = *loc;
}

void rule_to(struct parser *p, const struct set_use *u, const struct pol_loc *loc)
{
	if (!note(p, CLAUSE_TO, loc) || !set_addrs(p, u, "to", &p->rule.rule.to))
		p->rule.bad = true;
}

void rule_from(struct parser *p, const struct set_use *u, const struct pol_loc *loc)
{
	if (!note(p, CLAUSE_FROM, loc) || !set_addrs(p, u, "from", &p->rule.rule.from))
		p->rule.bad = true;
}

void rule_port(struct parser *p, const struct set_use *u, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;
	enum clause c = b->port_of;

	if (!note(p, c, loc) ||
	    !set_ports(p, u, c == CLAUSE_TO_PORT ? &b->rule.to_ports : &b->rule.from_ports))
		b->bad = true;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Copies of a set's strings, sorted, each once. */
static char **copy_strings(struct parser *p, const char *const *from, size_t n, size_t *ret_n)
{
	char **v = arena_get(p->arena, n * sizeof(*v));
	size_t out = 0;

	p->oom |= !v;
	for (size_t i = 0; i < n && !p->oom; i++)
		v[i] = keep_text(p, from[i], strlen(from[i]));
	if (p->oom)
		return NULL;
	qsort(v, n, sizeof(*v), compare_strings);
	for (size_t i = 0; i < n; i++)
		if (!out || strcmp(v[out - 1], v[i]) != 0)
			v[out++] = v[i];
	*ret_n = out;
	return v;
}

/* Labels of letters, digits, '-' and '_'; '*' for any part of one or more. */
static bool name_is_good(const char *s)
{
	size_t label = 0, n = strlen(s);

	if (n == 0 || n > MAX_NAME_BYTES)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char)s[i]) && !strchr("-_*", s[i]))
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0;
}

void rule_name(struct parser *p, const struct set_use *u, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;
	const char **strings;
	size_t n;

	b->bad = true;
	if (!note(p, CLAUSE_TO, loc))
		return;
	b->loc[CLAUSE_NAME] = *loc;
	if (!u->set || u->negated) {
		pol_diag_add(p->diags, POL_ERROR, &u->loc,
			     u->set ? "names can't be negated" : "'name' takes quoted names");
		return;
	}
	if (!set_strings(p, u, "name", &strings, &n))
		return;
	if (n == 0)
		pol_diag_add(p->diags, POL_ERROR, &u->loc, "no name is given");
	for (size_t i = 0; i < n; i++)
		if (!name_is_good(strings[i]))
			pol_diag_add(p->diags, POL_ERROR, &u->set->string_locs[i],
				     "'%s' is no pattern of a domain name, as \"*.example.org\"",
				     strings[i]);
	b->rule.names = copy_strings(p, strings, n, &b->rule.nnames);
	for (size_t i = 0; i < b->rule.nnames && !p->oom; i++)
		for (char *c = b->rule.names[i]; *c; c++)
			*c = (char)tolower((unsigned char)*c);
	if (!p->oom) /* once more, now that case is gone */
		b->rule.names = copy_strings(p, (const char *const *)b->rule.names, b->rule.nnames,
					     &b->rule.nnames);
	b->bad = false;
}

void rule_uid(struct parser *p, const struct set_use *u, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;

	if (!note(p, CLAUSE_UID, loc) || !set_uids(p, u, &b->rule.uids, &b->rule.nuids)) {
		b->bad = true;
	} else if (b->rule.uids && !b->rule.nuids) {
		pol_diag_add(p->diags, POL_ERROR, &u->loc, "no uid is left");
		b->bad = true;
	}
}

void rule_exec(struct parser *p, const struct set_use *u, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;
	const char **strings;
	size_t n;

	if (!note(p, CLAUSE_EXEC, loc)) {
		b->bad = true;
		return;
	}
	if (!u->set) /* any */
		return;
	b->bad = true;
	if (!set_strings(p, u, "exec", &strings, &n))
		return;
	if (n == 0)
		pol_diag_add(p->diags, POL_ERROR, &u->loc, "no executable is given");
	b->bad = false;
	for (size_t i = 0; i < n; i++) {
		if (strings[i][0] == '/')
			continue;
		pol_diag_add(p->diags, POL_ERROR, &u->set->string_locs[i],
			     "an executable's path is absolute: \"/...\"");
		b->bad = true;
	}
	b->rule.execs = copy_strings(p, strings, n, &b->rule.nexecs);
	b->rule.exec_negated = u->negated;
}

int errno_of(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	struct nearest guess;
	int error;

	if (!name->s)
		return 0;
	error = errno_by_name(name->s, name->n);
	if (error)
		return error;
	nearest_init(&guess, name->s, name->n);
	for (int i = 1; i <= ERRNO_MAX; i++)
		nearest_try(&guess, strerrorname_np(i));
	if (guess.best)
		pol_diag_add(p->diags, POL_ERROR, loc, "unknown errno '%s': did you mean '%s'?",
			     name->s, guess.best);
	else
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "unknown errno '%s': names are those of "
			     "errno(3), as ECONNREFUSED",
			     name->s);
	return 0;
}

int errno_number(struct parser *p, const struct atom *number, const struct pol_loc *loc)
{
	if (number->lo == number->hi && number->lo >= 1 && number->lo <= ERRNO_MAX)
		return (int)number->lo;
	pol_diag_add(p->diags, POL_ERROR, loc, "an errno is one number from 1 to %d", ERRNO_MAX);
	return 0;
}

void rule_errno(struct parser *p, int error, const struct pol_loc *loc)
{
	if (note(p, CLAUSE_ERRNO, loc))
		p->rule.rule.error = error;
}

void rule_log(struct parser *p, const struct pol_loc *loc)
{
	if (note(p, CLAUSE_LOG, loc))
		p->rule.rule.log = true;
}

/* Durations go to the kernel in 32 bits; 0 there means "not given". */
static uint64_t check_time(struct parser *p, const struct atom *time, const struct pol_loc *loc)
{
	if (!time->bad && (time->lo == 0 || time->lo > UINT32_MAX))
		pol_diag_add(p->diags, POL_ERROR, loc,
			     time->lo ? "longer than 49 days" : "a duration of nothing");
	return time->lo;
}

void rule_hold(struct parser *p, const struct atom *time, const struct pol_loc *loc)
{
	if (note(p, CLAUSE_HOLD, loc))
		p->rule.rule.hold_ms = check_time(p, time, loc);
}

void rule_cache(struct parser *p, const struct atom *time, const struct pol_loc *loc)
{
	if (note(p, CLAUSE_CACHE, loc))
		p->rule.rule.cache_ms = check_time(p, time, loc);
}

void rule_down(struct parser *p, enum pol_fail fail, const struct atom *time,
	       const struct pol_loc *loc)
{
	struct pol_rule *r = &p->rule.rule;

	if (!note(p, CLAUSE_DOWN, loc))
		return;
	r->down = fail;
	r->down_given = true;
	if (time)
		r->down_hold_ms = check_time(p, time, loc);
}

static void default_end(struct parser *p)
{
	struct pol_group *g = &p->group;
	const struct pol_rule *r = &p->rule.rule;

	if (g->default_given) {
		pol_diag_add(p->diags, POL_ERROR, &r->loc,
			     "'default' is given twice: first in line %u", g->default_loc.line);
		return;
	}
	if (r->verdict == ULSP_VERDICT_ALLOW && p->rule.loc[CLAUSE_ERRNO].line)
		pol_diag_add(p->diags, POL_ERROR, &p->rule.loc[CLAUSE_ERRNO],
			     "'errno' is for a default that denies");
	g->default_given = true;
	g->default_loc = r->loc;
	g->default_verdict = r->verdict;
	g->default_log = r->log;
	g->default_error = r->error;
}

void default_begin(struct parser *p, enum ulsp_verdict verdict, const struct pol_loc *loc)
{
	rule_begin(p, verdict, loc);
	p->rule.is_default = true;
}

void rule_cut(struct parser *p)
{
	if (p->rule.open && (p->rule.is_default || p->rule.rule.protos))
		rule_end(p);
	p->rule.open = false;
}

void rule_end(struct parser *p)
{
	struct pol_group *g = &p->group;
	struct pol_rule *v;

	p->rule.open = false;
	if (p->oom)
		return;
	if (p->rule.is_default) {
		default_end(p);
		return;
	}
	rule_fit(p);
	v = arena_grow(p->arena, g->rules, g->nrules, sizeof(*v));
	if (!v) {
		p->oom = true;
		return;
	}
	g->rules = v;
	v[g->nrules++] = p->rule.rule;
}
