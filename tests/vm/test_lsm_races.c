/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nobody slips through: while processes fork, make threads and execute, their
 * cgroup becomes a group's or they are moved to a group's.  Afterwards each of
 * them tries to signal the test, which is nobody's.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_attempts.h"
#include "lsm_fixture.h"
#include "lsm_storm.h"
#include "ulsp_lsm.skel.h"

enum { ROUNDS = 12, STORMS = 4, MOST_WAITING = 200 };

/* ---- storms: each function runs until storm->check, then all it made try ---- */

/* A chain of processes; some stay where the chain has left them. */
static void fork_storm(void)
{
	for (unsigned n = 0; !storm->check; n++) {
		pid_t pid = fork();

		if (pid < 0) {
			storm_nap();
			continue;
		}
		atomic_fetch_add(&storm->made, pid == 0);
		if (!pid)
			continue;
		if (n % 4 || atomic_fetch_add(&storm->waiting, 1) >= MOST_WAITING)
			_exit(0);
		while (!storm->check)
			storm_nap();
	}
	storm_attempt();
	_exit(0);
}

static atomic_int staying; /* threads of this process that have not tried yet */

static void *wait_and_try(void *arg)
{
	storm_wait_and_attempt();
	atomic_fetch_sub(&staying, 1);
	return arg;
}

static void *leave(void *arg)
{
	return arg;
}

static void *make_threads(void *arg)
{
	pthread_t thread;
	pthread_attr_t small;

	(void)arg;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 1 << 16);
	for (unsigned n = 0; !storm->check; n++) {
		bool stays = n % 8 == 0 && atomic_fetch_add(&storm->waiting, 1) < MOST_WAITING;

		atomic_fetch_add(&staying, stays);
		if (pthread_create(&thread, &small, stays ? wait_and_try : leave, NULL)) {
			atomic_fetch_sub(&staying, stays);
			storm_nap();
			continue;
		}
		atomic_fetch_add(&storm->made, 1);
		if (!stays)
			pthread_join(thread, NULL);
	}
	storm_attempt();
	return NULL;
}

static void thread_storm(void)
{
	pthread_t threads[2];

	for (size_t n = 0; n < 2; n++)
		if (pthread_create(&threads[n], NULL, make_threads, NULL))
			_exit(1);
	for (size_t n = 0; n < 2; n++)
		pthread_join(threads[n], NULL);
	while (staying)
		storm_nap();
	storm_attempt();
	_exit(0);
}

static void *execute(void *arg)
{
	char fd[16];

	(void)arg;
	snprintf(fd, sizeof(fd), "%d", storm_fd);
	execl("/proc/self/exe", "exec-storm", fd, (char *)NULL);
	_exit(1);
}

static void exec_storm(void)
{
	pthread_t thread;

	atomic_fetch_add(&storm->made, 1);
	if (storm->check) {
		storm_attempt();
		_exit(0);
	}
	if (pthread_create(&thread, NULL, execute, NULL))
		_exit(1);
	for (;;)
		pause();
}

/* Processes that the programs could not tag, for want of memory or of a lock (7.2). */
static uint64_t untagged(int slot)
{
	int ncpus = libbpf_num_possible_cpus();
	struct ulsp_group_count *counts = calloc((size_t)ncpus, sizeof(*counts));
	uint32_t key = (uint32_t)slot;
	uint64_t sum = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lsm->maps.gcount), &key, counts), 0);
	for (int n = 0; n < ncpus; n++)
		sum += counts[n].reasons[ULSP_REASON_UNTAGGED];
	free(counts);
	return sum;
}

/* ---- what happens to them ---- */

static void are_moved(void)
{
	storm_move_all(START, MEMBERS);
}

static void are_reloaded(void)
{
	for (int n = 0; n < 20; n++) {
		storm_cgroup_of(START, GROUP_A);
		storm_tag_running(NOBODY);
		storm_cgroup_of(START, NOBODY);
		storm_tag_running(GROUP_A);
	}
	storm_become_members();
}

static void are_moved_about(void)
{
	storm_move_all(START, OTHERS);
	storm_move_all(OTHERS, START);
	storm_move_all(START, MEMBERS);
}

static void run(const char *name, void (*fn)(void), void (*happens)(void), int rounds)
{
	int tried = 0, made = 0;

	for (int round = 0; round < rounds; round++) {
		storm_begin();
		for (int n = 0; n < STORMS; n++)
			storm_start(fn);
		/* each round at another moment of theirs */
		usleep((useconds_t)(30000 + round * 3700));
		assert_int_equal(storm->denied + storm->passed, 0);
		happens();
		storm_catch_up();
		storm_end();
		if (storm->passed || storm->other || storm->denied < STORMS)
			print_message("# %s, round %d: %d denied, %d passed, %d failed otherwise; "
				      "%d could not be tagged, %u not stored\n",
				      name, round, storm->denied, storm->passed, storm->other,
				      (int)untagged(GROUP_A), lsm->bss->untaggable);
		assert_int_equal(storm->passed + storm->other, 0);
		assert_true(storm->denied >= STORMS);
		tried += storm->denied;
		made += storm->made;
	}
	print_message("# %s: %d made, %d denied\n", name, made, tried);
}

static void forks_while_policy_loads(void **state)
{
	(void)state;
	run("forks, load", fork_storm, storm_become_members, ROUNDS);
}

static void forks_while_moved(void **state)
{
	(void)state;
	run("forks, moves", fork_storm, are_moved, ROUNDS);
}

static void forks_while_reloaded(void **state)
{
	(void)state;
	run("forks, reloads", fork_storm, are_reloaded, 2);
}

static void threads_while_policy_loads(void **state)
{
	(void)state;
	run("threads, load", thread_storm, storm_become_members, ROUNDS);
}

static void threads_while_moved(void **state)
{
	(void)state;
	run("threads, moves", thread_storm, are_moved, ROUNDS);
}

static void threads_while_moved_about(void **state)
{
	(void)state;
	run("threads, moved about", thread_storm, are_moved_about, ROUNDS);
}

static void execs_while_policy_loads(void **state)
{
	(void)state;
	run("execs, load", exec_storm, storm_become_members, ROUNDS);
}

static void execs_while_moved(void **state)
{
	(void)state;
	run("execs, moves", exec_storm, are_moved, ROUNDS);
}

static void execs_while_reloaded(void **state)
{
	(void)state;
	run("execs, reloads", exec_storm, are_reloaded, 2);
}

/* ---- threads ---- */

static struct {
	int go[2], done[2];
	pid_t fellow, former;
} two;

static void *reach_both(void *arg)
{
	int r[2];
	char c;

	(void)arg;
	if (read(two.go[0], &c, 1) != 1)
		_exit(1);
	r[0] = lsm_error(kill(two.fellow, 0));
	r[1] = lsm_error(kill(two.former, 0));
	if (write(two.done[1], r, sizeof(r)) != sizeof(r))
		_exit(1);
	return NULL;
}

/* In MEMBERS or OTHERS, until it is killed. */
static pid_t in(const char *cgroup, bool with_thread)
{
	pid_t pid = fork();
	pthread_t thread;

	assert_true(pid >= 0);
	if (!pid) {
		alarm(60);
		while (!storm->check)
			storm_nap();
		if (with_thread)
			pthread_create(&thread, NULL, reach_both, NULL);
		atomic_fetch_add(&storm->made, 1);
		for (;;)
			pause();
	}
	storm_move(pid, cgroup);
	return pid;
}

/* A thread made in one group is in the other when its process was moved there. */
static void threads_have_their_process_groups(void **state)
{
	pid_t pid;
	int r[2];

	(void)state;
	storm_begin();
	assert_int_equal(pipe(two.go) || pipe(two.done), 0);
	two.fellow = in(MEMBERS, false);
	two.former = in(OTHERS, false);
	pid = in(OTHERS, true);
	storm->check = 1;
	while (storm->made < 3)
		storm_nap();
	storm_move(pid, MEMBERS);
	assert_int_equal(write(two.go[1], "x", 1), 1);
	assert_int_equal(read(two.done[0], r, sizeof(r)), sizeof(r));
	lsm_kill(pid);
	lsm_kill(two.fellow);
	lsm_kill(two.former);
	assert_int_equal(r[0], 0);
	assert_int_equal(r[1], EPERM);
}

/* cgroup v1 has ids of its own, and a move there takes nothing away. */
static void other_hierarchies_dont_matter(void **state)
{
	const char *v1 = "/tmp/race-v1";
	pid_t pid;

	(void)state;
	mkdir(v1, 0755);
	if (mount("none", v1, "cgroup", 0, "none,name=race")) {
		print_message("# no cgroup v1 here\n");
		skip();
	}
	mkdir("/tmp/race-v1/x", 0755);
	storm_begin();
	pid = fork();
	if (!pid) {
		storm_wait_and_attempt();
		_exit(0);
	}
	storm_move(pid, MEMBERS);
	storm_move(pid, "/tmp/race-v1/x");
	storm->check = 1;
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	rmdir("/tmp/race-v1/x");
	umount(v1);
	assert_int_equal(storm->denied, 1);
}

/* ---- when a process can't be tagged ---- */

static int reach_target(void *arg)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), r, by_child;
	int tags = bpf_map__fd(lsm->maps.task_tags);
	struct ulsp_task_tag tag = {};
	pid_t pid;

	(void)arg;
	/* The test's own map: no isolation of bpf(2) here. */
	bpf_map_lookup_elem(tags, &fd, &tag);
	bpf_map_delete_elem(tags, &fd);
	r = lsm_error(kill(storm->target, 0));
	pid = fork();
	if (!pid)
		_exit(lsm_error(kill(storm->target, 0)));
	by_child = pid < 0 ? 252 : lsm_end(pid);
	if (tag.all && bpf_map_update_elem(tags, &fd, &tag, BPF_ANY))
		return 253;
	return r == by_child ? r : 251;
}

static void without_storage_the_number_tells(void **state)
{
	(void)state;
	storm_begin();
	lsm->bss->untaggable = 0;
	lsm_expect(GROUP_A, reach_target, NULL, 0);
	lsm->bss->untaggable = 1;
	lsm_expect(GROUP_A, reach_target, NULL, EPERM);
	lsm_expect(NOBODY, reach_target, NULL, 0);
	lsm->bss->untaggable = 0;
}

static int move_and_execute(void *arg)
{
	const uint64_t *tag = arg;
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), r;
	struct ulsp_task_tag mine = {.all = *tag, .exec = *tag};

	r = lsm_write_file(MEMBERS "/cgroup.procs", "0");
	if (r || fd < 0 || bpf_map_update_elem(bpf_map__fd(lsm->maps.task_tags), &fd, &mine, 0))
		return 253;
	execl("/proc/self/exe", "exit", (char *)NULL);
	return errno;
}

/* A move can't be refused; that it made no member is counted, and no program runs after it. */
static void a_fifth_group_is_refused(void **state)
{
	uint64_t three = 0x000500040003, four = 0x0006000500040003, before = untagged(GROUP_A);

	(void)state;
	lsm_expect(NOBODY, move_and_execute, &three, 0);
	assert_int_equal(untagged(GROUP_A), before);
	lsm_expect(NOBODY, move_and_execute, &four, EPERM);
	assert_true(untagged(GROUP_A) > before);
}

static void a_fifth_group_by_a_move_is_counted(void **state)
{
	uint64_t before = untagged(GROUP_A);
	struct ulsp_task_tag four = {.all = 0x0006000500040003, .exec = 0x0006000500040003};
	pid_t pid;
	int fd;

	(void)state;
	storm_begin();
	pid = in(START, false);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lsm->maps.task_tags), &fd, &four, 0), 0);
	close(fd);
	storm_move(pid, MEMBERS);
	lsm_kill(pid);
	assert_int_equal(untagged(GROUP_A), before + 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_have_their_process_groups),
		cmocka_unit_test(other_hierarchies_dont_matter),
		cmocka_unit_test(without_storage_the_number_tells),
		cmocka_unit_test(a_fifth_group_is_refused),
		cmocka_unit_test(a_fifth_group_by_a_move_is_counted),
		cmocka_unit_test(forks_while_policy_loads),
		cmocka_unit_test(forks_while_moved),
		cmocka_unit_test(forks_while_reloaded),
		cmocka_unit_test(threads_while_policy_loads),
		cmocka_unit_test(threads_while_moved),
		cmocka_unit_test(threads_while_moved_about),
		cmocka_unit_test(execs_while_policy_loads),
		cmocka_unit_test(execs_while_moved),
		cmocka_unit_test(execs_while_reloaded),
	};

	if (argc == 2 && !strcmp(argv[0], "exec-storm")) {
		storm_fd = atoi(argv[1]);
		storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED, storm_fd, 0);
		exec_storm();
	}
	if (argc == 1 && !strcmp(argv[0], "exit"))
		return 0;
	return cmocka_run_group_tests(tests, storm_up, lsm_down);
}
