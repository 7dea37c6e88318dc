/* SPDX-License-Identifier: GPL-2.0-only */
/* What a member of an isolated group can do as before, uncounted. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_attempts.h"
#include "lsm_fixture.h"
#include "lsm_uring.h"

static int up(void **state)
{
	int r = lsm_up(state);

	if (r)
		return r;
	lsm_confine(GROUP_A, 1u << ULSP_REACH_ESCAPE | 1u << ULSP_REACH_GUARD, 0, 0);
	mkdir("/tmp/member-cgroups", 0755);
	return mount("none", "/tmp/member-cgroups", "cgroup2", 0, NULL);
}

static int run_shell(void *arg)
{
	(void)arg;
	execl("/bin/bash", "bash", "-ec",
	      "for i in 1 2 3; do echo $i; done | cat >/tmp/member; read -r x </tmp/member;"
	      " [ $x = 1 ]; echo 20 >/proc/self/oom_score_adj; (ls /proc/self; id; cat "
	      "/proc/self/status) >/dev/null; sleep 0 & wait;"
	      " mkdir /tmp/member.d; echo >/tmp/member.d/x; mv /tmp/member.d/x /tmp/member.y;"
	      " rmdir /tmp/member.d; rm /tmp/member.y; cat <(echo y) >/dev/null",
	      (char *)NULL);
	return 253;
}

static int write_own(void *arg)
{
	char path[64];

	(void)arg;
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", (int)gettid());
	return lsm_write_file("/proc/self/oom_score_adj", "10") ?: lsm_write_file("/proc/thread-self/comm",
									  "x") ?: lsm_write_file(path,
											     "y");
}

static void *thread_writes(void *arg)
{
	return (void *)(long)lsm_write_file(arg, "z");
}

static int write_own_from_thread(void *arg)
{
	char path[64];
	pthread_t thread;
	void *r;

	(void)arg;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)getpid());
	if (pthread_create(&thread, NULL, thread_writes, path) || pthread_join(thread, &r))
		return 253;
	return (int)(long)r;
}

static int filter(void *arg)
{
	struct sock_filter allow = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
	struct sock_fprog prog = {1, &allow};

	(void)arg;
	return lsm_error(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static int read_cgroup(void *arg)
{
	char c;

	(void)arg;
	return lsm_error(read(open("/tmp/member-cgroups/cgroup.procs", O_RDONLY), &c, 1));
}

static int unshare_files(void *arg)
{
	(void)arg;
	return lsm_error(unshare(CLONE_FILES | CLONE_FS));
}

static int drop_root(void *arg)
{
	(void)arg;
	return lsm_error(setresuid(65534, 65534, 65534));
}

static int open_by_ring(void *arg)
{
	(void)arg;
	return -uring_open("/tmp/member", O_WRONLY | O_CREAT, IORING_SETUP_SQPOLL, 0)
		       ?: -uring_open("/tmp/member", O_WRONLY | O_CREAT, 0, IOSQE_ASYNC);
}

static int score_fellow(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", *(pid_t *)arg);
	return lsm_write_file(path, "0");
}

static int stay(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

static void members_work(void **state)
{
	int (*const fns[])(void *) = {run_shell, write_own,   write_own_from_thread,
				      filter,	 read_cgroup, unshare_files,
				      drop_root, open_by_ring};
	uint64_t before = lsm_denied(GROUP_A, ULSP_REACH_ESCAPE);
	pid_t fellow;

	(void)state;
	for (size_t i = 0; i < sizeof(fns) / sizeof(fns[0]); i++) {
		int r = lsm_as(GROUP_A, fns[i], NULL);

		if (r)
			print_message("# %zu: %d\n", i, r);
		assert_int_equal(r, 0);
	}
	fellow = lsm_start(GROUP_A, stay, NULL);
	lsm_expect(GROUP_A, score_fellow, &fellow, 0);
	lsm_kill(fellow);
	assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_ESCAPE), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_work),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
