/* SPDX-License-Identifier: GPL-2.0-only */
/* The fuzzer's corpus and the golden files, without the fuzzer: a find stays found. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void replay(void **state)
{
	const char *pattern = *state;
	char **paths;
	size_t n = 0;

	assert_int_equal(reader_glob(NULL, pattern, &paths), 0);
	for (; paths[n]; n++) {
		size_t bytes;
		char *text;

		print_message("%s\n", paths[n]);
		assert_int_equal(reader_read(NULL, paths[n], &text, &bytes), 0);
		LLVMFuzzerTestOneInput((const uint8_t *)text, bytes);
		free(text);
		free(paths[n]);
	}
	free(paths);
	if (n == 0)
		fail_msg("no %s here: run from the top of the tree", pattern);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"corpus", replay, NULL, NULL, "tests/fuzz/policy/*"},
		{"golden", replay, NULL, NULL, "tests/golden/policy/*.ulsp"},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
