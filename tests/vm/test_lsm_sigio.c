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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <cmocka.h>

#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

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

/* ---- how many ---- */

enum { FIRST_COME = 1 << 15, FAR_MORE = 70000, SECONDS = 300 };

static int own_file(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fd < 0 || fcntl(fd, F_SETOWN, getpid()) ? -1 : fd;
}

static int own_and_close(void *arg)
{
	const int *times = arg;

	alarm(SECONDS);
	for (int n = 0; n < *times; n++)
		if (close(own_file()))
			return errno;
	return 0;
}

static int own_nobody_and_close(void *arg)
{
	struct f_owner_ex nobody = {F_OWNER_TID, 0};

	(void)arg;
	for (int n = 0; n < 10; n++) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (fcntl(fd, F_SETOWN_EX, &nobody) || close(fd))
			return errno;
	}
	return 0;
}

static int ready[2];

static int own_and_hold(void *arg)
{
	const struct rlimit files = {2 * FIRST_COME, 2 * FIRST_COME};
	char c = 0;

	(void)arg;
	alarm(SECONDS);
	if (setrlimit(RLIMIT_NOFILE, &files))
		return errno;
	for (int n = 0; n < FIRST_COME; n++)
		if (own_file() < 0)
			return errno;
	if (write(ready[1], &c, 1) != 1)
		return errno;
	pause();
	return 0;
}

static void closed_files_are_forgotten(void **state)
{
	int times = FAR_MORE;

	(void)state;
	assert_int_equal(lsm->bss->owners_total, 0);
	lsm_expect(GROUP_A, own_and_close, &times, 0);
	lsm_expect(GROUP_A, own_nobody_and_close, NULL, 0);
	assert_int_equal(lsm->bss->owners_total, 0);
	for (size_t n = 0; n < COUNT(lsm->bss->owners); n++)
		assert_int_equal(lsm->bss->owners[n], 0);
}

/* Who has taken all that is for everybody is ended when it wants more; others have their share. */
static void one_group_leaves_room_for_others(void **state)
{
	int once = 1, share = 100, status;
	pid_t holder, more;
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	holder = lsm_start(GROUP_A, own_and_hold, NULL);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(lsm->bss->owners_total, FIRST_COME);
	more = lsm_start(GROUP_A, own_and_close, &once);
	assert_int_equal(waitpid(more, &status, 0), more);
	lsm_expect(GROUP_B, own_and_close, &share, 0);
	lsm_expect(NOBODY, own_and_close, &share, 0);
	lsm_kill(holder);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(lsm->bss->owners_total, 0);
	lsm_expect(GROUP_A, own_and_close, &share, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_signals_whom),
		cmocka_unit_test(closed_files_are_forgotten),
		cmocka_unit_test(one_group_leaves_room_for_others),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
