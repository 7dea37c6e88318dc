/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule to text, which parses to the same rule. */
#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct out {
	char *buf;
	size_t n, bytes;
	int error;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(o->buf + o->n, o->bytes - o->n, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= o->bytes - o->n) {
		o->error = o->error ? o->error : -ENOSPC;
		return;
	}
	o->n += (size_t)n;
}

/* Control characters are no part of a line that people read, be they allowed in a path. */
static void put_quoted(struct out *o, const char *s)
{
	put(o, "\"");
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			o->error = -EINVAL;
		put(o, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
	}
	put(o, "\"");
}

static void put_verdict(struct out *o, const struct fw_verdict *v)
{
	put(o, "%s", v->allow ? "allow" : "deny");
	if (!v->allow && v->error != -EPERM)
		put(o, " errno %s", strerrorname_np(-v->error));
}

static void put_where(struct out *o, const struct fw_rule *rule)
{
	int bits = rule->family == 4 ? 32 : 128;
	char text[INET6_ADDRSTRLEN];

	put(o, " %s %s", fw_op_word(rule->op), fw_proto_word(rule->proto));
	if (!rule->family)
		put(o, " any");
	else
		put(o, " %s",
		    inet_ntop(bits == 32 ? AF_INET : AF_INET6, rule->addr, text, sizeof(text)));
	if (rule->family && rule->prefix < bits)
		put(o, "/%u", rule->prefix);
	if (rule->port_lo == rule->port_hi)
		put(o, " port %u", rule->port_lo);
	else if (rule->port_lo || rule->port_hi != UINT16_MAX)
		put(o, " port %u-%u", rule->port_lo, rule->port_hi);
}

int fw_rule_print(const struct fw_rule *rule, char *buf, size_t bytes)
{
	static const char *const covers[] = {
		[ULSP_COVER_FLOW] = "flow",
		[ULSP_COVER_DESTINATION] = "destination",
		[ULSP_COVER_PROCESS] = "process",
		[ULSP_COVER_PROCESS_FLOW] = "process-flow",
	};
	struct out o = {.buf = buf, .bytes = bytes};
	const struct fw_verdict *v = &rule->verdict;

	if (!bytes)
		return -ENOSPC;
	if (v->ask)
		put(&o, "ask");
	else
		put_verdict(&o, v);
	put_where(&o, rule);
	if (rule->exe) {
		put(&o, " exe ");
		put_quoted(&o, rule->exe);
	}
	if (!rule->any_uid)
		put(&o, " uid %u", rule->uid);
	if (rule->group) {
		put(&o, " group ");
		put_quoted(&o, rule->group);
	}
	if (v->once)
		put(&o, " once");
	else if (v->ttl_ms)
		put(&o, " for %ums", v->ttl_ms);
	if (rule->cover_given)
		put(&o, " cover %s", covers[v->cover]);
	if (rule->else_given) {
		put(&o, " else ");
		put_verdict(&o, v);
	}
	return o.error ? o.error : (int)o.n;
}
