/* SPDX-License-Identifier: GPL-2.0-only */
/* What compiling makes of a group: records, needs, sizes, refusals, warnings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "genrules.h"

#define BIT(n)	  (1u << (n))
#define TCP	  BIT(ULSP_PROTO_TCP)
#define UDP	  BIT(ULSP_PROTO_UDP)
#define ANY_PROTO (BIT(ULSP_PROTO_COUNT) - 1)
#define CONNECT	  BIT(ULSP_OP_CONNECT)

struct compiled {
	struct gen gen;
	struct pol_diags diags;
	struct pol_table *table;
	int result;
};

static void begin(struct compiled *c, size_t rules_max)
{
	*c = (struct compiled){0};
	gen_empty(&c->gen, rules_max);
}

static void compile(struct compiled *c)
{
	c->result = pol_compile(&c->gen.policy, &c->gen.group, &c->gen.env, &c->diags, &c->table);
}

static void end(struct compiled *c)
{
	pol_table_free(&c->table);
	pol_diags_fini(&c->diags);
	gen_fini(&c->gen);
}

static struct dec_rule decide(const struct compiled *c, struct dec_key key, uint32_t *ret_index)
{
	struct dec_rule rule;

	assert_int_equal(dec_decide(c->table->words, &key, ret_index), 0);
	assert_int_equal(dec_rule_at(c->table->words, *ret_index, &rule), 0);
	return rule;
}

static void assert_said(const struct compiled *c, enum pol_severity severity, const char *text)
{
	size_t i;

	for (i = 0; i < c->diags.n; i++)
		if (c->diags.v[i].severity == severity && strstr(c->diags.v[i].text, text))
			return;
	pol_diags_print(&c->diags, stderr, false);
	fail_msg("no diagnostic says: %s", text);
}

/* ---- records ---- */

static void test_records(void **state)
{
	static const uint8_t rings[] = {0, 5};
	static const uint16_t files[] = {40, 41};
	struct dec_rule by;
	struct pol_rule *r;
	struct compiled c;
	uint32_t index;

	(void)state;
	begin(&c, 4);
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
	compile(&c);
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
	end(&c);
}

/* ---- needs ---- */

#define ALWAYS (POL_NEED_BIND | POL_NEED_CONNECT | POL_NEED_SENDTO)

static unsigned needs_of(uint32_t ops, enum ulsp_verdict verdict, enum ulsp_verdict others)
{
	struct compiled c;
	unsigned needs;

	begin(&c, 1);
	c.gen.group.default_verdict = others;
	if (ops)
		gen_rule(&c.gen, ops, TCP, verdict);
	compile(&c);
	assert_int_equal(c.result, 0);
	needs = c.table->needs;
	end(&c);
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
	struct compiled c;

	(void)state;
	begin(&c, 2);
	gen_rule(&c.gen, CONNECT | BIT(ULSP_OP_SENDTO) | BIT(ULSP_OP_BIND), ANY_PROTO,
		 ULSP_VERDICT_ALLOW);
	gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_DENY);
	compile(&c);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.table->needs, ALWAYS);
	end(&c);
}

/* ---- sizes ---- */

static size_t bytes_of(struct compiled *c)
{
	compile(c);
	if (c->result)
		pol_diags_print(&c->diags, stderr, false);
	assert_int_equal(c->result, 0);
	return c->table->nwords * 4;
}

/* Rules by address and rules by port in turn don't multiply. */
static void test_interleaved(void **state)
{
	struct compiled c;
	char text[32];
	unsigned i;

	(void)state;
	begin(&c, 1000);
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
	end(&c);
}

/* Equal maps, functions and chains are stored once, also across operations. */
static void test_shared(void **state)
{
	uint32_t ops[] = {CONNECT, CONNECT | BIT(ULSP_OP_SENDTO)};
	size_t bytes[2], i, j;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct compiled c;
		char text[32];

		begin(&c, 500);
		for (j = 0; j < 500; j++) {
			struct pol_rule *r = gen_rule(&c.gen, ops[i], TCP, ULSP_VERDICT_ALLOW);

			snprintf(text, sizeof(text), "10.%u.%u.0/24", (unsigned)j / 256,
				 (unsigned)j % 256);
			r->to = gen_addrs(&c.gen, text);
			r->to_ports = gen_ports(&c.gen, (uint16_t)j, (uint16_t)(j + 10));
		}
		bytes[i] = bytes_of(&c);
		end(&c);
	}
	assert_int_equal(bytes[0], bytes[1]);
}

/* One set that many rules name is not swept once for each of them. */
static void test_many_rules_one_set(void **state)
{
	struct pol_addrs set;
	struct compiled c;
	char *text = malloc(20 * 2000), *p = text;
	unsigned i;

	(void)state;
	begin(&c, 1000);
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
	end(&c);
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
	struct compiled c;
	uint32_t index;
	size_t i;

	(void)state;
	begin(&c, 4);
	r = gen_rule(&c.gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
	r->to = gen_addrs(&c.gen, "2001:db8::1");
	r = gen_rule(&c.gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
	r->to = gen_addrs(&c.gen, "2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::");
	r = gen_rule(&c.gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
	r->to = gen_addrs(&c.gen, "2001:db8:0:1:ffff:ffff:ffff:ffff-2001:db8:0:8:8000::");
	r = gen_rule(&c.gen, CONNECT, ANY_PROTO, ULSP_VERDICT_ALLOW);
	r->to = gen_addrs(&c.gen, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	compile(&c);
	assert_int_equal(c.result, 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dec_key key = {.op = ULSP_OP_CONNECT, .family = DEC_V6};

		memcpy(key.addr, cases[i].addr, sizeof(key.addr));
		decide(&c, key, &index);
		assert_int_equal(index, cases[i].rule);
	}
	end(&c);
}

/* ---- conditions ---- */

static void test_no_task(void **state)
{
	struct dec_key known = {.op = ULSP_OP_CONNECT, .uid = 7}, unknown = known;
	struct pol_uids uids[] = {{7, 7}};
	struct pol_rule *r;
	struct compiled c;
	uint32_t index;

	(void)state;
	unknown.no_task = 1;
	begin(&c, 2);
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->uids = uids;
	r->nuids = 1;
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_DENY);
	r->uids = uids;
	r->nuids = 1;
	compile(&c);
	decide(&c, known, &index);
	assert_int_equal(index, 0);
	decide(&c, unknown, &index);
	assert_int_equal(index, 1);
	known.uid = 8;
	decide(&c, known, &index);
	assert_int_equal(index, 2);
	end(&c);
}

static void test_too_many_conditions(void **state)
{
	struct pol_uids uids[DEC_CHAIN_MAX];
	struct pol_rule *r;
	struct compiled c;
	uint32_t i, index;

	(void)state;
	for (i = 0; i < DEC_CHAIN_MAX; i++)
		uids[i] = (struct pol_uids){3 * i, 3 * i + 1};
	/* as many as fit: one test asks whether the process is known at all */
	begin(&c, 2);
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->uids = uids;
	r->nuids = DEC_CHAIN_MAX - 2;
	compile(&c);
	assert_int_equal(c.result, 0);
	decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT, .uid = 3 * (DEC_CHAIN_MAX - 3) + 1},
	       &index);
	assert_int_equal(index, 0);
	decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT, .uid = 2}, &index);
	assert_int_equal(index, 1);
	end(&c);

	begin(&c, 2);
	for (i = 0; i < 2; i++) {
		r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
		r->uids = uids;
		r->nuids = DEC_CHAIN_MAX / 2;
	}
	compile(&c);
	assert_int_equal(c.result, -E2BIG);
	assert_said(&c, POL_ERROR, "this rule passes the limit");
	assert_int_equal(c.diags.errors, 1);
	assert_null(c.table);
	end(&c);
}

static void test_missing_executable(void **state)
{
	char a[] = "/bin/a", b[] = "/bin/1";
	char *execs[] = {b, a};
	struct pol_rule *r;
	struct compiled c;

	(void)state;
	begin(&c, 1);
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->execs = execs;
	r->nexecs = 2;
	compile(&c);
	assert_int_equal(c.result, -ENOENT);
	assert_int_equal(c.diags.n, 1);
	assert_said(&c, POL_ERROR, "exec \"/bin/a\": No such file or directory");
	end(&c);
}

/* ---- refusals ---- */

static void test_refused_rules(void **state)
{
	char name[] = "*.example.org";
	char *names[] = {name};
	struct pol_rule *r;
	struct compiled c;

	(void)state;
	begin(&c, 6);
	gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_SERVE);
	r = gen_rule(&c.gen, CONNECT, UDP, ULSP_VERDICT_DENY);
	r->limit = true;
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);
	r->names = names;
	r->nnames = 1;
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ASK);
	r->hold_ms = 200;
	r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ASK);
	r->down = POL_DOWN_HOLD;
	gen_rule(&c.gen, CONNECT, BIT(ULSP_PROTO_UNIX), ULSP_VERDICT_DENY);
	c.gen.group.degrade_allow = true;
	compile(&c);
	assert_int_equal(c.result, -EOPNOTSUPP);
	assert_null(c.table);
	assert_int_equal(c.diags.errors, 5);
	assert_said(&c, POL_ERROR, "serve is not supported by this version");
	assert_said(&c, POL_ERROR, "limit is not supported by this version");
	assert_said(&c, POL_ERROR, "name is not supported by this version");
	assert_said(&c, POL_ERROR, "hold is not supported by this version");
	assert_said(&c, POL_ERROR, "down hold is not supported by this version");
	assert_said(&c, POL_WARNING, "protocol unix is not enforced");
	end(&c);
}

static void fill_lsm(struct compiled *c)
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
	struct compiled c;
	uint32_t index;

	(void)state;
	begin(&c, 2);
	fill_lsm(&c);
	compile(&c);
	assert_int_equal(c.result, -EOPNOTSUPP);
	assert_int_equal(c.diags.errors, 5);
	assert_said(&c, POL_ERROR, "isolate is not supported by this version: it needs BPF LSM");
	assert_said(&c, POL_ERROR, "peers is not supported by this version: it needs BPF LSM");
	assert_said(&c, POL_ERROR,
		    "members exec is not supported by this version: it needs BPF LSM");
	assert_said(&c, POL_ERROR,
		    "protocol unix is not supported by this version: it needs BPF LSM");
	assert_said(&c, POL_ERROR,
		    "protocol netlink is not supported by this version: it needs BPF LSM");
	end(&c);

	begin(&c, 2);
	fill_lsm(&c);
	c.gen.group.degrade_allow = true;
	compile(&c);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.diags.errors, 0);
	assert_int_equal(c.diags.n, 5);
	assert_said(&c, POL_WARNING, "isolate is not enforced");
	decide(&c, (struct dec_key){.op = ULSP_OP_CONNECT}, &index);
	assert_int_equal(index, 1);
	end(&c);
}

static void test_peers_self(void **state)
{
	static char self[] = "self";
	static char *peers[] = {self};
	struct compiled c;

	(void)state;
	begin(&c, 1);
	c.gen.group.peers = peers;
	c.gen.group.npeers = 1;
	compile(&c);
	assert_int_equal(c.result, 0);
	assert_int_equal(c.diags.n, 0);
	end(&c);
}

/* ---- rules that can't be reached ---- */

/* Warnings about the rules of a group given as text, each as "LINE TEXT\n". */
static void assert_warned(const char *text, const char *expected)
{
	struct pol_policy *p = NULL;
	struct pol_diags diags = {0};
	char *said = NULL;
	size_t bytes, i;
	FILE *out;

	assert_int_equal(pol_parse_text("f", text, strlen(text), NULL, &diags, &p), 0);
	pol_diags_fini(&diags);
	pol_diags_use(&diags, p);
	assert_int_equal(pol_check_reachable(p, &p->groups[0], &diags), 0);
	out = open_memstream(&said, &bytes);
	for (i = 0; i < diags.n; i++)
		fprintf(out, "%u %s\n", diags.v[i].line, diags.v[i].text);
	fclose(out);
	assert_string_equal(said, expected);
	free(said);
	pol_diags_fini(&diags);
	pol_free(&p);
}

static void test_hidden(void **state)
{
	(void)state;
	assert_warned("group g {\n"
		      "deny connect tcp to any port 1-100\n"
		      "allow connect tcp to { 10.0.0.0/8, 2001:db8::/32 } port 80\n"
		      "allow connect tcp to any port 80-101\n"
		      "allow connect tcp to any port 1-101\n"
		      "default deny\n}\n",
		      "3 rule never matches: hidden by f:2\n"
		      "5 rule never matches: hidden by f:2 and f:4 together\n");
	/* hidden for one operation only, or for one family */
	assert_warned("group g {\n"
		      "allow connect udp to 0.0.0.0/0\n"
		      "deny connect, bind udp to 10.0.0.0/8\n"
		      "deny connect udp to { 10.0.0.0/8, fd00::/8 }\n"
		      "default deny\n}\n",
		      "");
	/* several prefixes together, the halves of everything */
	assert_warned("group g {\n"
		      "allow connect any to 0.0.0.0/1\n"
		      "allow connect any to 128.0.0.0/2\n"
		      "allow connect any to 192.0.0.0/2\n"
		      "deny connect udp to 0.0.0.0/0 port 53\n"
		      "default deny\n}\n",
		      "5 rule never matches: hidden by f:2 to f:4 together\n");
	assert_warned("group g {\n"
		      "allow connect tcp to 10.0.0.0/8 from fd00::/8\n"
		      "default deny\n}\n",
		      "2 rule never matches: no operation has both these addresses\n");
}

static void test_hidden_by_conditions(void **state)
{
	(void)state;
	assert_warned("group g {\n"
		      "deny connect udp uid 0-10\n"
		      "allow connect udp uid { 3, 4 }\n"
		      "allow connect udp uid 3-11\n"
		      "allow connect udp\n"
		      "deny connect tcp exec { \"/a\", \"/b\" }\n"
		      "deny connect tcp exec \"/a\"\n"
		      "deny connect tcp exec ! \"/a\"\n"
		      "deny connect tcp exec ! { \"/a\", \"/b\" }\n"
		      "deny connect tcp exec \"/c\" from 10.0.0.0/8 port 7\n"
		      "default deny\n}\n",
		      "3 rule never matches: hidden by f:2\n"
		      "7 rule never matches: hidden by f:6\n"
		      "9 rule never matches: hidden by f:8\n"
		      "10 rule never matches: hidden by f:8\n");
	/* where the process isn't known only the second applies */
	assert_warned("group g {\n"
		      "allow connect udp uid 0-10\n"
		      "deny connect udp uid 0-10\n"
		      "default deny\n}\n",
		      "");
}

static void test_hidden_too_many(void **state)
{
	struct compiled c;
	unsigned i;

	(void)state;
	begin(&c, 6000);
	for (i = 0; i < 6000; i++) {
		struct pol_rule *r = gen_rule(&c.gen, CONNECT, TCP, ULSP_VERDICT_ALLOW);

		r->to_ports = gen_ports(&c.gen, (uint16_t)i, (uint16_t)i);
	}
	assert_int_equal(pol_check_reachable(&c.gen.policy, &c.gen.group, &c.diags), 0);
	assert_int_equal(c.diags.n, 1);
	assert_said(&c, POL_NOTE, "not checked: too many rules");
	end(&c);
}

/* ---- through text ---- */

/* A generated group, printed and parsed again. */
static struct pol_policy *through_text(struct compiled *c, uint64_t seed)
{
	struct pol_policy *parsed = NULL;
	char *text = NULL;
	int r;

	*c = (struct compiled){0};
	gen_init(&c->gen, seed, 30);
	gen_speakable(&c->gen);
	assert_int_equal(pol_print(&c->gen.policy, 0, &text), 0);
	r = pol_parse_text("text", text, strlen(text), NULL, &c->diags, &parsed);
	if (r) {
		fputs(text, stderr);
		pol_diags_print(&c->diags, stderr, false);
		fail_msg("seed %llu: %s", (unsigned long long)seed, strerror(-r));
	}
	free(text);
	assert_int_equal(parsed->groups[0].nrules, c->gen.group.nrules);
	return parsed;
}

/* As mapped addresses are judged as IPv4, IPv6 sets say nothing about them. */
static bool mapped(const uint32_t words[4])
{
	return !words[0] && !words[1] && words[2] == 0xffff;
}

static void test_through_text(void **state)
{
	struct pol_policy *parsed;
	struct compiled c;
	uint32_t record;
	uint64_t seed;
	int k;

	(void)state;
	for (seed = 1; seed <= 300; seed++) {
		parsed = through_text(&c, seed);
		if (pol_compile(parsed, &parsed->groups[0], &c.gen.env, &c.diags, &c.table)) {
			pol_diags_print(&c.diags, stderr, false);
			fail_msg("seed %d", (int)seed);
		}
		for (k = 0; k < 200; k++) {
			struct dec_key key = gen_key(&c.gen);

			if (mapped(key.addr) || mapped(key.addr2))
				continue;
			assert_int_equal(dec_decide(c.table->words, &key, &record), 0);
			if (record !=
			    pol_oracle(&c.gen.policy, &c.gen.group, NULL, &c.gen.env, &key)) {
				gen_print_key(stderr, &key);
				fail_msg("seed %d: rule %u", (int)seed, record);
			}
		}
		pol_free(&parsed);
		end(&c);
	}
}

/* What is said to be hidden never decides. */
static void test_hidden_is_true(void **state)
{
	struct pol_policy *parsed;
	struct compiled c;
	uint64_t seed;
	size_t i, hidden_rules = 0;
	int k;

	(void)state;
	for (seed = 1; seed < 300; seed++) {
		bool hidden[30] = {0};

		parsed = through_text(&c, seed);
		pol_diags_fini(&c.diags);
		pol_diags_use(&c.diags, parsed);
		assert_int_equal(pol_check_reachable(parsed, &parsed->groups[0], &c.diags), 0);
		hidden_rules += c.diags.n;
		for (i = 0; i < c.diags.n; i++)
			for (k = 0; k < (int)parsed->groups[0].nrules; k++)
				if (parsed->groups[0].rules[k].loc.line == c.diags.v[i].line)
					hidden[k] = true;
		for (k = 0; k < 300; k++) {
			struct dec_key key = gen_key(&c.gen);
			uint32_t record =
				pol_oracle(parsed, &parsed->groups[0], NULL, &c.gen.env, &key);

			if (record < parsed->groups[0].nrules && hidden[record]) {
				gen_print_key(stderr, &key);
				fail_msg("seed %d: rule %u is reached", (int)seed, record);
			}
		}
		pol_free(&parsed);
		end(&c);
	}
	assert_true(hidden_rules > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
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
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_hidden_by_conditions),
		cmocka_unit_test(test_hidden_too_many),
		cmocka_unit_test(test_hidden_is_true),
		cmocka_unit_test(test_through_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
