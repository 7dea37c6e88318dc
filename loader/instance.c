/* SPDX-License-Identifier: GPL-2.0-only */
#include "instance.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bpf_log.h"
#include "cleanup.h"
#include "knobs.h"
#include "pins.h"
#include "ulsp_dir.h"
#include "probe.h"
#include "programs.h"
#include "rates.h"
#include "ulsp.skel.h"

/* The maps that all groups share: name and where struct instance has the fd. */
static const struct shared_map {
	const char *name;
	size_t at;
} shared_maps[] = {
	{"meta", offsetof(struct instance, meta)},
	{"rings", offsetof(struct instance, rings)},
	{"pages", offsetof(struct instance, pages)},
	{"caches", offsetof(struct instance, caches)},
	{"groups", offsetof(struct instance, groups)},
	{"files", offsetof(struct instance, files)},
	{"streams", offsetof(struct instance, streams)},
	{"gcount", offsetof(struct instance, gcount)},
	{"carried", offsetof(struct instance, carried)},
	{"socks", offsetof(struct instance, socks)},
	{"slots", offsetof(struct instance, slots)},
	{"waits", offsetof(struct instance, waits)},
	{"asking", offsetof(struct instance, asking)},
	{"parked", offsetof(struct instance, parked)},
	{"calls", offsetof(struct instance, calls)},
	{"restarteds", offsetof(struct instance, restarteds)},
	{"restarting", offsetof(struct instance, restarting)},
	{"arrivals", offsetof(struct instance, arrivals)},
	{"parking", offsetof(struct instance, parking)},
	{"limits", offsetof(struct instance, limits)},
	{"limits_process", offsetof(struct instance, limits_process)},
};
enum { NSHARED = sizeof(shared_maps) / sizeof(shared_maps[0]) };

enum {
	MONITOR_RING_BYTES = 1 << 20,
	GROUPS_BYTES = ULSP_MAX_GROUPS * sizeof(struct ulsp_group),
	FILES_BYTES = ULSP_MAX_FILES * ULSP_PATH_BYTES,
	STREAMS_BYTES = ULSP_MAX_GROUPS * ULSP_ALL_RINGS * sizeof(struct ulsp_stream),
	HOW_BYTES = ULSP_MAX_RINGS * sizeof(struct ulsp_asking),
};

static int *map_fd_of(struct instance *i, const struct shared_map *m)
{
	return (int *)((char *)i + m->at);
}

int err_set(struct err *e, int error, const char *format, ...)
{
	va_list ap;

	if (e) {
		va_start(ap, format);
		vsnprintf(e->text, sizeof(e->text), format, ap);
		va_end(ap);
	}
	return error;
}

int instance_run_dir(const char *name, char *buf, size_t bytes)
{
	const char *base = getenv("ULSP_RUN_DIR");
	int n = snprintf(buf, bytes, "%s/%s", base && *base ? base : "/run/ulsp", name);

	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}

/* Makes the run directory, its parent too, and takes the lock in it. */
static int take_lock(const char *name, int *ret_fd, struct err *e)
{
	char dir[256], *slash;
	scoped(scope_free) char *path = NULL;
	scoped(scope_close) int fd = -1;

	if (instance_run_dir(name, dir, sizeof(dir)))
		return err_set(e, -ENAMETOOLONG, "the run directory's name is too long");
	slash = strrchr(dir, '/');
	*slash = 0;
	if (*dir && mkdir(dir, 0755) && errno != EEXIST)
		return err_set(e, -errno, "can't make %s: %m", dir);
	*slash = '/';
	if (mkdir(dir, 0755) && errno != EEXIST)
		return err_set(e, -errno, "can't make %s: %m", dir);
	path = pin_path("%s/lock", dir);
	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "can't open %s: %m", path);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			return err_set(e, -EBUSY, "instance %s is already run by another ulspd",
				       name);
		return err_set(e, -errno, "can't lock %s: %m", path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* BPFFS/ulsp/NAME; -ENOTSUP without bpffs. */
static int pin_dir_of(const char *name, char **ret, struct err *e)
{
	scoped(scope_free) char *escaped = NULL;
	char bpffs[256];
	int r = probe_bpffs(bpffs, sizeof(bpffs));

	if (r)
		return err_set(e, r == -ENOMEM ? r : -ENOTSUP,
			       "no bpffs: %s; as root: mount -t bpf bpf /sys/fs/bpf", strerror(-r));
	escaped = pin_escape(name);
	if (!escaped)
		return -ENOMEM;
	*ret = pin_path("%s/ulsp/%s", bpffs, escaped);
	return *ret ? 0 : -ENOMEM;
}

/* -EEXIST when the pinned meta isn't what this program writes. */
static int check_abi(const char *name, const char *dir, struct err *e)
{
	union {
		struct ulsp_meta meta;
		char bytes[4096]; /* another version's may be longer */
	} value = {};
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), zero = 0;
	scoped(scope_free) char *path = pin_path("%s/meta", dir);
	scoped(scope_close) int fd = path ? pin_open(path) : -ENOMEM;

	if (fd < 0)
		return err_set(e, fd == -ENOENT ? -EEXIST : fd,
			       "%s has pins but no meta (%s): `ulspctl --instance %s shutdown` "
			       "removes them and ends enforcement",
			       dir, strerror(-fd), name);
	if (bpf_obj_get_info_by_fd(fd, &info, &size) || info.key_size != 4 || info.value_size < 8 ||
	    info.value_size > sizeof(value) || bpf_map_lookup_elem(fd, &zero, &value))
		value.meta.magic = 0;
	if (value.meta.magic != ULSP_MAGIC)
		return err_set(e, -EEXIST,
			       "%s is not of this program: `ulspctl --instance %s shutdown` "
			       "removes it and ends enforcement",
			       dir, name);
	if (value.meta.abi != ULSP_ABI || info.value_size != sizeof(value.meta))
		return err_set(e, -EEXIST,
			       "%s has pins of ABI %u, this program has ABI %u: `ulspctl "
			       "--instance %s shutdown` removes them and ends enforcement",
			       dir, value.meta.abi, ULSP_ABI, name);
	return 0;
}

/* Sizes must be those of this build, or programs and daemon would disagree. */
static int check_map(int fd, const struct bpf_map *model)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.type != bpf_map__type(model) || info.key_size != bpf_map__key_size(model) ||
	    info.value_size != bpf_map__value_size(model) ||
	    info.max_entries != bpf_map__max_entries(model))
		return -EEXIST;
	return 0;
}

static int adopt(struct instance *i, struct err *e)
{
	struct ulsp_bpf *model;
	size_t n;
	int r;

	r = check_abi(i->name, i->pin_dir, e);
	if (r)
		return r;
	r = pin_sweep(i->pin_dir);
	if (r)
		return err_set(e, r, "can't remove unfinished pins below %s: %s", i->pin_dir,
			       strerror(-r));
	model = programs_open();
	if (!model)
		return err_set(e, -errno, "the programs can't be opened: %m");
	for (n = 0; !r && n < NSHARED; n++) {
		const struct shared_map *m = &shared_maps[n];
		scoped(scope_free) char *path = pin_path("%s/%s", i->pin_dir, m->name);
		int fd = path ? pin_open(path) : -ENOMEM;

		*map_fd_of(i, m) = fd;
		r = fd < 0 ? fd : check_map(fd, bpf_object__find_map_by_name(model->obj, m->name));
		if (r)
			err_set(e, r == -ENOENT ? -EEXIST : r,
				"map %s at %s is not of this build (%s): `ulspctl --instance %s "
				"shutdown` removes the pins and ends enforcement",
				m->name, i->pin_dir, strerror(-r), i->name);
	}
	ulsp_bpf__destroy(model);
	return r;
}

/* The shared maps and the monitor ring, pinned in one step. */
static int make(struct instance *i, struct err *e)
{
	struct ulsp_meta meta = {.magic = ULSP_MAGIC, .abi = ULSP_ABI, .nrings = 1};
	scoped(scope_free) char *unfinished = pin_path("%s~", i->pin_dir);
	scoped(bpf_log_end) struct bpf_log log;
	struct bpf_program *prog;
	struct ulsp_bpf *model;
	char cause[320];
	__u32 zero = 0;
	size_t n;
	int r;

	if (!unfinished)
		return -ENOMEM;
	bpf_log_begin(&log);
	model = programs_open();
	if (!model)
		return err_set(e, -errno, "the programs can't be opened: %m");
	bpf_object__for_each_program(prog, model->obj) bpf_program__set_autoload(prog, false);
	r = ulsp_bpf__load(model);
	if (r)
		err_set(e, r, "the maps can't be made: %s (%s)", strerror(-r),
			bpf_log_cause(&log, cause, sizeof(cause)));
	if (!r) {
		pin_remove(unfinished);
		r = pin_mkdirs(unfinished);
		if (r)
			err_set(e, r, "can't make %s: %s", unfinished, strerror(-r));
	}
	for (n = 0; !r && n < NSHARED; n++) {
		const struct shared_map *m = &shared_maps[n];
		scoped(scope_free) char *path = pin_path("%s/%s", unfinished, m->name);
		int fd = bpf_map__fd(bpf_object__find_map_by_name(model->obj, m->name));

		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		*map_fd_of(i, m) = fd;
		r = fd < 0 ? -errno : path ? pin_fd(fd, path) : -ENOMEM;
		if (r)
			err_set(e, r, "can't pin map %s: %s", m->name, strerror(-r));
	}
	ulsp_bpf__destroy(model);
	if (!r && bpf_map_update_elem(i->meta, &zero, &meta, BPF_ANY))
		r = err_set(e, -errno, "can't write map meta: %m");
	if (!r) {
		r = pin_commit(unfinished, i->pin_dir);
		if (r)
			err_set(e, r, "can't make %s: %s", i->pin_dir, strerror(-r));
	}
	if (r)
		pin_remove(unfinished);
	return r;
}

static int monitor_ring(struct instance *i, struct err *e)
{
	scoped(scope_free) char *path = pin_path("%s/monitor", i->pin_dir);
	__u32 ring = ULSP_RING_MONITOR;
	int fd, r;

	if (!path)
		return -ENOMEM;
	fd = pin_open(path);
	if (fd == -ENOENT) {
		fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ulsp_monitor", 0, 0, MONITOR_RING_BYTES,
				    NULL);
		r = fd < 0 ? -errno : pin_replace(fd, path);
		if (r)
			err_set(e, r, "can't make the monitor ring: %s", strerror(-r));
	} else {
		r = fd < 0 ? err_set(e, fd, "can't open %s: %s", path, strerror(-fd)) : 0;
	}
	i->monitor = fd;
	if (!r && bpf_map_update_elem(i->rings, &ring, &fd, BPF_ANY))
		r = err_set(e, -errno, "can't enter the monitor ring: %m");
	return r;
}

/* NULL and errno. */
static void *map_in(int fd, size_t bytes, int prot)
{
	void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

int instance_open(const char *name, struct instance **ret, struct err *e)
{
	scoped(instance_close) struct instance *i = calloc(1, sizeof(*i));
	size_t n;
	int r;

	if (!i)
		return -ENOMEM;
	i->lock_fd = i->monitor = -1;
	for (n = 0; n < NSHARED; n++)
		*map_fd_of(i, &shared_maps[n]) = -1;
	i->name = strdup(name);
	if (!i->name)
		return -ENOMEM;
	r = take_lock(name, &i->lock_fd, e);
	if (!r)
		r = pin_dir_of(name, &i->pin_dir, e);
	if (r)
		return r;
	i->adopted = !access(i->pin_dir, F_OK);
	r = i->adopted ? adopt(i, e) : make(i, e);
	if (!r)
		r = monitor_ring(i, e);
	if (r)
		return r;
	i->restart_flag = programs_restart_flag();
	i->group = map_in(i->groups, GROUPS_BYTES, PROT_READ | PROT_WRITE);
	if (i->group)
		i->file = map_in(i->files, FILES_BYTES, PROT_READ | PROT_WRITE);
	if (i->file)
		i->stream = map_in(i->streams, STREAMS_BYTES, PROT_READ);
	if (i->stream)
		i->how = map_in(i->asking, HOW_BYTES, PROT_READ | PROT_WRITE);
	if (!i->how)
		return err_set(e, -errno, "can't map the instance's arrays: %m");
	*ret = TAKE_PTR(i);
	return 0;
}

void instance_close(struct instance **instance)
{
	struct instance *i = *instance;
	size_t n;

	if (!i)
		return;
	if (i->group)
		munmap(i->group, GROUPS_BYTES);
	if (i->file)
		munmap(i->file, FILES_BYTES);
	if (i->stream)
		munmap(i->stream, STREAMS_BYTES);
	if (i->how)
		munmap(i->how, HOW_BYTES);
	for (n = 0; n < NSHARED; n++)
		scope_close(map_fd_of(i, &shared_maps[n]));
	scope_close(&i->monitor);
	scope_close(&i->lock_fd);
	free(i->pin_dir);
	free(i->name);
	free(i);
	*instance = NULL;
}

int instance_destroy(const char *name, struct err *e)
{
	scoped(scope_free) char *dir = NULL, *links = NULL, *unfinished = NULL, *lsm = NULL;
	int r = pin_dir_of(name, &dir, e);

	if (r)
		return r;
	links = pin_path("%s/link", dir);
	unfinished = pin_path("%s~", dir);
	lsm = pin_path("%s/lsm", dir);
	if (!links || !unfinished || !lsm)
		return -ENOMEM;
	/* Links first: programs that are still called find everything that they use. */
	r = pin_remove(links);
	if (!r)
		r = pin_remove(lsm);
	if (!r)
		r = pin_remove(dir);
	if (!r)
		r = pin_remove(unfinished);
	if (r)
		return err_set(e, r, "can't remove %s: %s", dir, strerror(-r));
	*strrchr(dir, '/') = 0;
	rmdir(dir); /* of the last instance */
	return 0;
}

/* ---- slots ---- */

static int clear_slot(struct instance *i, __u32 slot)
{
	int ncpus = libbpf_num_possible_cpus();
	scoped(scope_free) void *zeros = NULL;
	struct ulsp_stream none = {};
	__u32 ring;

	if (ncpus < 0)
		return ncpus;
	zeros = calloc((size_t)ncpus, sizeof(struct ulsp_group_count));
	if (!zeros)
		return -ENOMEM;
	if (bpf_map_update_elem(i->gcount, &slot, zeros, BPF_ANY))
		return -errno;
	for (ring = 0; ring < ULSP_ALL_RINGS; ring++) {
		__u32 at = ULSP_STREAM(slot, ring);

		if (bpf_map_update_elem(i->streams, &at, &none, BPF_ANY))
			return -errno;
	}
	return 0;
}

/*
 * The next one after the last that was given out: what still carries the tag of a group that is
 * gone (sockets, files, keys) isn't taken for a new group's soon.
 */
static uint32_t unused_slot(struct instance *i)
{
	struct ulsp_meta meta = {0};
	uint32_t n, slot, zero = 0;

	bpf_map_lookup_elem(i->meta, &zero, &meta);
	for (n = 1; n <= ULSP_MAX_GROUPS; n++) {
		slot = (meta.last_slot + n) % ULSP_MAX_GROUPS;
		if (i->group[slot].in_use)
			continue;
		meta.last_slot = slot;
		bpf_map_update_elem(i->meta, &zero, &meta, BPF_ANY);
		return slot;
	}
	return ULSP_MAX_GROUPS;
}

int instance_group_slot(struct instance *i, const char *name, uint32_t *ret, struct err *e)
{
	struct ulsp_group *g;
	uint32_t slot, unused;
	int r;

	if (strlen(name) >= ULSP_NAME_BYTES)
		return err_set(e, -ENAMETOOLONG, "the name of group %s is longer than %d bytes",
			       name, ULSP_NAME_BYTES - 1);
	for (slot = 0; slot < ULSP_MAX_GROUPS; slot++) {
		g = &i->group[slot];
		if (g->in_use && !strncmp(g->name, name, sizeof(g->name))) {
			*ret = slot;
			return 0;
		}
	}
	unused = unused_slot(i);
	if (unused == ULSP_MAX_GROUPS)
		return err_set(e, -ENOSPC, "no room for group %s: an instance has %d groups", name,
			       ULSP_MAX_GROUPS);
	r = clear_slot(i, unused);
	if (r)
		return err_set(e, r, "can't clear the counters for group %s: %s", name,
			       strerror(-r));
	g = &i->group[unused];
	memset(g, 0, sizeof(*g));
	memcpy(g->name, name, strlen(name));
	__atomic_store_n(&g->in_use, 1, __ATOMIC_RELEASE);
	*ret = unused;
	return 0;
}

void instance_group_free(struct instance *i, uint32_t slot)
{
	if (slot >= ULSP_MAX_GROUPS)
		return;
	rates_prune(i, slot, NULL);
	/* first: who looks at it from another thread finds it gone */
	__atomic_store_n(&i->group[slot].in_use, 0, __ATOMIC_RELEASE);
	memset(&i->group[slot], 0, sizeof(i->group[slot]));
}

int instance_file_slot(struct instance *i, const char *name, uint16_t *ret, struct err *e)
{
	size_t n = strlen(name);
	uint16_t slot;

	if (n >= ULSP_PATH_BYTES)
		name += n - (ULSP_PATH_BYTES - 1); /* the tail says more */
	for (slot = 0; slot < ULSP_MAX_FILES; slot++) {
		if (!i->file[slot][0])
			snprintf(i->file[slot], ULSP_PATH_BYTES, "%s", name);
		else if (strncmp(i->file[slot], name, ULSP_PATH_BYTES) != 0)
			continue;
		*ret = slot;
		return 0;
	}
	return err_set(e, -ENOSPC, "no room for the name of %s: an instance has %d policy files",
		       name, ULSP_MAX_FILES);
}

void instance_remove_run_dir(const char *name)
{
	static const char *const files[] = {"lock", "log", "control"};
	char dir[PATH_MAX], path[PATH_MAX + 8];

	if (instance_run_dir(name, dir, sizeof(dir)))
		return;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	ulsp_dir_remove_all(name);
	rmdir(dir);
}
