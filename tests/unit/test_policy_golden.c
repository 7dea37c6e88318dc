/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every tests/golden/policy/NAME.ulsp: its printed form is NAME.out, what is
 * said about it is NAME.err; a file that isn't there stands for nothing.
 *
 *   test_policy_golden [NAME...]
 *
 * With GOLDEN_UPDATE=1 in the environment it writes what it got instead, to be
 * read by git diff.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory_files.h"
#include "policy.h"
#include "policy_same.h"
#include "reader.h"

#define GOLDEN_DIR "tests/golden/policy"

static char program[PATH_MAX];

static void check(const char *name, const char *suffix, const char *got)
{
	char path[PATH_MAX], *want = NULL;
	size_t bytes;
	FILE *out;

	snprintf(path, sizeof(path), "%s.%s", name, suffix);
	if (getenv("GOLDEN_UPDATE")) {
		unlink(path);
		out = *got ? fopen(path, "w") : NULL;
		if (out) {
			fputs(got, out);
			fclose(out);
		}
		return;
	}
	if (reader_read(NULL, path, &want, &bytes) < 0)
		want = strdup("");
	if (strcmp(want, got) != 0) {
		fprintf(stderr,
			"---- expected (" GOLDEN_DIR "/%s)\n%s---- got\n%s----\nrerun: %s %s\n",
			path, want, got, program, name);
		free(want);
		fail();
	}
	free(want);
}

static void golden(void **state)
{
	const char *name = *state;
	char path[PATH_MAX], *text;
	const char *paths[] = {path}, *what;
	struct pol_diags d = {0}, again_diags = {0};
	struct pol_policy *p = NULL, *again = NULL;
	int r;

	snprintf(path, sizeof(path), "%s.ulsp", name);
	r = pol_parse(paths, 1, &reader_files, &d, &p);
	assert_int_equal(r, d.errors ? -EINVAL : 0);
	text = diags_text(&d);
	check(name, "err", text);
	free(text);
	pol_diags_fini(&d);
	if (r < 0) {
		check(name, "out", "");
		return;
	}
	assert_int_equal(pol_print(p, 0, &text), 0);
	check(name, "out", text);
	assert_int_equal(pol_parse_text("out", text, strlen(text), NULL, &again_diags, &again), 0);
	what = policy_differs(p, again, false);
	if (what)
		fail_msg("%s differs after printing", what);
	free(text);
	pol_diags_fini(&again_diags);
	pol_free(&p);
	pol_free(&again);
}

int main(int argc, char **argv)
{
	struct CMUnitTest *tests;
	size_t n = 0;
	glob_t found;

	if (!realpath(argv[0], program) || chdir(GOLDEN_DIR) < 0 ||
	    glob("*.ulsp", 0, NULL, &found) != 0) {
		fprintf(stderr, "no " GOLDEN_DIR " here: run from the top of the tree\n");
		return 1;
	}
	tests = calloc(found.gl_pathc, sizeof(*tests));
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char *name = found.gl_pathv[i];
		bool wanted = argc == 1;

		*strrchr(name, '.') = '\0';
		for (int j = 1; j < argc; j++)
			wanted |= strcmp(argv[j], name) == 0;
		if (wanted)
			tests[n++] = (struct CMUnitTest){
				.name = name, .test_func = golden, .initial_state = name};
	}
	int failed = _cmocka_run_group_tests("golden", tests, n, NULL, NULL);

	free(tests);
	globfree(&found);
	return failed;
}
