// SPDX-License-Identifier: GPL-2.0-only
#include "explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "format.h"
#include "words.h"

/* ---- the question ---- */

/* Words as keys have them; a mapped address is IPv4. */
static int parse_addr(const char *text, uint8_t *ret_family, uint32_t ret[4])
{
	static const uint32_t mapped[3] = {0, 0, 0xffff};
	uint32_t w[4] = {0};

	if (inet_pton(AF_INET, text, w) == 1) {
		*ret_family = DEC_V4;
		ret[0] = ntohl(w[0]);
		ret[1] = ret[2] = ret[3] = 0;
		return 0;
	}
	if (inet_pton(AF_INET6, text, w) != 1)
		return -EINVAL;
	for (int i = 0; i < 4; i++)
		w[i] = ntohl(w[i]);
	if (!memcmp(w, mapped, sizeof(mapped))) {
		*ret_family = DEC_V4;
		ret[0] = w[3];
		ret[1] = ret[2] = ret[3] = 0;
		return 0;
	}
	*ret_family = DEC_V6;
	memcpy(ret, w, sizeof(w));
	return 0;
}

/* ADDR, ADDR:PORT, [ADDR]:PORT, :PORT; what is not given stays as it is. */
static int parse_end(const char *text, uint8_t family, uint32_t addr[4], uint16_t *port)
{
	scoped(scope_free) char *copy = strdup(text);
	char *colon, *at = copy, *end;
	uint8_t f;

	if (!copy)
		return -ENOMEM;
	colon = strrchr(copy, ':');
	if (*at == '[') {
		at++;
		end = strchr(at, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		*end = 0;
		colon = end[1] ? end + 1 : NULL;
	} else if (colon && strchr(copy, ':') != colon) {
		colon = NULL; /* a bare IPv6 address */
	}
	if (colon) {
		unsigned long n;

		*colon = 0;
		n = strtoul(colon + 1, &end, 10);
		if (end == colon + 1 || *end || n > UINT16_MAX)
			return -EINVAL;
		*port = (uint16_t)n;
	}
	if (!*at)
		return colon ? 0 : -EINVAL;
	return parse_addr(at, &f, addr) || f != family ? -EINVAL : 0;
}

static int make_ends(const struct explain_query *q, struct dec_key *k, struct err *e)
{
	bool incoming = k->op == ULSP_OP_ACCEPT || k->op == ULSP_OP_RECVFROM;
	bool outgoing = k->op == ULSP_OP_CONNECT || k->op == ULSP_OP_SENDTO;
	uint32_t addr[4];
	uint16_t port;

	if ((q->from || q->to) && !incoming && !outgoing)
		return err_set(e, -EINVAL, "%s has one end only: no --from, no --to", q->op);
	/* the key's own address is the peer's; from and to are as a rule has them */
	if (q->from) {
		memcpy(addr, incoming ? k->addr : k->addr2, sizeof(addr));
		if (parse_end(q->from, k->family, addr, &k->port2))
			return err_set(e, -EINVAL, "--from %s: not an ADDR[:PORT] of that family",
				       q->from);
		if (incoming && memcmp(addr, k->addr, sizeof(addr)))
			return err_set(e, -EINVAL, "--from %s: the peer is %s", q->from, q->addr);
		if (outgoing)
			memcpy(k->addr2, addr, sizeof(addr));
	}
	if (q->to) {
		port = k->port;
		memcpy(addr, outgoing ? k->addr : k->addr2, sizeof(addr));
		if (parse_end(q->to, k->family, addr, &port) || port != k->port)
			return err_set(e, -EINVAL,
				       "--to %s: not an address of that family and port", q->to);
		if (outgoing && memcmp(addr, k->addr, sizeof(addr)))
			return err_set(e, -EINVAL, "--to %s: the peer is %s", q->to, q->addr);
		if (incoming)
			memcpy(k->addr2, addr, sizeof(addr));
	}
	return 0;
}

/* As programs judge it: what the kernel makes of an unspecified destination. */
static void unspecified_is_here(struct dec_key *k)
{
	if (k->addr[0] || k->addr[1] || k->addr[2] || k->addr[3])
		return;
	if (k->family == DEC_V4)
		k->addr[0] = k->addr2[0] ? k->addr2[0] : INADDR_LOOPBACK;
	else
		k->addr[3] = 1;
}

static int make_key(const struct explain_query *q, struct dec_key *ret, struct err *e)
{
	struct dec_key k = {.uid = q->uid};
	uint8_t op = 0, proto = 0;
	struct stat st;
	int r;

	while (op < ULSP_OP_COUNT && strcmp(ulsp_op_word(op), q->op))
		op++;
	while (proto < ULSP_PROTO_COUNT && strcmp(ulsp_proto_word(proto), q->proto))
		proto++;
	if (op == ULSP_OP_COUNT)
		return err_set(e, -EINVAL, "no operation \"%s\"", q->op);
	if (proto == ULSP_PROTO_COUNT)
		return err_set(e, -EINVAL, "no protocol \"%s\"", q->proto);
	if (proto >= ULSP_PROTO_INET_COUNT)
		return err_set(e, -EOPNOTSUPP,
			       "protocol %s is not supported by this version/kernel", q->proto);
	if (q->port < 0 || q->port > UINT16_MAX)
		return err_set(e, -EINVAL, "port %lld is not in 0-65535", (long long)q->port);
	k.op = op;
	k.proto = proto;
	k.no_task = op == ULSP_OP_LISTEN || op == ULSP_OP_ACCEPT || op == ULSP_OP_RECVFROM;
	if (op != ULSP_OP_SOCKET)
		k.port = (uint16_t)q->port;
	if (parse_addr(q->addr, &k.family, k.addr))
		return err_set(e, -EINVAL, "\"%s\" is not an IPv4 or IPv6 address", q->addr);
	if (op == ULSP_OP_SOCKET)
		memset(k.addr, 0, sizeof(k.addr));
	r = make_ends(q, &k, e);
	if (r)
		return r;
	if (op == ULSP_OP_CONNECT || op == ULSP_OP_SENDTO)
		unspecified_is_here(&k);
	if (q->exec) {
		if (stat(q->exec, &st))
			return err_set(e, -errno, "--exec %s: %m", q->exec);
		k.exe_dev = major(st.st_dev) << 20 | minor(st.st_dev);
		k.exe_ino = st.st_ino;
	}
	*ret = k;
	return 0;
}

/* ---- the answer ---- */

int explain_offline(void *ctx, const struct dec_key *key, uint32_t *ret_rule)
{
	const struct pol_table *t = ctx;

	return dec_decide(t->words, key, ret_rule) ? -EIO : 0;
}

static int record_of(const struct compiled *c, const struct pol_group *g, uint32_t record,
		     struct dec_rule *ret)
{
	return dec_rule_at(compiled_table(c, g)->words, record, ret) ? -EIO : 0;
}

/* Index for pol_print_rule(); -1: an implied rule, which is not in the text. */
static long printed_index(const struct compiled *c, const struct pol_group *g, uint32_t record)
{
	const struct pol_rule *rule = compiled_table(c, g)->rules[record];
	struct dec_rule r;

	if (rule)
		return rule - g->rules;
	if (record_of(c, g, record, &r) || r.reason != ULSP_REASON_DEFAULT)
		return -1;
	return (long)g->nrules;
}

char *explain_place(const struct compiled *c, const struct pol_group *g, uint32_t record)
{
	long index = printed_index(c, g, record);
	const struct pol_loc *loc;
	char *text;

	if (index < 0)
		return strdup("implied");
	if ((size_t)index == g->nrules && !g->default_given)
		return strdup("default");
	loc = (size_t)index == g->nrules ? &g->default_loc : &g->rules[index].loc;
	if (asprintf(&text, "%s:%u", c->policy->files[loc->file], loc->line) < 0)
		return NULL;
	return text;
}

char *explain_text(const struct compiled *c, const struct pol_group *g, uint32_t record)
{
	long index = printed_index(c, g, record);
	char *text = NULL;

	if (index < 0)
		return strdup("(no rule names this operation, and the default does not cover it)");
	return pol_print_rule(g, (size_t)index, &text) ? NULL : text;
}

static void add_string(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

static void add_limit(struct json_object *o, const struct dec_rule *r)
{
	const char *unit = r->rate_per_hour % 60 ? "h" : r->rate_per_hour % 3600 ? "m" : "s";
	unsigned count = *unit == 'h' ? 1 : *unit == 'm' ? 60 : 3600;
	char rate[32];

	snprintf(rate, sizeof(rate), "%u/%s", r->rate_per_hour / count, unit);
	add_string(o, "rate", rate);
	json_object_object_add(o, "burst", json_object_new_int64(r->burst));
	add_string(o, "per", r->flags & DEC_RULE_PER_PROCESS ? "process" : "group");
}

static struct json_object *answer(const struct explain_query *q, const struct compiled *c,
				  const struct pol_group *g, uint32_t mode, const struct dec_key *k,
				  uint32_t record)
{
	struct json_object *o = json_object_new_object();
	scoped(scope_free) char *place = explain_place(c, g, record);
	scoped(scope_free) char *text = explain_text(c, g, record);
	const struct pol_rule *rule = compiled_table(c, g)->rules[record];
	struct dec_rule r = {.verdict = ULSP_VERDICT_DENY, .reason = ULSP_REASON_FAULT};
	char error[16];

	record_of(c, g, record, &r);
	if (k->op == ULSP_OP_BIND && !k->port && r.reason == ULSP_REASON_DEFAULT &&
	    r.verdict == ULSP_VERDICT_DENY)
		r = (struct dec_rule){.verdict = ULSP_VERDICT_ALLOW,
				      .reason = ULSP_REASON_EPHEMERAL};
	add_string(o, "group", g->name);
	add_string(o, "op", q->op);
	add_string(o, "proto", q->proto);
	add_string(o, "addr", q->addr);
	json_object_object_add(o, "port", json_object_new_int64(q->port));
	add_string(o, "verdict", r.flags & DEC_RULE_LIMIT ? "limit" : ulsp_verdict_word(r.verdict));
	add_string(o, "errno", r.error ? ulsp_errno_word(r.error, error) : NULL);
	add_string(o, "reason", ulsp_reason_word(r.reason));
	add_string(o, "rule", place);
	add_string(o, "text", text);
	add_string(o, "ulsp", rule ? rule->ulsp : NULL);
	if (r.flags & DEC_RULE_LIMIT)
		add_limit(o, &r);
	json_object_object_add(o, "log", json_object_new_boolean(r.flags & DEC_RULE_LOG));
	add_string(o, "mode", mode_word(mode));
	return o;
}

static bool may_allow(const struct dec_rule *r)
{
	return r->verdict == ULSP_VERDICT_ALLOW || r->flags & DEC_RULE_LIMIT;
}

int explain(const struct explain_query *q, const struct compiled *c, const struct pol_group *g,
	    uint32_t mode, explain_decide decide, void *ctx, struct json_object **ret,
	    struct err *e)
{
	const struct pol_table *t = compiled_table(c, g);
	struct dec_key key, both;
	struct dec_rule rule, second;
	uint32_t record, other;
	int r;

	r = make_key(q, &key, e);
	if (r)
		return r;
	r = decide(ctx, &key, &record);
	if (r || record >= t->nrules)
		return err_set(e, r ? r : -EIO, "the decision on group %s failed", g->name);
	/* a socket bound to :: takes IPv4 too: either rule can deny it */
	both = key;
	both.family = DEC_V4;
	if (key.op == ULSP_OP_BIND && key.family == DEC_V6 &&
	    !(key.addr[0] | key.addr[1] | key.addr[2] | key.addr[3]) &&
	    !record_of(c, g, record, &rule) && may_allow(&rule) && !decide(ctx, &both, &other) &&
	    other < t->nrules && !record_of(c, g, other, &second) &&
	    (rule.flags & DEC_RULE_LIMIT ? !may_allow(&second)
					 : second.verdict != ULSP_VERDICT_ALLOW)) {
		record = other;
		key = both;
	}
	*ret = answer(q, c, g, mode, &key, record);
	return 0;
}
