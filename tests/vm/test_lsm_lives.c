/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many lives in and around groups: nothing is left of the dead, and a fork bomb
 * of members is members to the last process.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_attempts.h"
#include "lsm_fixture.h"
#include "lsm_storm.h"
#include "storage.skel.h"
#include "ulsp_lsm.skel.h"

enum { LIVES = 100000, PARENTS = 4, BOMB = 200 };

static int into_members; /* MEMBERS, to clone into */

/* ---- what the maps hold ---- */

static uint32_t storages(void)
{
	struct storage *counter = storage__open();
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info), n;
	struct bpf_link *link;
	char sink[64];
	int fd;

	assert_non_null(counter);
	assert_int_equal(bpf_obj_get_info_by_fd(bpf_map__fd(lsm->maps.task_tags), &info, &size), 0);
	counter->rodata->map_id = info.id;
	assert_int_equal(storage__load(counter), 0);
	link = bpf_program__attach_iter(counter->progs.count_storages, NULL);
	assert_non_null(link);
	fd = bpf_iter_create(bpf_link__fd(link));
	assert_true(fd >= 0);
	while (read(fd, sink, sizeof(sink)) > 0)
		;
	close(fd);
	bpf_link__destroy(link);
	assert_true(counter->bss->found);
	n = counter->bss->storages;
	storage__destroy(counter);
	return n;
}

/* A dead process's storage and its objects' tags go after an RCU grace period. */
static void settle(void)
{
	for (int i = 0; i < 300 && (storages() || lsm_count(lsm->maps.object_tags)); i++)
		usleep(100000);
	assert_int_equal(storages(), 0);
	assert_int_equal(lsm_count(lsm->maps.object_tags), 0);
}

/* What the kernel says that a map occupies. */
static long map_bytes(const struct bpf_map *map)
{
	char path[64], line[128];
	long bytes = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "memlock: %ld", &bytes);
	fclose(f);
	assert_true(bytes >= 0);
	return bytes;
}

static long all_bytes(void)
{
	struct bpf_map *map;
	long sum = 0;

	bpf_object__for_each_map(map, lsm->obj) sum += map_bytes(map);
	return sum;
}

static int stay(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

/* The control: what lives is counted. */
static void the_living_are_counted(void **state)
{
	pid_t pids[3];

	(void)state;
	settle();
	assert_int_equal(lsm_count(lsm->maps.tgid_tags), 0);
	for (int n = 0; n < 3; n++)
		pids[n] = lsm_start(GROUP_A, stay, NULL);
	assert_int_equal(storages(), 3);
	assert_int_equal(lsm_count(lsm->maps.tgid_tags), 3);
	for (int n = 0; n < 3; n++)
		lsm_kill(pids[n]);
	assert_int_equal(lsm_count(lsm->maps.tgid_tags), 0);
}

/* ---- lives ---- */

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

/* By somebody outside. */
static pid_t brief_in_members(void)
{
	struct clone_args args = {.flags = CLONE_INTO_CGROUP,
				  .exit_signal = SIGCHLD,
				  .cgroup = (uint64_t)into_members};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (!pid)
		_exit(0);
	return pid;
}

static int live_briefly(pid_t (*rare)(void))
{
	for (int n = 0; n < LIVES / PARENTS; n++) {
		pid_t pid = n % 32 ? brief() : rare();
		int status;

		alarm(60);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			return 1;
		atomic_fetch_add(&storm->made, 1);
	}
	return 0;
}

static int as_member(void *arg)
{
	(void)arg;
	return live_briefly(brief_with_object);
}

static int as_nobody(void *arg)
{
	(void)arg;
	return live_briefly(brief_in_members);
}

static void nothing_is_left(void **state)
{
	pid_t pids[PARENTS];
	siginfo_t ended;
	long bytes;

	(void)state;
	storm_begin();
	settle();
	bytes = all_bytes();
	pids[0] = lsm_start(GROUP_A, as_member, NULL);
	pids[1] = lsm_start(GROUP_A, as_member, NULL);
	pids[2] = lsm_start(GROUP_B, as_member, NULL);
	pids[3] = lsm_start(NOBODY, as_nobody, NULL);
	for (int n = 0; n < PARENTS; n++) {
		do {
			storm_tag_running(NOBODY); /* must not tag the dead */
			usleep(50000);
			ended.si_pid = 0;
			waitid(P_PID, (id_t)pids[n], &ended, WEXITED | WNOWAIT | WNOHANG);
		} while (!ended.si_pid);
		assert_int_equal(lsm_end(pids[n]), 0);
	}
	print_message("# %d lived and died\n", storm->made);
	assert_int_equal(storm->made, LIVES);
	assert_int_equal(lsm_count(lsm->maps.tgid_tags), 0);
	settle();
	assert_int_equal(all_bytes(), bytes);
}

/* ---- a fork bomb ---- */

static void bomb(void)
{
	while (!storm->check)
		if (fork() < 0)
			usleep(50000);
	storm_attempt();
	_exit(0);
}

static bool is_full(void)
{
	char text[64] = "";
	int fd = open(START "/pids.events", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	return n > 0 && strncmp(text, "max 0", 5) && storm_count(START) == BOMB;
}

static void explode(void (*meanwhile)(void))
{
	storm_begin();
	if (!meanwhile)
		storm_become_members();
	storm_start(bomb);
	if (meanwhile) {
		while (storm_count(START) < BOMB / 4)
			storm_nap();
		meanwhile();
	}
	for (int i = 0; i < 600 && !is_full(); i++)
		usleep(50000);
	assert_true(is_full());
	assert_int_equal(lsm_count(lsm->maps.tgid_tags), BOMB);
	storm_end();
	print_message("# %d denied, %d passed, %d otherwise\n", storm->denied, storm->passed,
		      storm->other);
	/* Who ends makes room for another, before that sees that it is over. */
	assert_true(storm->denied >= BOMB);
	assert_int_equal(storm->passed + storm->other, 0);
	assert_int_equal(lsm_count(lsm->maps.tgid_tags), 0);
}

static void a_bomb_of_members(void **state)
{
	(void)state;
	explode(NULL);
}

static void a_bomb_that_becomes_members(void **state)
{
	(void)state;
	for (int n = 0; n < 3; n++)
		explode(storm_become_members);
}

static int up(void **state)
{
	char most[16];

	snprintf(most, sizeof(most), "%d", BOMB);
	if (storm_up(state) || lsm_write_file("../cgroup.subtree_control", "+pids") ||
	    lsm_write_file("cgroup.subtree_control", "+pids") ||
	    lsm_write_file(START "/pids.max", most))
		return -1;
	into_members = open(MEMBERS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return into_members < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_living_are_counted),
		cmocka_unit_test(a_bomb_of_members),
		cmocka_unit_test(a_bomb_that_becomes_members),
		cmocka_unit_test(nothing_is_left),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
