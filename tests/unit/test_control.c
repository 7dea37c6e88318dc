/* SPDX-License-Identifier: GPL-2.0-only */
/* The control protocol's parser: what is taken, what is refused and why, limits, pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int feed_one(const char *line, struct control_request *r, char *why)
{
	struct control_input in = {0};
	int got;

	assert_int_equal(control_feed(&in, line, strlen(line)), 0);
	got = control_next(&in, r, why);
	control_input_fini(&in);
	return got;
}

static void refused(const char *line, int error, const char *because)
{
	char why[CONTROL_WHY_BYTES] = "";
	struct control_request r;

	assert_int_equal(feed_one(line, &r, why), error);
	if (!strstr(why, because))
		fail_msg("%s: refused because \"%s\", expected \"%s\"", line, why, because);
}

static void takes_requests(void **state)
{
	char why[CONTROL_WHY_BYTES];
	struct control_request r;

	(void)state;
	assert_int_equal(feed_one("{\"v\":1,\"cmd\":\"group-attach\",\"group\":\"web\","
				  "\"cgroup\":\"a/b\",\"existing\":\"close\"}\n",
				  &r, why),
			 1);
	assert_int_equal(r.verb, CONTROL_GROUP_ATTACH);
	assert_string_equal(control_string(&r, "cgroup"), "a/b");
	assert_string_equal(control_string(&r, "existing"), "close");
	assert_null(control_string(&r, "mode"));
	control_request_fini(&r);

	assert_int_equal(feed_one("{\"cmd\":\"shutdown\",\"keep\":true,\"v\":1}\n", &r, why), 1);
	assert_true(control_flag(&r, "keep"));
	assert_int_equal(control_int(&r, "port", -7), -7);
	control_request_fini(&r);

	assert_int_equal(
		feed_one("{\"v\":1,\"cmd\":\"load\",\"paths\":[\"/a\",\"/b\"]}\n", &r, why), 1);
	assert_int_equal(control_count(&r, "paths"), 2);
	assert_string_equal(control_at(&r, "paths", 1), "/b");
	assert_null(r.text);
	control_request_fini(&r);
}

static void refuses_what_is_none(void **state)
{
	(void)state;
	refused("\n", -EINVAL, "not JSON");
	refused("hello\n", -EINVAL, "not JSON");
	refused("[1]\n", -EINVAL, "object");
	refused("{}\n", -EINVAL, "\"v\"");
	refused("{\"v\":\"1\",\"cmd\":\"stats\"}\n", -EINVAL, "\"v\"");
	refused("{\"v\":2,\"cmd\":\"stats\"}\n", -EPROTONOSUPPORT, "version 2");
	refused("{\"v\":1}\n", -EINVAL, "\"cmd\"");
	refused("{\"v\":1,\"cmd\":\"reboot\"}\n", -EINVAL, "reboot");
	refused("{\"v\":1,\"cmd\":\"stats\"} x\n", -EINVAL, "not JSON");
	refused("{\"v\":1,\"cmd\":\"stats\",\"x\":1}\n", -EINVAL, "unknown field \"x\"");
	refused("{\"v\":1,\"cmd\":\"group-show\"}\n", -EINVAL, "\"group\" is missing");
	refused("{\"v\":1,\"cmd\":\"group-show\",\"group\":1}\n", -EINVAL, "wrong type");
	refused("{\"v\":1,\"cmd\":\"group-show\",\"group\":\"a\\u0000b\"}\n", -EINVAL,
		"wrong type");
	refused("{\"v\":1,\"cmd\":\"group-show\",\"group\":\"\xff\"}\n", -EINVAL, "not JSON");
	refused("{\"v\":1,\"cmd\":\"shutdown\",\"keep\":1}\n", -EINVAL, "wrong type");
	refused("{\"v\":1,\"cmd\":\"load\",\"paths\":[\"/a\",2]}\n", -EINVAL, "wrong type");
	refused("{\"v\":1,\"cmd\":\"load\",\"paths\":[[[[[]]]]]}\n", -EINVAL, "not JSON");
	refused("{\"v\":1,\"cmd\":\"load\",\"paths\":[\"a\"]}\n", -EINVAL, "absolute");
	refused("{\"v\":1,\"cmd\":\"load\"}\n", -EINVAL, "either");
	refused("{\"v\":1,\"cmd\":\"load\",\"paths\":[\"/a\"],\"text_bytes\":3}\n", -EINVAL,
		"either");
	refused("{\"v\":1,\"cmd\":\"load\",\"text_bytes\":-5}\n", -EINVAL, "negative");
	refused("{\"v\":1,\"cmd\":\"load\",\"text_bytes\":1048577}\n", -EMSGSIZE, "1048576");
	refused("{\"v\":1,\"cmd\":\"flow-list\",\"after\":\"0\"}\n", -EINVAL, "wrong type");
	refused("{\"v\":1,\"cmd\":\"flow-flush\",\"all\":true}\n", -EINVAL,
		"unknown field \"all\"");
	refused("{\"v\":1,\"cmd\":\"explain\",\"group\":\"a\",\"op\":\"b\",\"proto\":\"c\","
		"\"addr\":\"d\",\"port\":99999999999999999999999}\n",
		-EINVAL, "wrong type");
}

static void takes_a_text_in_pieces(void **state)
{
	static const char bytes[] = "{\"v\":1,\"cmd\":\"load\",\"name\":\"n\",\"text_bytes\":10}\n"
				    "0123\n56789{\"v\":1,\"cmd\":\"stats\"}\n";
	char why[CONTROL_WHY_BYTES];
	struct control_input in = {0};
	struct control_request r;
	size_t at = 0;

	(void)state;
	while (!control_next(&in, &r, why))
		assert_int_equal(control_feed(&in, bytes + at++, 1), 0);
	assert_int_equal(r.verb, CONTROL_LOAD);
	assert_int_equal(r.text_bytes, 10);
	assert_string_equal(r.text, "0123\n56789");
	control_request_fini(&r);
	assert_int_equal(control_next(&in, &r, why), 0);
	assert_int_equal(control_feed(&in, bytes + at, sizeof(bytes) - 1 - at), 0);
	assert_int_equal(control_next(&in, &r, why), 1);
	assert_int_equal(r.verb, CONTROL_STATS);
	control_request_fini(&r);
	assert_int_equal(control_next(&in, &r, why), 0);
	control_input_fini(&in);
}

static void limits_a_line(void **state)
{
	struct control_input in = {0};
	struct control_request r;
	char why[CONTROL_WHY_BYTES];
	char *line = malloc(CONTROL_LINE_BYTES + 1);

	(void)state;
	memset(line, ' ', CONTROL_LINE_BYTES + 1);
	assert_int_equal(control_feed(&in, line, CONTROL_LINE_BYTES - 1), 0);
	assert_int_equal(control_next(&in, &r, why), 0);
	assert_int_equal(control_feed(&in, line, 1), 0);
	assert_int_equal(control_next(&in, &r, why), -EMSGSIZE);
	control_input_fini(&in);

	/* the longest line that is one */
	memcpy(line, "{\"v\":1,\"cmd\":\"stats\"}", 21);
	line[CONTROL_LINE_BYTES - 1] = '\n';
	assert_int_equal(control_feed(&in, line, CONTROL_LINE_BYTES), 0);
	assert_int_equal(control_next(&in, &r, why), 1);
	control_request_fini(&r);
	control_input_fini(&in);
	free(line);
}

/* However much is sent, only so much is kept. */
static void limits_what_waits(void **state)
{
	static char block[65536];
	struct control_input in = {0};
	size_t kept = 0;

	(void)state;
	while (!control_feed(&in, block, sizeof(block)))
		kept += sizeof(block);
	assert_true(kept <= CONTROL_LINE_BYTES + CONTROL_TEXT_BYTES);
	control_input_fini(&in);
}

static void names_instances(void **state)
{
	(void)state;
	assert_true(control_instance_ok("system"));
	assert_true(control_instance_ok("run-12.x_Y"));
	assert_false(control_instance_ok(""));
	assert_false(control_instance_ok("."));
	assert_false(control_instance_ok("../x"));
	assert_false(control_instance_ok("-x"));
	assert_false(control_instance_ok("a b"));
	assert_false(control_instance_ok("0123456789012345678901234567890123456789012345678"));
}

/* What the fuzzer has found or was given. */
static void replays_corpus(void **state)
{
	DIR *dir = opendir("tests/fuzz/control");
	size_t files = 0;
	struct dirent *entry;
	char path[512];

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		uint8_t *data = malloc(1 << 21);
		size_t bytes;
		FILE *f;

		snprintf(path, sizeof(path), "tests/fuzz/control/%s", entry->d_name);
		f = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
		if (f) {
			bytes = fread(data, 1, 1 << 21, f);
			fclose(f);
			LLVMFuzzerTestOneInput(data, bytes);
			files++;
		}
		free(data);
	}
	closedir(dir);
	assert_true(files >= 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_requests),	  cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(takes_a_text_in_pieces), cmocka_unit_test(limits_a_line),
		cmocka_unit_test(limits_what_waits),	  cmocka_unit_test(names_instances),
		cmocka_unit_test(replays_corpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
