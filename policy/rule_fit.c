/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether the clauses of a rule fit its operations, protocols and verdict, and
 * what is right and may still surprise.
 */
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "words.h"

#define BIT(n) (1u << (n))

/* Operations by what they have. */
#define ADDRESSED                                                                                  \
	(BIT(ULSP_OP_BIND) | BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_LISTEN) | BIT(ULSP_OP_ACCEPT) |    \
	 BIT(ULSP_OP_SENDTO) | BIT(ULSP_OP_RECVFROM))
#define TWO_ENDED (ADDRESSED & ~(BIT(ULSP_OP_BIND) | BIT(ULSP_OP_LISTEN)))
#define IN_PROCESS                                                                                 \
	(BIT(ULSP_OP_SOCKET) | BIT(ULSP_OP_BIND) | BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_SENDTO))
#define OUTGOING (BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_SENDTO))
#define EVERY	 (BIT(ULSP_OP_COUNT) - 1)

static const struct clause_info {
	const char *word;
	uint32_t ops; /* that have it */
} clauses[CLAUSE_COUNT] = {
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

const char *clause_word(enum clause c)
{
	return clauses[c].word;
}

static bool has(const struct rule_builder *b, enum clause c)
{
	return b->loc[c].line != 0;
}

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
				pol_diag_add(p->diags, POL_ERROR, &b->loc[c], "'%s' has no '%s'%s",
					     op_word(op), clauses[c].word, misfit_help(op, c));
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

static bool no_address(const struct rule_builder *b, enum clause clause, const struct pol_addrs *a)
{
	return has(b, clause) && !a->any && !a->n;
}

static bool no_port(const struct rule_builder *b, enum clause clause, const struct pol_portset *s)
{
	return has(b, clause) && !s->any && !s->n;
}

/* Said once a rule, at its first empty set. */
static void advise_empty(struct parser *p)
{
	const struct rule_builder *b = &p->rule;
	const struct pol_rule *r = &b->rule;
	const struct pol_loc *at = NULL;

	/* 'socket' with an address is an error, said already */
	if (no_address(b, CLAUSE_TO, &r->to) && !r->names && !(r->ops & BIT(ULSP_OP_SOCKET)))
		at = &b->loc[CLAUSE_TO];
	else if (no_address(b, CLAUSE_FROM, &r->from))
		at = &b->loc[CLAUSE_FROM];
	if (at)
		pol_diag_add(p->diags, POL_WARNING, at,
			     "no address is left: the rule never matches");
	else if (no_port(b, CLAUSE_TO_PORT, &r->to_ports) ||
		 no_port(b, CLAUSE_FROM_PORT, &r->from_ports))
		pol_diag_add(p->diags, POL_WARNING, &r->loc,
			     "no port is left: the rule never matches");
}

/* What is right, and may still surprise. */
static void advise(struct parser *p)
{
	struct rule_builder *b = &p->rule;
	const uint32_t streams = BIT(ULSP_OP_LISTEN) | BIT(ULSP_OP_ACCEPT);
	const uint32_t incoming = BIT(ULSP_OP_ACCEPT) | BIT(ULSP_OP_RECVFROM);

	advise_empty(p);
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

void rule_fit(struct parser *p)
{
	if (!p->rule.bad) {
		check_ops(p);
		check_protos(p);
		advise(p);
	}
	check_verdict(p);
}
