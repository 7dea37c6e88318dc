/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nobody slips through: while processes fork, make threads and execute, their
 * cgroup becomes a group's or they are moved to a group's.  Afterwards each of
 * them tries to signal the test, which is nobody's.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_attempts.h"
#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

#define CGROUPS "/tmp/race-cgroups"
#define START	CGROUPS "/start" /* nobody's, unless a test makes it a group's */
#define MEMBERS CGROUPS "/a"	 /* GROUP_A's */
#define OTHERS	CGROUPS "/b"	 /* GROUP_B's */

enum { ROUNDS = 12, STORMS = 4, MOST_WAITING = 200, PID_MAX = 1500, ENOUGH_SECONDS = 40 };

/* Shared with all processes of a storm, across execve(2) too. */
struct storm {
	pid_t target;
	atomic_int check; /* the storm ends: try, and say how it ended */
	atomic_int waiting;
	atomic_int denied, passed, other;
	atomic_int made; /* forks, threads, executions */
};
static struct storm *storm;
static int storm_fd;

static void nap(void)
{
	usleep(2000);
}

static void attempt(void)
{
	int r = lsm_error(kill(storm->target, 0));

	atomic_fetch_add(r == EPERM ? &storm->denied : r ? &storm->other : &storm->passed, 1);
}

/* ---- storms: each function runs until storm->check, then all it made try ---- */

/* A chain of processes; some stay where the chain has left them. */
static void fork_storm(void)
{
	for (unsigned n = 0; !storm->check; n++) {
		pid_t pid = fork();

		if (pid < 0) {
			nap();
			continue;
		}
		atomic_fetch_add(&storm->made, pid == 0);
		if (!pid)
			continue;
		if (n % 4 || atomic_fetch_add(&storm->waiting, 1) >= MOST_WAITING)
			_exit(0);
		while (!storm->check)
			nap();
	}
	attempt();
	_exit(0);
}

static atomic_int staying; /* threads of this process that have not tried yet */

static void *wait_and_try(void *arg)
{
	(void)arg;
	while (!storm->check)
		nap();
	attempt();
	atomic_fetch_sub(&staying, 1);
	return NULL;
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
			nap();
			continue;
		}
		atomic_fetch_add(&storm->made, 1);
		if (!stays)
			pthread_join(thread, NULL);
	}
	attempt();
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
		nap();
	attempt();
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
		attempt();
		_exit(0);
	}
	if (pthread_create(&thread, NULL, execute, NULL))
		_exit(1);
	for (;;)
		pause();
}

/* ---- what happens to them ---- */

static uint64_t cgroup_id(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void cgroup_of(const char *path, int slot)
{
	uint64_t id = cgroup_id(path), tag = (uint64_t)(slot + 1);
	int map = bpf_map__fd(lsm->maps.cgroup_tags);

	if (slot == NOBODY)
		bpf_map_delete_elem(map, &id);
	else
		assert_int_equal(bpf_map_update_elem(map, &id, &tag, BPF_ANY), 0);
}

/* As the loader does; `left`: a slot that lost a cgroup, or NOBODY. */
static void tag_running(int left)
{
	uint32_t zero = 0, slot = (uint32_t)(left + 1);
	char sink[64];
	int fd;

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(lsm->maps.tagger_knobs), &zero, &slot, BPF_ANY), 0);
	fd = bpf_iter_create(bpf_link__fd(lsm->links.tag_tasks));
	assert_true(fd >= 0);
	while (read(fd, sink, sizeof(sink)) > 0)
		;
	close(fd);
}

static void move(pid_t pid, const char *cgroup)
{
	char path[128], text[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", pid);
	lsm_write_file(path, text); /* it may be gone */
}

/* Those of one cgroup to another, until it is empty. */
static void move_all(const char *from, const char *to)
{
	char path[128];
	int left, pid, tries = 0;

	snprintf(path, sizeof(path), "%s/cgroup.procs", from);
	do {
		FILE *f = fopen(path, "re");

		assert_non_null(f);
		for (left = 0; fscanf(f, "%d", &pid) == 1; left++)
			move(pid, to);
		fclose(f);
	} while (left && ++tries < 1000);
	assert_int_equal(left, 0);
}

static void become_members(void)
{
	cgroup_of(START, GROUP_A);
	tag_running(NOBODY);
}

static void are_moved(void)
{
	move_all(START, MEMBERS);
}

static void are_reloaded(void)
{
	for (int n = 0; n < 20; n++) {
		cgroup_of(START, GROUP_A);
		tag_running(NOBODY);
		cgroup_of(START, NOBODY);
		tag_running(GROUP_A);
	}
	become_members();
}

static void are_moved_about(void)
{
	move_all(START, OTHERS);
	move_all(OTHERS, START);
	move_all(START, MEMBERS);
}

static void start(void (*fn)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return;
	alarm(60);
	if (lsm_write_file(START "/cgroup.procs", "0"))
		_exit(1);
	fn();
}

static void run(const char *name, void (*fn)(void), void (*happens)(void), int rounds)
{
	int tried = 0, made = 0;

	for (int round = 0; round < rounds; round++) {
		memset(storm, 0, sizeof(*storm));
		storm->target = getpid();
		cgroup_of(START, NOBODY);
		for (int n = 0; n < STORMS; n++)
			start(fn);
		/* each round at another moment of theirs */
		usleep((useconds_t)(30000 + round * 3700));
		assert_int_equal(storm->denied + storm->passed, 0);
		happens();
		storm->check = 1;
		while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
			;
		if (storm->passed || storm->other || storm->denied < STORMS)
			print_message("# %s, round %d: %d denied, %d passed, %d failed otherwise\n",
				      name, round, storm->denied, storm->passed, storm->other);
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
	run("forks, load", fork_storm, become_members, ROUNDS);
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
	run("threads, load", thread_storm, become_members, ROUNDS);
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
	run("execs, load", exec_storm, become_members, ROUNDS);
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
			nap();
		if (with_thread)
			pthread_create(&thread, NULL, reach_both, NULL);
		atomic_fetch_add(&storm->made, 1);
		for (;;)
			pause();
	}
	move(pid, cgroup);
	return pid;
}

/* A thread made in one group is in the other when its process was moved there. */
static void threads_have_their_process_groups(void **state)
{
	pid_t pid;
	int r[2];

	(void)state;
	memset(storm, 0, sizeof(*storm));
	assert_int_equal(pipe(two.go) || pipe(two.done), 0);
	two.fellow = in(MEMBERS, false);
	two.former = in(OTHERS, false);
	pid = in(OTHERS, true);
	storm->check = 1;
	while (storm->made < 3)
		nap();
	move(pid, MEMBERS);
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
	memset(storm, 0, sizeof(*storm));
	storm->target = getpid();
	pid = fork();
	if (!pid) {
		wait_and_try(NULL);
		_exit(0);
	}
	move(pid, MEMBERS);
	move(pid, "/tmp/race-v1/x");
	storm->check = 1;
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	rmdir("/tmp/race-v1/x");
	umount(v1);
	assert_int_equal(storm->denied, 1);
}

/* ---- nothing is left of the dead ---- */

static int keys(const struct bpf_map *map)
{
	uint64_t key = 0, next = 0; /* the larger of the two kinds */
	int n = 0, r;

	for (r = bpf_map_get_next_key(bpf_map__fd(map), NULL, &next); !r;
	     r = bpf_map_get_next_key(bpf_map__fd(map), &key, &next)) {
		key = next;
		n++;
	}
	return n;
}

static pid_t brief(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	return pid;
}

static pid_t brief_with_object(void)
{
	pid_t pid = fork();
	int id;

	if (pid)
		return pid;
	id = shmget(IPC_PRIVATE, 4096, 0600);
	shmctl(id, IPC_RMID, NULL);
	_exit(id < 0);
}

static int short_lives(void *arg)
{
	time_t end = time(NULL) + ENOUGH_SECONDS;

	(void)arg;
	alarm(ENOUGH_SECONDS + 60);
	for (unsigned n = 0; n < 50000 && time(NULL) < end; n++) {
		pid_t pid = n % 8 ? brief() : brief_with_object();

		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 1;
		atomic_fetch_add(&storm->made, 1);
	}
	return 0;
}

static void nothing_is_left(void **state)
{
	siginfo_t ended;
	pid_t pids[2];

	(void)state;
	memset(storm, 0, sizeof(*storm));
	assert_int_equal(keys(lsm->maps.tgid_tags), 0);
	for (int n = 0; n < 2; n++)
		pids[n] = lsm_start(GROUP_A, short_lives, NULL);
	do {
		tag_running(NOBODY); /* must not tag the dead */
		usleep(50000);
		ended.si_pid = 0;
		waitid(P_PID, (id_t)pids[0], &ended, WEXITED | WNOWAIT | WNOHANG);
	} while (!ended.si_pid);
	for (int n = 0; n < 2; n++)
		assert_int_equal(lsm_end(pids[n]), 0);
	print_message("# %d lived and died\n", storm->made);
	assert_int_equal(keys(lsm->maps.tgid_tags), 0);
	assert_int_equal(keys(lsm->maps.object_tags), 0);
}

static int up(void **state)
{
	char text[16];
	int r = lsm_up(state);

	if (r)
		return r;
	storm_fd = memfd_create("storm", 0);
	if (storm_fd < 0 || ftruncate(storm_fd, sizeof(*storm)))
		return -1;
	storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED, storm_fd, 0);
	if (storm == MAP_FAILED)
		return -1;
	/* Numbers go round: children have lower ones than their parents. */
	snprintf(text, sizeof(text), "%d", PID_MAX);
	if (lsm_write_file("/proc/sys/kernel/pid_max", text) || prctl(PR_SET_CHILD_SUBREAPER, 1))
		return -1;
	for (int slot = GROUP_A; slot <= GROUP_B; slot++) {
		lsm_confine((uint32_t)slot, 1u << ULSP_REACH_SIGNAL, 0, 0);
		lsm_mode((uint32_t)slot, ULSP_MODE_ENFORCE);
	}
	mkdir(CGROUPS, 0755);
	if (mount("none", CGROUPS, "cgroup2", 0, NULL))
		return -1;
	mkdir(START, 0755);
	mkdir(MEMBERS, 0755);
	mkdir(OTHERS, 0755);
	cgroup_of(MEMBERS, GROUP_A);
	cgroup_of(OTHERS, GROUP_B);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_have_their_process_groups),
		cmocka_unit_test(other_hierarchies_dont_matter),
		cmocka_unit_test(forks_while_policy_loads),
		cmocka_unit_test(forks_while_moved),
		cmocka_unit_test(forks_while_reloaded),
		cmocka_unit_test(threads_while_policy_loads),
		cmocka_unit_test(threads_while_moved),
		cmocka_unit_test(threads_while_moved_about),
		cmocka_unit_test(execs_while_policy_loads),
		cmocka_unit_test(execs_while_moved),
		cmocka_unit_test(execs_while_reloaded),
		cmocka_unit_test(nothing_is_left),
	};

	if (argc == 2 && !strcmp(argv[0], "exec-storm")) {
		storm_fd = atoi(argv[1]);
		storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED, storm_fd, 0);
		exec_storm();
	}
	return cmocka_run_group_tests(tests, up, lsm_down);
}
