/* SPDX-License-Identifier: GPL-2.0-only */
#include "match.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "decide.h"
#include "memo.h"

#define INET_PROTOS ((1u << ULSP_PROTO_INET_COUNT) - 1)

int records_init(struct records *r, const struct pol_group *g)
{
	size_t i;

	r->rule = calloc(2 * g->nrules + 2, sizeof(const struct pol_rule *));
	if (!r->rule)
		return -ENOMEM;
	for (i = 0; i < g->nrules; i++)
		r->rule[i] = &g->rules[i];
	r->n = g->nrules;
	for (i = 0; i < g->nrules; i++)
		if (g->rules[i].ops & 1u << ULSP_OP_BIND)
			r->rule[r->n++] = &g->rules[i];
	r->n += 2;
	return 0;
}

void records_fini(struct records *r)
{
	free(r->rule);
	*r = (struct records){0};
}

span_int match_address_max(int family)
{
	return family == DEC_V4 ? (span_int)UINT32_MAX : ~(span_int)0;
}

static span_int address(const uint8_t bytes[16], int family)
{
	uint64_t half[2];
	uint32_t word;

	if (family == DEC_V4) {
		memcpy(&word, bytes, sizeof(word));
		return be32toh(word);
	}
	memcpy(half, bytes, sizeof(half));
	return (span_int)be64toh(half[0]) << 64 | be64toh(half[1]);
}

/* The part of a set that is in the family; false: no memory. */
static bool addresses(struct pol_arena *arena, const struct pol_addrs *from, int family,
		      struct sweep_set *ret)
{
	uint8_t wanted = family == DEC_V4 ? 4 : 6;
	struct span *v;
	size_t i, n = 0;

	*ret = (struct sweep_set){.all = from->any};
	for (i = 0; i < from->n; i++)
		n += from->v[i].family == wanted;
	if (from->any || !n)
		return true;
	v = arena_get(arena, n * sizeof(*v));
	if (!v)
		return false;
	for (i = n = 0; i < from->n; i++) {
		if (from->v[i].family != wanted)
			continue;
		v[n].lo = address(from->v[i].lo, family);
		v[n++].hi = address(from->v[i].hi, family);
	}
	ret->v = v;
	ret->n = n;
	ret->all = n == 1 && v->lo == 0 && v->hi == match_address_max(family);
	return true;
}

/* Protocols and ports as one set. */
static bool ports(struct pol_arena *arena, uint32_t protos, const struct pol_portset *from,
		  struct sweep_set *ret)
{
	static const struct pol_ports every[] = {{0, UINT16_MAX}};
	const struct pol_ports *p = from->any ? every : from->v;
	size_t n = from->any ? 1 : from->n, i;
	struct span *v;
	unsigned proto;

	*ret = (struct sweep_set){0};
	protos &= INET_PROTOS;
	if (n == 1 && p->lo == 0 && p->hi == UINT16_MAX && protos == INET_PROTOS) {
		ret->all = true;
		return true;
	}
	v = arena_get(arena, ULSP_PROTO_INET_COUNT * n * sizeof(*v));
	if (!v)
		return false;
	ret->v = v;
	for (proto = 0; proto < ULSP_PROTO_INET_COUNT; proto++) {
		if (!(protos & 1u << proto))
			continue;
		for (i = 0; i < n; i++)
			v[ret->n++] = (struct span){proto << 16 | p[i].lo, proto << 16 | p[i].hi};
	}
	return true;
}

/* The zone of a set of addresses; -ENOENT: it has none in the family. */
static int zone(struct matches *m, struct memo *known, const struct pol_addrs *from, int family)
{
	const struct pol_range *ranges = from->any ? NULL : from->v;
	struct sweep_set set;
	uint32_t content[4] = {0};
	const uint32_t *found;
	struct zone *zones;

	memcpy(content, &ranges, sizeof(ranges));
	content[2] = (uint32_t)from->n;
	content[3] = from->any;
	found = memo_find(known, content, 4);
	if (found)
		return *found == UINT32_MAX ? -ENOENT : (int)*found;
	if (!addresses(m->arena, from, family, &set))
		return -ENOMEM;
	if (!set.all && !set.n)
		return memo_add(known, content, 4, UINT32_MAX) < 0 ? -ENOMEM : -ENOENT;
	zones = arena_grow(m->arena, m->zones, m->nzones, sizeof(*zones));
	if (!zones)
		return -ENOMEM;
	m->zones = zones;
	m->zones[m->nzones] = (struct zone){set, set.all ? NULL : ranges};
	if (memo_add(known, content, 4, (uint32_t)m->nzones) < 0)
		return -ENOMEM;
	return (int)m->nzones++;
}

static int add(struct matches *m, struct memo *known, const struct pol_rule *rule, uint32_t record,
	       enum ulsp_op op, int family)
{
	static const struct pol_addrs any = {.any = true};
	bool incoming = op == ULSP_OP_ACCEPT || op == ULSP_OP_RECVFROM;
	const struct pol_addrs *near = !rule ? &any : incoming ? &rule->from : &rule->to;
	const struct pol_addrs *far = !rule ? &any : incoming ? &rule->to : &rule->from;
	struct match *to = &m->v[m->n];
	int z;

	*to = (struct match){.record = record, .rule = rule, .ports.all = !rule, .addr2.all = true};
	z = zone(m, known, near, family);
	if (z < 0)
		return z == -ENOENT ? 0 : z;
	to->zone = (uint32_t)z;
	if (rule) {
		if (!ports(m->arena, rule->protos, &rule->to_ports, &to->ports) ||
		    !addresses(m->arena, far, family, &to->addr2))
			return -ENOMEM;
		if ((!to->ports.all && !to->ports.n) || (!to->addr2.all && !to->addr2.n))
			return 0; /* no operation of this kind */
		to->port2 = !rule->from_ports.any;
		if (to->port2 && !rule->from_ports.n)
			return 0;
		to->task = rule->uids || rule->execs;
	}
	to->rest = !to->addr2.all || to->port2 || to->task;
	m->n++;
	return 0;
}

/* Whether the default judges what no rule of the operation does. */
static bool default_covers(const struct pol_group *g, enum ulsp_op op)
{
	size_t i;

	if (op == ULSP_OP_CONNECT || op == ULSP_OP_SENDTO || op == ULSP_OP_BIND ||
	    op == ULSP_OP_LISTEN)
		return true;
	for (i = 0; i < g->nrules; i++)
		if (g->rules[i].ops & 1u << op)
			return true;
	return false;
}

int matches_init(struct matches *m, const struct pol_group *g, const struct records *records,
		 enum ulsp_op op, int family)
{
	struct memo known = {0};
	size_t i;
	int r = 0;

	*m = (struct matches){.arena = arena_new()};
	if (!m->arena)
		return -ENOMEM;
	m->v = arena_get(m->arena, (2 * g->nrules + 1) * sizeof(*m->v));
	if (!m->v)
		r = -ENOMEM;
	for (i = 0; r == 0 && i < g->nrules; i++)
		if (g->rules[i].ops & 1u << op)
			r = add(m, &known, &g->rules[i], (uint32_t)i, op, family);
	if (records) {
		if (op == ULSP_OP_LISTEN)
			for (i = g->nrules; r == 0 && i < records->n - 2; i++)
				r = add(m, &known, records->rule[i], (uint32_t)i, op, family);
		if (r == 0)
			r = add(m, &known, NULL,
				(uint32_t)(records->n - (default_covers(g, op) ? 2 : 1)), op,
				family);
	}
	memo_fini(&known);
	if (r < 0)
		matches_fini(m);
	return r;
}

void matches_fini(struct matches *m)
{
	arena_free(&m->arena);
	*m = (struct matches){0};
}
