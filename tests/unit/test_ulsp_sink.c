/* SPDX-License-Identifier: BSD-2-Clause */
/* The log's output: rotation, full disks, whole lines only. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sink.h"

static char dir[] = "/tmp/test_ulsp_sink-XXXXXX";
static char path[PATH_MAX], old[PATH_MAX];

static int setup(void **state)
{
	(void)state;
	if (!path[0] && !mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(old, sizeof(old), "%s/log.1", dir);
	unlink(path);
	unlink(old);
	return 0;
}

static int cleanup(void **state)
{
	(void)state;
	unlink(path);
	unlink(old);
	return rmdir(dir);
}

static char *content(const char *name)
{
	static char text[1 << 16];
	FILE *f = fopen(name, "r");
	size_t n;

	if (!f)
		return NULL;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void put(struct sink *s, const char *line)
{
	sink_line(s, line, strlen(line));
}

static void limit_file(rlim_t bytes)
{
	struct rlimit r;

	getrlimit(RLIMIT_FSIZE, &r);
	r.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void appends(void **state)
{
	struct sink s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sink_open(&s, path), 0);
		put(&s, "one");
		put(&s, "two");
		assert_int_equal(sink_flush(&s), 0);
		sink_close(&s);
	}
	assert_string_equal(content(path), "one\ntwo\none\ntwo\n");
}

static void cannot_open(void **state)
{
	struct sink s;

	(void)state;
	assert_int_equal(sink_open(&s, "/nowhere/log"), -ENOENT);
	assert_int_equal(sink_open(&s, "/tmp"), -EISDIR);
}

static void renamed_file_is_noticed(void **state)
{
	struct sink s;

	(void)state;
	assert_int_equal(sink_open(&s, path), 0);
	put(&s, "before");
	sink_flush(&s);
	assert_int_equal(rename(path, old), 0);
	put(&s, "after");
	sink_flush(&s);
	assert_string_equal(content(old), "before\n");
	assert_string_equal(content(path), "after\n");
	unlink(path);
	put(&s, "again");
	sink_flush(&s);
	assert_string_equal(content(path), "again\n");
	sink_close(&s);
}

static void lost_directory_keeps_the_file(void **state)
{
	char away[PATH_MAX + 8];
	struct sink s;

	(void)state;
	assert_int_equal(sink_open(&s, path), 0);
	snprintf(away, sizeof(away), "%s.away", dir);
	assert_int_equal(rename(dir, away), 0);
	put(&s, "kept");
	assert_int_equal(sink_flush(&s), 0);
	assert_int_equal(sink_reopen(&s), -ENOENT);
	assert_int_equal(rename(away, dir), 0);
	assert_string_equal(content(path), "kept\n");
	sink_close(&s);
}

static void reopen_on_request(void **state)
{
	struct sink s;

	(void)state;
	assert_int_equal(sink_open(&s, path), 0);
	rename(path, old);
	assert_int_equal(sink_reopen(&s), 0);
	put(&s, "new");
	sink_flush(&s);
	assert_string_equal(content(path), "new\n");
	assert_string_equal(content(old), "");
	sink_close(&s);
}

/* A file size limit stands for a full disk: writes end short, then fail. */
static void full_disk(void **state)
{
	struct sink s;
	int error = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(sink_open(&s, path), 0);
	limit_file(6);
	put(&s, "one");
	put(&s, "two");
	assert_int_equal(sink_flush(&s), -EFBIG);
	assert_string_equal(content(path), "one\ntw");
	put(&s, "three");
	assert_int_equal(sink_flush(&s), -EFBIG);
	assert_int_equal(sink_take_dropped(&s, &error), 0);
	limit_file(RLIM_INFINITY);
	assert_int_equal(sink_flush(&s), 0);
	assert_string_equal(content(path), "one\ntwo\nthree\n");
	assert_int_equal(sink_take_dropped(&s, &error), 0);
	sink_close(&s);
}

static void full_disk_and_full_buffer(void **state)
{
	enum { LINE = 1023, LINES = SINK_BYTES / (LINE + 1), MORE = 100 };
	static char line[LINE + 1];
	struct sink s;
	struct stat st;
	int error = 0;

	(void)state;
	memset(line, 'x', LINE);
	assert_int_equal(sink_open(&s, path), 0);
	limit_file(0);
	for (int i = 0; i < LINES + MORE; i++)
		put(&s, line);
	assert_int_equal(sink_flush(&s), -EFBIG);
	assert_int_equal(sink_take_dropped(&s, &error), 0); /* not while it can't be said */
	limit_file(RLIM_INFINITY);
	assert_int_equal(sink_flush(&s), 0);
	assert_int_equal(sink_take_dropped(&s, &error), MORE);
	assert_int_equal(error, EFBIG);
	assert_int_equal(sink_take_dropped(&s, &error), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, LINES * (LINE + 1));
	sink_close(&s);
}

/* A line that was begun in the old file isn't continued in the new one. */
static void rotated_within_a_line(void **state)
{
	struct sink s;
	int error = 0;

	(void)state;
	assert_int_equal(sink_open(&s, path), 0);
	limit_file(6);
	put(&s, "one");
	put(&s, "two");
	put(&s, "three");
	assert_int_equal(sink_flush(&s), -EFBIG);
	rename(path, old);
	assert_int_equal(sink_flush(&s), 0); /* the new file has room */
	assert_string_equal(content(old), "one\ntw");
	assert_string_equal(content(path), "three\n");
	assert_int_equal(sink_take_dropped(&s, &error), 1);
	limit_file(RLIM_INFINITY);
	sink_close(&s);
}

static void standard_output(void **state)
{
	int saved = dup(STDOUT_FILENO), fds[2], error = 0;
	struct sink s;
	char buf[64];
	ssize_t n;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	fflush(stdout);
	dup2(fds[1], STDOUT_FILENO);
	close(fds[1]);
	assert_int_equal(sink_open(&s, NULL), 0);
	put(&s, "line");
	error = sink_flush(&s);
	n = read(fds[0], buf, sizeof(buf));
	close(fds[0]);
	put(&s, "nobody reads");
	assert_int_equal(sink_flush(&s), -EPIPE);
	assert_int_equal(sink_reopen(&s), 0);
	sink_close(&s);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	assert_int_equal(error, 0);
	assert_int_equal(n, 5);
	assert_memory_equal(buf, "line\n", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(appends, setup),
		cmocka_unit_test_setup(cannot_open, setup),
		cmocka_unit_test_setup(renamed_file_is_noticed, setup),
		cmocka_unit_test_setup(lost_directory_keeps_the_file, setup),
		cmocka_unit_test_setup(reopen_on_request, setup),
		cmocka_unit_test_setup(full_disk, setup),
		cmocka_unit_test_setup(full_disk_and_full_buffer, setup),
		cmocka_unit_test_setup(rotated_within_a_line, setup),
		cmocka_unit_test_setup(standard_output, setup),
	};

	return cmocka_run_group_tests(tests, NULL, cleanup);
}
