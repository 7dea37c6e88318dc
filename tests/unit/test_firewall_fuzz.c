/* SPDX-License-Identifier: BSD-2-Clause */
/* The fuzzer's corpus once more, without the fuzzer: a find stays found. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void corpus(void **state)
{
	glob_t paths;

	(void)state;
	if (glob("tests/fuzz/firewall_rules/*", 0, NULL, &paths))
		fail_msg("no tests/fuzz/firewall_rules here: run from the top of the tree");
	for (size_t i = 0; i < paths.gl_pathc; i++) {
		FILE *f = fopen(paths.gl_pathv[i], "r");
		uint8_t *data = malloc(1 << 20);
		size_t n;

		print_message("%s\n", paths.gl_pathv[i]);
		assert_non_null(f);
		assert_non_null(data);
		n = fread(data, 1, 1 << 20, f);
		fclose(f);
		data = realloc(data, n ? n : 1); /* a read past the end is the sanitizer's */
		LLVMFuzzerTestOneInput(data, n);
		free(data);
	}
	globfree(&paths);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(corpus)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
