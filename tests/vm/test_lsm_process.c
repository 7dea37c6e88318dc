/* SPDX-License-Identifier: GPL-2.0-only */
/* Tags and what they keep apart between processes: signals, tracing. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_fixture.h"

#define ISOLATED (1u << ULSP_REACH_SIGNAL | 1u << ULSP_REACH_PTRACE)

static int up(void **state)
{
	int r = lsm_up(state);

	if (!r) {
		lsm_confine(GROUP_A, ISOLATED, 0, 0);
		lsm_confine(GROUP_B, ISOLATED, 0, 0);
	}
	return r;
}

static int stay(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

static int send_signal(void *arg)
{
	return kill(*(pid_t *)arg, SIGCONT) ? errno : 0;
}

static int send_queued(void *arg)
{
	union sigval v = {0};

	return sigqueue(*(pid_t *)arg, SIGCONT, v) ? errno : 0;
}

static int send_thread(void *arg)
{
	pid_t pid = *(pid_t *)arg;

	return syscall(SYS_tgkill, pid, pid, SIGCONT) ? errno : 0;
}

static int send_pidfd(void *arg)
{
	int fd = (int)syscall(SYS_pidfd_open, *(pid_t *)arg, 0);

	if (fd < 0)
		return 253;
	return syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0) ? errno : 0;
}

static int trace(void *arg)
{
	pid_t pid = *(pid_t *)arg;

	if (ptrace(PTRACE_SEIZE, pid, 0, 0))
		return errno;
	return 0;
}

static int read_memory(void *arg)
{
	char c;
	struct iovec to = {&c, 1}, from = {&errno, 1};

	return process_vm_readv(*(pid_t *)arg, &to, 1, &from, 1, 0) == 1 ? 0 : errno;
}

static int get_fd(void *arg)
{
	int fd = (int)syscall(SYS_pidfd_open, *(pid_t *)arg, 0);

	return syscall(SYS_pidfd_getfd, fd, 0, 0) < 0 ? errno : 0;
}

static const struct attempt {
	const char *name;
	int (*fn)(void *);
	uint32_t kind;
} attempts[] = {
	{"kill", send_signal, ULSP_REACH_SIGNAL},
	{"sigqueue", send_queued, ULSP_REACH_SIGNAL},
	{"tgkill", send_thread, ULSP_REACH_SIGNAL},
	{"pidfd_send_signal", send_pidfd, ULSP_REACH_SIGNAL},
	{"ptrace", trace, ULSP_REACH_PTRACE},
	{"process_vm_readv", read_memory, ULSP_REACH_PTRACE},
	{"pidfd_getfd", get_fd, ULSP_REACH_PTRACE},
};

static void who_reaches_whom(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];
		pid_t member = lsm_start(GROUP_A, stay, NULL),
		      other = lsm_start(NOBODY, stay, NULL);
		uint64_t denied = lsm_denied(GROUP_A, a->kind);

		print_message("# %s\n", a->name);
		lsm_expect(NOBODY, a->fn, &other, 0);
		lsm_expect(GROUP_A, a->fn, &member, 0);
		assert_int_equal(lsm_denied(GROUP_A, a->kind), denied);
		lsm_expect(NOBODY, a->fn, &member, EPERM);
		lsm_expect(GROUP_B, a->fn, &member, EPERM);
		lsm_expect(GROUP_A, a->fn, &other, EPERM);
		assert_true(lsm_denied(GROUP_A, a->kind) >= denied + 2);
		lsm_kill(member);
		lsm_kill(other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_reaches_whom),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
