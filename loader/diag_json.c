// SPDX-License-Identifier: GPL-2.0-only
#include "diag_json.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

static const char *const severities[] = {
	[POL_ERROR] = "error", [POL_WARNING] = "warning", [POL_NOTE] = "note"};

static void add_int(struct json_object *o, const char *key, uint32_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

struct json_object *diags_to_json(const struct pol_diags *d)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < d->n; i++) {
		const struct pol_diag *g = &d->v[i];
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "severity",
				       json_object_new_string(severities[g->severity]));
		json_object_object_add(o, "text", json_object_new_string(g->text));
		if (g->file) {
			json_object_object_add(o, "file", json_object_new_string(g->file));
			add_int(o, "line", g->line);
			add_int(o, "col", g->col);
			add_int(o, "len", g->len);
		}
		if (g->source) {
			json_object_object_add(o, "source", json_object_new_string(g->source));
			add_int(o, "source_at", g->source_at);
		}
		json_object_array_add(array, o);
	}
	return array;
}

static char *get_string(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string)
		       ? strdup(json_object_get_string(v))
		       : NULL;
}

static uint32_t get_int(struct json_object *o, const char *key, uint32_t missing)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? (uint32_t)json_object_get_int64(v) : missing;
}

void diags_from_json(struct json_object *array, struct pol_diags *ret)
{
	size_t n =
		json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;

	*ret = (struct pol_diags){0};
	if (!n)
		return;
	ret->v = calloc(n, sizeof(*ret->v));
	for (size_t i = 0; ret->v && i < n; i++) {
		struct json_object *o = json_object_array_get_idx(array, i);
		struct pol_diag d = {.text = get_string(o, "text")};
		char *severity = get_string(o, "severity");

		d.severity = severity && !strcmp(severity, "error")	? POL_ERROR
			     : severity && !strcmp(severity, "warning") ? POL_WARNING
									: POL_NOTE;
		free(severity);
		if (!d.text)
			continue;
		d.file = get_string(o, "file");
		d.source = get_string(o, "source");
		d.line = get_int(o, "line", 0);
		d.col = get_int(o, "col", 1);
		d.len = get_int(o, "len", 1);
		d.source_at = get_int(o, "source_at", 0);
		if (d.col <= d.source_at) {
			free(d.source);
			d.source = NULL;
		}
		ret->errors += d.severity == POL_ERROR;
		ret->v[ret->n++] = d;
	}
}
