// SPDX-License-Identifier: GPL-2.0-only
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "cleanup.h"

enum field_type { STRING, INT, FLAG, STRINGS };

struct field {
	const char *name; /* NULL ends the list */
	enum field_type type;
	bool required;
};

enum { FIELDS = 10 };

static const struct verb {
	const char *name;
	struct field fields[FIELDS];
} verbs[CONTROL_VERBS] = {
	[CONTROL_VERSION_GET] = {"version", {{0}}},
	[CONTROL_LOAD] = {"load",
			  {{"paths", STRINGS, false},
			   {"name", STRING, false},
			   {"text_bytes", INT, false}}},
	[CONTROL_POLICY] = {"policy", {{0}}},
	[CONTROL_GROUP_LIST] = {"group-list", {{0}}},
	[CONTROL_GROUP_SHOW] = {"group-show", {{"group", STRING, true}}},
	[CONTROL_GROUP_ATTACH] = {"group-attach",
				  {{"group", STRING, true},
				   {"cgroup", STRING, true},
				   {"existing", STRING, false}}},
	[CONTROL_GROUP_DETACH] = {"group-detach",
				  {{"group", STRING, true}, {"cgroup", STRING, true}}},
	[CONTROL_GROUP_MODE] = {"group-mode", {{"group", STRING, true}, {"mode", STRING, true}}},
	[CONTROL_GROUP_RUN] = {"group-run", {{"group", STRING, true}}},
	[CONTROL_EXPLAIN] = {"explain",
			     {{"group", STRING, true},
			      {"op", STRING, true},
			      {"proto", STRING, true},
			      {"addr", STRING, true},
			      {"port", INT, true},
			      {"uid", INT, false},
			      {"from", STRING, false},
			      {"to", STRING, false},
			      {"exec", STRING, false}}},
	[CONTROL_MONITOR] = {"monitor", {{"group", STRING, false}, {"output", STRING, false}}},
	[CONTROL_ULSP_LIST] = {"ulsp-list", {{0}}},
	[CONTROL_ULSP_SHOW] = {"ulsp-show", {{"ulsp", STRING, true}}},
	[CONTROL_ULSP_RESTART] = {"ulsp-restart", {{"ulsp", STRING, true}}},
	[CONTROL_FLOW_LIST] = {"flow-list",
			       {{"group", STRING, false},
				{"ulsp", STRING, false},
				{"all", FLAG, false},
				{"after", INT, false}}},
	[CONTROL_FLOW_FLUSH] = {"flow-flush",
				{{"group", STRING, false},
				 {"ulsp", STRING, false},
				 {"after", INT, false}}},
	[CONTROL_STATS] = {"stats", {{"group", STRING, false}}},
	[CONTROL_DOCTOR] = {"doctor", {{0}}},
	[CONTROL_SHUTDOWN] = {"shutdown", {{"keep", FLAG, false}}},
};

const char *control_verb_name(enum control_verb verb)
{
	return verbs[verb].name;
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format,
							...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, CONTROL_WHY_BYTES, format, ap);
	va_end(ap);
	return error;
}

/* ---- fields ---- */

static bool is_text(struct json_object *o)
{
	return json_object_is_type(o, json_type_string) &&
	       strlen(json_object_get_string(o)) == (size_t)json_object_get_string_len(o);
}

static bool has_type(struct json_object *o, enum field_type type)
{
	switch (type) {
	case STRING:
		return is_text(o);
	case INT:
		/* json-c clamps what does not fit: the ends are no honest values */
		return json_object_is_type(o, json_type_int) &&
		       json_object_get_int64(o) > INT64_MIN && json_object_get_int64(o) < INT64_MAX;
	case FLAG:
		return json_object_is_type(o, json_type_boolean);
	case STRINGS:
		if (!json_object_is_type(o, json_type_array))
			return false;
		for (size_t i = 0; i < json_object_array_length(o); i++) {
			if (!is_text(json_object_array_get_idx(o, i)))
				return false;
		}
		return true;
	}
	return false;
}

static const struct field *field_find(const struct verb *v, const char *name)
{
	for (const struct field *f = v->fields; f < v->fields + FIELDS && f->name; f++) {
		if (!strcmp(f->name, name))
			return f;
	}
	return NULL;
}

static int check_fields(const struct verb *v, struct json_object *args, char *why)
{
	json_object_object_foreach(args, key, value)
	{
		const struct field *f = field_find(v, key);

		if (!strcmp(key, "v") || !strcmp(key, "cmd"))
			continue;
		if (!f)
			return refuse(why, -EINVAL, "%s: unknown field \"%.40s\"", v->name, key);
		if (!has_type(value, f->type))
			return refuse(why, -EINVAL, "%s: field \"%s\" has the wrong type", v->name,
				      key);
	}
	for (const struct field *f = v->fields; f < v->fields + FIELDS && f->name; f++) {
		if (f->required && !json_object_object_get_ex(args, f->name, NULL))
			return refuse(why, -EINVAL, "%s: field \"%s\" is missing", v->name,
				      f->name);
	}
	return 0;
}

const char *control_string(const struct control_request *r, const char *field)
{
	struct json_object *o;

	return json_object_object_get_ex(r->args, field, &o) ? json_object_get_string(o) : NULL;
}

int64_t control_int(const struct control_request *r, const char *field, int64_t missing)
{
	struct json_object *o;

	return json_object_object_get_ex(r->args, field, &o) ? json_object_get_int64(o) : missing;
}

bool control_flag(const struct control_request *r, const char *field)
{
	struct json_object *o;

	return json_object_object_get_ex(r->args, field, &o) && json_object_get_boolean(o);
}

size_t control_count(const struct control_request *r, const char *field)
{
	struct json_object *o;

	return json_object_object_get_ex(r->args, field, &o) ? json_object_array_length(o) : 0;
}

const char *control_at(const struct control_request *r, const char *field, size_t index)
{
	struct json_object *o;

	if (!json_object_object_get_ex(r->args, field, &o))
		return NULL;
	return json_object_get_string(json_object_array_get_idx(o, index));
}

void control_request_fini(struct control_request *r)
{
	json_object_put(r->args);
	free(r->text);
	*r = (struct control_request){0};
}

/* ---- a line ---- */

static void put_tokener(struct json_tokener **t)
{
	if (*t)
		json_tokener_free(*t);
}

static void put_object(struct json_object **o)
{
	json_object_put(*o);
}

static int parse_json(const char *line, size_t bytes, struct json_object **ret, char *why)
{
	scoped(put_tokener) struct json_tokener *t = json_tokener_new_ex(CONTROL_DEPTH);
	scoped(put_object) struct json_object *o = NULL;

	if (!t)
		return refuse(why, -ENOMEM, "out of memory");
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	if (memchr(line, 0, bytes))
		return refuse(why, -EINVAL, "a request must not contain NUL bytes");
	o = json_tokener_parse_ex(t, line, (int)bytes);
	if (!o || json_tokener_get_error(t) != json_tokener_success)
		return refuse(why, -EINVAL, "not JSON: %s",
			      json_tokener_error_desc(json_tokener_get_error(t)));
	if (!json_object_is_type(o, json_type_object))
		return refuse(why, -EINVAL, "a request must be a JSON object");
	*ret = TAKE_PTR(o);
	return 0;
}

static int parse_line(const char *line, size_t bytes, struct control_request *ret, char *why)
{
	scoped(put_object) struct json_object *args = NULL;
	struct json_object *o;
	enum control_verb verb;
	int r;

	r = parse_json(line, bytes, &args, why);
	if (r)
		return r;
	if (!json_object_object_get_ex(args, "v", &o) || !json_object_is_type(o, json_type_int))
		return refuse(why, -EINVAL, "field \"v\" (the protocol's version) is missing");
	if (json_object_get_int64(o) != CONTROL_VERSION)
		return refuse(why, -EPROTONOSUPPORT,
			      "protocol version %lld is not supported, this is %d",
			      (long long)json_object_get_int64(o), CONTROL_VERSION);
	if (!json_object_object_get_ex(args, "cmd", &o) || !is_text(o))
		return refuse(why, -EINVAL, "field \"cmd\" is missing");
	for (verb = 0; verb < CONTROL_VERBS; verb++) {
		if (!strcmp(verbs[verb].name, json_object_get_string(o)))
			break;
	}
	if (verb == CONTROL_VERBS)
		return refuse(why, -EINVAL, "unknown command \"%.40s\"", json_object_get_string(o));
	r = check_fields(&verbs[verb], args, why);
	if (r)
		return r;
	*ret = (struct control_request){.verb = verb, .args = TAKE_PTR(args)};
	return 0;
}

/* A load names files, or brings a text and its name. */
static int check_load(struct control_request *r, char *why)
{
	int64_t bytes = control_int(r, "text_bytes", INT64_MIN);

	if ((bytes != INT64_MIN) == (control_count(r, "paths") > 0))
		return refuse(why, -EINVAL, "load: give either \"paths\" or \"text_bytes\"");
	if (bytes > CONTROL_TEXT_BYTES)
		return refuse(why, -EMSGSIZE, "load: a text may have at most %d bytes",
			      CONTROL_TEXT_BYTES);
	if (bytes != INT64_MIN && bytes < 0)
		return refuse(why, -EINVAL, "load: \"text_bytes\" is negative");
	for (size_t i = 0; i < control_count(r, "paths"); i++) {
		if (control_at(r, "paths", i)[0] != '/')
			return refuse(why, -EINVAL, "load: paths must be absolute");
	}
	return 0;
}

/* ---- the stream ---- */

void control_input_fini(struct control_input *in)
{
	free(in->buf);
	control_request_fini(&in->load);
	*in = (struct control_input){0};
}

int control_feed(struct control_input *in, const void *data, size_t bytes)
{
	size_t most = in->pending ? in->load.text_bytes : CONTROL_LINE_BYTES;

	/* a whole request may arrive at once with the line before its text */
	if (bytes > most + CONTROL_TEXT_BYTES || in->bytes > most + CONTROL_TEXT_BYTES - bytes)
		return -EMSGSIZE;
	if (in->bytes + bytes > in->room) {
		size_t room = (in->bytes + bytes) * 2 + 1024;
		char *buf = realloc(in->buf, room);

		if (!buf)
			return -ENOMEM;
		in->buf = buf;
		in->room = room;
	}
	if (bytes)
		memcpy(in->buf + in->bytes, data, bytes);
	in->bytes += bytes;
	return 0;
}

static void consume(struct control_input *in, size_t bytes)
{
	memmove(in->buf, in->buf + bytes, in->bytes - bytes);
	in->bytes -= bytes;
}

static int next_text(struct control_input *in, struct control_request *ret, char *why)
{
	if (in->bytes < in->load.text_bytes)
		return 0;
	in->load.text = malloc(in->load.text_bytes + 1);
	if (!in->load.text)
		return refuse(why, -ENOMEM, "out of memory");
	if (in->load.text_bytes)
		memcpy(in->load.text, in->buf, in->load.text_bytes);
	in->load.text[in->load.text_bytes] = 0;
	consume(in, in->load.text_bytes);
	in->pending = false;
	*ret = in->load;
	in->load = (struct control_request){0};
	return 1;
}

int control_next(struct control_input *in, struct control_request *ret,
		 char why[static CONTROL_WHY_BYTES])
{
	struct control_request request = {0};
	char *end;
	int r;

	if (in->pending)
		return next_text(in, ret, why);
	end = in->bytes ? memchr(in->buf, '\n', in->bytes) : NULL;
	if (end ? end - in->buf >= CONTROL_LINE_BYTES : in->bytes >= CONTROL_LINE_BYTES)
		return refuse(why, -EMSGSIZE, "a request may have at most %d bytes",
			      CONTROL_LINE_BYTES);
	if (!end)
		return 0;
	r = parse_line(in->buf, (size_t)(end - in->buf), &request, why);
	if (r)
		return r;
	consume(in, (size_t)(end - in->buf) + 1);
	if (request.verb == CONTROL_LOAD) {
		r = check_load(&request, why);
		if (r) {
			control_request_fini(&request);
			return r;
		}
		if (control_int(&request, "text_bytes", -1) >= 0) {
			request.text_bytes = (size_t)control_int(&request, "text_bytes", 0);
			in->load = request;
			in->pending = true;
			return next_text(in, ret, why);
		}
	}
	*ret = request;
	return 1;
}

bool control_instance_ok(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= 48 && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789-_.") == n;
}
