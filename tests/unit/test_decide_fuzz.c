/* SPDX-License-Identifier: GPL-2.0-only */
/* The fuzzer's corpus once more, without the fuzzer: a find stays found. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void corpus(void **state)
{
	char **paths;
	size_t n = 0;

	(void)state;
	assert_int_equal(reader_glob(NULL, "tests/fuzz/decide/*", &paths), 0);
	for (; paths[n]; n++) {
		size_t bytes;
		char *text;

		assert_int_equal(reader_read(NULL, paths[n], &text, &bytes), 0);
		LLVMFuzzerTestOneInput((const uint8_t *)text, bytes);
		free(text);
		free(paths[n]);
	}
	free(paths);
	if (n == 0)
		fail_msg("no tests/fuzz/decide here: run from the top of the tree");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(corpus)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
