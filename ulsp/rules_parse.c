/* SPDX-License-Identifier: BSD-2-Clause */
/* Text to rules. */
#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const cover_words[] = {
	[ULSP_COVER_FLOW] = "flow",
	[ULSP_COVER_DESTINATION] = "destination",
	[ULSP_COVER_PROCESS] = "process",
	[ULSP_COVER_PROCESS_FLOW] = "process-flow",
};

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

/* allow, or deny with its errno. */
static int parse_outcome(struct scan *s, struct fw_verdict *v)
{
	int r;

	v->allow = is(s, "allow");
	v->error = v->allow ? 0 : -EPERM;
	r = next_word(s);
	if (r || !is(s, "errno"))
		return r;
	if (v->allow)
		return wrong(s, "errno goes with deny only");
	return parse_errno(s, v);
}

static bool is_outcome(const struct scan *s)
{
	return is(s, "allow") || is(s, "deny");
}

/* ask [else allow|deny [errno NAME]]: the word is at else. */
static int parse_else(struct scan *s, struct fw_verdict *v, bool *ret_given)
{
	int r = next_word(s);

	if (r)
		return r;
	if (!is_outcome(s))
		return expected(s, "allow or deny");
	*ret_given = true;
	return parse_outcome(s, v);
}

static int parse_verdict(struct scan *s, struct fw_verdict *v)
{
	v->line = s->line;
	if (is(s, "ask")) {
		v->ask = true;
		v->error = -EPERM;
		return next_word(s);
	}
	return is_outcome(s) ? parse_outcome(s, v) : expected(s, "allow, deny, ask or default");
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

static int parse_user(struct scan *s, struct fw_rule *rule)
{
	const struct passwd *pw;
	char buf[48];
	int r = next_word(s);

	if (r)
		return r;
	if (at_end(s))
		return expected(s, "the name of a user");
	pw = getpwnam(s->word);
	if (!pw)
		return wrong(s, "there is no user %s", shown(s, buf));
	rule->any_uid = false;
	rule->uid = pw->pw_uid;
	return next_word(s);
}

static int parse_group(struct scan *s, struct fw_rule *rule)
{
	int r = next_word(s);

	if (r)
		return r;
	if (!s->word[0])
		return expected(s, "the name of one of the policy's groups");
	rule->group = strdup(s->word);
	return rule->group ? next_word(s) : -ENOMEM;
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

static int parse_until(struct scan *s, struct fw_rule *rule)
{
	int r = next_word(s);

	if (r)
		return r;
	if (!is(s, "restart"))
		return expected(s, "restart");
	rule->verdict.ttl_ms = RULES_RESTART_MS;
	return next_word(s);
}

static int parse_cover(struct scan *s, struct fw_rule *rule)
{
	int cover = -1, r = next_word(s);

	if (r)
		return r;
	for (size_t i = 0; !s->quoted && i < sizeof(cover_words) / sizeof(cover_words[0]); i++)
		if (!strcmp(s->word, cover_words[i]))
			cover = (int)i;
	if (cover < 0)
		return expected(s, "flow, destination or process");
	rule->verdict.cover = (enum ulsp_cover)cover;
	rule->cover_given = true;
	return next_word(s);
}

enum clause {
	CLAUSE_NONE,
	CLAUSE_PORT = 1,
	CLAUSE_EXE = 2,
	CLAUSE_USER = 4,
	CLAUSE_GROUP = 8,
	CLAUSE_TIME = 16,
	CLAUSE_COVER = 32,
	CLAUSE_ELSE = 64,
};

static const struct {
	const char *word;
	enum clause bit;
} clauses[] = {
	{"port", CLAUSE_PORT},	 {"exe", CLAUSE_EXE},	  {"uid", CLAUSE_USER},
	{"user", CLAUSE_USER},	 {"group", CLAUSE_GROUP}, {"for", CLAUSE_TIME},
	{"once", CLAUSE_TIME},	 {"until", CLAUSE_TIME},  {"forever", CLAUSE_TIME},
	{"cover", CLAUSE_COVER}, {"else", CLAUSE_ELSE},
};

static int parse_time(struct scan *s, struct fw_rule *rule)
{
	if (is(s, "for"))
		return parse_duration(s, rule);
	if (is(s, "until"))
		return parse_until(s, rule);
	rule->verdict.once = is(s, "once");
	rule->verdict.ttl_ms = rule->verdict.once ? RULES_ONCE_MS : 0;
	return next_word(s);
}

static int parse_clause(struct scan *s, struct fw_rule *rule, unsigned int *given)
{
	enum clause bit = CLAUSE_NONE;

	for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++)
		if (is(s, clauses[i].word))
			bit = clauses[i].bit;
	if (bit & *given)
		return wrong(s, "%s is given twice", s->word);
	if (bit == CLAUSE_ELSE && !rule->verdict.ask)
		return wrong(s, "else goes with ask only");
	if ((bit == CLAUSE_TIME || bit == CLAUSE_COVER) && rule->verdict.ask)
		return wrong(s, "%s does not go with ask: the answer says it", s->word);
	*given |= bit;
	switch (bit) {
	case CLAUSE_PORT:
		return parse_ports(s, rule);
	case CLAUSE_EXE:
		return parse_exe(s, rule);
	case CLAUSE_USER:
		return is(s, "uid") ? parse_uid(s, rule) : parse_user(s, rule);
	case CLAUSE_GROUP:
		return parse_group(s, rule);
	case CLAUSE_COVER:
		return parse_cover(s, rule);
	case CLAUSE_TIME:
		return parse_time(s, rule);
	case CLAUSE_ELSE:
		return parse_else(s, &rule->verdict, &rule->else_given);
	default:
		return expected(s, "port, exe, uid, user, group, for, once, until, forever, cover, "
				   "else or the end of the line");
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
	struct fw_default *d = &rules->fallback;
	uint32_t col = s->col;
	int op, r;

	r = next_word(s);
	if (r)
		return r;
	op = s->quoted ? -1 : fw_op_number(s->word);
	if (op >= 0) {
		d = &rules->by_op[op];
		r = next_word(s);
		if (r)
			return r;
	}
	if (d->given) {
		s->col = col;
		return wrong(s, "default%s%s is given twice", op < 0 ? "" : " ",
			     op < 0 ? "" : fw_op_word(op));
	}
	if (!is_outcome(s) && !is(s, "ask"))
		return expected(s, op < 0 ? "allow or deny, ask or an operation"
					  : "allow or deny or ask");
	d->given = true;
	r = parse_verdict(s, &d->verdict);
	if (!r && d->verdict.ask && is(s, "else"))
		r = parse_else(s, &d->verdict, &d->else_given);
	if (r)
		return r;
	rules->asks |= d->verdict.ask;
	return at_end(s) ? 0 : expected(s, "the end of the line");
}

static int make_room(struct fw_rules *rules, size_t *room)
{
	size_t more = *room ? 2 * *room : 16;
	void *grown;

	if (rules->n < *room)
		return 0;
	grown = reallocarray(rules->v, more, sizeof(*rules->v));
	if (!grown)
		return -ENOMEM;
	rules->v = grown;
	*room = more;
	return 0;
}

static int add_rule(struct scan *s, struct fw_rules *rules, size_t *room)
{
	struct fw_rule rule = {.port_hi = UINT16_MAX, .any_uid = true};
	int r;

	if (rules->n == RULES_MAX)
		return wrong(s, "more than %d rules", RULES_MAX);
	r = make_room(rules, room);
	if (!r)
		r = parse_rule(s, &rule);
	if (r) {
		fw_rule_fini(&rule);
		return r;
	}
	/* What comes after a look at the process answers for that process only. */
	if (rule.exe || !rule.any_uid || rule.verdict.ask)
		rules->fallback.verdict.cover = ULSP_COVER_PROCESS_FLOW;
	if (!rule.cover_given)
		rule.verdict.cover = rules->fallback.verdict.cover;
	rules->asks |= rule.verdict.ask;
	rules->v[rules->n++] = rule;
	return 0;
}

static void settle_defaults(struct fw_rules *rules)
{
	for (int i = 0; i < RULES_OPS; i++)
		rules->by_op[i].verdict.cover = rules->fallback.verdict.cover;
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
	rules->fallback.verdict.error = -EPERM;
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
	settle_defaults(rules);
	*ret = rules;
	return 0;
}
