/* SPDX-License-Identifier: GPL-2.0-only */
/* What tags keep apart of other processes: their files in /proc, their scheduling and limits. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include <cmocka.h>

#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

#define ISOLATED (1u << ULSP_REACH_SIGNAL | 1u << ULSP_REACH_PROC | 1u << ULSP_REACH_GUARD)

/* A process with two threads, told by itself in shared memory. */
struct target {
	pid_t pid;
	volatile pid_t tid;
};

static struct target *member, *other;

static void isolate(uint32_t peers_of_a, uint32_t peers_of_b)
{
	lsm_confine(GROUP_A, ISOLATED, peers_of_a, 0);
	lsm_confine(GROUP_B, ISOLATED, peers_of_b, 0);
}

static void *wait_there(void *arg)
{
	((struct target *)arg)->tid = (pid_t)syscall(SYS_gettid);
	pause();
	return NULL;
}

static int stay(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_there, arg))
		return 1;
	alarm(100);
	pause();
	return 0;
}

static struct target *start(int slot)
{
	struct target *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(t, MAP_FAILED);
	t->pid = lsm_start(slot, stay, t);
	for (int i = 0; i < 1000 && !t->tid; i++)
		usleep(10000);
	assert_int_not_equal(t->tid, 0);
	return t;
}

static int up(void **state)
{
	int r = lsm_up(state);

	if (r)
		return r;
	isolate(0, 0);
	member = start(GROUP_A);
	other = start(NOBODY);
	return 0;
}

static int down(void **state)
{
	lsm_kill(member->pid);
	lsm_kill(other->pid);
	return lsm_down(state);
}

/* ---- attempts: of a target, 0 or the error ---- */

static int open_path(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int open_below(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open_path(path);
}

static int open_task(const struct target *t, pid_t tid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", t->pid, tid, name);
	return open_path(path);
}

/* Of one target, `t`. */
#define OPENS(name, how)                                                                           \
	static int name(void *arg)                                                                 \
	{                                                                                          \
		const struct target *t = arg;                                                      \
                                                                                                   \
		return how;                                                                        \
	}

OPENS(open_dir, open_below(t->pid, ""))
OPENS(open_cmdline, open_below(t->pid, "cmdline"))
OPENS(open_environ, open_below(t->pid, "environ"))
OPENS(open_status, open_below(t->pid, "status"))
OPENS(open_stat, open_below(t->pid, "stat"))
OPENS(open_fds, open_below(t->pid, "fd"))
OPENS(open_mem, open_below(t->pid, "mem"))
OPENS(open_leader, open_task(t, t->pid, "comm"))
OPENS(open_thread, open_task(t, t->tid, "comm"))
OPENS(open_thread_dir, open_task(t, t->tid, ""))
OPENS(open_by_thread, open_below(t->tid, "status"))

static int set_priority(void *arg)
{
	const struct target *t = arg;

	return setpriority(PRIO_PROCESS, (id_t)t->pid, 1) ? errno : 0;
}

static int set_affinity(void *arg)
{
	const struct target *t = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return sched_setaffinity(t->pid, sizeof(set), &set) ? errno : 0;
}

static int set_scheduler(void *arg)
{
	const struct target *t = arg;
	struct sched_param p = {0};

	return sched_setscheduler(t->tid, SCHED_BATCH, &p) ? errno : 0;
}

static int set_io_priority(void *arg)
{
	const struct target *t = arg;

	/* IOPRIO_WHO_PROCESS; class best effort, level 5 */
	return syscall(SYS_ioprio_set, 1, t->pid, 2 << 13 | 5) ? errno : 0;
}

static int set_limit(void *arg)
{
	const struct target *t = arg;
	struct rlimit limit = {0, RLIM_INFINITY};

	return prlimit(t->pid, RLIMIT_CORE, &limit, NULL) ? errno : 0;
}

static const struct attempt {
	const char *name;
	int (*fn)(void *);
	uint32_t kind;
} attempts[] = {
	{"/proc/PID", open_dir, ULSP_REACH_PROC},
	{"cmdline", open_cmdline, ULSP_REACH_PROC},
	{"environ", open_environ, ULSP_REACH_PROC},
	{"status", open_status, ULSP_REACH_PROC},
	{"stat", open_stat, ULSP_REACH_PROC},
	{"fd/", open_fds, ULSP_REACH_PROC},
	{"mem", open_mem, ULSP_REACH_PROC},
	{"task/PID/comm", open_leader, ULSP_REACH_PROC},
	{"task/TID/comm", open_thread, ULSP_REACH_PROC},
	{"task/TID", open_thread_dir, ULSP_REACH_PROC},
	{"/proc/TID/status", open_by_thread, ULSP_REACH_PROC},
	{"setpriority", set_priority, ULSP_REACH_SIGNAL},
	{"sched_setaffinity", set_affinity, ULSP_REACH_SIGNAL},
	{"sched_setscheduler", set_scheduler, ULSP_REACH_SIGNAL},
	{"ioprio_set", set_io_priority, ULSP_REACH_SIGNAL},
	{"prlimit", set_limit, ULSP_REACH_SIGNAL},
};

#define FOR_EACH_ATTEMPT(a)                                                                        \
	for (const struct attempt *a = attempts;                                                   \
	     a < attempts + sizeof(attempts) / sizeof(attempts[0]); a++)

static void who_reaches_whom(void **state)
{
	(void)state;
	FOR_EACH_ATTEMPT(a)
	{
		uint64_t denied = lsm_denied(GROUP_A, a->kind);

		print_message("# %s\n", a->name);
		lsm_expect(NOBODY, a->fn, other, 0);
		lsm_expect(GROUP_A, a->fn, member, 0);
		assert_int_equal(lsm_denied(GROUP_A, a->kind), denied);
		lsm_expect(NOBODY, a->fn, member, EPERM);
		assert_int_equal(lsm_denied(GROUP_A, a->kind), denied + 1);
		lsm_expect(GROUP_B, a->fn, member, EPERM);
		lsm_expect(GROUP_A, a->fn, other, EPERM);
		assert_int_equal(lsm_denied(GROUP_A, a->kind), denied + 2);
	}
}

static void peers_are_mutual(void **state)
{
	(void)state;
	FOR_EACH_ATTEMPT(a)
	{
		isolate(1 << GROUP_B, 0);
		lsm_expect(GROUP_B, a->fn, member, EPERM);
		isolate(1 << GROUP_B, 1 << GROUP_A);
		lsm_expect(GROUP_B, a->fn, member, 0);
	}
	isolate(0, 0);
}

static void audit_lets_pass_and_counts(void **state)
{
	(void)state;
	lsm_mode(GROUP_A, ULSP_MODE_AUDIT);
	FOR_EACH_ATTEMPT(a)
	{
		uint64_t denied = lsm_denied(GROUP_A, a->kind);

		lsm_expect(NOBODY, a->fn, member, 0);
		assert_true(lsm_denied(GROUP_A, a->kind) > denied);
	}
	lsm_mode(GROUP_A, ULSP_MODE_ENFORCE);
}

static int look_at_own(void *arg)
{
	struct target *t = arg;
	pthread_t thread;
	int r;

	t->pid = (pid_t)syscall(SYS_getpid);
	t->tid = 0;
	if (pthread_create(&thread, NULL, wait_there, t))
		return 253;
	while (!t->tid)
		usleep(1000);
	FOR_EACH_ATTEMPT(a)
	{
		r = a->fn(t);
		if (r)
			return r;
	}
	return 0;
}

static int open_any(void *arg)
{
	return open_path(arg);
}

static void what_is_nobodys_stays(void **state)
{
	static const char *const fine[] = {"/proc/self/status",
					   "/proc/self/fd",
					   "/proc/meminfo",
					   "/proc/thread-self/comm",
					   "/proc/sys/kernel/osrelease",
					   "/proc",
					   "/proc/self/net/tcp",
					   "/dev/null"};
	struct target own;

	(void)state;
	lsm_expect(GROUP_A, look_at_own, &own, 0);
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		lsm_expect(GROUP_A, open_any, (void *)fine[i], 0);
	lsm_expect(NOBODY, open_any, (void *)"/proc/1/stat", 0);
	lsm_expect(GROUP_A, open_any, (void *)"/proc/1/stat", EPERM);
	lsm_expect(GROUP_A, open_any, (void *)"/proc/1/task/1/comm", EPERM);
}

/* Adds itself to the guarded processes through a descriptor it inherited. */
static int look_guarded(void *arg)
{
	uint32_t tgid = (uint32_t)syscall(SYS_getpid), one = 1;
	int r;

	if (bpf_map_update_elem(bpf_map__fd(lsm->maps.guarded), &tgid, &one, BPF_ANY))
		return 253;
	r = open_cmdline(arg);
	bpf_map_delete_elem(bpf_map__fd(lsm->maps.guarded), &tgid);
	return r;
}

static void guarded_processes(void **state)
{
	uint32_t tgid = (uint32_t)other->pid, one = 1;
	uint64_t denied = lsm_denied(GROUP_A, ULSP_REACH_GUARD);

	(void)state;
	lsm_expect(NOBODY, look_guarded, member, 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lsm->maps.guarded), &tgid, &one, BPF_ANY),
			 0);
	lsm_expect(GROUP_A, open_cmdline, other, EPERM);
	lsm_expect(GROUP_A, set_priority, other, EPERM);
	assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_GUARD), denied + 2);
	bpf_map_delete_elem(bpf_map__fd(lsm->maps.guarded), &tgid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_reaches_whom),
		cmocka_unit_test(peers_are_mutual),
		cmocka_unit_test(audit_lets_pass_and_counts),
		cmocka_unit_test(what_is_nobodys_stays),
		cmocka_unit_test(guarded_processes),
	};

	return cmocka_run_group_tests(tests, up, down);
}
