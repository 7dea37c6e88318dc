/* SPDX-License-Identifier: BSD-2-Clause */
#include "format.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const op_words[] = {
#define OP(n, NAME, word, text) [n] = word,
#include "ops.def"
#undef OP
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

void ulsp_format_endpoint(uint8_t family, const uint8_t addr[16], uint16_t port,
			  char buf[ULSP_ENDPOINT_BYTES])
{
	char text[INET6_ADDRSTRLEN];

	if (family == 4 && inet_ntop(AF_INET, addr, text, sizeof(text)))
		snprintf(buf, ULSP_ENDPOINT_BYTES, "%s:%u", text, port);
	else if (family == 6 && inet_ntop(AF_INET6, addr, text, sizeof(text)))
		snprintf(buf, ULSP_ENDPOINT_BYTES, "[%s]:%u", text, port);
	else
		memcpy(buf, "-", 2);
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
	if (m->rule && m->line)
		snprintf(buf, bytes, "%s:%" PRIu32, file && *file ? file : "?", m->line);
	else if (m->reason == ULSP_REASON_IMPLIED || m->reason == ULSP_REASON_EPHEMERAL)
		snprintf(buf, bytes, "implied");
	else if (m->reason == ULSP_REASON_FAULT || m->reason == ULSP_REASON_SOURCE_ROUTE)
		snprintf(buf, bytes, "none");
	else
		snprintf(buf, bytes, "default");
}

void ulsp_format_time(int64_t realtime_ns, char buf[ULSP_TIME_BYTES])
{
	const int64_t second = 1000000000;
	time_t s = (time_t)(realtime_ns / second);
	long ns = (long)(realtime_ns % second);
	struct tm tm = {.tm_mday = 1};
	size_t n;

	if (ns < 0) {
		ns += second;
		s--;
	}
	gmtime_r(&s, &tm);
	n = strftime(buf, ULSP_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, ULSP_TIME_BYTES - n, ".%09ldZ", ns);
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

__attribute__((format(printf, 2, 3))) static void putf(struct out *o, const char *format, ...)
{
	char text[128];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		o->full = true;
	else
		put(o, text, (size_t)n);
}

static int finish(struct out *o)
{
	if (!o->bytes)
		return -ENOSPC;
	o->buf[o->full ? 0 : o->len] = '\0';
	return o->full ? -ENOSPC : (int)o->len;
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

static void put_json_string(struct out *o, const char *s)
{
	put(o, "\"", 1);
	while (*s) {
		uint32_t code;
		size_t n = utf8(s, &code);

		if (!n) {
			puts_to(o, "\\ufffd");
			n = 1;
		} else if (code == '"' || code == '\\') {
			put(o, "\\", 1);
			put(o, s, 1);
		} else if (is_control(code)) {
			putf(o, "\\u%04x", (unsigned int)code);
		} else {
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
				putf(o, "\\x%02x", (unsigned char)s[i]);
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

static void put_json_endpoint(struct out *o, const char *name, int present, uint8_t family,
			      const uint8_t addr[16], uint16_t port)
{
	char text[ULSP_ENDPOINT_BYTES];

	putf(o, ",\"%s\":", name);
	if (!present) {
		puts_to(o, "null");
		return;
	}
	ulsp_format_endpoint(family, addr, port, text);
	put_json_string(o, text);
}

static void put_json_name(struct out *o, const char *name, const char *value)
{
	putf(o, ",\"%s\":", name);
	if (value)
		put_json_string(o, value);
	else
		puts_to(o, "null");
}

static const char *put_bool(int value)
{
	return value ? "true" : "false";
}

int ulsp_format_json_at(const struct ulsp_msg *m, int64_t realtime_ns, const char *group,
			const char *file, const char *cgroup, char *buf, size_t bytes)
{
	char time[ULSP_TIME_BYTES], error[16], rule[ULSP_PATH_BYTES + 16];
	char comm[ULSP_COMM_BYTES + 1] = {0};
	struct out o = {buf, 0, bytes, false};

	memcpy(comm, m->comm, ULSP_COMM_BYTES);
	ulsp_format_time(realtime_ns, time);
	ulsp_format_rule(m, file, rule, sizeof(rule));
	putf(&o, "{\"time\":\"%s\",\"seq\":%" PRIu64, time, (uint64_t)m->seq);
	put_json_name(&o, "group", group ? group : "");
	put_json_name(&o, "op", ulsp_op_word(m->op));
	put_json_name(&o, "proto", ulsp_proto_word(m->proto));
	putf(&o, ",\"ip_proto\":%u", m->ip_proto);
	put_json_endpoint(&o, "remote", ulsp_has_remote(m), m->family, m->remote, m->remote_port);
	put_json_endpoint(&o, "local", ulsp_has_local(m), m->family, m->local, m->local_port);
	put_json_name(&o, "verdict", ulsp_verdict_word(m->verdict));
	put_json_name(&o, "errno", m->error ? ulsp_errno_word(m->error, error) : NULL);
	put_json_name(&o, "reason", ulsp_reason_word(m->reason));
	put_json_name(&o, "rule", rule);
	putf(&o, ",\"audit\":%s,\"ask\":%s", put_bool(m->flags & ULSP_MSG_AUDIT),
	     put_bool(m->flags & ULSP_MSG_ASK));
	putf(&o, ",\"pid\":%" PRIu32 ",\"tgid\":%" PRIu32, (uint32_t)m->pid, (uint32_t)m->tgid);
	putf(&o, ",\"uid\":%" PRIu32 ",\"gid\":%" PRIu32, (uint32_t)m->uid, (uint32_t)m->gid);
	put_json_name(&o, "comm", comm);
	put_json_name(&o, "cgroup", cgroup);
	putf(&o, ",\"cgroup_id\":%" PRIu64, (uint64_t)m->cgroup);
	putf(&o, ",\"generation\":%" PRIu32 "}", (uint32_t)m->generation);
	return finish(&o);
}

int ulsp_format_text_at(const struct ulsp_msg *m, int64_t realtime_ns, const char *group,
			const char *file, const char *cgroup, char *buf, size_t bytes)
{
	char time[ULSP_TIME_BYTES], error[16], rule[ULSP_PATH_BYTES + 16];
	char remote[ULSP_ENDPOINT_BYTES], local[ULSP_ENDPOINT_BYTES];
	char comm[ULSP_COMM_BYTES + 1] = {0};
	struct out o = {buf, 0, bytes, false};

	memcpy(comm, m->comm, ULSP_COMM_BYTES);
	ulsp_format_time(realtime_ns, time);
	ulsp_format_rule(m, file, rule, sizeof(rule));
	ulsp_format_endpoint(ulsp_has_remote(m) ? m->family : 0, m->remote, m->remote_port, remote);
	ulsp_format_endpoint(ulsp_has_local(m) ? m->family : 0, m->local, m->local_port, local);

	putf(&o, "%s ", time);
	put_text_word(&o, group ? group : "");
	putf(&o, " %s", ulsp_verdict_word(m->verdict));
	if (m->error)
		putf(&o, " %s", ulsp_errno_word(m->error, error));
	putf(&o, " %s %s ", ulsp_op_word(m->op), ulsp_proto_word(m->proto));
	if (ulsp_has_remote(m) && ulsp_has_local(m) &&
	    (m->op == ULSP_OP_ACCEPT || m->op == ULSP_OP_RECVFROM))
		putf(&o, "%s -> ", remote);
	puts_to(&o, ulsp_has_remote(m) && m->op != ULSP_OP_ACCEPT && m->op != ULSP_OP_RECVFROM
			    ? remote
			    : local);
	puts_to(&o, " by ");
	put_text_word(&o, comm);
	putf(&o, "[%" PRIu32 "] uid %" PRIu32, (uint32_t)m->tgid, (uint32_t)m->uid);
	if (cgroup) {
		puts_to(&o, " in ");
		put_text_word(&o, cgroup);
	}
	puts_to(&o, " rule ");
	put_text_word(&o, rule);
	if (m->reason > ULSP_REASON_IMPLIED)
		putf(&o, " (%s)", ulsp_reason_word(m->reason));
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

int ulsp_format_json(const struct ulsp_msg *m, const char *group, const char *file,
		     const char *cgroup, char *buf, size_t bytes)
{
	return ulsp_format_json_at(m, realtime_of(m), group, file, cgroup, buf, bytes);
}

int ulsp_format_text(const struct ulsp_msg *m, const char *group, const char *file,
		     const char *cgroup, char *buf, size_t bytes)
{
	return ulsp_format_text_at(m, realtime_of(m), group, file, cgroup, buf, bytes);
}
