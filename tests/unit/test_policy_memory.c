/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory ends at each allocation in turn: the parser and the printer say
 * -ENOMEM and lose nothing (leaks are for the sanitizer to find).
 *
 * Linked with --wrap, so that the library's calls come here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory_files.h"
#include "policy.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);

static long allowed = -1; /* allocations until one fails; -1: all succeed */

static bool may_allocate(void)
{
	if (allowed < 0)
		return true;
	return allowed-- != 0;
}

void *__wrap_malloc(size_t bytes)
{
	return may_allocate() ? __real_malloc(bytes) : NULL;
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return may_allocate() ? __real_calloc(n, bytes) : NULL;
}

void *__wrap_realloc(void *p, size_t bytes)
{
	return may_allocate() ? __real_realloc(p, bytes) : NULL;
}

static const struct memory_file tree[] = {
	{"a", "define s = file \"b\"\n"
	      "define t = !{ $s, 1.2.3.4 }\n"
	      "define n = { 1, 5-9, !7 }\n"},
	{"b", "10.0.0.0/8\n::1\n10.0.0.0/9\n192.168.0.0/16\n1.1.1.1\n2.2.2.2\n3.3.3.3\n"},
	{NULL, NULL},
};

static const char text[] =
	"include \"a\"\n"
	"ulsp u { exec \"a\" \"b\" \"c\" user x ring 1M }\n"
	"group g {\n"
	"	members cgroup \"a\", \"b*\", \"c\"\n"
	"	peers self, h\n"
	"	ask u connect tcp to $s port $n uid !{ 1 } exec { \"/a\", \"/b\" }\n"
	"	allow connect tcp to !$t\n"
	"	allow connect tcp to name { \"A.b\", \"a.b\", \"c\" }\n"
	"	deny any any log\n"
	"	default deny\n"
	"}\n"
	"#line 4 \"elsewhere\"\n"
	"group h { default allow }\n";

/* The input again with `n` allocations; returns what parsing it returns. */
static int parse_with_memory(const char *input, long n, struct pol_policy **ret)
{
	struct pol_reader reader = memory_reader(tree);
	struct pol_diags d = {0};
	int r;

	allowed = n;
	r = pol_parse_text("t", input, strlen(input), &reader, &d, ret);
	allowed = -1;
	pol_diags_fini(&d);
	return r;
}

static void parse(void **state)
{
	struct pol_policy *p = NULL;
	long n = 0;
	int r;

	(void)state;
	for (;; n++) {
		r = parse_with_memory(text, n, &p);
		if (r == 0)
			break;
		assert_null(p);
		/* The file system's errors are not told apart. */
		assert_true(r == -ENOMEM || r == -EINVAL);
	}
	assert_true(n > 20);
	for (long m = 0; m < 8; m++) {
		char *printed = NULL;

		allowed = m;
		r = pol_print(p, POL_PRINT_LINES, &printed);
		allowed = -1;
		assert_true(r == 0 || r == -ENOMEM);
		free(printed);
	}
	pol_free(&p);
}

static void errors(void **state)
{
	struct pol_policy *p = NULL;

	(void)state;
	for (long n = 0; n < 60; n++) {
		int r = parse_with_memory("foo\ngroup g { deny bind tcp from { 1.2.3.4, x }\n}}\n",
					  n, &p);

		assert_true(r == -ENOMEM || r == -EINVAL);
		assert_null(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
