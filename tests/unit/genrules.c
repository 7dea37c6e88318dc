/* SPDX-License-Identifier: GPL-2.0-only */
#include "genrules.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "arena.h"
#include "spans.h"

uint64_t gen_random(struct gen *g)
{
	/* splitmix64 */
	uint64_t z = g->state += 0x9e3779b97f4a7c15ull;

	if (g->bytes) { /* a byte a choice, spread over all bits */
		g->bytes--;
		return *g->data++ * 0x0101010101010101ull;
	}
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t gen_below(struct gen *g, uint32_t n)
{
	return (uint32_t)((gen_random(g) >> 32) * n >> 32);
}

static bool chance(struct gen *g, uint32_t percent)
{
	return gen_below(g, 100) < percent;
}

static void *get(struct gen *g, size_t bytes)
{
	void *p = arena_get(g->arena, bytes);

	assert(p);
	return p;
}

/* Executables are named by a digit. */
static int exe(void *ctx, const char *path, uint32_t *ret_dev, uint64_t *ret_ino)
{
	unsigned n = (unsigned)(path[strlen(path) - 1] - '0');

	(void)ctx;
	if (n > 9)
		return -ENOENT;
	*ret_dev = 0x800001 + n % 2;
	*ret_ino = n < 5 ? n : 0x123456789ull + n;
	return 0;
}

static struct pol_addrs finish_addrs(struct gen *g, struct spans *v4, struct spans *v6, bool negate)
{
	struct pol_range *v;
	size_t i, n = 0;

	spans_normalise(v4);
	spans_normalise(v6);
	if (negate) {
		assert(!spans_complement(v4, ADDR_MAX4));
		assert(!spans_complement(v6, ADDR_MAX6));
	}
	v = get(g, (v4->n + v6->n) * sizeof(*v));
	for (i = 0; i < v4->n; i++)
		v[n++] = addr_to_range(4, &v4->v[i]);
	for (i = 0; i < v6->n; i++)
		v[n++] = addr_to_range(6, &v6->v[i]);
	spans_fini(v4);
	spans_fini(v6);
	return (struct pol_addrs){.v = v, .n = n};
}

static span_int pool6(struct gen *g)
{
	static const uint64_t high[] = {0,
					0x20010db800000000,
					0x20010db800000001,
					0xfd00000000000000,
					0xfe80000000000000,
					0xffffffffffffffff,
					0x20010db8ffffffff};
	static const uint64_t low[] = {0,
				       1,
				       2,
				       0x8000000000000000,
				       0xffffffffffffffff,
				       0x7fffffffffffffff,
				       0x100,
				       0xfffffffffffffffe};

	return (span_int)high[gen_below(g, 7)] << 64 | low[gen_below(g, 8)];
}

static span_int pool4(struct gen *g)
{
	static const uint32_t pool[] = {0,	    1,		0x0a000000, 0x0a010000, 0x0a010203,
					0x7f000001, 0x7fffffff, 0x80000000, 0xc0000200, 0xffffffff};

	return chance(g, 80) ? pool[gen_below(g, 10)] : gen_random(g) & 0xffffffff;
}

static void gen_span(struct gen *g, struct spans *to, span_int base, unsigned bits, span_int max)
{
	unsigned cut = gen_below(g, bits + 1);
	span_int mask = cut == bits ? max : ((span_int)1 << cut) - 1, other;

	if (chance(g, 70)) { /* a prefix */
		assert(!spans_add(to, base & ~mask & max, (base | mask) & max));
		return;
	}
	other = bits == 32 ? pool4(g) : pool6(g);
	assert(!spans_add(to, base < other ? base : other, base < other ? other : base));
}

static struct pol_addrs random_addrs(struct gen *g)
{
	struct spans v4 = {0}, v6 = {0};
	uint32_t n = 1 + (chance(g, 60) ? gen_below(g, 3) : gen_below(g, 40));

	while (n--) {
		if (chance(g, 50))
			gen_span(g, &v4, pool4(g), 32, ADDR_MAX4);
		else
			gen_span(g, &v6, pool6(g), 128, ADDR_MAX6);
	}
	return finish_addrs(g, &v4, &v6, chance(g, 15));
}

static uint16_t pool_port(struct gen *g)
{
	static const uint16_t pool[] = {0, 1, 22, 53, 80, 443, 1023, 1024, 8080, 65534, 65535};

	return chance(g, 85) ? pool[gen_below(g, 11)] : (uint16_t)gen_random(g);
}

static struct pol_portset random_ports(struct gen *g)
{
	uint32_t n = 1 + (chance(g, 80) ? gen_below(g, 3) : gen_below(g, 30));
	struct spans s = {0};
	struct pol_ports *v;
	uint16_t a, b;
	size_t i;

	while (n--) {
		a = pool_port(g);
		b = chance(g, 60) ? a : pool_port(g);
		assert(!spans_add(&s, a < b ? a : b, a < b ? b : a));
	}
	spans_normalise(&s);
	if (chance(g, 10))
		assert(!spans_complement(&s, UINT16_MAX));
	v = get(g, s.n * sizeof(*v));
	for (i = 0; i < s.n; i++)
		v[i] = (struct pol_ports){(uint16_t)s.v[i].lo, (uint16_t)s.v[i].hi};
	i = s.n;
	spans_fini(&s);
	return (struct pol_portset){.v = v, .n = i};
}

static uint32_t pool_uid(struct gen *g)
{
	static const uint32_t pool[] = {0, 1, 33, 999, 1000, 65534, 0xfffffffe};

	return pool[gen_below(g, 7)];
}

static void random_process(struct gen *g, struct pol_rule *rule)
{
	struct spans s = {0};
	uint32_t n, a, b;
	size_t i;

	if (chance(g, 60)) {
		for (n = 1 + gen_below(g, 3); n; n--) {
			a = pool_uid(g);
			b = chance(g, 50) ? a : pool_uid(g);
			assert(!spans_add(&s, a < b ? a : b, a < b ? b : a));
		}
		spans_normalise(&s);
		rule->uids = get(g, s.n * sizeof(*rule->uids));
		rule->nuids = s.n;
		for (i = 0; i < s.n; i++)
			rule->uids[i] = (struct pol_uids){(uint32_t)s.v[i].lo, (uint32_t)s.v[i].hi};
		spans_fini(&s);
	}
	if (chance(g, 60)) {
		rule->nexecs = 1 + gen_below(g, 3);
		rule->execs = get(g, rule->nexecs * sizeof(*rule->execs));
		rule->exec_negated = chance(g, 40);
		for (i = 0; i < rule->nexecs; i++) {
			char path[] = "/bin/0";

			path[5] = (char)('0' + gen_below(g, 10));
			rule->execs[i] = arena_copy(g->arena, path, strlen(path));
			assert(rule->execs[i]);
		}
	}
}

static void random_limit(struct gen *g, struct pol_rule *rule)
{
	static const uint32_t rates[] = {1, 59, 60, 3599, 3600, 360000, 0xffffffff};

	rule->limit = true;
	rule->per_process = chance(g, 30);
	rule->rate_per_hour = rates[gen_below(g, 7)];
	rule->burst = gen_below(g, 5);
}

static uint32_t some_bits(struct gen *g, unsigned n)
{
	uint32_t all = (1u << n) - 1;

	if (chance(g, 25))
		return all;
	if (chance(g, 50))
		return 1u << gen_below(g, n);
	return 1 + gen_below(g, all);
}

void gen_empty(struct gen *g, size_t rules_max)
{
	*g = (struct gen){.rules_max = rules_max, .env.exe = exe};
	g->arena = arena_new();
	assert(g->arena);
	g->group = (struct pol_group){.name = "g", .default_given = true};
	g->group.default_verdict = ULSP_VERDICT_DENY;
	g->group.rules = get(g, rules_max * sizeof(*g->group.rules));
	g->group.default_loc = (struct pol_loc){.line = 1000000, .col = 1, .len = 1};
	g->policy = (struct pol_policy){.groups = &g->group, .ngroups = 1};
}

struct pol_rule *gen_rule(struct gen *g, uint32_t ops, uint32_t protos, enum ulsp_verdict verdict)
{
	struct pol_rule *rule = &g->group.rules[g->group.nrules++];

	assert(g->group.nrules <= g->rules_max);
	*rule = (struct pol_rule){
		.loc = {.line = (uint32_t)g->group.nrules, .col = 1, .len = 1},
		.id = (uint32_t)g->group.nrules * 7,
		.ops = ops,
		.protos = protos,
		.verdict = verdict,
		.to.any = true,
		.from.any = true,
		.to_ports.any = true,
		.from_ports.any = true,
	};
	return rule;
}

struct pol_addrs gen_addrs(struct gen *g, const char *text)
{
	struct spans v4 = {0}, v6 = {0};
	char error[ADDR_ERROR_BYTES];
	struct addr a;
	size_t n;

	for (; *text; text += n + !!text[n]) {
		n = strcspn(text, " ");
		assert(!addr_parse(text, n, &a, error));
		assert(!spans_add(a.family == 4 ? &v4 : &v6, a.lo, a.hi));
	}
	return finish_addrs(g, &v4, &v6, false);
}

struct pol_portset gen_ports(struct gen *g, uint16_t lo, uint16_t hi)
{
	struct pol_ports *v = get(g, sizeof(*v));

	*v = (struct pol_ports){lo, hi};
	return (struct pol_portset){.v = v, .n = 1};
}

static void fill(struct gen *g)
{
	static const enum ulsp_verdict verdicts[] = {ULSP_VERDICT_ALLOW, ULSP_VERDICT_DENY,
						     ULSP_VERDICT_ASK};
	uint32_t n, address_percent, port_percent, rest_percent;

	n = gen_below(g, (uint32_t)g->rules_max + 1);
	g->env.merge_max = chance(g, 50) ? 1 : 0;
	address_percent = gen_below(g, 4) * 33;
	port_percent = gen_below(g, 4) * 33;
	rest_percent = chance(g, 50) ? 0 : gen_below(g, g->rules_max > 30 ? 15 : 40);
	g->group.default_verdict = chance(g, 50) ? ULSP_VERDICT_DENY : ULSP_VERDICT_ALLOW;
	while (n--) {
		struct pol_rule *rule =
			gen_rule(g, some_bits(g, ULSP_OP_COUNT),
				 some_bits(g, ULSP_PROTO_INET_COUNT), verdicts[gen_below(g, 3)]);

		if (rule->verdict == ULSP_VERDICT_DENY && chance(g, 30))
			random_limit(g, rule);
		if (chance(g, 30))
			rule->protos = (1u << ULSP_PROTO_COUNT) - 1;
		if (chance(g, address_percent))
			rule->to = random_addrs(g);
		if (chance(g, address_percent / 2))
			rule->from = random_addrs(g);
		if (chance(g, port_percent))
			rule->to_ports = random_ports(g);
		/* few, and few alternatives: chains are short */
		if (chance(g, rest_percent / 4)) {
			uint16_t lo = pool_port(g);

			rule->from_ports = gen_ports(g, lo, chance(g, 50) ? lo : UINT16_MAX);
		}
		if (chance(g, rest_percent))
			random_process(g, rule);
	}
}

void gen_init(struct gen *g, uint64_t seed, size_t rules_max)
{
	gen_empty(g, rules_max);
	g->state = seed;
	fill(g);
}

void gen_init_data(struct gen *g, const uint8_t *data, size_t bytes, size_t rules_max)
{
	gen_empty(g, rules_max);
	g->data = data;
	g->bytes = bytes;
	fill(g);
}

void gen_speakable(struct gen *g)
{
	const uint32_t local = 1u << ULSP_OP_BIND | 1u << ULSP_OP_LISTEN;
	const uint32_t taskless =
		1u << ULSP_OP_LISTEN | 1u << ULSP_OP_ACCEPT | 1u << ULSP_OP_RECVFROM;
	static char name[] = "asked";
	size_t i;

	g->policy.ulsps = get(g, sizeof(*g->policy.ulsps));
	g->policy.ulsps[0] = (struct pol_ulsp){.name = name, .asked = true};
	g->policy.nulsps = 1;
	for (i = 0; i < g->group.nrules; i++) {
		struct pol_rule *rule = &g->group.rules[i];

		if (rule->verdict == ULSP_VERDICT_ASK)
			rule->ulsp = name;
		rule->ops &= ~(1u << ULSP_OP_SOCKET);
		if (!rule->ops)
			rule->ops = 1u << ULSP_OP_CONNECT;
		if (rule->ops & local) {
			rule->from = (struct pol_addrs){.any = true};
			rule->from_ports = (struct pol_portset){.any = true};
		}
		if (rule->ops & taskless) {
			rule->uids = NULL;
			rule->nuids = 0;
			rule->execs = NULL;
			rule->nexecs = 0;
		}
		/* one protocol a rule, with ports where it has some; or all of them */
		if (rule->protos != (1u << ULSP_PROTO_COUNT) - 1)
			rule->protos = !rule->to_ports.any || !rule->from_ports.any
					       ? 1u << gen_below(g, 2)
					       : 1u << gen_below(g, ULSP_PROTO_OTHER);
	}
}

void gen_fini(struct gen *g)
{
	arena_free(&g->arena);
}

/* At a boundary of a rule, or one beside it. */
static void key_address(struct gen *g, const struct pol_addrs *set, uint8_t family,
			uint32_t words[4])
{
	unsigned bits = family == DEC_V4 ? 32 : 128, i;
	const struct pol_range *range;
	span_int a = 0;

	if (set && set->n && chance(g, 80)) {
		range = &set->v[gen_below(g, (uint32_t)set->n)];
		if (range->family == (family == DEC_V4 ? 4 : 6)) {
			const uint8_t *end = chance(g, 50) ? range->lo : range->hi;

			for (i = 0; i < bits / 8; i++)
				a = a << 8 | end[i];
			a += gen_below(g, 3);
			a -= 1;
		}
	} else if (chance(g, 50)) {
		a = family == DEC_V4 ? pool4(g) : pool6(g);
	} else {
		a = (span_int)gen_random(g) << 64 | gen_random(g);
	}
	memset(words, 0, 4 * sizeof(*words));
	for (i = 0; i < bits / 32; i++)
		words[i] = (uint32_t)(a >> (bits - 32 - 32 * i));
}

static uint16_t key_port(struct gen *g, const struct pol_portset *set)
{
	const struct pol_ports *p;

	if (!set || !set->n || chance(g, 20))
		return chance(g, 50) ? pool_port(g) : (uint16_t)gen_random(g);
	p = &set->v[gen_below(g, (uint32_t)set->n)];
	return (uint16_t)((chance(g, 50) ? p->lo : p->hi) + gen_below(g, 3) - 1);
}

struct dec_key gen_key(struct gen *g)
{
	const struct pol_rule *rule = NULL;
	struct dec_key key = {0};
	char path[] = "/bin/0";
	uint64_t inode = 0;
	bool incoming;

	if (g->group.nrules)
		rule = &g->group.rules[gen_below(g, (uint32_t)g->group.nrules)];
	key.op = (uint8_t)gen_below(g, ULSP_OP_COUNT);
	key.family = (uint8_t)gen_below(g, DEC_FAMILIES);
	key.proto = (uint8_t)gen_below(g, ULSP_PROTO_INET_COUNT);
	incoming = key.op == ULSP_OP_ACCEPT || key.op == ULSP_OP_RECVFROM;
	key_address(g, !rule ? NULL : incoming ? &rule->from : &rule->to, key.family, key.addr);
	key_address(g, !rule ? NULL : incoming ? &rule->to : &rule->from, key.family, key.addr2);
	key.port = key_port(g, rule ? &rule->to_ports : NULL);
	key.port2 = key_port(g, rule ? &rule->from_ports : NULL);
	key.no_task = chance(g, 20);
	key.uid = pool_uid(g) + gen_below(g, 3) - 1;
	path[5] = (char)('0' + gen_below(g, 10));
	exe(NULL, path, &key.exe_dev, &inode);
	key.exe_ino = inode;
	if (chance(g, 10))
		key.exe_ino++;
	return key;
}

bool gen_record_is_right(const struct pol_table *t, uint32_t record)
{
	const struct pol_rule *rule = t->rules[record];
	struct dec_rule r;
	uint64_t burst;

	if (dec_rule_at(t->words, record, &r))
		return false;
	if (!rule || !rule->limit)
		return !(r.flags & (DEC_RULE_LIMIT | DEC_RULE_PER_PROCESS | DEC_RULE_OF_PROCESS));
	burst = rule->burst ? rule->burst
			    : rule->rate_per_hour / 3600 + !!(rule->rate_per_hour % 3600);
	return r.flags & DEC_RULE_LIMIT && r.verdict == ULSP_VERDICT_DENY &&
	       r.rate_per_hour == rule->rate_per_hour && r.burst == burst && r.burst &&
	       !(r.flags & DEC_RULE_PER_PROCESS) == !rule->per_process &&
	       !(r.flags & DEC_RULE_OF_PROCESS) == !(rule->uids || rule->execs);
}

void gen_print_key(FILE *out, const struct dec_key *key)
{
	fprintf(out,
		"op %u family %u proto %u no_task %u addr %08x:%08x:%08x:%08x port %u "
		"addr2 %08x:%08x:%08x:%08x port2 %u uid %u exe %x/%" PRIu64 "\n",
		key->op, key->family, key->proto, key->no_task, key->addr[0], key->addr[1],
		key->addr[2], key->addr[3], key->port, key->addr2[0], key->addr2[1], key->addr2[2],
		key->addr2[3], key->port2, key->uid, key->exe_dev, (uint64_t)key->exe_ino);
}
