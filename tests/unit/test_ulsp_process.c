/* SPDX-License-Identifier: BSD-2-Clause */
/* Who a message's process is, and that a recycled id names nobody. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup.h"
#include "process.h"

static void own_executable(void **state)
{
	char got[PATH_MAX], want[PATH_MAX] = {0};
	uint64_t start = ulsp_process_start_ns(getpid());

	(void)state;
	assert_true(start > 0);
	assert_true(readlink("/proc/self/exe", want, sizeof(want) - 1) > 0);
	assert_int_equal(ulsp_process_exe(getpid(), start, got, sizeof(got)), strlen(want));
	assert_string_equal(got, want);
	/* The kernel's number is finer than /proc's. */
	assert_true(ulsp_process_exe(getpid(), start + 9999999, got, sizeof(got)) > 0);
	assert_int_equal(ulsp_process_exe(getpid(), start, got, 3), -ENOSPC);
	assert_int_equal(ulsp_process_exe(getpid(), start, got, strlen(want)), -ENOSPC);
	assert_int_equal(ulsp_process_exe(getpid(), start, got, strlen(want) + 1), strlen(want));
}

static void another_start_is_another_process(void **state)
{
	uint64_t start = ulsp_process_start_ns(getpid());
	char got[PATH_MAX];

	(void)state;
	assert_int_equal(ulsp_process_exe(getpid(), start + 10000000, got, sizeof(got)), -ESRCH);
	assert_int_equal(ulsp_process_exe(getpid(), start - 10000000, got, sizeof(got)), -ESRCH);
	assert_true(ulsp_process_is(getpid(), start));
	assert_true(ulsp_process_is(getpid(), start + 9999999));
	assert_false(ulsp_process_is(getpid(), start + 10000000));
	assert_false(ulsp_process_is(getpid(), start - 1));
	assert_false(ulsp_process_is(0, start));
	assert_false(ulsp_process_is(-1, start));
}

static void gone(void **state)
{
	char got[PATH_MAX];
	uint64_t start;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		pause();
		_exit(0);
	}
	start = ulsp_process_start_ns(pid);
	assert_true(ulsp_process_exe(pid, start, got, sizeof(got)) > 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(ulsp_process_exe(pid, start, got, sizeof(got)), -ESRCH);
	assert_int_equal(ulsp_process_start_ns(pid), 0);
}

/* The name is the process's own choice, and stands in the same line as the start. */
static void name_that_looks_like_fields(void **state)
{
	char got[PATH_MAX];
	FILE *f = fopen("/proc/self/comm", "w");

	(void)state;
	assert_non_null(f);
	fputs("x) R 1 2 3 ) 4", f);
	fclose(f);
	assert_true(ulsp_process_exe(getpid(), ulsp_process_start_ns(getpid()), got, sizeof(got)) >
		    0);
}

/* Where cgroup2 is mounted; skips without. */
static char *cgroup_root(void)
{
	static char point[PATH_MAX];
	char line[2 * PATH_MAX];
	FILE *f = fopen("/proc/self/mountinfo", "r");

	point[0] = '\0';
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 ") &&
		    sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1)
			break;
	if (f)
		fclose(f);
	if (!point[0]) {
		print_message("no cgroup2 is mounted\n");
		skip();
	}
	return point;
}

static void cgroups(void **state)
{
	struct ulsp_cgroups c = {0};
	char dir[PATH_MAX], sub[PATH_MAX + 8], name[64], want[80], got[PATH_MAX];
	const char *root = cgroup_root();
	struct stat st;
	uint64_t id;

	(void)state;
	assert_int_equal(stat(root, &st), 0);
	assert_int_equal(ulsp_cgroups_path(&c, st.st_ino, 0, got, sizeof(got)), 1);
	assert_string_equal(got, "/");
	assert_int_equal(ulsp_cgroups_path(&c, 0, 0, got, sizeof(got)), -ENOENT);
	assert_int_equal(ulsp_cgroups_path(&c, UINT64_MAX, getpid(), got, sizeof(got)), -ENOENT);
	ulsp_cgroups_fini(&c);

	snprintf(name, sizeof(name), "test_ulsp_process-%d", (int)getpid());
	snprintf(dir, sizeof(dir), "%.4000s/%s", root, name);
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	snprintf(want, sizeof(want), "%s/sub", name);
	if (mkdir(dir, 0755)) {
		print_message("cannot make a cgroup: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(mkdir(sub, 0755), 0);
	assert_int_equal(stat(sub, &st), 0);
	id = st.st_ino;
	/* By a walk: no process is in it. */
	assert_int_equal(ulsp_cgroups_path(&c, id, 0, got, sizeof(got)), strlen(want));
	assert_string_equal(got, want);
	/* The process of the message is elsewhere by now. */
	ulsp_cgroups_fini(&c);
	assert_int_equal(ulsp_cgroups_path(&c, id, getpid(), got, sizeof(got)), strlen(want));
	assert_int_equal(ulsp_cgroups_path(&c, id, 0, got, 4), -ENOSPC);
	/* Remembered when it is gone: ids aren't given again. */
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(ulsp_cgroups_path(&c, id, 0, got, sizeof(got)), strlen(want));
	ulsp_cgroups_fini(&c);
	assert_int_equal(ulsp_cgroups_path(&c, id, 0, got, sizeof(got)), -ENOENT);
	ulsp_cgroups_fini(&c);
	assert_int_equal(rmdir(dir), 0);
}

static void cgroup_of_a_process(void **state)
{
	struct ulsp_cgroups c = {0};
	char dir[PATH_MAX], procs[PATH_MAX + 16], name[64], got[PATH_MAX];
	const char *root = cgroup_root();
	struct stat st;
	pid_t pid;
	FILE *f;
	int r;

	(void)state;
	snprintf(name, sizeof(name), "test_ulsp_process-%d", (int)getpid());
	snprintf(dir, sizeof(dir), "%.4000s/%s", root, name);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	if (mkdir(dir, 0755)) {
		print_message("cannot make a cgroup: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(stat(dir, &st), 0);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	f = fopen(procs, "w");
	assert_non_null(f);
	fprintf(f, "%d\n", (int)pid);
	assert_int_equal(fclose(f), 0);
	c.walk_ns = UINT64_MAX - 1000000000; /* no walk: /proc must do */
	r = ulsp_cgroups_path(&c, st.st_ino, pid, got, sizeof(got));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ulsp_cgroups_fini(&c);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(r, strlen(name));
	assert_string_equal(got, name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_executable),
		cmocka_unit_test(another_start_is_another_process),
		cmocka_unit_test(gone),
		cmocka_unit_test(name_that_looks_like_fields),
		cmocka_unit_test(cgroups),
		cmocka_unit_test(cgroup_of_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
