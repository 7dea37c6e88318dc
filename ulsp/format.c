/* SPDX-License-Identifier: BSD-2-Clause */
#include "format.h"
#include "confine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const op_words[] = {
#define OP(n, NAME, word, text) [n] = word,
#include "ops.def"
#undef OP
};
static const char *const reach_words[] = {
#define REACH(n, NAME, word, text) [n] = word,
#include "reaches.def"
#undef REACH
};
static const char *const proto_words[] = {
#define PROTO(n, NAME, word, text) [n] = word,
#include "protos.def"
#undef PROTO
};
static const char *const verdict_words[] = {
#define VERDICT(n, NAME, word, text) [n] = word,
#include "verdicts.def"
#undef VERDICT
};
static const char *const reason_words[] = {
#define REASON(n, NAME, word, text) [n] = word,
#include "reasons.def"
#undef REASON
};

static const char *word(const char *const *words, size_t n, unsigned int i)
{
	return i < n && words[i] ? words[i] : "unknown";
}

const char *ulsp_op_word(uint8_t op)
{
	if (op >= ULSP_OP_REACH)
		return word(reach_words, ULSP_REACH_COUNT, (unsigned int)op - ULSP_OP_REACH);
	return word(op_words, ULSP_OP_COUNT, op);
}

const char *ulsp_proto_word(uint8_t proto)
{
	return word(proto_words, ULSP_PROTO_COUNT, proto);
}

const char *ulsp_verdict_word(uint8_t verdict)
{
	return word(verdict_words, ULSP_VERDICT_COUNT, verdict);
}

const char *ulsp_reason_word(uint8_t reason)
{
	return word(reason_words, ULSP_REASON_COUNT, reason);
}

const char *ulsp_errno_word(int error, char buf[16])
{
	const char *name;

	if (error < 0)
		error = -error;
	name = error ? strerrorname_np(error) : NULL;
	if (name)
		return name;
	snprintf(buf, 16, "%d", error);
	return buf;
}

/* ---- a bounded buffer that remembers that it overflowed ---- */

struct out {
	char *buf;
	size_t len, bytes; /* len < bytes, for the NUL */
	bool full;
};

static void put(struct out *o, const char *s, size_t n)
{
	if (o->full || n >= o->bytes - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->buf + o->len, s, n);
	o->len += n;
}

static void puts_to(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

static void put_number(struct out *o, uint64_t n)
{
	char text[20], *p = text + sizeof(text);

	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	put(o, p, (size_t)(text + sizeof(text) - p));
}

static int finish(struct out *o)
{
	if (!o->bytes)
		return -ENOSPC;
	o->buf[o->full ? 0 : o->len] = '\0';
	return o->full ? -ENOSPC : (int)o->len;
}

/* ---- parts of a message ---- */

void ulsp_format_endpoint(uint8_t family, const uint8_t addr[16], uint16_t port,
			  char buf[ULSP_ENDPOINT_BYTES])
{
	struct out o = {buf, 0, ULSP_ENDPOINT_BYTES, false};
	char text[INET6_ADDRSTRLEN];

	if (family == 4) {
		for (int i = 0; i < 4; i++) {
			put_number(&o, addr[i]);
			put(&o, i < 3 ? "." : ":", 1);
		}
		put_number(&o, port);
	} else if (family == 6 && inet_ntop(AF_INET6, addr, text, sizeof(text))) {
		put(&o, "[", 1);
		puts_to(&o, text);
		put(&o, "]:", 2);
		put_number(&o, port);
	} else {
		put(&o, "-", 1);
	}
	finish(&o);
}

static bool all_zero(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return !memcmp(addr, zero, sizeof(zero));
}

int ulsp_has_remote(const struct ulsp_msg *m)
{
	switch (m->op) {
	case ULSP_OP_SOCKET:
	case ULSP_OP_BIND:
	case ULSP_OP_LISTEN:
		return 0;
	default:
		return m->family == 4 || m->family == 6;
	}
}

/* A socket that sends has a local address only once it is bound. */
int ulsp_has_local(const struct ulsp_msg *m)
{
	if (m->op == ULSP_OP_SOCKET || (m->family != 4 && m->family != 6))
		return 0;
	if (m->op == ULSP_OP_CONNECT || m->op == ULSP_OP_SENDTO)
		return m->local_port || !all_zero(m->local);
	return 1;
}

void ulsp_format_rule(const struct ulsp_msg *m, const char *file, char *buf, size_t bytes)
{
	struct out o = {buf, 0, bytes, false};
	bool unjudged = m->reason == ULSP_REASON_FAULT || m->reason == ULSP_REASON_SOURCE_ROUTE;

	/* without an id it is the default's line, which a fault has not come from */
	if (m->line && (m->rule || m->op >= ULSP_OP_REACH || !unjudged)) {
		puts_to(&o, file && *file ? file : "?");
		put(&o, ":", 1);
		put_number(&o, m->line);
	} else if (m->reason == ULSP_REASON_IMPLIED || m->reason == ULSP_REASON_EPHEMERAL) {
		puts_to(&o, "implied");
	} else if (unjudged || m->op >= ULSP_OP_REACH) {
		puts_to(&o, "none");
	} else {
		puts_to(&o, "default");
	}
	finish(&o);
}

/* n as `digits` digits */
static char *put_digits(char *to, uint64_t n, int digits)
{
	for (int i = digits - 1; i >= 0; i--, n /= 10)
		to[i] = (char)('0' + n % 10);
	return to + digits;
}

/*
 * By hand, since strftime() took most of a message's time.  Years are counted from March, so
 * that the leap day ends them; an era is 400 of them, 146,097 days.
 */
void ulsp_format_time(int64_t realtime_ns, char buf[ULSP_TIME_BYTES])
{
	const int64_t second = 1000000000, day = 86400, era_days = 146097;
	int64_t s = realtime_ns / second - (realtime_ns % second < 0);
	int64_t ns = realtime_ns % second + (realtime_ns % second < 0 ? second : 0);
	int64_t days = s / day - (s % day < 0), in_day = s - days * day;
	int64_t since = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
	int64_t era = since / era_days, in_era = since % era_days;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * in_year + 2) / 153; /* from March */
	char *p = buf;

	/* 64 bits of nanoseconds reach from 1677 to 2262 */
	p = put_digits(p, (uint64_t)(year + era * 400 + (month >= 10)), 4);
	*p++ = '-';
	p = put_digits(p, (uint64_t)(month < 10 ? month + 3 : month - 9), 2);
	*p++ = '-';
	p = put_digits(p, (uint64_t)(in_year - (153 * month + 2) / 5 + 1), 2);
	*p++ = 'T';
	p = put_digits(p, (uint64_t)(in_day / 3600), 2);
	*p++ = ':';
	p = put_digits(p, (uint64_t)(in_day / 60 % 60), 2);
	*p++ = ':';
	p = put_digits(p, (uint64_t)(in_day % 60), 2);
	*p++ = '.';
	p = put_digits(p, (uint64_t)ns, 9);
	memcpy(p, "Z", 2);
}

/* \xNN, \u00NN */
static void put_escape(struct out *o, const char *lead, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	const char digits[2] = {hex[byte >> 4], hex[byte & 15]};

	puts_to(o, lead);
	put(o, digits, sizeof(digits));
}

/* Length of the UTF-8 sequence at s and its code point; 0: none (overlong, surrogate, cut off). */
static size_t utf8(const char *s, uint32_t *ret_code)
{
	const unsigned char *u = (const unsigned char *)s;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code;
	size_t n;

	if (u[0] < 0x80) {
		*ret_code = u[0];
		return 1;
	}
	n = (u[0] & 0xe0) == 0xc0 ? 2 : (u[0] & 0xf0) == 0xe0 ? 3 : (u[0] & 0xf8) == 0xf0 ? 4 : 0;
	if (!n)
		return 0;
	code = u[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0; /* the NUL at the end stops here too */
		code = code << 6 | (u[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

/* C0, DEL and C1: a terminal may act on them. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

static bool is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static void put_json_string(struct out *o, const char *s)
{
	put(o, "\"", 1);
	while (*s) {
		uint32_t code;
		size_t n = 0;

		while (is_plain(s[n]))
			n++;
		if (n) {
			put(o, s, n);
			s += n;
			continue;
		}
		n = utf8(s, &code);
		if (!n) {
			puts_to(o, "\\ufffd");
			n = 1;
		} else if (is_control(code)) {
			put_escape(o, "\\u00", (uint8_t)code);
		} else {
			if (n == 1) /* a quote or backslash */
				put(o, "\\", 1);
			put(o, s, n);
		}
		s += n;
	}
	put(o, "\"", 1);
}

/* One word of a line: what would end it or act on a terminal becomes \xNN. */
static void put_text_word(struct out *o, const char *s)
{
	while (*s) {
		uint32_t code = 0;
		size_t n = utf8(s, &code);

		if (n && !is_control(code) && code != ' ' && code != '\\') {
			put(o, s, n);
		} else {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				put_escape(o, "\\x", (uint8_t)s[i]);
		}
		s += n;
	}
}

int ulsp_format_json_string(const char *s, char *buf, size_t bytes)
{
	struct out o = {buf, 0, bytes, false};

	put_json_string(&o, s);
	return finish(&o);
}

static void put_json_text(struct out *o, const char *name, const char *value)
{
	puts_to(o, name);
	if (value)
		put_json_string(o, value);
	else
		puts_to(o, "null");
}

static void put_json_number(struct out *o, const char *name, uint64_t n)
{
	puts_to(o, name);
	put_number(o, n);
}

static void put_json_bool(struct out *o, const char *name, int value)
{
	puts_to(o, name);
	puts_to(o, value ? "true" : "false");
}

static struct ulsp_reach_peer end_of(const struct ulsp_msg *m, const uint8_t *at)
{
	struct ulsp_reach_peer peer = {0};

	if (m->op >= ULSP_OP_REACH)
		memcpy(&peer, at, sizeof(peer));
	return peer;
}

uint32_t ulsp_actor_slot(const struct ulsp_msg *m)
{
	return end_of(m, m->local).group;
}

uint32_t ulsp_target_slot(const struct ulsp_msg *m)
{
	return end_of(m, m->remote).group;
}

uint32_t ulsp_target_tgid(const struct ulsp_msg *m)
{
	return end_of(m, m->remote).tgid;
}

static void put_json_reach(struct out *o, const struct ulsp_msg *m, const struct ulsp_names *n)
{
	put_json_text(o, ",\"actor_group\":", n->actor);
	put_json_text(o, ",\"target_group\":", n->target);
	put_json_number(o, ",\"target_tgid\":", ulsp_target_tgid(m));
}

int ulsp_format_json_at(const struct ulsp_msg *m, int64_t realtime_ns, const struct ulsp_names *n,
			char *buf, size_t bytes)
{
	char time[ULSP_TIME_BYTES], error[16], rule[ULSP_PATH_BYTES + 16];
	char remote[ULSP_ENDPOINT_BYTES], local[ULSP_ENDPOINT_BYTES];
	char comm[ULSP_COMM_BYTES + 1] = {0};
	struct out o = {buf, 0, bytes, false};
	int has_remote = ulsp_has_remote(m), has_local = ulsp_has_local(m);
	bool reaches = m->op >= ULSP_OP_REACH;

	memcpy(comm, m->comm, ULSP_COMM_BYTES);
	ulsp_format_time(realtime_ns, time);
	ulsp_format_rule(m, n->file, rule, sizeof(rule));
	if (has_remote)
		ulsp_format_endpoint(m->family, m->remote, m->remote_port, remote);
	if (has_local)
		ulsp_format_endpoint(m->family, m->local, m->local_port, local);

	put_json_text(&o, "{\"time\":", time);
	put_json_number(&o, ",\"seq\":", m->seq);
	put_json_text(&o, ",\"group\":", n->group ? n->group : "");
	put_json_text(&o, ",\"op\":", ulsp_op_word(m->op));
	put_json_text(&o, ",\"proto\":", reaches ? NULL : ulsp_proto_word(m->proto));
	put_json_number(&o, ",\"ip_proto\":", m->ip_proto);
	if (reaches)
		put_json_reach(&o, m, n);
	put_json_text(&o, ",\"remote\":", has_remote ? remote : NULL);
	put_json_text(&o, ",\"local\":", has_local ? local : NULL);
	put_json_text(&o, ",\"verdict\":", ulsp_verdict_word(m->verdict));
	put_json_text(&o, ",\"errno\":", m->error ? ulsp_errno_word(m->error, error) : NULL);
	put_json_text(&o, ",\"reason\":", ulsp_reason_word(m->reason));
	put_json_text(&o, ",\"rule\":", rule);
	put_json_bool(&o, ",\"audit\":", m->flags & ULSP_MSG_AUDIT);
	put_json_bool(&o, ",\"ask\":", m->flags & ULSP_MSG_ASK);
	put_json_number(&o, ",\"pid\":", m->pid);
	put_json_number(&o, ",\"tgid\":", m->tgid);
	put_json_number(&o, ",\"uid\":", m->uid);
	put_json_number(&o, ",\"gid\":", m->gid);
	put_json_text(&o, ",\"comm\":", comm);
	put_json_text(&o, ",\"cgroup\":", n->cgroup);
	put_json_number(&o, ",\"cgroup_id\":", m->cgroup);
	put_json_number(&o, ",\"generation\":", m->generation);
	put(&o, "}", 1);
	return finish(&o);
}

static void put_text_endpoints(struct out *o, const struct ulsp_msg *m)
{
	bool incoming = m->op == ULSP_OP_ACCEPT || m->op == ULSP_OP_RECVFROM;
	char remote[ULSP_ENDPOINT_BYTES], local[ULSP_ENDPOINT_BYTES];

	ulsp_format_endpoint(ulsp_has_remote(m) ? m->family : 0, m->remote, m->remote_port, remote);
	ulsp_format_endpoint(ulsp_has_local(m) ? m->family : 0, m->local, m->local_port, local);
	if (incoming) {
		puts_to(o, remote);
		puts_to(o, " -> ");
	}
	puts_to(o, incoming || !ulsp_has_remote(m) ? local : remote);
}

/* "process 4711 of web", "process 4711", "web" */
static void put_text_target(struct out *o, const struct ulsp_msg *m, const struct ulsp_names *n)
{
	uint32_t tgid = ulsp_target_tgid(m);

	if (tgid) {
		puts_to(o, "process ");
		put_number(o, tgid);
		puts_to(o, n->target ? " of " : "");
	}
	if (n->target)
		put_text_word(o, n->target);
	else if (!tgid)
		puts_to(o, "-");
}

int ulsp_format_text_at(const struct ulsp_msg *m, int64_t realtime_ns, const struct ulsp_names *n,
			char *buf, size_t bytes)
{
	char time[ULSP_TIME_BYTES], error[16], rule[ULSP_PATH_BYTES + 16];
	char comm[ULSP_COMM_BYTES + 1] = {0};
	struct out o = {buf, 0, bytes, false};

	memcpy(comm, m->comm, ULSP_COMM_BYTES);
	ulsp_format_time(realtime_ns, time);
	ulsp_format_rule(m, n->file, rule, sizeof(rule));

	puts_to(&o, time);
	put(&o, " ", 1);
	put_text_word(&o, n->group ? n->group : "");
	put(&o, " ", 1);
	puts_to(&o, ulsp_verdict_word(m->verdict));
	put(&o, " ", 1);
	if (m->error) {
		puts_to(&o, ulsp_errno_word(m->error, error));
		put(&o, " ", 1);
	}
	puts_to(&o, ulsp_op_word(m->op));
	put(&o, " ", 1);
	if (m->op >= ULSP_OP_REACH) {
		put_text_target(&o, m, n);
	} else {
		puts_to(&o, ulsp_proto_word(m->proto));
		put(&o, " ", 1);
		put_text_endpoints(&o, m);
	}
	puts_to(&o, " by ");
	put_text_word(&o, comm);
	put(&o, "[", 1);
	put_number(&o, m->tgid);
	puts_to(&o, "] uid ");
	put_number(&o, m->uid);
	if (n->cgroup) {
		puts_to(&o, " in ");
		put_text_word(&o, n->cgroup);
	}
	puts_to(&o, " rule ");
	put_text_word(&o, rule);
	if (m->reason > ULSP_REASON_IMPLIED) {
		puts_to(&o, " (");
		puts_to(&o, ulsp_reason_word(m->reason));
		put(&o, ")", 1);
	}
	if (m->flags & ULSP_MSG_ASK)
		puts_to(&o, " ask");
	if (m->flags & ULSP_MSG_AUDIT)
		puts_to(&o, " audit");
	return finish(&o);
}

static int64_t realtime_of(const struct ulsp_msg *m)
{
	struct timespec real, mono;
	int64_t offset;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	offset = (int64_t)(real.tv_sec - mono.tv_sec) * 1000000000 + (real.tv_nsec - mono.tv_nsec);
	return (int64_t)((uint64_t)m->time_ns + (uint64_t)offset);
}

int ulsp_format_json(const struct ulsp_msg *m, const struct ulsp_names *n, char *buf, size_t bytes)
{
	return ulsp_format_json_at(m, realtime_of(m), n, buf, bytes);
}

int ulsp_format_text(const struct ulsp_msg *m, const struct ulsp_names *n, char *buf, size_t bytes)
{
	return ulsp_format_text_at(m, realtime_of(m), n, buf, bytes);
}
