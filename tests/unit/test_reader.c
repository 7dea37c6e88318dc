/* SPDX-License-Identifier: GPL-2.0-only */
/* Real files for the policy library. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "reader.h"

static char dir[] = "/tmp/ulsp-test-reader-XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

static void make_file(const char *name, const char *text, size_t bytes)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, bytes), bytes);
	close(fd);
}

static void reads(void **state)
{
	size_t bytes;
	char *text;

	(void)state;
	make_file("f", "a\0b", 3);
	assert_int_equal(reader_read(NULL, "f", &text, &bytes), 0);
	assert_int_equal(bytes, 3);
	assert_memory_equal(text, "a\0b", 4);
	free(text);
	make_file("f", "", 0);
	assert_int_equal(reader_read(NULL, "f", &text, &bytes), 0);
	assert_int_equal(bytes, 0);
	free(text);
	unlink("f");
	/* says that it has 0 bytes */
	assert_int_equal(reader_read(NULL, "/proc/self/status", &text, &bytes), 0);
	assert_true(bytes > 0 && strlen(text) == bytes);
	free(text);
}

static void refuses(void **state)
{
	size_t bytes = 77;
	char *text = NULL;

	(void)state;
	assert_int_equal(reader_read(NULL, "none", &text, &bytes), -ENOENT);
	assert_int_equal(reader_read(NULL, ".", &text, &bytes), -EISDIR);
	assert_int_equal(reader_read(NULL, "/dev/zero", &text, &bytes), -ENXIO);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(reader_read(NULL, "fifo", &text, &bytes), -ENXIO);
	unlink("fifo");
	make_file("big", "", 0);
	assert_int_equal(truncate("big", READER_MAX_BYTES + 1), 0);
	assert_int_equal(reader_read(NULL, "big", &text, &bytes), -EFBIG);
	unlink("big");
	assert_null(text);
	assert_int_equal(bytes, 77);
}

static void globs(void **state)
{
	static const char *const names[] = {"b.ulsp", "a.ulsp", ".c.ulsp", "d.txt"};
	char **paths;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		make_file(names[i], "", 0);
	assert_int_equal(reader_glob(NULL, "*.ulsp", &paths), 0);
	assert_string_equal(paths[0], "a.ulsp");
	assert_string_equal(paths[1], "b.ulsp");
	assert_null(paths[2]);
	free(paths[0]);
	free(paths[1]);
	free(paths);
	assert_int_equal(reader_glob(NULL, "none*", &paths), 0);
	assert_null(paths[0]);
	free(paths);
	for (size_t i = 0; i < 4; i++)
		unlink(names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(refuses),
		cmocka_unit_test(globs),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
