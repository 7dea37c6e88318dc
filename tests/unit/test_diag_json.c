/* SPDX-License-Identifier: GPL-2.0-only */
/* Diagnostics that cross the control socket print as they did before. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "diag_json.h"

static char *print(const struct pol_diags *d)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	pol_diags_print(d, f, false);
	fclose(f);
	return text;
}

static void survives_the_way(void **state)
{
	static const char text[] = "group a {\n\tallow conect tcp to any\n\tdeny connect tcp to "
				   "10.0.0.0/99 \"\xc3\xa4\"\n}\ngroup a { }\n";
	struct pol_diags before = {0}, after;
	struct pol_policy *p = NULL;
	struct json_object *o, *again;
	char *first, *second;

	(void)state;
	assert_int_not_equal(pol_parse_text("x.ulsp", text, strlen(text), NULL, &before, &p), 0);
	assert_true(before.n >= 2);
	o = diags_to_json(&before);
	again = json_tokener_parse(json_object_to_json_string(o));
	diags_from_json(again, &after);
	first = print(&before);
	second = print(&after);
	assert_string_equal(first, second);
	assert_int_equal(before.errors, after.errors);
	free(first);
	free(second);
	json_object_put(o);
	json_object_put(again);
	pol_diags_fini(&before);
	pol_diags_fini(&after);
}

static void takes_anything(void **state)
{
	static const char *const texts[] = {
		"[]",
		"{}",
		"null",
		"[1,null,{}]",
		"[{\"text\":3}]",
		"[{\"text\":\"x\",\"severity\":\"?\",\"file\":\"f\",\"line\":-1,\"col\":0,"
		"\"source\":\"abc\"}]",
		"[{\"text\":\"x\",\"file\":\"f\",\"line\":1,\"col\":3,\"len\":4000000000,"
		"\"source\":\"abc\",\"source_at\":2}]",
		"[{\"text\":\"x\",\"file\":\"f\",\"line\":1,\"col\":9,\"source\":\"abc\","
		"\"source_at\":99}]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct json_object *o = json_tokener_parse(texts[i]);
		struct pol_diags d;

		diags_from_json(o, &d);
		free(print(&d));
		pol_diags_fini(&d);
		json_object_put(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_the_way),
		cmocka_unit_test(takes_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
