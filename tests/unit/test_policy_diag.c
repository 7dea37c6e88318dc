/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Diagnostics as text, and input that is no policy at all.  What each mistake
 * is told is in tests/golden/policy.
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

static char *said(const struct memory_file *tree, const char *text, size_t bytes)
{
	const struct pol_reader reader = memory_reader(tree ? tree : &(struct memory_file){0});
	struct pol_diags d = {0};
	struct pol_policy *p = NULL;
	char *all;
	int r = pol_parse_text("t.ulsp", text, bytes, &reader, &d, &p);

	assert_int_equal(r, d.errors ? -EINVAL : 0);
	assert_true(!p == (r < 0));
	assert_true(d.n <= POL_MAX_DIAGS);
	all = diags_text(&d);
	pol_diags_fini(&d);
	pol_free(&p);
	return all;
}

static void assert_said(const char *text, const char *want)
{
	char *all = said(NULL, text, strlen(text));

	assert_string_equal(all, want);
	free(all);
}

static void carets(void **state)
{
	(void)state;
	assert_said("group a {\n\t\tdeny\tconnect tpc\n}\n",
		    "t.ulsp:2:16: error: unexpected 'tpc': did you mean 'tcp'?\n"
		    "                  deny    connect tpc\n"
		    "                                  ^~~\n");
	/* Columns are bytes, carets stand under characters; nothing reaches a terminal raw. */
	assert_said("ulsp a { exec \"\xc3\xa4\xc3\xb6\" \"\x1b[31m\" }\n",
		    "t.ulsp:1:23: error: a control character: write it as \\x1b\n"
		    "  ulsp a { exec \"\xc3\xa4\xc3\xb6\" \"?[31m\" }\n"
		    "                      ^\n");
	/* Carriage returns are not shown, and the end of the file has a place. */
	assert_said("group a {\r\n  default deny\r\n",
		    "t.ulsp:2:16: error: expected '}' before this: the group of line 1 is not "
		    "closed\n"
		    "    default deny\n"
		    "                ^\n");
	assert_said("group a {",
		    "t.ulsp:1:10: error: expected '}' before this: the group of line 1 is not "
		    "closed\n"
		    "  group a {\n"
		    "           ^\n");
}

static void long_lines(void **state)
{
	static char text[100000];
	char *all, *at;

	(void)state;
	memset(text, ' ', sizeof(text) - 1);
	memcpy(text, "define x = {", 12);
	memcpy(text + 50000, "bogus", 5);
	all = said(NULL, text, sizeof(text) - 1);
	assert_true(strlen(all) < 1000);
	at = strstr(all, "bogus\n");
	assert_null(at); /* what follows on the line is shown too */
	assert_non_null(strstr(all, "t.ulsp:1:50001: error: "));
	assert_non_null(strstr(all, "\n  ...   "));
	assert_non_null(strstr(all, "^~~~~\n"));
	free(all);
}

static void colour(void **state)
{
	struct pol_diags d = {0};
	struct pol_policy *p;
	size_t bytes;
	char *text;
	FILE *out;

	(void)state;
	assert_int_equal(pol_parse_text("t", "x", 1, NULL, &d, &p), -EINVAL);
	out = open_memstream(&text, &bytes);
	pol_diags_print(&d, out, true);
	fclose(out);
	assert_non_null(strstr(text, "t:1:1: \033[1;31merror:\033[0m "));
	free(text);
	pol_diags_fini(&d);
}

/* Later stages report about a parsed policy, with diagnostics of their own. */
static void later_stage(void **state)
{
	const char *text = "group a {\n default deny\n}";
	struct pol_diags d = {0}, later = {0};
	struct pol_policy *p;
	char *all;

	(void)state;
	assert_int_equal(pol_parse_text("t", text, strlen(text), NULL, &d, &p), 0);
	pol_diags_fini(&d);
	pol_diags_use(&later, p);
	pol_diag_add(&later, POL_NOTE, &p->groups[0].default_loc, "it's %s", "here");
	pol_diag_add(&later, POL_ERROR, NULL, "nowhere");
	pol_free(&p);
	all = diags_text(&later);
	assert_string_equal(all, "t:2:2: note: it's here\n   default deny\n   ^~~~~~~\n"
				 "error: nowhere\n");
	free(all);
	pol_diags_fini(&later);
}

static void many(void **state)
{
	char *text, *all;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	fputs("group a {\n", out);
	for (int i = 0; i < 300; i++)
		fputs("deny listen tcp\nfoo bar baz\n", out);
	fputs("default deny }\n", out);
	fclose(out);
	all = said(NULL, text, bytes);
	/* 300 errors and 300 notes; notes leave room for errors */
	assert_non_null(strstr(all, "\n500 more messages not shown\n"));
	free(all);
	free(text);
}

static void every_line(void **state)
{
	const char *text =
		"foo\nbar\n}\n)\ngroup a {\nx\ny y\n{\nz\n}\ndeny\nallow\ndefault deny }";
	static const char *const lines[] = {"1:1", "2:1", "3:1",  "4:1",
					    "6:1", "7:1", "12:1", "13:1"};
	char *all = said(NULL, text, strlen(text));
	const char *at = all;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char place[32];

		snprintf(place, sizeof(place), "t.ulsp:%s: error", lines[i]);
		at = strstr(at, place);
		if (!at)
			fail_msg("no error at %s:\n%s", lines[i], all);
	}
	free(all);
}

/* Half a recursion of files, and more of it than there may be. */
static void includes(void **state)
{
	struct memory_file tree[] = {
		{"loop.ulsp", "include \"./a//b.ulsp\"\n"},
		{"a/b.ulsp", "include \"../x\"\n"},
		{"a/../x", "include \"/abs\""},
		{"/abs", "include \"/./abs\""},
		{NULL, NULL},
	};
	struct memory_file deep[30] = {0};
	char path[30][16], text[30][64], *all;

	(void)state;
	all = said(tree, "include \"loop.ulsp\"", 19);
	assert_non_null(strstr(all, "/abs:1:9: error: '/abs' includes itself"));
	free(all);
	for (int i = 0; i < 29; i++) {
		snprintf(path[i], sizeof(path[i]), "f%d", i);
		snprintf(text[i], sizeof(text[i]), "include \"f%d\"", i + 1);
		deep[i] = (struct memory_file){path[i], text[i]};
	}
	all = said(deep, "include \"f0\"", 12);
	assert_non_null(strstr(all, "f15:1:9: error: includes nest more than 16 deep"));
	free(all);
	all = said(tree, "include \"no/*.ulsp\"\ninclude \"none\"\ninclude \"\"", 45);
	assert_non_null(strstr(all, "t.ulsp:1:9: warning: no file matches 'no/*.ulsp'"));
	assert_non_null(strstr(all, "t.ulsp:2:9: error: cannot read 'none': No such file"));
	assert_non_null(strstr(all, "t.ulsp:3:9: error: an empty file name"));
	free(all);
}

/* Includes that double at each level: bounded by their number. */
static void include_storm(void **state)
{
	struct memory_file tree[15] = {0};
	char path[15][16], text[15][64], *all;

	(void)state;
	for (int i = 0; i < 14; i++) {
		snprintf(path[i], sizeof(path[i]), "f%d", i);
		snprintf(text[i], sizeof(text[i]), "include \"f%d\"\ninclude \"f%d\"\n", i + 1,
			 i + 1);
		tree[i] = (struct memory_file){path[i], i < 13 ? text[i] : ""};
	}
	all = said(tree, "include \"f0\"", 12);
	assert_non_null(strstr(all, "more than 1024 files"));
	free(all);
}

static void set_files(void **state)
{
	const struct memory_file tree[] = {
		{"s", "10.0.0.0/8\n10.0.0.1/8 # x\n  word\n10.0.0.0/8 10.0.0.0/8\n"},
		{"empty", "# nothing\n"},
		{NULL, NULL},
	};
	const char *text =
		"define s = file \"s\"\ndefine e = file \"empty\"\ndefine n = file \"n\"\n";
	char *all = said(tree, text, strlen(text));

	(void)state;
	assert_string_equal(
		all,
		"t.ulsp:2:12: warning: 'empty' holds no address\n"
		"  define e = file \"empty\"\n"
		"             ^~~~~~~~~~~~\n"
		"t.ulsp:3:12: error: cannot read 'n': No such file or directory\n"
		"  define n = file \"n\"\n"
		"             ^~~~~~~~\n"
		"s:2:1: error: '10.0.0.1/8' has bits set after its prefix: write 10.0.0.0/8, or "
		"10.0.0.1 for the one address\n"
		"  10.0.0.1/8 # x\n"
		"  ^~~~~~~~~~\n"
		"s:3:3: error: 'word' is not an address: write all of it, as 10.0.0.0 or fd00::\n"
		"    word\n"
		"    ^~~~\n"
		"s:4:1: error: '8 10.0.0.0/8' is not a prefix length: write a number from 0 to 32\n"
		"  10.0.0.0/8 10.0.0.0/8\n"
		"  ^~~~~~~~~~~~~~~~~~~~~\n");
	free(all);
}

/* Megabytes of nonsense: an answer, soon, and a short one. */
static void garbage(void **state)
{
	enum { BYTES = 1 << 20 };
	static const char *const patterns[] = {
		"a",	       "\"",	     "!{",
		"group a {\n", "group a { ", "define x = { 1,\n",
		"\\",	       "#",	     "\n",
		"{",	       "}",	     "deny connect tcp to 10.0.0.1/8\n",
		"\xff\xfe",    "$",	     "0",
		"x \n",
	};
	char *text = malloc(BYTES), *all;
	unsigned seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		size_t n = strlen(patterns[i]);

		for (size_t at = 0; at + n <= BYTES; at += n)
			memcpy(text + at, patterns[i], n);
		all = said(NULL, text, BYTES / n * n);
		assert_true(strlen(all) < 100000);
		free(all);
	}
	for (size_t i = 0; i < BYTES; i++)
		text[i] = (char)(rand_r(&seed) % 255 + 1);
	all = said(NULL, text, BYTES);
	assert_true(strlen(all) < 100000);
	free(all);
	memset(text, 0, BYTES);
	text[2] = '\n';
	all = said(NULL, text, BYTES);
	assert_non_null(strstr(all, "t.ulsp:1:1: error: a NUL byte: this is not text"));
	free(all);
	free(text);
}

static void too_large(void **state)
{
	size_t bytes = (64 << 20) + 1;
	char *text = calloc(1, bytes), *all;

	(void)state;
	all = said(NULL, text, bytes);
	assert_non_null(strstr(all, "the file is too large"));
	free(all);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carets),    cmocka_unit_test(long_lines),
		cmocka_unit_test(colour),    cmocka_unit_test(later_stage),
		cmocka_unit_test(many),	     cmocka_unit_test(every_line),
		cmocka_unit_test(includes),  cmocka_unit_test(include_storm),
		cmocka_unit_test(set_files), cmocka_unit_test(garbage),
		cmocka_unit_test(too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
