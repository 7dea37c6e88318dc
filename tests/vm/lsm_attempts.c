/* SPDX-License-Identifier: GPL-2.0-only */
#include "lsm_attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_fixture.h"

int lsm_error(long r)
{
	return r < 0 ? errno : 0;
}

int lsm_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return errno;
	r = lsm_error(write(fd, text, strlen(text)));
	close(fd);
	return r;
}

int lsm_child(long pid)
{
	if (pid < 0)
		return errno;
	if (!pid)
		_exit(0);
	waitpid((pid_t)pid, NULL, 0);
	return 0;
}

int lsm_clone3(uint64_t flags, int cgroup)
{
	struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};

	args.cgroup = (uint64_t)cgroup;
	return lsm_child(syscall(SYS_clone3, &args, sizeof(args)));
}

struct outcome {
	int result;
	uint64_t denied; /* how often it was counted */
};

static struct outcome run(int slot, const struct lsm_attempt *a, uint32_t kind,
			  void (*prepare)(void))
{
	uint64_t before = lsm_denied(GROUP_A, kind);
	struct outcome o;

	prepare();
	o.result = lsm_as(slot, a->fn, a->arg);
	o.denied = lsm_denied(GROUP_A, kind) - before;
	return o;
}

void lsm_attempts(const struct lsm_attempt *list, size_t count, uint32_t kind,
		  void (*prepare)(void))
{
	int failed = 0;

	for (const struct lsm_attempt *a = list; a < list + count; a++) {
		struct outcome outside = run(NOBODY, a, kind, prepare),
			       inside = run(GROUP_A, a, kind, prepare), audited;

		lsm_mode(GROUP_A, ULSP_MODE_AUDIT);
		audited = run(GROUP_A, a, kind, prepare);
		lsm_mode(GROUP_A, ULSP_MODE_ENFORCE);
		if (outside.result == a->outside && !outside.denied && inside.result == EPERM &&
		    inside.denied && audited.result == a->outside && audited.denied)
			continue;
		failed++;
		print_message("# %s: outside %d, inside %d (counted %d), audited %d (counted %d)\n",
			      a->name, outside.result, inside.result, (int)inside.denied,
			      audited.result, (int)audited.denied);
	}
	assert_int_equal(failed, 0);
}

static const struct lsm_attempt *escapes;
static size_t escapes_count;
static void (*escapes_prepare)(void);

static void nobody_leaves(void **state)
{
	(void)state;
	lsm_attempts(escapes, escapes_count, ULSP_REACH_ESCAPE, escapes_prepare);
}

int lsm_escapes(const struct lsm_attempt *list, size_t count, void (*prepare)(void),
		int (*up)(void **state))
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_leaves),
	};

	escapes = list;
	escapes_count = count;
	escapes_prepare = prepare;
	return cmocka_run_group_tests(tests, up, lsm_down);
}
