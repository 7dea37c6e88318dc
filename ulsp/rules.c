/* SPDX-License-Identifier: BSD-2-Clause */
#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
static const char *const cover_words[] = {
	[ULSP_COVER_FLOW] = "flow",
	[ULSP_COVER_DESTINATION] = "destination",
	[ULSP_COVER_PROCESS] = "process",
	[ULSP_COVER_PROCESS_FLOW] = "process-flow",
};

static int find_word(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (words[i] && !strcmp(words[i], word))
			return (int)i;
	return -1;
}

#define FIND_WORD(words, word) find_word((words), sizeof(words) / sizeof((words)[0]), (word))

int fw_op_number(const char *word)
{
	return FIND_WORD(op_words, word);
}

int fw_proto_number(const char *word)
{
	return FIND_WORD(proto_words, word);
}

/* ---- words of a line ---- */

enum { WORD_BYTES = 4096 + 1, ERRNO_MAX = 4095 };

struct scan {
	const char *p, *end; /* what is left of the text */
	const char *line_start;
	uint32_t line;
	uint32_t col;	       /* of the word */
	char word[WORD_BYTES]; /* "": the line's end */
	bool quoted;
	struct fw_error *e;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct scan *s, const char *format, ...)
{
	va_list ap;

	s->e->line = s->line;
	s->e->col = s->col;
	va_start(ap, format);
	vsnprintf(s->e->text, sizeof(s->e->text), format, ap);
	va_end(ap);
	return -EINVAL;
}

/* What was read, for an error's text: bounded, and harmless on a terminal. */
static const char *shown(const struct scan *s, char buf[48])
{
	size_t i;

	if (!s->word[0] && !s->quoted)
		return "the end of the line";
	for (i = 0; i < 40 && s->word[i]; i++)
		buf[i] = s->word[i] < ' ' || s->word[i] > '~' ? '?' : s->word[i];
	memcpy(buf + i, s->word[i] ? "..." : "", s->word[i] ? 4 : 1);
	return buf;
}

static int expected(struct scan *s, const char *what)
{
	char buf[48];

	return wrong(s, "expected %s, found %s", what, shown(s, buf));
}

static int next_quoted(struct scan *s)
{
	size_t n = 0;

	s->quoted = true;
	for (s->p++; s->p < s->end && *s->p != '"'; s->p++) {
		if (*s->p == '\n')
			return wrong(s, "the quote is not closed");
		if (*s->p == '\\' && s->p + 1 < s->end && (s->p[1] == '"' || s->p[1] == '\\'))
			s->p++;
		if (!*s->p || n >= WORD_BYTES - 1)
			return wrong(s, *s->p ? "the word is too long" : "a NUL byte");
		s->word[n++] = *s->p;
	}
	if (s->p == s->end)
		return wrong(s, "the quote is not closed");
	s->p++;
	s->word[n] = '\0';
	return 0;
}

static int next_word(struct scan *s)
{
	size_t n = 0;

	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
	s->col = (uint32_t)(s->p - s->line_start) + 1;
	s->quoted = false;
	s->word[0] = '\0';
	if (s->p < s->end && *s->p == '#')
		while (s->p < s->end && *s->p != '\n')
			s->p++;
	if (s->p == s->end || *s->p == '\n')
		return 0;
	if (*s->p == '"')
		return next_quoted(s);
	while (s->p < s->end && !strchr(" \t\r\n#\"", *s->p)) {
		if (n >= WORD_BYTES - 1)
			return wrong(s, "the word is too long");
		s->word[n++] = *s->p++;
	}
	if (s->p < s->end && !*s->p) /* strchr() finds the NUL too */
		return wrong(s, "a NUL byte");
	s->word[n] = '\0';
	return 0;
}

static bool at_end(const struct scan *s)
{
	return !s->word[0] && !s->quoted;
}

static bool is(const struct scan *s, const char *word)
{
	return !s->quoted && !strcmp(s->word, word);
}

/* ---- parts of a rule; each leaves the scan at the word after it ---- */

static bool parse_number(const char *word, unsigned long max, unsigned long *ret, char **ret_end)
{
	unsigned long n;

	if (*word < '0' || *word > '9')
		return false;
	errno = 0;
	n = strtoul(word, ret_end, 10);
	if (errno || n > max)
		return false;
	*ret = n;
	return true;
}

static int parse_errno(struct scan *s, struct fw_verdict *v)
{
	const char *name;
	int r = next_word(s);

	if (r)
		return r;
	for (int i = 1; i <= ERRNO_MAX; i++) {
		name = strerrorname_np(i);
		if (name && is(s, name)) {
			v->error = -i;
			return next_word(s);
		}
	}
	return expected(s, "the name of an errno");
}

static int parse_verdict(struct scan *s, struct fw_verdict *v)
{
	int r;

	if (!is(s, "allow") && !is(s, "deny"))
		return expected(s, "allow, deny or default");
	v->allow = is(s, "allow");
	v->error = v->allow ? 0 : -EPERM;
	v->line = s->line;
	r = next_word(s);
	if (r || !is(s, "errno"))
		return r;
	if (v->allow)
		return wrong(s, "errno goes with deny only");
	return parse_errno(s, v);
}

static int parse_address(struct scan *s, struct fw_rule *rule)
{
	static const char what[] = "an address, ADDRESS/PREFIX or any";
	char *slash, *end;
	unsigned long prefix;
	int bits;

	if (is(s, "any"))
		return next_word(s);
	if (at_end(s) || s->quoted)
		return expected(s, what);
	slash = strchr(s->word, '/');
	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, s->word, rule->addr) == 1)
		rule->family = 4;
	else if (inet_pton(AF_INET6, s->word, rule->addr) == 1)
		rule->family = 6;
	if (slash)
		*slash = '/';
	if (!rule->family)
		return expected(s, what);
	bits = rule->family == 4 ? 32 : 128;
	prefix = (unsigned long)bits;
	if (slash && (!parse_number(slash + 1, prefix, &prefix, &end) || *end))
		return wrong(s, "a prefix length is 0 to %d", bits);
	rule->prefix = (uint8_t)prefix;
	for (int i = rule->prefix; i < bits; i++)
		if (rule->addr[i / 8] & (0x80 >> i % 8))
			return wrong(s, "the address has bits beyond its prefix");
	return next_word(s);
}

static int parse_ports(struct scan *s, struct fw_rule *rule)
{
	unsigned long lo, hi;
	char *end;
	int r = next_word(s);

	if (r)
		return r;
	if (is(s, "any"))
		return next_word(s);
	if (s->quoted || !parse_number(s->word, UINT16_MAX, &lo, &end))
		return expected(s, "a port, a range N-M or any");
	hi = lo;
	if (*end == '-' && (!parse_number(end + 1, UINT16_MAX, &hi, &end) || hi < lo))
		return expected(s, "a port, a range N-M or any");
	if (*end)
		return expected(s, "a port, a range N-M or any");
	rule->port_lo = (uint16_t)lo;
	rule->port_hi = (uint16_t)hi;
	return next_word(s);
}

static int parse_uid(struct scan *s, struct fw_rule *rule)
{
	unsigned long uid;
	char *end;
	int r = next_word(s);

	if (r)
		return r;
	if (s->quoted || !parse_number(s->word, UINT32_MAX - 1, &uid, &end) || *end)
		return expected(s, "a user id (a number)");
	rule->any_uid = false;
	rule->uid = (uid_t)uid;
	return next_word(s);
}

static int parse_exe(struct scan *s, struct fw_rule *rule)
{
	int r = next_word(s);

	if (r)
		return r;
	if (s->word[0] != '/')
		return expected(s, "the absolute path of an executable");
	rule->exe = strdup(s->word);
	return rule->exe ? next_word(s) : -ENOMEM;
}

static int parse_duration(struct scan *s, struct fw_rule *rule)
{
	static const struct {
		const char *name;
		unsigned long ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	unsigned long n;
	char *end;
	int r = next_word(s);

	if (r)
		return r;
	if (!s->quoted && parse_number(s->word, UINT32_MAX, &n, &end) && n)
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
			if (strcmp(end, units[i].name))
				continue;
			if (n > UINT32_MAX / units[i].ms)
				return wrong(s, "a duration is 49 days at most");
			rule->verdict.ttl_ms = (uint32_t)(n * units[i].ms);
			return next_word(s);
		}
	return expected(s, "a duration such as 500ms, 30s, 10m, 1h or 1d");
}

static int parse_cover(struct scan *s, struct fw_rule *rule)
{
	int cover, r = next_word(s);

	if (r)
		return r;
	cover = s->quoted ? -1 : FIND_WORD(cover_words, s->word);
	if (cover < 0)
		return expected(s, "flow, destination or process");
	rule->verdict.cover = (enum ulsp_cover)cover;
	rule->cover_given = true;
	return next_word(s);
}

enum { GIVEN_PORT = 1, GIVEN_EXE = 2, GIVEN_UID = 4, GIVEN_FOR = 8, GIVEN_COVER = 16 };

static int parse_clause(struct scan *s, struct fw_rule *rule, unsigned int *given)
{
	static const struct {
		const char *word;
		unsigned int bit;
	} clauses[] = {{"port", GIVEN_PORT}, {"exe", GIVEN_EXE},  {"uid", GIVEN_UID},
		       {"for", GIVEN_FOR},   {"once", GIVEN_FOR}, {"cover", GIVEN_COVER}};
	unsigned int bit = 0;

	for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++)
		if (is(s, clauses[i].word))
			bit = clauses[i].bit;
	if (bit & *given)
		return wrong(s, "%s is given twice", s->word);
	*given |= bit;
	switch (bit) {
	case GIVEN_PORT:
		return parse_ports(s, rule);
	case GIVEN_EXE:
		return parse_exe(s, rule);
	case GIVEN_UID:
		return parse_uid(s, rule);
	case GIVEN_COVER:
		return parse_cover(s, rule);
	case GIVEN_FOR:
		if (is(s, "for"))
			return parse_duration(s, rule);
		/* Long enough for the retry that follows a denial, and no longer. */
		rule->verdict.ttl_ms = RULES_ONCE_MS;
		return next_word(s);
	default:
		return expected(s, "port, exe, uid, for, once, cover or the end of the line");
	}
}

static int parse_rule(struct scan *s, struct fw_rule *rule)
{
	unsigned int given = 0;
	int r;

	r = parse_verdict(s, &rule->verdict);
	if (r)
		return r;
	rule->op = s->quoted ? -1 : fw_op_number(s->word);
	if (rule->op < 0 && !is(s, "any"))
		return expected(s, "an operation (connect, bind, ...) or any");
	r = next_word(s);
	if (r)
		return r;
	rule->proto = s->quoted ? -1 : fw_proto_number(s->word);
	if (rule->proto < 0 && !is(s, "any"))
		return expected(s, "a protocol (tcp, udp, ...) or any");
	r = next_word(s);
	if (r)
		return r;
	r = parse_address(s, rule);
	while (!r && !at_end(s))
		r = parse_clause(s, rule, &given);
	return r;
}

static int parse_default(struct scan *s, struct fw_rules *rules)
{
	int r;

	if (rules->fallback_given)
		return wrong(s, "default is given twice");
	r = next_word(s);
	if (r)
		return r;
	if (!is(s, "allow") && !is(s, "deny"))
		return expected(s, "allow or deny");
	rules->fallback_given = true;
	r = parse_verdict(s, &rules->fallback);
	if (r)
		return r;
	return at_end(s) ? 0 : expected(s, "the end of the line");
}

static int add_rule(struct scan *s, struct fw_rules *rules, size_t *room)
{
	struct fw_rule rule = {.port_hi = UINT16_MAX, .any_uid = true};
	int r;

	if (rules->n == RULES_MAX)
		return wrong(s, "more than %d rules", RULES_MAX);
	if (rules->n == *room) {
		size_t more = *room ? 2 * *room : 16;
		void *grown = reallocarray(rules->v, more, sizeof(*rules->v));

		if (!grown)
			return -ENOMEM;
		rules->v = grown;
		*room = more;
	}
	r = parse_rule(s, &rule);
	if (r) {
		free(rule.exe);
		return r;
	}
	/* What comes after a look at the process answers for that process only. */
	if (rule.exe || !rule.any_uid)
		rules->fallback.cover = ULSP_COVER_PROCESS_FLOW;
	if (!rule.cover_given)
		rule.verdict.cover = rules->fallback.cover;
	rules->v[rules->n++] = rule;
	return 0;
}

int fw_rules_parse(const char *text, size_t bytes, struct fw_rules **ret, struct fw_error *e)
{
	struct scan *s = calloc(1, sizeof(*s));
	struct fw_rules *rules = calloc(1, sizeof(*rules));
	size_t room = 0;
	int r = 0;

	memset(e, 0, sizeof(*e));
	if (!s || !rules) {
		free(s);
		free(rules);
		return -ENOMEM;
	}
	rules->fallback.error = -EPERM;
	s->p = text;
	s->end = text + bytes;
	s->e = e;
	while (!r && s->p < s->end) {
		s->line++;
		s->line_start = s->p;
		r = next_word(s);
		if (!r && !at_end(s))
			r = is(s, "default") ? parse_default(s, rules) : add_rule(s, rules, &room);
		s->p++; /* the newline */
	}
	free(s);
	if (r) {
		fw_rules_free(&rules);
		return r;
	}
	*ret = rules;
	return 0;
}

void fw_rules_free(struct fw_rules **r)
{
	if (!r || !*r)
		return;
	for (size_t i = 0; i < (*r)->n; i++)
		free((*r)->v[i].exe);
	free((*r)->v);
	free(*r);
	*r = NULL;
}

/* ---- judging ---- */

static bool in_prefix(const struct fw_rule *rule, const struct fw_query *q)
{
	unsigned int whole = rule->prefix / 8u, rest = rule->prefix % 8u;

	if (!rule->family)
		return true;
	if (rule->family != q->family || memcmp(rule->addr, q->addr, whole))
		return false;
	return !rest || !((rule->addr[whole] ^ q->addr[whole]) >> (8 - rest));
}

static bool matches(const struct fw_rule *rule, const struct fw_query *q)
{
	const char *exe;

	if ((rule->op >= 0 && rule->op != q->op) || (rule->proto >= 0 && rule->proto != q->proto))
		return false;
	if (q->port < rule->port_lo || q->port > rule->port_hi || !in_prefix(rule, q))
		return false;
	if (!rule->any_uid && rule->uid != q->uid)
		return false;
	if (!rule->exe)
		return true;
	exe = q->exe ? q->exe(q->ctx) : NULL;
	return exe ? !strcmp(exe, rule->exe) : !rule->verdict.allow;
}

struct fw_verdict fw_rules_judge(const struct fw_rules *r, const struct fw_query *q)
{
	for (size_t i = 0; i < r->n; i++)
		if (matches(&r->v[i], q))
			return r->v[i].verdict;
	return r->fallback;
}
