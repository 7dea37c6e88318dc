/* SPDX-License-Identifier: GPL-2.0-only */
#include "lsm_storm.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_attempts.h"
#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

#define CGROUPS "/tmp/storm-cgroups"

enum { PID_MAX = 1500 };

struct storm *storm;
int storm_fd;

int storm_up(void **state)
{
	char text[32];
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
	if (mount("none", CGROUPS, "cgroup2", 0, NULL) && errno != EBUSY)
		return -1;
	snprintf(text, sizeof(text), "storm.%d", getpid());
	if (chdir(CGROUPS) || mkdir(text, 0755) || chdir(text))
		return -1;
	mkdir(START, 0755);
	mkdir(MEMBERS, 0755);
	mkdir(OTHERS, 0755);
	storm_cgroup_of(MEMBERS, GROUP_A);
	storm_cgroup_of(OTHERS, GROUP_B);
	return 0;
}

/* ---- its processes ---- */

void storm_begin(void)
{
	memset(storm, 0, sizeof(*storm));
	storm->target = getpid();
	storm_cgroup_of(START, NOBODY);
}

void storm_start(void (*fn)(void))
{
	int before = storm->started;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid) {
		for (int n = 0; storm->started == before && n < 5000; n++)
			storm_nap();
		assert_int_equal(storm->started, before + 1);
		return;
	}
	alarm(60);
	if (lsm_write_file(START "/cgroup.procs", "0"))
		_exit(1);
	atomic_fetch_add(&storm->started, 1);
	fn();
}

void storm_end(void)
{
	storm->check = 1;
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

void storm_nap(void)
{
	usleep(2000);
}

void storm_attempt(void)
{
	int r = lsm_error(kill(storm->target, 0));

	atomic_fetch_add(r == EPERM ? &storm->denied : r ? &storm->other : &storm->passed, 1);
}

void storm_wait_and_attempt(void)
{
	while (!storm->check)
		storm_nap();
	storm_attempt();
}

/* ---- their groups ---- */

void storm_cgroup_of(const char *path, int slot)
{
	int map = bpf_map__fd(lsm->maps.cgroup_tags);
	uint64_t id, tag = (uint64_t)(slot + 1);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	id = st.st_ino;
	if (slot == NOBODY)
		bpf_map_delete_elem(map, &id);
	else
		assert_int_equal(bpf_map_update_elem(map, &id, &tag, BPF_ANY), 0);
}

void storm_tag_running(int left)
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

static uint64_t missed(void)
{
	const struct bpf_program *const tracers[] = {lsm->progs.tag_fork, lsm->progs.tag_exit,
						     lsm->progs.tag_move, lsm->progs.tag_exec};
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(tracers) / sizeof(*tracers); i++) {
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(tracers[i]), &info, &size),
				 0);
		sum += info.recursion_misses;
	}
	return sum;
}

void storm_catch_up(void)
{
	static uint64_t before;

	for (int tries = 0; tries < 10 && missed() != before; tries++) {
		print_message("# the kernel left %llu calls out\n",
			      (unsigned long long)(missed() - before));
		before = missed();
		storm_tag_running(NOBODY);
	}
}

void storm_become_members(void)
{
	storm_cgroup_of(START, GROUP_A);
	storm_tag_running(NOBODY);
}

void storm_move(pid_t pid, const char *cgroup)
{
	char path[128], text[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", pid);
	lsm_write_file(path, text); /* it may be gone */
}

static int each_of(const char *cgroup, void (*fn)(pid_t pid, const char *arg), const char *arg)
{
	char path[128];
	int pid, n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	f = fopen(path, "re");
	assert_non_null(f);
	for (n = 0; fscanf(f, "%d", &pid) == 1; n++)
		if (fn)
			fn(pid, arg);
	fclose(f);
	return n;
}

void storm_move_all(const char *from, const char *to)
{
	int tries = 0;

	while (each_of(from, storm_move, to) && ++tries < 1000)
		;
	assert_int_equal(storm_count(from), 0);
}

int storm_count(const char *cgroup)
{
	return each_of(cgroup, NULL, NULL);
}
