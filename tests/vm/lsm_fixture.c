/* SPDX-License-Identifier: GPL-2.0-only */
#include "lsm_fixture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_hooks.h"
#include "ulsp_lsm.skel.h"

struct ulsp_lsm *lsm;

int lsm_up(void **state)
{
	(void)state;
	lsm = ulsp_lsm__open();
	if (lsm)
		lsm_hooks_select(lsm->obj);
	if (!lsm || ulsp_lsm__load(lsm) || ulsp_lsm__attach(lsm)) {
		fprintf(stderr, "the LSM programs can't be loaded or attached: %s\n",
			strerror(errno));
		return -1;
	}
	return 0;
}

int lsm_down(void **state)
{
	(void)state;
	ulsp_lsm__destroy(lsm);
	lsm = NULL;
	return 0;
}

void lsm_confine(uint32_t slot, uint32_t kinds, uint64_t peers, uint32_t flags)
{
	struct ulsp_confine c = {.kinds = kinds, .flags = flags, .generation = 1, .peers = {peers}};

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lsm->maps.confine), &slot, &c, BPF_ANY),
			 0);
}

void lsm_mode(uint32_t slot, uint32_t mode)
{
	struct ulsp_group g = {.mode = mode, .in_use = 1};

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lsm->maps.groups), &slot, &g, BPF_ANY), 0);
}

void lsm_tag(pid_t pid, int slot)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct ulsp_task_tag tag = {.all = (uint64_t)(slot + 1)};
	uint32_t tgid = (uint32_t)pid;

	assert_true(fd >= 0);
	if (slot == NOBODY) {
		bpf_map_delete_elem(bpf_map__fd(lsm->maps.task_tags), &fd);
		bpf_map_delete_elem(bpf_map__fd(lsm->maps.tgid_tags), &tgid);
	} else {
		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(lsm->maps.task_tags), &fd, &tag, BPF_ANY),
			0);
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(lsm->maps.tgid_tags), &tgid,
						     &tag.all, BPF_ANY),
				 0);
	}
	close(fd);
}

uint64_t lsm_denied(uint32_t slot, uint32_t kind)
{
	int ncpus = libbpf_num_possible_cpus();
	struct ulsp_group_count *counts = calloc((size_t)ncpus, sizeof(*counts));
	uint64_t sum = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lsm->maps.gcount), &slot, counts), 0);
	for (int i = 0; i < ncpus; i++)
		sum += counts[i].reaches[kind];
	free(counts);
	return sum;
}

unsigned lsm_count(const struct bpf_map *map)
{
	uint64_t key, *last = NULL;
	unsigned n = 0;

	while (!bpf_map_get_next_key(bpf_map__fd(map), last, &key)) {
		last = &key;
		n++;
	}
	return n;
}

pid_t lsm_start(int slot, int (*fn)(void *), void *arg)
{
	int go[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(go), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int r;

		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(254);
		close(go[0]);
		alarm(20);
		r = fn(arg);
		_exit(r < 0 ? -r : r);
	}
	close(go[0]);
	lsm_tag(pid, slot);
	assert_int_equal(write(go[1], "x", 1), 1);
	close(go[1]);
	return pid;
}

int lsm_end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

void lsm_kill(pid_t pid)
{
	lsm_tag(pid, NOBODY); /* the test is nobody's, and could not kill a member */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int lsm_as(int slot, int (*fn)(void *), void *arg)
{
	return lsm_end(lsm_start(slot, fn, arg));
}
