/* SPDX-License-Identifier: BSD-2-Clause */
/* The fuzzer's corpus once more, without the fuzzer: a find stays found. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void corpus(void **state)
{
	glob_t paths;

	(void)state;
	if (glob("tests/fuzz/prompt/*", 0, NULL, &paths))
		fail_msg("no tests/fuzz/prompt here: run from the top of the tree");
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

/* A little of what the fuzzer does, each time. */
static void mangled(void **state)
{
	static const char *const texts[] = {
		"{\"v\":1,\"answer\":7,\"verdict\":\"allow\",\"duration\":\"10m\",\"scope\":"
		"\"any\"}",
		"{\"question\":7,\"group\":\"a\",\"operation\":\"connect\",\"protocol\":\"tcp\","
		"\"address\":null,\"port\":null,\"pid\":4,\"uid\":3,\"left_ms\":48,\"waiting\":1,"
		"\"otherwise\":\"deny\"}",
		"{\"v\":1,\"hello\":\"x\",\"asks\":true}",
		"12 deny forever address",
	};
	static const char dice[] = "{}[]\",:\\0123456789eE-+.truefalsn \n\0\xff";
	unsigned int seed = 7;

	(void)state;
	for (int i = 0; i < 40000; i++) {
		const char *from = texts[i % 4];
		size_t n = strlen(from);
		uint8_t *data;

		if (i % 3 == 0)
			n = (size_t)rand_r(&seed) % (n + 1);
		data = malloc(n + 1);
		memcpy(data, from, n);
		for (int j = 0; n && j < i % 5; j++)
			data[(size_t)rand_r(&seed) % n] =
				(uint8_t)dice[(size_t)rand_r(&seed) % sizeof(dice)];
		LLVMFuzzerTestOneInput(data, n);
		free(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(corpus), cmocka_unit_test(mangled)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
