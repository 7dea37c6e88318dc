/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is ours: pins, maps, programs, links and directories, which a member
 * can't touch even when its group isolates nothing, and which others can.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "lsm_attempts.h"
#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

#define PINS "/tmp/pins"
#define OURS "/tmp/ours" /* the guarded directory */

static struct {
	uint32_t our_map, our_prog, our_link, other_map;
	int other_fd;
} ids;

static void make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
}

/* As it was, whatever the attempt before did. */
static void restore(void)
{
	mkdir(OURS, 0755);
	mkdir(OURS "/below", 0755);
	mkdir(OURS "/empty", 0755);
	make(OURS "/policy");
	make(OURS "/below/policy");
	make("/tmp/theirs");
	unlink("/tmp/ours-moved");
	unlink("/tmp/ours-linked");
	unlink(OURS "/new");
	rmdir(OURS "/newdir");
	rmdir(PINS "/new");
	unlink(PINS "/link");
	unlink(PINS "/moved");
	bpf_obj_pin(bpf_map__fd(lsm->maps.confine), PINS "/map");
	mkdir(PINS "/empty", 0755);
}

static void guard_bpf(uint32_t kind, uint32_t id)
{
	struct ulsp_bpf_key key = {.type = kind, .id = id};
	uint32_t one = 1;

	bpf_map_update_elem(bpf_map__fd(lsm->maps.guarded_bpf), &key, &one, BPF_ANY);
}

static int up(void **state)
{
	struct bpf_map_info map = {0};
	struct bpf_prog_info prog = {0};
	struct bpf_link_info link = {0};
	struct ulsp_exec_key key = {0};
	uint32_t one = 1, size;
	struct stat st;
	int r = lsm_up(state);

	if (r)
		return r;
	lsm_confine(GROUP_A, 1u << ULSP_REACH_GUARD, 0, 0);
	mkdir(PINS, 0755);
	if (mount("none", PINS, "bpf", 0, NULL))
		return -1;
	restore();
	if (stat(OURS, &st))
		return -1;
	key.ino = st.st_ino;
	/* As the kernel has it in s_dev. */
	key.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	bpf_map_update_elem(bpf_map__fd(lsm->maps.guarded_inodes), &key, &one, BPF_ANY);
	size = sizeof(map);
	bpf_obj_get_info_by_fd(bpf_map__fd(lsm->maps.confine), &map, &size);
	size = sizeof(prog);
	bpf_obj_get_info_by_fd(bpf_program__fd(lsm->progs.lsm_kill), &prog, &size);
	size = sizeof(link);
	bpf_obj_get_info_by_fd(bpf_link__fd(lsm->links.lsm_kill), &link, &size);
	ids.our_map = map.id;
	ids.our_prog = prog.id;
	ids.our_link = link.id;
	guard_bpf(ULSP_BPF_MAP, map.id);
	guard_bpf(ULSP_BPF_PROG, prog.id);
	ids.other_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "other", 4, 4, 1, NULL);
	size = sizeof(map);
	bpf_obj_get_info_by_fd(ids.other_fd, &map, &size);
	ids.other_map = map.id;
	return 0;
}

/* ---- bpf(2) ---- */

static int get_map(void *arg)
{
	(void)arg;
	return lsm_error(bpf_map_get_fd_by_id(ids.our_map));
}

static int get_prog(void *arg)
{
	(void)arg;
	return lsm_error(bpf_prog_get_fd_by_id(ids.our_prog));
}

static int get_link(void *arg)
{
	(void)arg;
	return lsm_error(bpf_link_get_fd_by_id(ids.our_link));
}

static int get_pin(void *arg)
{
	(void)arg;
	return lsm_error(bpf_obj_get(PINS "/map"));
}

static int detach(void *arg)
{
	(void)arg;
	/* A tracing link can't be: its own refusal comes after ours. */
	return lsm_error(bpf_link_detach(bpf_link__fd(lsm->links.lsm_kill)));
}

/* ---- bpffs ---- */

static int unpin(void *arg)
{
	(void)arg;
	return lsm_error(unlink(PINS "/map"));
}

static int move_pin(void *arg)
{
	(void)arg;
	return lsm_error(rename(PINS "/map", PINS "/moved"));
}

static int link_pin(void *arg)
{
	(void)arg;
	return lsm_error(symlink("map", PINS "/link"));
}

static int make_pins(void *arg)
{
	(void)arg;
	return lsm_error(mkdir(PINS "/new", 0755));
}

static int remove_pins(void *arg)
{
	(void)arg;
	return lsm_error(rmdir(PINS "/empty"));
}

static int chmod_pin(void *arg)
{
	(void)arg;
	return lsm_error(chmod(PINS "/map", 0600));
}

static int open_pin(void *arg)
{
	(void)arg;
	return lsm_error(open(PINS "/map", O_RDONLY));
}

/* ---- directories ---- */

static int write_policy(void *arg)
{
	(void)arg;
	return lsm_error(open(OURS "/policy", O_WRONLY));
}

static int write_below(void *arg)
{
	(void)arg;
	return lsm_error(open(OURS "/below/policy", O_RDWR));
}

static int shorten(void *arg)
{
	(void)arg;
	return lsm_error(truncate(OURS "/policy", 0));
}

static int remove_policy(void *arg)
{
	(void)arg;
	return lsm_error(unlink(OURS "/policy"));
}

static int remove_directory(void *arg)
{
	(void)arg;
	return lsm_error(rmdir(OURS "/empty"));
}

static int move_out(void *arg)
{
	(void)arg;
	return lsm_error(rename(OURS "/policy", "/tmp/ours-moved"));
}

static int move_in(void *arg)
{
	(void)arg;
	return lsm_error(rename("/tmp/theirs", OURS "/policy"));
}

static int move_directory(void *arg)
{
	int r;

	(void)arg;
	r = lsm_error(rename(OURS, "/tmp/ours-away"));
	if (!r)
		rename("/tmp/ours-away", OURS);
	return r;
}

static int link_out(void *arg)
{
	(void)arg;
	return lsm_error(link(OURS "/policy", "/tmp/ours-linked"));
}

static int create_in(void *arg)
{
	(void)arg;
	return lsm_error(open(OURS "/new", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static int make_in(void *arg)
{
	(void)arg;
	return lsm_error(mkdir(OURS "/newdir", 0755));
}

static int listen_in(void *arg)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = OURS "/new"};

	(void)arg;
	return lsm_error(
		bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&addr, sizeof(addr)));
}

static int symlink_in(void *arg)
{
	(void)arg;
	return lsm_error(symlink("policy", OURS "/new"));
}

static int chmod_policy(void *arg)
{
	(void)arg;
	return lsm_error(chmod(OURS "/policy", 0644));
}

static int chmod_directory(void *arg)
{
	(void)arg;
	return lsm_error(chmod(OURS, 0755));
}

static const struct lsm_attempt attempts[] = {
	{"a map by its id", get_map, 0, NULL},
	{"a program by its id", get_prog, 0, NULL},
	{"a link by its id", get_link, 0, NULL},
	{"a pin by its path", get_pin, 0, NULL},
	{"detaching a link", detach, EOPNOTSUPP, NULL},
	{"unlink of a pin", unpin, 0, NULL},
	{"rename of a pin", move_pin, 0, NULL},
	{"symlink in bpffs", link_pin, 0, NULL},
	{"mkdir in bpffs", make_pins, 0, NULL},
	{"rmdir in bpffs", remove_pins, 0, NULL},
	{"chmod of a pin", chmod_pin, 0, NULL},
	{"open of a pin", open_pin, 0, NULL},
	{"open for writing", write_policy, 0, NULL},
	{"open for writing, a level below", write_below, 0, NULL},
	{"truncate", shorten, 0, NULL},
	{"unlink", remove_policy, 0, NULL},
	{"rmdir", remove_directory, 0, NULL},
	{"rename from it", move_out, 0, NULL},
	{"rename into it", move_in, 0, NULL},
	{"rename of it", move_directory, 0, NULL},
	{"a link to it", link_out, 0, NULL},
	{"create in it", create_in, 0, NULL},
	{"mkdir in it", make_in, 0, NULL},
	{"a socket in it", listen_in, 0, NULL},
	{"a symlink in it", symlink_in, 0, NULL},
	{"chmod below it", chmod_policy, 0, NULL},
	{"chmod of it", chmod_directory, 0, NULL},
};

static void ours_is_ours(void **state)
{
	(void)state;
	lsm_attempts(attempts, sizeof(attempts) / sizeof(attempts[0]), ULSP_REACH_GUARD, restore);
}

/* ---- what isn't ours ---- */

static int use_other_map(void *arg)
{
	(void)arg;
	return lsm_error(bpf_map_get_fd_by_id(ids.other_map))
		       ?: lsm_error(bpf_map_create(BPF_MAP_TYPE_ARRAY, "own", 4, 4, 1, NULL));
}

static int read_ours(void *arg)
{
	struct stat st;

	(void)arg;
	return lsm_error(open(OURS "/policy", O_RDONLY)) ?: lsm_error(open(PINS, O_RDONLY)) ?:
	       lsm_error(stat(PINS "/map", &st));
}

static int write_theirs(void *arg)
{
	(void)arg;
	return lsm_error(open("/tmp/theirs", O_RDWR)) ?: lsm_error(chmod("/tmp/theirs", 0600)) ?:
	       lsm_error(rename("/tmp/theirs", "/tmp/theirs2")) ?: lsm_error(unlink("/tmp/theirs2"));
}

static void others_are_not(void **state)
{
	uint64_t before = lsm_denied(GROUP_A, ULSP_REACH_GUARD);

	(void)state;
	restore();
	lsm_expect(GROUP_A, use_other_map, NULL, 0);
	lsm_expect(GROUP_A, read_ours, NULL, 0);
	lsm_expect(GROUP_A, write_theirs, NULL, 0);
	assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_GUARD), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ours_is_ours),
		cmocka_unit_test(others_are_not),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
