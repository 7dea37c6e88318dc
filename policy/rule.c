/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The builder of rules: clauses as they come, each at most once; then whether
 * they fit each other, the operations and the protocols.
 */
#include <ctype.h>
#include <string.h>

#include "parse.h"
#include "words.h"

#define BIT(n) (1u << (n))

enum { MAX_NAME_BYTES = 253 }; /* of a domain name */

static const struct clause_info {
	const char *word;
	/* What the operation has, of those that look at addresses and processes. */
	uint32_t ops;
} clauses[CLAUSE_COUNT] = {
#define ADDRESSED                                                                                  \
	(BIT(ULSP_OP_BIND) | BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_LISTEN) | BIT(ULSP_OP_ACCEPT) |    \
	 BIT(ULSP_OP_SENDTO) | BIT(ULSP_OP_RECVFROM))
#define TWO_ENDED (ADDRESSED & ~(BIT(ULSP_OP_BIND) | BIT(ULSP_OP_LISTEN)))
#define IN_PROCESS (BIT(ULSP_OP_SOCKET) | BIT(ULSP_OP_BIND) | BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_SENDTO))
#define OUTGOING (BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_SENDTO))
#define EVERY (BIT(ULSP_OP_COUNT) - 1)
	[CLAUSE_TO] = {"to", EVERY}, /* socket: chooses the family */
	[CLAUSE_TO_PORT] = {"port", ADDRESSED},
	[CLAUSE_FROM] = {"from", TWO_ENDED},
	[CLAUSE_FROM_PORT] = {"from ... port", TWO_ENDED},
	[CLAUSE_NAME] = {"to name", OUTGOING},
	[CLAUSE_UID] = {"uid", IN_PROCESS},
	[CLAUSE_EXEC] = {"exec", IN_PROCESS},
	[CLAUSE_ERRNO] = {"errno", EVERY},
	[CLAUSE_LOG] = {"log", EVERY},
	[CLAUSE_HOLD] = {"hold", EVERY},
	[CLAUSE_DOWN] = {"down", EVERY},
	[CLAUSE_CACHE] = {"cache", EVERY},
};

static bool has(const struct rule_builder *b, enum clause c)
{
	return b->loc[c].line != 0;
}

/* Note a clause; false: it was there already. */
static bool note(struct parser *p, enum clause c, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;

	b->port_of = c == CLAUSE_FROM ? CLAUSE_FROM_PORT : CLAUSE_TO_PORT;
	if (has(b, c)) {
		pol_diag_add(p->diags, POL_ERROR, loc, "'%s' is given twice", clauses[c].word);
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
}

void rule_burst(struct parser *p, const struct atom *number, const struct pol_loc *loc)
{
	if (number->lo != number->hi || number->lo == 0 || number->lo > UINT32_MAX)
		pol_diag_add(p->diags, POL_ERROR, loc, "a burst is one number from 1 to %u",
			     UINT32_MAX);
	p->rule.rule.burst = (uint32_t)number->lo;
}

void rule_op(struct parser *p, int op, const struct pol_loc *loc)
{
	struct rule_builder *b = &p->rule;

	if (op < 0) {
		b->any_op = true;
		b->rule.ops = EVERY;
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
	if (!note(p, CLAUSE_TO, loc) || !set_addrs(p, u, "'to'", &p->rule.rule.to))
		p->rule.bad = true;
}

void rule_from(struct parser *p, const struct set_use *u, const struct pol_loc *loc)
{
	if (!note(p, CLAUSE_FROM, loc) || !set_addrs(p, u, "'from'", &p->rule.rule.from))
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
	if (!set_strings(p, u, "'name'", &strings, &n))
		return;
	if (n == 0)
		pol_diag_add(p->diags, POL_ERROR, &u->loc, "no name is given");
	b->rule.names = copy_strings(p, strings, n, &b->rule.nnames);
	for (size_t i = 0; i < b->rule.nnames && !p->oom; i++) {
		char *name = b->rule.names[i];

		for (char *c = name; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (!name_is_good(name))
			pol_diag_add(p->diags, POL_ERROR, &u->loc,
				     "'%s' is no pattern of a domain name, as \"*.example.org\"",
				     name);
	}
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
	if (!set_strings(p, u, "'exec'", &strings, &n))
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
		pol_diag_add(p->diags, POL_ERROR, loc, "unknown errno '%s': names are those of "
			     "errno(3), as ECONNREFUSED", name->s);
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
		pol_diag_add(p->diags, POL_ERROR, loc, time->lo ? "longer than 49 days"
								: "a duration of nothing");
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

/* ---- what fits ---- */

/* Whether `to` only chooses address families: all that a socket() can have. */
static bool is_family(const struct pol_addrs *a)
{
	static const struct pol_range all4 = {.family = 4, .hi = {255, 255, 255, 255}};
	struct pol_range all6 = {.family = 6};

	memset(all6.hi, 255, sizeof(all6.hi));
	for (size_t i = 0; i < a->n; i++)
		if (memcmp(&a->v[i], &all4, sizeof(all4)) != 0 &&
		    memcmp(&a->v[i], &all6, sizeof(all6)) != 0)
			return false;
	return a->any || a->n > 0;
}

/* Operations that have all of what the rule names. */
static uint32_t fitting_ops(const struct rule_builder *b)
{
	uint32_t ops = EVERY;

	for (int c = 0; c < CLAUSE_COUNT; c++)
		if (has(b, c))
			ops &= clauses[c].ops;
	if (!is_family(&b->rule.to) || b->rule.names)
		ops &= ~BIT(ULSP_OP_SOCKET);
	return ops;
}

static void list_ops(uint32_t ops, char *list, size_t bytes)
{
	list[0] = '\0';
	for (int op = 0; op < ULSP_OP_COUNT; op++) {
		size_t n = strlen(list);

		if (ops & BIT(op))
			snprintf(list + n, bytes - n, "%s%s", n ? ", " : "", op_word(op));
	}
}

static const char *misfit_help(int op, enum clause c)
{
	if (op == ULSP_OP_SOCKET)
		return ": a socket has no address yet";
	if (c == CLAUSE_FROM || c == CLAUSE_FROM_PORT)
		return ": its own address comes after 'to'";
	if (c == CLAUSE_UID || c == CLAUSE_EXEC)
		return ": it is not judged in a process's context";
	return "";
}

static void check_ops(struct parser *p)
{
	struct rule_builder *b = &p->rule;
	uint32_t fit = fitting_ops(b);
	char list[80];

	if (b->any_op) {
		list_ops(fit, list, sizeof(list));
		if (!fit)
			pol_diag_add(p->diags, POL_ERROR, &b->ops_loc,
				     "no operation has all that this rule names");
		else if (fit != EVERY)
			pol_diag_add(p->diags, POL_NOTE, &b->ops_loc,
				     "'any' is %s here: the others don't have what the rule names",
				     list);
		b->rule.ops = fit;
		return;
	}
	for (int op = 0; op < ULSP_OP_COUNT; op++) {
		if (!(b->rule.ops & BIT(op)) || fit & BIT(op))
			continue;
		for (int c = 0; c < CLAUSE_COUNT; c++)
			if (has(b, c) && !(clauses[c].ops & BIT(op)))
				pol_diag_add(p->diags, POL_ERROR, &b->loc[c],
					     "'%s' has no '%s'%s", op_word(op), clauses[c].word,
					     misfit_help(op, c));
		if (op == ULSP_OP_SOCKET && !is_family(&b->rule.to))
			pol_diag_add(p->diags, POL_ERROR, &b->loc[CLAUSE_TO],
				     "'socket' has no address: only 0.0.0.0/0 or ::/0, for the "
				     "family, can stand here");
	}
}

static void check_protos(struct parser *p)
{
	const uint32_t ported = BIT(ULSP_PROTO_TCP) | BIT(ULSP_PROTO_UDP);
	struct rule_builder *b = &p->rule;
	const enum clause addressed[] = {CLAUSE_TO, CLAUSE_FROM};
	const enum clause ports[] = {CLAUSE_TO_PORT, CLAUSE_FROM_PORT};

	if (b->any_proto)
		return;
	for (int proto = 0; proto < ULSP_PROTO_COUNT; proto++) {
		if (!(b->rule.protos & BIT(proto)))
			continue;
		for (int i = 0; i < 2; i++) {
			if (has(b, ports[i]) && !(ported & BIT(proto)))
				pol_diag_add(p->diags, POL_ERROR, &b->loc[ports[i]],
					     "'%s' has no ports", proto_word(proto));
			if (has(b, addressed[i]) && proto >= ULSP_PROTO_INET_COUNT)
				pol_diag_add(p->diags, POL_ERROR, &b->loc[addressed[i]],
					     "'%s' has no IP addresses", proto_word(proto));
		}
	}
}

static void refuse(struct parser *p, enum clause c, const char *why)
{
	if (has(&p->rule, c))
		pol_diag_add(p->diags, POL_ERROR, &p->rule.loc[c], "'%s' %s", clauses[c].word, why);
}

static void check_verdict(struct parser *p)
{
	enum ulsp_verdict verdict = p->rule.rule.verdict;

	if (verdict == ULSP_VERDICT_ALLOW)
		refuse(p, CLAUSE_ERRNO, "is for rules that can deny: this one allows");
	if (verdict != ULSP_VERDICT_ASK && verdict != ULSP_VERDICT_SERVE) {
		refuse(p, CLAUSE_HOLD, "is for rules that ask or serve");
		refuse(p, CLAUSE_DOWN, "is for rules that ask or serve");
	}
	if (verdict != ULSP_VERDICT_ASK)
		refuse(p, CLAUSE_CACHE, "is for rules that ask");
}

/* What is right, and may still surprise. */
static void advise(struct parser *p)
{
	struct rule_builder *b = &p->rule;
	const uint32_t streams = BIT(ULSP_OP_LISTEN) | BIT(ULSP_OP_ACCEPT);
	const uint32_t incoming = BIT(ULSP_OP_ACCEPT) | BIT(ULSP_OP_RECVFROM);

	if (has(b, CLAUSE_TO) && !b->rule.to.any && !b->rule.to.n && !b->rule.names)
		pol_diag_add(p->diags, POL_WARNING, &b->loc[CLAUSE_TO],
			     "no address is left: the rule never matches");
	if (has(b, CLAUSE_FROM) && !b->rule.from.any && !b->rule.from.n)
		pol_diag_add(p->diags, POL_WARNING, &b->loc[CLAUSE_FROM],
			     "no address is left: the rule never matches");
	if ((has(b, CLAUSE_TO_PORT) && !b->rule.to_ports.any && !b->rule.to_ports.n) ||
	    (has(b, CLAUSE_FROM_PORT) && !b->rule.from_ports.any && !b->rule.from_ports.n))
		pol_diag_add(p->diags, POL_WARNING, &b->rule.loc,
			     "no port is left: the rule never matches");
	if (b->any_op)
		return;
	if (!(b->rule.ops & ~streams) && !(b->rule.protos & BIT(ULSP_PROTO_TCP)))
		pol_diag_add(p->diags, POL_WARNING, &b->protos_loc,
			     "only TCP sockets listen and accept: the rule never matches");
	if (b->rule.ops == BIT(ULSP_OP_RECVFROM) && b->rule.protos == BIT(ULSP_PROTO_TCP))
		pol_diag_add(p->diags, POL_WARNING, &b->protos_loc,
			     "'recvfrom' judges datagrams, not TCP: the rule never matches");
	if (b->rule.verdict != ULSP_VERDICT_ALLOW && b->rule.ops & BIT(ULSP_OP_LISTEN))
		pol_diag_add(p->diags, POL_NOTE, &b->ops_loc,
			     "listen(2) itself succeeds on a kernel without BPF LSM; connections "
			     "to the socket are dropped");
	if (has(b, CLAUSE_ERRNO) && b->rule.ops & incoming)
		pol_diag_add(p->diags, POL_NOTE, &b->loc[CLAUSE_ERRNO],
			     "'accept' and 'recvfrom' drop what arrives: no call gets this errno, "
			     "messages show it");
	if (has(b, CLAUSE_FROM_PORT) && !has(b, CLAUSE_TO_PORT) && b->rule.ops & incoming)
		pol_diag_add(p->diags, POL_NOTE, &b->loc[CLAUSE_FROM_PORT],
			     "this is the peer's port: the own one comes before 'from'");
}

static void default_end(struct parser *p)
{
	struct pol_group *g = &p->group;
	const struct pol_rule *r = &p->rule.rule;

	if (g->default_given) {
		pol_diag_add(p->diags, POL_ERROR, &r->loc, "'default' is given twice: first in line %u",
			     g->default_loc.line);
		return;
	}
	if (r->verdict == ULSP_VERDICT_ALLOW)
		refuse(p, CLAUSE_ERRNO, "is for a default that denies");
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
	if (!p->rule.bad) {
		check_ops(p);
		check_protos(p);
		advise(p);
	}
	check_verdict(p);
	v = arena_grow(p->arena, g->rules, g->nrules, sizeof(*v));
	if (!v) {
		p->oom = true;
		return;
	}
	g->rules = v;
	v[g->nrules++] = p->rule.rule;
}
