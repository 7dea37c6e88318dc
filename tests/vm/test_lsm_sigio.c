/* SPDX-License-Identifier: GPL-2.0-only */
/* SIGIO and SIGURG to the owner of a descriptor that somebody else set. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_fixture.h"

#define ISOLATED (1u << ULSP_REACH_SIGNAL)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { NOT_SIGNALLED = 0, SIGNALLED = 1 };

static int up(void **state)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return lsm_up(state);
}

static int wait_for_signal(void *arg)
{
	struct timespec limit = {1, 0};
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	return sigtimedwait(&set, NULL, &limit) == SIGIO ? SIGNALLED : NOT_SIGNALLED;
}

static int by_fcntl(int fd, pid_t pid)
{
	return fcntl(fd, F_SETOWN, pid);
}

static int by_fcntl_ex(int fd, pid_t pid)
{
	struct f_owner_ex owner = {F_OWNER_PID, pid};

	return fcntl(fd, F_SETOWN_EX, &owner);
}

static int by_ioctl(int fd, pid_t pid)
{
	return ioctl(fd, FIOSETOWN, &pid);
}

static int (*const setters[])(int, pid_t) = {by_fcntl, by_fcntl_ex, by_ioctl};

struct
try {
	int (*set)(int, pid_t);
	pid_t victim;
};

static int make(void *arg)
{
	const struct try *t = arg;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || t->set(pair[0], t->victim) ||
	    fcntl(pair[0], F_SETFL, O_ASYNC))
		return errno;
	return write(pair[1], "x", 1) == 1 ? 0 : errno;
}

static int signalled(int setter, int victim, int (*set)(int, pid_t))
{
	struct try t = {set, lsm_start(victim, wait_for_signal, NULL)};

	lsm_expect(setter, make, &t, 0);
	return lsm_end(t.victim);
}

static void who_signals_whom(void **state)
{
	(void)state;
	lsm_confine(GROUP_A, ISOLATED, 0, 0);
	lsm_confine(GROUP_B, ISOLATED, 0, 0);
	for (size_t i = 0; i < COUNT(setters); i++) {
		uint64_t denied = lsm_denied(GROUP_A, ULSP_REACH_SIGNAL);

		assert_int_equal(signalled(NOBODY, NOBODY, setters[i]), SIGNALLED);
		assert_int_equal(signalled(GROUP_A, GROUP_A, setters[i]), SIGNALLED);
		assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_SIGNAL), denied);
		assert_int_equal(signalled(NOBODY, GROUP_A, setters[i]), NOT_SIGNALLED);
		assert_int_equal(signalled(GROUP_B, GROUP_A, setters[i]), NOT_SIGNALLED);
		assert_int_equal(signalled(GROUP_A, NOBODY, setters[i]), NOT_SIGNALLED);
		assert_true(lsm_denied(GROUP_A, ULSP_REACH_SIGNAL) >= denied + 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_signals_whom),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
