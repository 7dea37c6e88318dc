/* SPDX-License-Identifier: GPL-2.0-only */
/* What compiling makes of a group: records, needs, sizes, refusals. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "made_group.h"

static struct dec_rule decide(const struct made *c, struct dec_key key, uint32_t *ret_index)
{
	struct dec_rule rule;

	assert_int_equal(dec_decide(c->table->words, &key, ret_index), 0);
	assert_int_equal(dec_rule_at(c->table->words, *ret_index, &rule), 0);
	return rule;
}

/* ---- records ---- */

static void test_records(void **state)
{
	static const uint8_t rings[] = {0, 5};
	static const uint16_t files[] = {40, 41};
	struct dec_rule by;
	struct pol_rule *r;
	struct made c;
	uint32_t index;

	(void)state;
	made_begin(&c, 4);
	c.gen.env.ring_of_ulsp = rings;
	c.gen.env.file_index = files;
	c.gen.group.default_log = true;
	c.gen.group.default_error = EACCES;
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ASK);
	r->to = gen_addrs(&c.gen, "10.0.0.0/8");
	r->ulsp_index = 1;
	r->down = POL_DOWN_ALLOW;
	r->cache_ms = 1ull << 40;
	r->loc.file = 1;
	r = gen_rule(&c.gen, BIT(ULSP_OP_BIND), TCP, ULSP_VERDICT_DENY);
	r->to_ports = gen_ports(&c.gen, 80, 80);
	r->error = EADDRNOTAVAIL;
	r = gen_rule(&c.gen, BIT(ULSP_OP_LISTEN), TCP, ULSP_VERDICT_ALLOW);
	r->to_ports = gen_ports(&c.gen, 79, 79);
	r->log = true;
	r = gen_rule(&c.gen, BIT(ULSP_OP_BIND) | CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->to_ports = gen_ports(&c.gen, 79, 81);
	made_compile(&c);
	assert_int_equal(c.result, 0);
	/* 4 rules, 2 clones of bind rules for listen, default, implied */
	assert_int_equal(c.table->nrules, 8);
	assert_ptr_equal(c.table->rules[4], &c.gen.group.rules[1]);
	assert_ptr_equal(c.table->rules[5], &c.gen.group.rules[3]);
	assert_null(c.table->rules[6]);
	assert_null(c.table->rules[7]);

	by = decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT, .addr = {0x0a000001}}, &index);
	assert_int_equal(index, 0);
	assert_int_equal(by.verdict, ULSP_VERDICT_ASK);
	assert_int_equal(by.ring, 5);
	assert_int_equal(by.flags, DEC_RULE_DOWN_ALLOW);
	assert_int_equal(by.error, -EPERM);
	assert_int_equal(by.cache_ms, UINT32_MAX);
	assert_int_equal(by.file, 41);
	assert_int_equal(by.line, 1);
	assert_int_equal(by.reason, ULSP_REASON_RULE);

	/* listen: its own rules, then those of bind, then the default */
	by = decide(&c, (struct dec_key){.op = ULSP_OP_LISTEN, .port = 79}, &index);
	assert_int_equal(index, 2);
	assert_int_equal(by.flags, DEC_RULE_LOG);
	assert_int_equal(by.file, 40);
	by = decide(&c, (struct dec_key){.op = ULSP_OP_LISTEN, .port = 80}, &index);
	assert_int_equal(index, 4);
	assert_int_equal(by.error, -EADDRNOTAVAIL);
	assert_int_equal(by.id, c.gen.group.rules[1].id);
	decide(&c, (struct dec_key){.op = ULSP_OP_LISTEN, .port = 81}, &index);
	assert_int_equal(index, 5);
	by = decide(&c, (struct dec_key){.op = ULSP_OP_LISTEN, .port = 82}, &index);
	assert_int_equal(index, 6);
	assert_int_equal(by.reason, ULSP_REASON_DEFAULT);
	assert_int_equal(by.flags, DEC_RULE_LOG);
	assert_int_equal(by.error, -EACCES);
	assert_int_equal(by.line, 1000000);
	assert_int_equal(by.id, 0);

	/* no rule names accept, recvfrom and socket */
	by = decide(&c, (struct dec_key){.op = ULSP_OP_ACCEPT}, &index);
	assert_int_equal(index, 7);
	assert_int_equal(by.verdict, ULSP_VERDICT_ALLOW);
	assert_int_equal(by.reason, ULSP_REASON_IMPLIED);
	assert_int_equal(by.line, 0);
	assert_int_equal(by.error, 0);
	decide(&c, (struct dec_key){.op = ULSP_OP_SENDTO}, &index);
	assert_int_equal(index, 6);
	made_end(&c);
}

static void test_rates(void **state)
{
	static struct pol_uids root = {0, 0};
	struct dec_rule by;
	struct pol_rule *r;
	struct made c;
	uint32_t index;

	(void)state;
	/* whose a listener is must be known */
	for (int n = 0; n < 2; n++) {
		made_begin(&c, 1);
		c.gen.group.default_verdict = ULSP_VERDICT_ALLOW;
		r = gen_rule(&c.gen, BIT(ULSP_OP_ACCEPT), TCP, ULSP_VERDICT_DENY);
		r->limit = true;
		r->per_process = n;
		r->rate_per_hour = 1;
		made_compile(&c);
		assert_int_equal(c.result, 0);
		assert_int_equal(c.table->needs & (POL_NEED_LISTEN | POL_NEED_INGRESS),
				 POL_NEED_INGRESS | (n ? POL_NEED_LISTEN : 0));
		made_end(&c);
	}
	made_begin(&c, 3);
	r = gen_rule(&c.gen, CONNECT | BIT(ULSP_OP_BIND), TCP, ULSP_VERDICT_DENY);
	r->limit = true;
	r->rate_per_hour = 100 * 3600 + 1;
	r->error = EAGAIN;
	r = gen_rule(&c.gen, CONNECT, UDP, ULSP_VERDICT_DENY);
	r->limit = r->per_process = true;
	r->rate_per_hour = 1;
	r->uids = &root;
	r->nuids = 1;
	r->log = true;
	r = gen_rule(&c.gen, CONNECT, BIT(ULSP_PROTO_RAW), ULSP_VERDICT_DENY);
	r->limit = true;
	r->rate_per_hour = UINT32_MAX;
	r->burst = 7;
	made_compile(&c);
	assert_int_equal(c.result, 0);
	by = decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT}, &index);
	assert_int_equal(index, 0);
	assert_int_equal(by.verdict, ULSP_VERDICT_DENY);
	assert_int_equal(by.error, -EAGAIN);
	assert_int_equal(by.flags, DEC_RULE_LIMIT);
	assert_int_equal(by.rate_per_hour, 360001);
	assert_int_equal(by.burst, 101);
	by = decide(&c, (struct dec_key){.op = ULSP_OP_LISTEN}, &index);
	assert_int_equal(index, 3);
	assert_int_equal(by.flags, DEC_RULE_LIMIT | DEC_RULE_FOR_BIND);
	assert_int_equal(by.burst, 101);
	by = decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT, .proto = ULSP_PROTO_UDP}, &index);
	assert_int_equal(index, 1);
	assert_int_equal(by.error, -EPERM);
	assert_int_equal(by.flags, DEC_RULE_LIMIT | DEC_RULE_PER_PROCESS | DEC_RULE_OF_PROCESS |
					   DEC_RULE_LOG);
	assert_int_equal(by.burst, 1);
	by = decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT, .proto = ULSP_PROTO_RAW}, &index);
	assert_int_equal(by.rate_per_hour, UINT32_MAX);
	assert_int_equal(by.burst, 7);
	made_end(&c);
}

/* ---- needs ---- */

#define ALWAYS (POL_NEED_BIND | POL_NEED_CONNECT | POL_NEED_SENDTO)

static unsigned needs_of(uint32_t ops, enum ulsp_verdict verdict, enum ulsp_verdict others)
{
	struct made c;
	unsigned needs;

	made_begin(&c, 1);
	c.gen.group.default_verdict = others;
	if (ops)
		gen_rule(&c.gen, ops, TCP, verdict);
	made_compile(&c);
	assert_int_equal(c.result, 0);
	needs = c.table->needs;
	made_end(&c);
	return needs;
}

static void test_needs(void **state)
{
	const enum ulsp_verdict allow = ULSP_VERDICT_ALLOW, deny = ULSP_VERDICT_DENY;
	const unsigned listens = POL_NEED_LISTEN | POL_NEED_INGRESS;

	(void)state;
	assert_int_equal(needs_of(0, allow, allow), ALWAYS);
	assert_int_equal(needs_of(0, allow, deny), ALWAYS | POL_NEED_BACKSTOP | listens);
	assert_int_equal(needs_of(CONNECT, deny, allow), ALWAYS | POL_NEED_BACKSTOP);
	assert_int_equal(needs_of(BIT(ULSP_OP_SENDTO), ULSP_VERDICT_ASK, allow),
			 ALWAYS | POL_NEED_BACKSTOP);
	assert_int_equal(needs_of(BIT(ULSP_OP_BIND), allow, allow), ALWAYS);
	assert_int_equal(needs_of(BIT(ULSP_OP_BIND), deny, allow), ALWAYS | listens);
	assert_int_equal(needs_of(BIT(ULSP_OP_LISTEN), allow, allow), ALWAYS | listens);
	assert_int_equal(needs_of(BIT(ULSP_OP_SOCKET), deny, allow), ALWAYS | POL_NEED_SOCKET);
	assert_int_equal(needs_of(BIT(ULSP_OP_ACCEPT), deny, allow), ALWAYS | POL_NEED_INGRESS);
	assert_int_equal(needs_of(BIT(ULSP_OP_RECVFROM), allow, allow),
			 ALWAYS | POL_NEED_INGRESS | POL_NEED_RECVFROM);
}

/* A denial that earlier rules hide is none. */
static void test_needs_hidden(void **state)
{
	struct made c;

	(void)state;
	made_begin(&c, 2);
	gen_rule(&c.gen, CONNECT | BIT(ULSP_OP_SENDTO) | BIT(ULSP_OP_BIND), ANY_PROTO,
		 ULSP_VERDICT_ALLOW);
	gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_DENY);
	made_compile(&c);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.table->needs, ALWAYS);
	made_end(&c);
}

/* ---- sizes ---- */

static size_t bytes_of(struct made *c)
{
	made_compile(c);
	if (c->result)
		pol_diags_print(&c->diags, stderr, false);
	assert_int_equal(c->result, 0);
	return c->table->nwords * 4;
}

/* Rules by address and rules by port in turn don't multiply. */
static void test_interleaved(void **state)
{
	struct made c;
	char text[32];
	unsigned i;

	(void)state;
	made_begin(&c, 1000);
	for (i = 0; i < 1000; i++) {
		struct pol_rule *r = gen_rule(&c.gen, CONNECT, ANY_PROTO,
					      i % 3 ? ULSP_VERDICT_ALLOW : ULSP_VERDICT_DENY);

		snprintf(text, sizeof(text), "10.%u.%u.0/24", i / 256, i % 256);
		if (i % 2)
			r->to = gen_addrs(&c.gen, text);
		else
			r->to_ports = gen_ports(&c.gen, (uint16_t)(1000 + i), (uint16_t)(1000 + i));
	}
	assert_in_range(bytes_of(&c), 1, 100000);
	made_end(&c);
}

/* Equal maps, functions and chains are stored once, also across operations. */
static void test_shared(void **state)
{
	uint32_t ops[] = {CONNECT, CONNECT | BIT(ULSP_OP_SENDTO)};
	size_t bytes[2], i, j;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct made c;
		char text[32];

		made_begin(&c, 500);
		for (j = 0; j < 500; j++) {
			struct pol_rule *r = gen_rule(&c.gen, ops[i], TCP, ULSP_VERDICT_ALLOW);

			snprintf(text, sizeof(text), "10.%u.%u.0/24", (unsigned)j / 256,
				 (unsigned)j % 256);
			r->to = gen_addrs(&c.gen, text);
			r->to_ports = gen_ports(&c.gen, (uint16_t)j, (uint16_t)(j + 10));
		}
		bytes[i] = bytes_of(&c);
		made_end(&c);
	}
	assert_int_equal(bytes[0], bytes[1]);
}

/* One set that many rules name is not swept once for each of them. */
static void test_many_rules_one_set(void **state)
{
	struct pol_addrs set;
	struct made c;
	char *text = malloc(20 * 2000), *p = text;
	unsigned i;

	(void)state;
	made_begin(&c, 1000);
	for (i = 0; i < 2000; i++)
		p += sprintf(p, "%s10.%u.%u.0/25", i ? " " : "", i / 256, i % 256);
	set = gen_addrs(&c.gen, text);
	free(text);
	for (i = 0; i < 1000; i++) {
		struct pol_rule *r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);

		r->to = set;
		r->to_ports = gen_ports(&c.gen, (uint16_t)i, (uint16_t)i);
	}
	assert_in_range(bytes_of(&c), 1, 100000);
	made_end(&c);
}

/* ---- IPv6 within a /64 ---- */

static void test_ipv6_halves(void **state)
{
	static const struct {
		uint32_t addr[4];
		uint32_t rule;
	} cases[] = {
		{{0x20010db8, 0, 0, 0}, 4},
		{{0x20010db8, 0, 0, 1}, 0},
		{{0x20010db8, 0, 0, 2}, 4},
		{{0x20010db8, 0, 0xffffffff, 0xffffffff}, 1},
		{{0x20010db8, 1, 0, 0}, 1},
		{{0x20010db8, 1, 0, 1}, 4},
		{{0x20010db8, 1, 0xffffffff, 0xffffffff}, 2},
		{{0x20010db8, 2, 0, 0}, 2},
		{{0x20010db8, 7, 0xffffffff, 0xffffffff}, 2},
		{{0x20010db8, 8, 0x80000000, 0}, 2},
		{{0x20010db8, 8, 0x80000000, 1}, 4},
		{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 3},
		{{0xffffffff, 0xffffffff, 0xffffffff, 0xfffffffe}, 4},
	};
	struct pol_rule *r;
	struct made c;
	uint32_t index;
	size_t i;

	(void)state;
	made_begin(&c, 4);
	r = gen_rule(&c.gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
	r->to = gen_addrs(&c.gen, "2001:db8::1");
	r = gen_rule(&c.gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
	r->to = gen_addrs(&c.gen, "2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::");
	r = gen_rule(&c.gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
	r->to = gen_addrs(&c.gen, "2001:db8:0:1:ffff:ffff:ffff:ffff-2001:db8:0:8:8000::");
	r = gen_rule(&c.gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
	r->to = gen_addrs(&c.gen, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	made_compile(&c);
	assert_int_equal(c.result, 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dec_key key = {.op = ULSP_OP_CONNECT, .family = DEC_V6};

		memcpy(key.addr, cases[i].addr, sizeof(key.addr));
		decide(&c, key, &index);
		assert_int_equal(index, cases[i].rule);
	}
	made_end(&c);
}

/* ---- conditions ---- */

static void test_no_task(void **state)
{
	struct dec_key known = {.op = ULSP_OP_CONNECT, .uid = 7}, unknown = known;
	struct pol_uids uids[] = {{7, 7}};
	struct pol_rule *r;
	struct made c;
	uint32_t index;

	(void)state;
	unknown.no_task = 1;
	made_begin(&c, 2);
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->uids = uids;
	r->nuids = 1;
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_DENY);
	r->uids = uids;
	r->nuids = 1;
	made_compile(&c);
	decide(&c, known, &index);
	assert_int_equal(index, 0);
	decide(&c, unknown, &index);
	assert_int_equal(index, 1);
	known.uid = 8;
	decide(&c, known, &index);
	assert_int_equal(index, 2);
	made_end(&c);
}

static void test_too_many_conditions(void **state)
{
	struct pol_uids uids[DEC_CHAIN_MAX];
	struct pol_rule *r;
	struct made c;
	uint32_t i, index;

	(void)state;
	for (i = 0; i < DEC_CHAIN_MAX; i++)
		uids[i] = (struct pol_uids){3 * i, 3 * i + 1};
	/* as many as fit: one test asks whether the process is known at all */
	made_begin(&c, 2);
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->uids = uids;
	r->nuids = DEC_CHAIN_MAX - 2;
	made_compile(&c);
	assert_int_equal(c.result, 0);
	decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT, .uid = 3 * (DEC_CHAIN_MAX - 3) + 1},
	       &index);
	assert_int_equal(index, 0);
	decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT, .uid = 2}, &index);
	assert_int_equal(index, 1);
	made_end(&c);

	made_begin(&c, 2);
	for (i = 0; i < 2; i++) {
		r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
		r->uids = uids;
		r->nuids = DEC_CHAIN_MAX / 2;
	}
	made_compile(&c);
	assert_int_equal(c.result, -E2BIG);
	made_assert_said(&c, POL_ERROR, "this rule passes the limit");
	assert_int_equal(c.diags.errors, 1);
	assert_null(c.table);
	made_end(&c);
}

static void test_missing_executable(void **state)
{
	char a[] = "/bin/a", b[] = "/bin/1";
	char *execs[] = {b, a};
	struct dec_key key = {.op = ULSP_OP_CONNECT, .proto = ULSP_PROTO_TCP};
	struct pol_rule *r;
	struct made c;
	uint32_t record;

	(void)state;
	made_begin(&c, 1);
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->execs = execs;
	r->nexecs = 2;
	made_compile(&c);
	assert_int_equal(c.result, -ENOENT);
	assert_int_equal(c.diags.n, 1);
	made_assert_said(&c, POL_ERROR, "exec \"/bin/a\": No such file or directory");
	/* where the tables are in the kernel already, it is nobody's */
	pol_diags_fini(&c.diags);
	c.gen.env.exe_may_miss = true;
	made_compile(&c);
	assert_int_equal(c.result, 0);
	made_assert_said(&c, POL_WARNING, "exec \"/bin/a\": No such file or directory");
	assert_int_equal(decide(&c, key, &record).reason, ULSP_REASON_DEFAULT);
	made_end(&c);
}

/* ---- refusals ---- */

static void test_refused_rules(void **state)
{
	char name[] = "*.example.org";
	char *names[] = {name};
	struct pol_rule *r;
	struct made c;

	(void)state;
	made_begin(&c, 3);
	gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_SERVE);
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->names = names;
	r->nnames = 1;
	gen_rule(&c.gen, CONNECT, BIT(ULSP_PROTO_UNIX), ULSP_VERDICT_DENY);
	c.gen.group.degrade_allow = true;
	made_compile(&c);
	assert_int_equal(c.result, -EOPNOTSUPP);
	assert_null(c.table);
	assert_int_equal(c.diags.errors, 2);
	made_assert_said(&c, POL_ERROR, "serve is not supported by this version");
	made_assert_said(&c, POL_ERROR, "name is not supported by this version");
	made_assert_said(&c, POL_WARNING, "protocol unix is not enforced");
	made_end(&c);
}

static void fill_lsm(struct made *c)
{
	static char self[] = "self", db[] = "db", exe[] = "/bin/1";
	static char *peers[] = {self, db};
	static struct pol_member member = {.exec = true, .path = exe};
	struct pol_group *g = &c->gen.group;

	g->isolate = POL_ISOLATE_SIGNAL;
	g->peers = peers;
	g->npeers = 2;
	g->members = &member;
	g->nmembers = 1;
	gen_rule(&c->gen, CONNECT, BIT(ULSP_PROTO_UNIX) | BIT(ULSP_PROTO_NETLINK),
		 ULSP_VERDICT_DENY);
	gen_rule(&c->gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
}

static void test_refused_lsm(void **state)
{
	struct made c;
	uint32_t index;

	(void)state;
	made_begin(&c, 2);
	fill_lsm(&c);
	made_compile(&c);
	assert_int_equal(c.result, -EOPNOTSUPP);
	assert_int_equal(c.diags.errors, 5);
	made_assert_said(&c, POL_ERROR, "isolate needs BPF LSM: this kernel doesn't have it");
	made_assert_said(&c, POL_ERROR, "peers needs BPF LSM: this kernel doesn't have it");
	made_assert_said(&c, POL_ERROR, "members exec needs BPF LSM: this kernel doesn't have it");
	made_assert_said(&c, POL_ERROR, "protocol unix needs BPF LSM: this kernel doesn't have it");
	made_assert_said(&c, POL_ERROR,
			 "protocol netlink needs BPF LSM: this kernel doesn't have it");
	made_end(&c);

	made_begin(&c, 2);
	fill_lsm(&c);
	c.gen.group.degrade_allow = true;
	made_compile(&c);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.diags.errors, 0);
	assert_int_equal(c.diags.n, 5);
	made_assert_said(&c, POL_WARNING, "isolate is not enforced");
	decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT}, &index);
	assert_int_equal(index, 1);
	made_end(&c);

	/* with it, only what no socket() rule can say is refused */
	made_begin(&c, 2);
	fill_lsm(&c);
	c.gen.env.lsm = true;
	made_compile(&c);
	assert_int_equal(c.result, -EOPNOTSUPP);
	assert_int_equal(c.diags.errors, 2);
	made_assert_said(&c, POL_ERROR, "protocol unix for other operations than socket");
	made_end(&c);

	made_begin(&c, 2);
	fill_lsm(&c);
	c.gen.env.lsm = true;
	c.gen.group.rules[0].ops = BIT(ULSP_OP_SOCKET);
	made_compile(&c);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.diags.n, 0);
	made_end(&c);
}

static void test_peers_self(void **state)
{
	static char self[] = "self";
	static char *peers[] = {self};
	struct made c;

	(void)state;
	made_begin(&c, 1);
	c.gen.group.peers = peers;
	c.gen.group.npeers = 1;
	made_compile(&c);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.diags.n, 0);
	made_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_needs_hidden),
		cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_many_rules_one_set),
		cmocka_unit_test(test_ipv6_halves),
		cmocka_unit_test(test_no_task),
		cmocka_unit_test(test_too_many_conditions),
		cmocka_unit_test(test_missing_executable),
		cmocka_unit_test(test_refused_rules),
		cmocka_unit_test(test_refused_lsm),
		cmocka_unit_test(test_peers_self),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
