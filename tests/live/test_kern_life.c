/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of an instance: attached, swapped, adopted after its daemon died,
 * refused when of another version, and gone without a trace.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "decide.h"
#include "image_priv.h"
#include "kern_fixture.h"
#include "pins.h"
#include "probe.h"

static struct op to_82 = OP(SOCK_STREAM, 0, "127.0.0.2", 82);
static struct op to_83 = OP(SOCK_STREAM, 0, "127.0.0.2", 83);

static const char deny_82[] = "group g {\ndeny connect tcp port 82 errno EACCES\n"
			      "default allow\n}\n";
static const char deny_both[] = "group g {\ndeny connect tcp port 82 errno EHOSTUNREACH\n"
				"deny connect tcp port 83 errno EACCES\n"
				"deny bind tcp port 8085\ndefault allow\n}\n";

static void swap(void **state)
{
	struct op bind = OP(SOCK_STREAM, 0, "127.0.0.1", 8085);
	struct kern *k = *state;
	struct ulsp_rule_count carried;
	uint32_t id, default_id;

	kern_policy(k, deny_82);
	id = k->table->rules[0]->id;
	default_id = k->policy->groups[0].default_id;
	assert_int_equal(kern_try(k, op_connect, &to_82), -EACCES);
	assert_int_equal(kern_try(k, op_connect, &to_83), 0);
	assert_int_equal(kern_try(k, op_bind, &bind), 0);
	kern_policy(k, deny_both); /* more hooks */
	assert_int_equal(kern_try(k, op_connect, &to_82), -EHOSTUNREACH);
	assert_int_equal(kern_try(k, op_connect, &to_83), -EACCES);
	assert_int_equal(kern_try(k, op_bind, &bind), -EPERM);
	kern_policy(k, deny_82); /* fewer */
	assert_int_equal(kern_try(k, op_connect, &to_82), -EACCES);
	assert_int_equal(kern_try(k, op_bind, &bind), 0);
	/* what earlier generations counted is kept by the rule's id */
	assert_int_equal(instance_carried(k->instance, id, &carried), 0);
	assert_int_equal(carried.hits, 1);
	assert_int_equal(kern_rule(k, 2).hits, 1);
	/* and so is the default's */
	assert_int_equal(k->policy->groups[0].default_id, default_id);
	assert_int_equal(instance_carried(k->instance, default_id, &carried), 0);
	assert_int_equal(carried.hits, 2);
}

/* Hammers a destination that both policies deny; any success is a hole. */
static int hammer(void *ctx)
{
	struct sockaddr_storage ss;
	socklen_t len = kern_addr("127.0.0.2", 82, &ss);
	volatile int *stop = ctx;
	int holes = 0, tries = 0;

	while (!*stop && tries < 10000000) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (void *)&ss, len) == 0 || errno == ECONNREFUSED)
			holes++;
		close(fd);
		tries++;
	}
	return holes > 255 ? 255 : holes;
}

static void swap_without_a_gap(void **state)
{
	struct kern *k = *state;
	int *stop, status, i;
	pid_t pid;

	stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(stop, MAP_FAILED);
	kern_policy(k, deny_82);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(kern_try(k, hammer, stop));
	for (i = 0; i < 20; i++)
		kern_policy(k, i % 2 ? deny_82 : deny_both);
	*stop = 1;
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	munmap(stop, 4096);
}

static void detach(void **state)
{
	struct kern *k = *state;
	uint64_t *ids = NULL;
	struct err e;
	size_t n;

	kern_policy(k, deny_82);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EACCES);
	assert_int_equal(image_cgroups(k->instance, "g", &ids, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(ids[0], k->cgroup_id);
	free(ids);
	assert_int_equal(image_attach(k->instance, k->image, k->cgroup_fd, k->cgroup_id, &e),
			 -EEXIST);
	assert_int_equal(image_detach(k->instance, "g", k->cgroup_id, &e), 0);
	assert_int_equal(kern_try(k, op_connect, &to_82), 0);
	assert_int_equal(image_detach(k->instance, "g", k->cgroup_id, &e), -ENOENT);
	assert_int_equal(image_attach(k->instance, k->image, k->cgroup_fd, k->cgroup_id, &e), 0);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EACCES);
}

/* Both groups' programs run; either denies, and the first errno stands. */
static void nested(void **state)
{
	struct kern *k = *state;
	char path[300];
	struct err e;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/below", k->cgroup);
	assert_return_code(mkdir(path, 0755), errno);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fstat(fd, &st);
	kern_policy(k, deny_both);
	/* the same image once more, below: a second group would be another object */
	assert_int_equal(image_attach(k->instance, k->image, fd, st.st_ino, &e), 0);
	snprintf(k->cgroup + strlen(k->cgroup), sizeof(k->cgroup) - strlen(k->cgroup), "/below");
	assert_int_equal(kern_try(k, op_connect, &to_82), -EHOSTUNREACH);
	assert_int_equal(kern_rule(k, 2).hits, 1); /* the second left it */
	assert_int_equal(kern_try(k, op_connect, &to_83), -EACCES);
	*strrchr(k->cgroup, '/') = 0;
	/* a cgroup that is gone is no obstacle to a swap */
	close(fd);
	assert_return_code(rmdir(path), errno);
	kern_policy(k, deny_82);
	kern_policy(k, deny_both);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EHOSTUNREACH);
	assert_int_equal(image_detach(k->instance, "g", st.st_ino, &e), 0);
}

/* All fds go, as in kill -9: enforcement stays, and the next daemon takes over. */
static void adoption(void **state)
{
	struct kern *k = *state;
	char *text = NULL, name[32];
	uint32_t generation, slot;
	struct ulsp_maps fw = {};
	struct image *im;
	struct err e;
	struct dec_key key = {.op = ULSP_OP_CONNECT, .proto = ULSP_PROTO_TCP, .port = 82};

	kern_policy(k, deny_both);
	assert_int_equal(instance_put_policy(k->instance, "the text", k->generation, &e), 0);
	assert_int_equal(
		instance_ulsp_maps(k->instance, "fw", (struct ulsp_shape){8192, 1}, &fw, &e), 0);
	close(fw.rings[0]);
	close(fw.page);
	close(fw.cache);
	slot = k->slot;
	k->instance->group[slot].mode = ULSP_MODE_ENFORCE;
	kern_load(k, deny_82); /* a load that never got to swapping; its object is dropped */
	image_free(&k->image);
	snprintf(name, sizeof(name), "%s", k->instance->name);
	instance_close(&k->instance);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EHOSTUNREACH);

	assert_int_equal(instance_open(name, &k->instance, &e), 0);
	assert_true(k->instance->adopted);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EHOSTUNREACH);
	assert_int_equal(instance_get_policy(k->instance, &text, &generation, &e), 0);
	assert_string_equal(text, "the text");
	free(text);
	assert_int_equal(generation, 1);
	assert_int_equal(instance_group_slot(k->instance, "g", &k->slot, &e), 0);
	assert_int_equal(k->slot, slot);
	assert_int_equal(image_adopt(k->instance, "g", generation, &k->image, &e), 0);
	assert_non_null(k->image);
	assert_int_equal(image_decide(k->image, &key, &slot), 0);
	assert_int_equal(slot, 0);
	assert_true(image_needs(k->image) & POL_NEED_BIND);
	assert_int_equal(
		instance_ulsp_maps(k->instance, "fw", (struct ulsp_shape){8192, 1}, &fw, &e), 0);
	assert_int_equal(fw.slot, 1);
	instance_ulsp_drop(k->instance, "fw", &fw);
	/* it can be attached, swapped and counted as before */
	assert_int_equal(image_detach(k->instance, "g", k->cgroup_id, &e), 0);
	assert_int_equal(image_attach(k->instance, k->image, k->cgroup_fd, k->cgroup_id, &e), 0);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EHOSTUNREACH);
	kern_policy(k, deny_82);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EACCES);
	assert_int_equal(image_adopt(k->instance, "nobody", 1, &im, &e), 0);
	assert_null(im);
}

/* What an interrupted swap leaves is made one again. */
static void adoption_half_swapped(void **state)
{
	struct kern *k = *state;
	struct image *old, *new;
	char path[512];
	int fd;
	struct err e;

	kern_policy(k, deny_82);
	old = k->image;
	new = kern_load(k, deny_both);
	/* as if the loader had died after one link */
	snprintf(path, sizeof(path), "%s/link/g/%llu/connect4", k->instance->pin_dir,
		 (unsigned long long)k->cgroup_id);
	fd = pin_open(path);
	assert_true(fd >= 0);
	assert_return_code(bpf_link_update(fd, new->prog[HOOK_CONNECT4], NULL), errno);
	close(fd);
	snprintf(path, sizeof(path), "%s/link/g/99~", k->instance->pin_dir);
	assert_int_equal(pin_mkdirs(path), 0);
	image_free(&old);
	image_free(&new);
	k->image = NULL;
	instance_close(&k->instance);
	assert_int_equal(instance_open(k->name, &k->instance, &e), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(image_adopt(k->instance, "g", 1, &k->image, &e), 0);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EACCES);
	snprintf(path, sizeof(path), "%s/group/g/2", k->instance->pin_dir);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void one_daemon(void **state)
{
	struct kern *k = *state;
	struct instance *second = NULL;
	struct err e;

	assert_int_equal(instance_open(k->name, &second, &e), -EBUSY);
	assert_non_null(strstr(e.text, "already"));
	assert_null(second);
}

static void other_version(void **state)
{
	struct kern *k = *state;
	struct ulsp_meta meta = {.magic = ULSP_MAGIC, .abi = ULSP_ABI + 1};
	char said[32];
	__u32 zero = 0;
	struct err e;

	kern_policy(k, deny_82);
	assert_return_code(bpf_map_update_elem(k->instance->meta, &zero, &meta, BPF_ANY), errno);
	image_free(&k->image);
	instance_close(&k->instance);
	assert_int_equal(instance_open(k->name, &k->instance, &e), -EEXIST);
	snprintf(said, sizeof(said), "ABI %d", ULSP_ABI + 1);
	assert_non_null(strstr(e.text, said));
	assert_non_null(strstr(e.text, "shutdown"));
	/* still enforced, until it is told to end */
	assert_int_equal(kern_try(k, op_connect, &to_82), -EACCES);
	assert_int_equal(instance_destroy(k->name, &e), 0);
	assert_int_equal(kern_try(k, op_connect, &to_82), 0);
	assert_int_equal(instance_open(k->name, &k->instance, &e), 0);
	assert_false(k->instance->adopted);
}

static void destroyed(void **state)
{
	struct kern *k = *state;
	char bpffs[128], path[256];
	struct err e;

	kern_policy(k, deny_both);
	/* destroyed while a daemon still holds everything */
	assert_int_equal(instance_destroy(k->name, &e), 0);
	assert_int_equal(kern_try(k, op_connect, &to_82), 0);
	assert_int_equal(probe_bpffs(bpffs, sizeof(bpffs)), 0);
	snprintf(path, sizeof(path), "%s/ulsp/%s", bpffs, k->name);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(instance_destroy(k->name, &e), 0);
}

/* A table that isn't what the host thinks is not used, and leaves nothing. */
static void damaged_table(void **state)
{
	struct kern *k = *state;
	struct image *im = NULL;
	struct image_spec spec = {.group = "g", .generation = 9};
	uint32_t words;
	char path[512];
	struct err e = {};

	kern_policy(k, deny_both);
	spec.table = k->table;
	words = k->table->words[DEC_H_WORDS];
	k->table->words[DEC_H_WORDS] = 3;
	assert_true(image_load(k->instance, &spec, &im, &e) < 0);
	assert_non_null(strstr(e.text, "g"));
	k->table->words[DEC_H_WORDS] = words;
	snprintf(path, sizeof(path), "%s/group/g/9", k->instance->pin_dir);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(kern_try(k, op_connect, &to_82), -EHOSTUNREACH);
}

static void slots(void **state)
{
	struct kern *k = *state;
	char name[ULSP_NAME_BYTES + 8];
	uint16_t file, again;
	uint32_t slot, i, first = 0;
	struct err e;

	for (i = 0; i < ULSP_MAX_GROUPS; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		assert_int_equal(instance_group_slot(k->instance, name, &slot, &e), 0);
		/* in turn: one that is given back isn't given out again at once */
		assert_int_equal(slot, i == 0 ? slot : (first + i) % ULSP_MAX_GROUPS);
		first = i ? first : slot;
	}
	assert_int_equal(instance_group_slot(k->instance, "more", &slot, &e), -ENOSPC);
	instance_group_free(k->instance, 7);
	assert_int_equal(instance_group_slot(k->instance, "more", &slot, &e), 0);
	assert_int_equal(slot, 7);
	assert_int_equal(instance_file_slot(k->instance, "/etc/ulsp/a", &file, &e), 0);
	assert_int_equal(instance_file_slot(k->instance, "/etc/ulsp/b", &again, &e), 0);
	assert_int_not_equal(file, again);
	assert_int_equal(instance_file_slot(k->instance, "/etc/ulsp/a", &again, &e), 0);
	assert_int_equal(file, again);
}

static void large_policy(void **state)
{
	struct kern *k = *state;
	size_t n = 3 << 20;
	char *text = malloc(n + 1), *back = NULL;
	uint32_t generation;
	struct err e;

	memset(text, 'x', n);
	text[n] = 0;
	assert_int_equal(instance_get_policy(k->instance, &back, &generation, &e), -ENOENT);
	assert_int_equal(instance_put_policy(k->instance, text, 41, &e), 0);
	assert_int_equal(instance_put_policy(k->instance, text, 42, &e), 0);
	assert_int_equal(instance_get_policy(k->instance, &back, &generation, &e), 0);
	assert_int_equal(generation, 42);
	assert_int_equal(strcmp(text, back), 0);
	free(text);
	free(back);
}

static void probes(void **state)
{
	struct probe_row *rows = NULL;
	size_t n, i;

	(void)state;
	assert_int_equal(probe_all(&rows, &n), 0);
	for (i = 0; i < n; i++) {
		if (rows[i].required && !rows[i].ok)
			fail_msg("%s: %s", rows[i].id, rows[i].why);
		assert_true(rows[i].ok || *rows[i].why);
	}
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(swap, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(swap_without_a_gap, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(detach, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(nested, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(adoption, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(adoption_half_swapped, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(one_daemon, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(other_version, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(destroyed, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(damaged_table, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(slots, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(large_policy, kern_setup, kern_teardown),
		cmocka_unit_test(probes),
	};

	return cmocka_run_group_tests(tests, kern_netns, NULL);
}
