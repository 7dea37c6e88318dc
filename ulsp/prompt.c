/* SPDX-License-Identifier: BSD-2-Clause */
#include "prompt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

static const char *const scope_words[] = {
	[PROMPT_PORT] = "port",
	[PROMPT_ADDRESS] = "address",
	[PROMPT_ANY] = "any",
};
static const char *const duration_words[] = {
	[PROMPT_ONCE] = "once",
	[PROMPT_PROCESS] = "process",
	[PROMPT_RESTART] = "restart",
	[PROMPT_FOREVER] = "forever",
};
static const char *const gone_words[] = {
	[PROMPT_LATE] = "late",
	[PROMPT_ANSWERED] = "answered",
	[PROMPT_DECIDED] = "decided",
};
static const struct {
	char name;
	uint32_t ms;
} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, PROMPT_WHY_BYTES, format, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---- words of an answer ---- */

int prompt_duration_parse(const char *word, struct prompt_answer *a)
{
	unsigned long n;
	char *end;

	for (size_t i = 0; i < COUNT(duration_words); i++)
		if (duration_words[i] && !strcmp(word, duration_words[i])) {
			a->duration = (enum prompt_duration)i;
			return 0;
		}
	if (*word < '1' || *word > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(word, &end, 10);
	for (size_t i = 0; i < COUNT(units); i++) {
		if (errno || *end != units[i].name || end[1] || n > UINT32_MAX / units[i].ms)
			continue;
		a->duration = PROMPT_FOR;
		a->for_ms = (uint32_t)n * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

char *prompt_duration_text(const struct prompt_answer *a, char buf[24])
{
	size_t u = COUNT(units) - 1;

	if (a->duration != PROMPT_FOR) {
		strcpy(buf, duration_words[a->duration]);
		return buf;
	}
	while (u && a->for_ms % units[u].ms)
		u--;
	snprintf(buf, 24, "%u%c", a->for_ms / units[u].ms, units[u].name);
	return buf;
}

const char *prompt_scope_word(enum prompt_scope scope)
{
	return scope_words[scope];
}

static int scope_parse(const char *word, struct prompt_answer *a)
{
	for (size_t i = 0; i < COUNT(scope_words); i++)
		if (!strcmp(word, scope_words[i])) {
			a->scope = (enum prompt_scope)i;
			return 0;
		}
	return -EINVAL;
}

static int verdict_parse(const char *word, struct prompt_answer *a)
{
	a->allow = !strcmp(word, "allow");
	return a->allow || !strcmp(word, "deny") ? 0 : -EINVAL;
}

int prompt_answer_type(const char *line, struct prompt_answer *ret, char why[PROMPT_WHY_BYTES])
{
	static const char usage[] = "type: [NUMBER] allow|deny [once|process|10m|restart|forever] "
				    "[port|address|any]";
	struct prompt_answer a = {0};
	char copy[PROMPT_ANSWER_BYTES], *save = NULL, *word, *end;
	bool duration = false, scope = false;

	if (snprintf(copy, sizeof(copy), "%s", line) >= (int)sizeof(copy))
		return refuse(why, "the line is too long");
	word = strtok_r(copy, " \t\r", &save);
	if (word && *word >= '0' && *word <= '9') {
		errno = 0;
		a.id = strtoull(word, &end, 10);
		if (errno || *end || !a.id)
			return refuse(why, "%s", usage);
		word = strtok_r(NULL, " \t\r", &save);
	}
	if (!word || verdict_parse(word, &a))
		return refuse(why, "%s", usage);
	while ((word = strtok_r(NULL, " \t\r", &save))) {
		if (!duration && !prompt_duration_parse(word, &a))
			duration = true;
		else if (!scope && !scope_parse(word, &a))
			scope = true;
		else
			return refuse(why, "%s", usage);
	}
	*ret = a;
	return 0;
}

/* ---- lines out ---- */

static char *line_of(struct json_object *o)
{
	const char *text = o ? json_object_to_json_string_ext(
				       o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
			     : NULL;
	char *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	json_object_put(o);
	return line;
}

static void add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, text ? json_object_new_string(text) : NULL);
}

static void add_int(struct json_object *o, const char *name, int64_t n)
{
	json_object_object_add(o, name, json_object_new_int64(n));
}

static void add_flag(struct json_object *o, const char *name, bool b)
{
	json_object_object_add(o, name, json_object_new_boolean(b));
}

char *prompt_answer_line(const struct prompt_answer *a)
{
	struct json_object *o = json_object_new_object();
	char duration[24];

	add_int(o, "v", PROMPT_VERSION);
	add_int(o, "answer", (int64_t)a->id);
	add_text(o, "verdict", a->allow ? "allow" : "deny");
	add_text(o, "duration", prompt_duration_text(a, duration));
	add_text(o, "scope", prompt_scope_word(a->scope));
	return line_of(o);
}

char *prompt_hello_line(const char *ulsp, bool asks)
{
	struct json_object *o = json_object_new_object();

	add_int(o, "v", PROMPT_VERSION);
	add_text(o, "hello", ulsp);
	add_flag(o, "asks", asks);
	return line_of(o);
}

char *prompt_question_line(const struct prompt_question *q)
{
	struct json_object *o = json_object_new_object();

	add_int(o, "question", (int64_t)q->id);
	add_text(o, "group", q->group);
	add_text(o, "operation", q->operation);
	add_text(o, "protocol", q->protocol);
	add_text(o, "address", q->address);
	if (q->address)
		add_int(o, "port", q->port);
	else
		add_text(o, "port", NULL);
	add_int(o, "pid", q->pid);
	add_int(o, "uid", q->uid);
	add_text(o, "user", q->user);
	add_text(o, "comm", q->comm);
	add_text(o, "exe", q->exe);
	add_text(o, "cgroup", q->cgroup);
	add_int(o, "left_ms", q->left_ms);
	add_flag(o, "held", q->held);
	add_int(o, "waiting", q->waiting);
	add_text(o, "otherwise", q->otherwise ? "allow" : "deny");
	return line_of(o);
}

char *prompt_gone_line(uint64_t id, enum prompt_gone why, uint32_t by)
{
	struct json_object *o = json_object_new_object();

	add_int(o, "gone", (int64_t)id);
	add_text(o, "why", gone_words[why]);
	if (why != PROMPT_LATE)
		add_int(o, "by", by);
	return line_of(o);
}

char *prompt_result_line(uint64_t id, const char *error)
{
	struct json_object *o = json_object_new_object();

	add_int(o, "result", (int64_t)id);
	add_flag(o, "ok", !error);
	if (error)
		add_text(o, "error", error);
	return line_of(o);
}

char *prompt_error_line(const char *error)
{
	struct json_object *o = json_object_new_object();

	add_int(o, "v", PROMPT_VERSION);
	add_text(o, "error", error);
	return line_of(o);
}

/* ---- lines in ---- */

static int parse_object(const char *line, size_t bytes, struct json_object **ret, char *why)
{
	struct json_tokener *t = json_tokener_new_ex(PROMPT_DEPTH);
	struct json_object *o = NULL;
	int r = -ENOMEM;

	if (!t)
		return r;
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	if (!memchr(line, 0, bytes))
		o = json_tokener_parse_ex(t, line, (int)bytes);
	if (o && json_tokener_get_error(t) == json_tokener_success &&
	    json_object_is_type(o, json_type_object)) {
		*ret = o;
		r = 0;
	} else {
		json_object_put(o);
		r = refuse(why, "not a JSON object");
	}
	json_tokener_free(t);
	return r;
}

/* Absent, or of another type: NULL. */
static const char *get_text(struct json_object *o, const char *name)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	if (strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
		return NULL;
	return json_object_get_string(v);
}

static bool get_int(struct json_object *o, const char *name, int64_t least, int64_t most,
		    int64_t *ret)
{
	struct json_object *v;
	int64_t n;

	if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_int))
		return false;
	n = json_object_get_int64(v);
	if (n < least || n > most)
		return false;
	*ret = n;
	return true;
}

static bool get_flag(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) &&
	       json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

static int check_version(struct json_object *o, char *why)
{
	int64_t v;

	if (!get_int(o, "v", 0, INT32_MAX, &v))
		return refuse(why, "\"v\", the version of the protocol, is missing");
	if (v == PROMPT_VERSION)
		return 0;
	refuse(why, "version %d of the protocol is not supported, this is %d", (int)v,
	       PROMPT_VERSION);
	return -EPROTONOSUPPORT;
}

static int read_answer(struct json_object *o, struct prompt_answer *a, char *why)
{
	const char *verdict = get_text(o, "verdict"), *text;
	int64_t id;
	int r = check_version(o, why);

	if (r)
		return r;
	json_object_object_foreach(o, key, value)
	{
		(void)value;
		if (strcmp(key, "v") && strcmp(key, "answer") && strcmp(key, "verdict") &&
		    strcmp(key, "duration") && strcmp(key, "scope"))
			return refuse(why, "unknown field \"%.20s\"", key);
	}
	if (!get_int(o, "answer", 1, INT64_MAX - 1, &id))
		return refuse(why, "\"answer\", the number of a question, is missing");
	a->id = (uint64_t)id;
	if (!verdict || verdict_parse(verdict, a))
		return refuse(why, "\"verdict\" is allow or deny");
	text = get_text(o, "duration");
	if (json_object_object_get_ex(o, "duration", NULL) &&
	    (!text || prompt_duration_parse(text, a)))
		return refuse(why, "\"duration\" is once, process, 10m, restart or forever");
	text = get_text(o, "scope");
	if (json_object_object_get_ex(o, "scope", NULL) && (!text || scope_parse(text, a)))
		return refuse(why, "\"scope\" is port, address or any");
	return 0;
}

int prompt_answer_parse(const char *line, size_t bytes, struct prompt_answer *ret,
			char why[PROMPT_WHY_BYTES])
{
	struct prompt_answer a = {0};
	struct json_object *o;
	int r;

	why[0] = '\0';
	r = parse_object(line, bytes, &o, why);
	if (r)
		return r;
	r = read_answer(o, &a, why);
	json_object_put(o);
	if (!r)
		*ret = a;
	return r;
}

static int read_question(struct json_object *o, struct prompt_question *q, char *why)
{
	int64_t pid, uid, port = 0, waiting;
	const char *otherwise = get_text(o, "otherwise");

	q->group = get_text(o, "group");
	q->operation = get_text(o, "operation");
	q->protocol = get_text(o, "protocol");
	q->address = get_text(o, "address");
	q->user = get_text(o, "user");
	q->comm = get_text(o, "comm");
	q->exe = get_text(o, "exe");
	q->cgroup = get_text(o, "cgroup");
	if (!q->group || !q->operation || !q->protocol || !otherwise ||
	    !get_int(o, "pid", 0, INT32_MAX, &pid) || !get_int(o, "uid", 0, UINT32_MAX, &uid) ||
	    !get_int(o, "left_ms", 0, INT64_MAX - 1, &q->left_ms) ||
	    !get_int(o, "waiting", 0, INT32_MAX, &waiting) ||
	    (q->address && !get_int(o, "port", 0, UINT16_MAX, &port)))
		return refuse(why, "a question without all of its fields");
	q->pid = (int32_t)pid;
	q->uid = (uint32_t)uid;
	q->port = (uint16_t)port;
	q->waiting = (uint32_t)waiting;
	q->held = get_flag(o, "held");
	q->otherwise = !strcmp(otherwise, "allow");
	return 0;
}

static int read_event(struct json_object *o, struct prompt_event *e, char *why)
{
	int64_t id = 0;
	const char *why_gone = get_text(o, "why");

	if (get_int(o, "question", 1, INT64_MAX - 1, &id)) {
		e->kind = PROMPT_QUESTION;
		e->id = e->question.id = (uint64_t)id;
		return read_question(o, &e->question, why);
	}
	e->text = get_text(o, "error");
	if (get_int(o, "gone", 1, INT64_MAX - 1, &id)) {
		e->kind = PROMPT_GONE;
		for (size_t i = 0; why_gone && i < COUNT(gone_words); i++)
			if (!strcmp(why_gone, gone_words[i]))
				e->why = (enum prompt_gone)i;
	} else if (get_int(o, "result", 1, INT64_MAX - 1, &id)) {
		e->kind = PROMPT_RESULT;
		e->ok = get_flag(o, "ok");
	} else if (e->text) {
		e->kind = PROMPT_ERROR;
	} else if ((e->text = get_text(o, "hello"))) {
		e->kind = PROMPT_HELLO;
		e->ok = get_flag(o, "asks");
		return check_version(o, why);
	} else {
		return refuse(why, "a message of no known kind");
	}
	e->id = (uint64_t)id;
	return 0;
}

int prompt_event_parse(const char *line, size_t bytes, struct prompt_event *ret,
		       char why[PROMPT_WHY_BYTES])
{
	struct prompt_event e = {0};
	int r;

	why[0] = '\0';
	r = parse_object(line, bytes, &e.json, why);
	if (!r)
		r = read_event(e.json, &e, why);
	if (r) {
		prompt_event_fini(&e);
		return r;
	}
	*ret = e;
	return 0;
}

void prompt_event_fini(struct prompt_event *e)
{
	json_object_put(e->json);
	memset(e, 0, sizeof(*e));
}
