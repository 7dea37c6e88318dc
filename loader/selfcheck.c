/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Before an image is used: the loaded decision and the host's must agree on
 * keys at and around the boundaries of the table's own rules, and on random
 * ones.  They are the same source; what is checked is what the compiler, the
 * verifier's rewriting and the JIT made of it, and that the table arrived.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "decide.h"
#include "image_priv.h"

enum { SELFCHECK_KEYS = 1024 }; /* about 2 ms */

/* xorshift: the same keys each time, so that a failure can be repeated. */
static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void random_addr(uint64_t *state, __u8 family, __u32 *to)
{
	int i;

	memset(to, 0, 16);
	for (i = 0; i < (family == DEC_V4 ? 1 : 4); i++)
		to[i] = (__u32)next(state);
}

/* One below, at or above an end of one of the rule's ranges. */
static void edge_addr(uint64_t *state, const struct pol_addrs *a, struct dec_key *key, __u32 *to)
{
	const struct pol_range *range;
	const uint8_t *end;
	int step, i;

	if (a->any || !a->n) {
		random_addr(state, key->family, to);
		return;
	}
	range = &a->v[next(state) % a->n];
	key->family = range->family == 4 ? DEC_V4 : DEC_V6;
	end = next(state) & 1 ? range->lo : range->hi;
	memset(to, 0, 16);
	for (i = 0; i < (key->family == DEC_V4 ? 1 : 4); i++)
		to[i] = (__u32)end[4 * i] << 24 | (__u32)end[4 * i + 1] << 16 |
			(__u32)end[4 * i + 2] << 8 | end[4 * i + 3];
	step = (int)(next(state) % 3) - 1;
	for (i = key->family == DEC_V4 ? 0 : 3; step && i >= 0; i--) {
		to[i] += (__u32)step;
		if (to[i] != (step > 0 ? 0 : ~0u))
			break; /* no carry */
	}
}

static void edge_port(uint64_t *state, const struct pol_portset *p, __u16 *to)
{
	const struct pol_ports *range;

	if (p->any || !p->n) {
		*to = (__u16)next(state);
		return;
	}
	range = &p->v[next(state) % p->n];
	*to = (__u16)((next(state) & 1 ? range->lo : range->hi) + next(state) % 3 - 1);
}

static void make_key(uint64_t *state, const struct pol_table *table, struct dec_key *key)
{
	static const struct pol_rule any = {
		.to.any = true, .from.any = true, .to_ports.any = true, .from_ports.any = true};
	const struct pol_rule *rule = NULL;

	if (table->rules && table->nrules && next(state) % 4)
		rule = table->rules[next(state) % table->nrules];
	if (!rule)
		rule = &any;
	memset(key, 0, sizeof(*key));
	key->op = (__u8)(next(state) % ULSP_OP_COUNT);
	key->proto = (__u8)(next(state) % ULSP_PROTO_INET_COUNT);
	key->family = (__u8)(next(state) % DEC_FAMILIES);
	/* Which of them is the key's own depends on the operation; both are tried. */
	if (next(state) & 1) {
		edge_addr(state, &rule->from, key, key->addr2);
		edge_port(state, &rule->from_ports, &key->port2);
		edge_addr(state, &rule->to, key, key->addr);
		edge_port(state, &rule->to_ports, &key->port);
	} else {
		edge_addr(state, &rule->to, key, key->addr2);
		edge_port(state, &rule->to_ports, &key->port2);
		edge_addr(state, &rule->from, key, key->addr);
		edge_port(state, &rule->from_ports, &key->port);
	}
	key->no_task = next(state) % 8 == 0;
	key->uid = rule->nuids ? rule->uids[next(state) % rule->nuids].lo + (__u32)next(state) % 2
			       : (__u32)next(state) % 2000;
}

int selfcheck(struct image *im, const struct pol_table *table, struct err *e)
{
	uint64_t state = 0x9e3779b97f4a7c15ull;
	int n, r;

	for (n = 0; n < SELFCHECK_KEYS; n++) {
		__u32 host = 0, loaded = 0;
		struct dec_key key;

		make_key(&state, table, &key);
		r = dec_decide(table->words, &key, &host) ? -EPROTO : 0;
		if (r)
			return err_set(e, r, "group %s: the compiled table is damaged", im->group);
		r = image_decide(im, &key, &loaded);
		if (r)
			return err_set(e, r, "group %s: the loaded decision can't be run: %s",
				       im->group, strerror(-r));
		if (host != loaded || loaded >= table->nrules)
			return err_set(
				e, -EPROTO,
				"group %s: the loaded decision says rule record %u, the host's %u "
				"(op %u proto %u family %u address %08x:%08x:%08x:%08x port %u)",
				im->group, loaded, host, key.op, key.proto, key.family, key.addr[0],
				key.addr[1], key.addr[2], key.addr[3], key.port);
	}
	return 0;
}
