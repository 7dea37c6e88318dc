// SPDX-License-Identifier: GPL-2.0-only
/*
 * What no member may touch: the instance's maps and programs by number, its
 * run directory and the policy's files by inode.  And where shared memory is.
 */
#include "lsm.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "confine.h"
#include "pins.h"

/* Values are the number of the pass that wrote them: what is older is gone. */
static __u32 pass;

static void drop_older(int map)
{
	struct ulsp_exec_key key, next; /* the larger of the two keys */
	bool more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		__u32 of = pass;

		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (!bpf_map_lookup_elem(map, &key, &of) && of != pass)
			bpf_map_delete_elem(map, &key);
	}
}

/* ---- maps and programs ---- */

static int guard_id(const struct lsm *l, enum ulsp_bpf_type type, __u32 id)
{
	struct ulsp_bpf_key key = {.type = type, .id = id};

	return bpf_map_update_elem(l->map[LSM_GUARDED_BPF], &key, &pass, BPF_ANY) ? -errno : 0;
}

/* What a descriptor is, its fdinfo says. */
static int guard_fd(const struct lsm *l, int fd)
{
	char path[64], line[128];
	unsigned id;
	FILE *f;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (!r && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "map_id: %u", &id) == 1)
			r = guard_id(l, ULSP_BPF_MAP, id);
		else if (sscanf(line, "prog_id: %u", &id) == 1)
			r = guard_id(l, ULSP_BPF_PROG, id);
	}
	fclose(f);
	return r;
}

enum { PIN_DEPTH = 6 };

static int guard_pins(const struct lsm *l, const char *dir, int depth)
{
	scoped(pin_list_free) char **names = NULL;
	int r = pin_list(dir, &names);

	for (size_t n = 0; !r && names[n]; n++) {
		scoped(scope_free) char *path = pin_path("%s/%s", dir, names[n]);
		scoped(scope_close) int fd = -1;
		struct stat st;

		if (!path)
			return -ENOMEM;
		if (stat(path, &st))
			continue;
		if (S_ISDIR(st.st_mode)) {
			r = depth ? guard_pins(l, path, depth - 1) : 0;
			continue;
		}
		fd = pin_open(path);
		if (fd >= 0)
			r = guard_fd(l, fd);
	}
	return r;
}

/* ---- files ---- */

static void guard_path(const struct lsm *l, const char *path)
{
	struct ulsp_exec_key key;
	struct stat st;

	if (stat(path, &st))
		return;
	key = (struct ulsp_exec_key){.ino = st.st_ino,
				     .dev = major(st.st_dev) << 20 | minor(st.st_dev)};
	bpf_map_update_elem(l->map[LSM_GUARDED_INODES], &key, &pass, BPF_ANY);
}

/* The files, not their directories: a member may work beside the policy that it runs under. */
static void guard_policy(const struct lsm *l, const struct pol_policy *p)
{
	for (size_t n = 0; n < p->nfiles; n++)
		guard_path(l, p->files[n]);
}

/* The filesystem of shared memory, as this mount namespace has it. */
static void note_shm(const struct lsm *l)
{
	struct stat st;
	__u32 dev, one = 1;

	if (stat("/dev/shm", &st))
		return;
	dev = major(st.st_dev) << 20 | minor(st.st_dev);
	bpf_map_update_elem(l->map[LSM_SHM_DEVS], &dev, &one, BPF_ANY);
}

int lsm_guard_objects(const struct lsm *l, const struct instance *i, const struct enforced *en,
		      struct err *e)
{
	char dir[PATH_MAX];
	int r;

	pass++;
	r = guard_pins(l, i->pin_dir, PIN_DEPTH);
	if (r)
		return err_set(e, r, "BPF LSM: can't note the instance's maps and programs: %s",
			       strerror(-r));
	if (!instance_run_dir(i->name, dir, sizeof(dir)))
		guard_path(l, dir);
	note_shm(l);
	if (en->compiled)
		guard_policy(l, en->compiled->policy);
	drop_older(l->map[LSM_GUARDED_BPF]);
	drop_older(l->map[LSM_GUARDED_INODES]);
	return 0;
}
