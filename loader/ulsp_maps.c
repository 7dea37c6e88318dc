/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ULSP's rings, page and verdict cache, and their slot in the arrays through
 * which programs reach them.  The slot is where the first pinned ring is entered.
 */
#include "instance.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "cache.h"
#include "cleanup.h"
#include "pins.h"
#include "policy.h"

enum { RING_BYTES_DEFAULT = 1 << 20 };

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

static __u32 map_entries(int fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.max_entries;
}

/*
 * Whether nobody can write or map the map by a descriptor any more.  A ULSP can do
 * that to its own (bpf_map_freeze(2) needs no privilege since 6.6), for good.
 */
static bool is_frozen(int fd)
{
	char path[64], line[128];
	unsigned value = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	if (!info)
		return false;
	while (fgets(line, sizeof(line), info)) {
		if (sscanf(line, "frozen: %u", &value) == 1)
			break;
	}
	fclose(info);
	return value;
}

static struct ulsp_shape with_defaults(struct ulsp_shape wanted)
{
	if (!wanted.ring_bytes)
		wanted.ring_bytes = RING_BYTES_DEFAULT;
	if (!wanted.rings)
		wanted.rings = 1;
	return wanted;
}

/* The slot that has this ring; else a free one. */
static int find_slot(struct instance *i, int ring, uint8_t *ret)
{
	__u32 wanted = ring >= 0 ? map_id(ring) : 0, slot, id;
	uint8_t unused = 0;

	for (slot = ULSP_RING_MONITOR + 1; slot < ULSP_MAX_RINGS; slot++) {
		if (bpf_map_lookup_elem(i->rings, &slot, &id)) {
			if (!unused)
				unused = (uint8_t)slot;
		} else if (wanted && id == wanted) {
			*ret = (uint8_t)slot;
			return 0;
		}
	}
	if (!unused)
		return -ENOSPC;
	*ret = unused;
	return 0;
}

/* The pinned map, or a new one that takes the pin. */
static int open_or_make(const char *dir, const char *what, enum bpf_map_type type, __u32 key,
			__u32 value, __u32 entries, __u32 flags, int *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	scoped(scope_free) char *path = pin_path("%s/%s", dir, what), *name = NULL;
	scoped(scope_close) int fd = -1;
	int r;

	if (!path)
		return -ENOMEM;
	fd = pin_open(path);
	if (fd >= 0 && (map_entries(fd) != entries || is_frozen(fd))) {
		close(fd);
		fd = -ENOENT; /* another size is wanted, or one that works */
	}
	if (fd == -ENOENT) {
		name = pin_path("ulsp_%s", what);
		if (!name)
			return -ENOMEM;
		fd = bpf_map_create(type, name, key, value, entries, &opts);
		if (fd < 0)
			return -errno;
		r = pin_replace(fd, path);
		if (r)
			return r;
	}
	if (fd < 0)
		return fd;
	*ret = TAKE_FD(fd);
	return 0;
}

static const struct ulsp_maps no_maps = {
	.rings = {[0 ... ULSP_RINGS_EACH - 1] = -1},
	.page = -1,
	.cache = -1,
	.slots = -1,
	.waits = -1,
};

static void fini(struct ulsp_maps *m)
{
	if (m->mapped)
		munmap(m->mapped, sizeof(*m->mapped));
	if (m->sets)
		munmap(m->sets, ULSP_CACHE_BYTES);
	for (int k = 0; k < ULSP_RINGS_EACH; k++)
		scope_close(&m->rings[k]);
	scope_close(&m->page);
	scope_close(&m->cache);
	scope_close(&m->slots);
	scope_close(&m->waits);
	*m = no_maps;
}

static char *ring_path(const char *dir, __u32 k)
{
	return k ? pin_path("%s/ring_%u", dir, k) : pin_path("%s/ring", dir);
}

static int make_ring(const char *dir, uint64_t bytes, struct ulsp_maps *m)
{
	__u32 k = m->nrings;
	scoped(scope_free) char *path = ring_path(dir, k);
	scoped(scope_close) int old = path ? pin_open(path) : -ENOMEM;
	int r = open_or_make(dir, path ? strrchr(path, '/') + 1 : "", BPF_MAP_TYPE_RINGBUF, 0, 0,
			     (__u32)bytes, 0, &m->rings[k]);

	if (r)
		return r;
	if (old < 0 || map_id(old) != map_id(m->rings[k]))
		m->mapped->readers[k].taken = 0; /* of a ring that is gone */
	m->nrings++;
	return 0;
}

/* NULL: errno. */
static void *map(int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int make_maps(struct instance *i, const char *dir, struct ulsp_shape shape,
		     struct ulsp_maps *m)
{
	scoped(scope_free) char *path = ring_path(dir, 0);
	scoped(scope_close) int old = path ? pin_open(path) : -ENOMEM;
	int r;

	/* A ring of another size takes the slot of the one that it replaces. */
	r = find_slot(i, old, &m->slot);
	if (!r)
		r = pin_mkdirs(dir);
	if (!r)
		r = open_or_make(dir, "page", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_page), 1,
				 BPF_F_MMAPABLE, &m->page);
	if (!r)
		r = open_or_make(dir, "cache", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_cache_set),
				 ULSP_CACHE_SETS, BPF_F_MMAPABLE, &m->cache);
	if (!r)
		r = open_or_make(dir, "slots", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_slot),
				 ULSP_MAX_SLOTS, BPF_F_MMAPABLE, &m->slots);
	if (!r)
		r = open_or_make(dir, "waits", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_wait),
				 ULSP_MAX_SLOTS, BPF_F_MMAPABLE, &m->waits);
	if (r)
		return r;
	m->mapped = map(m->page, sizeof(*m->mapped));
	if (m->mapped)
		m->sets = map(m->cache, ULSP_CACHE_BYTES);
	if (!m->sets)
		return -errno;
	m->mapped->magic = ULSP_MAGIC;
	m->mapped->abi = ULSP_ABI;
	while (!r && m->nrings < shape.rings)
		r = make_ring(dir, shape.ring_bytes, m);
	return r;
}

/* The slot's next ring of that number counts from 1. */
static void clear_streams(struct instance *i, __u32 ring)
{
	struct ulsp_stream none = {};

	for (__u32 group = 0; group < ULSP_MAX_GROUPS; group++) {
		__u32 at = ULSP_STREAM(group, ring);

		bpf_map_update_elem(i->streams, &at, &none, BPF_ANY);
	}
}

/* Rings from `k` on. */
static void remove_rings(struct instance *i, const char *dir, __u32 slot, __u32 k)
{
	for (; k < ULSP_RINGS_EACH; k++) {
		scoped(scope_free) char *path = ring_path(dir, k);
		__u32 ring = ULSP_RING(slot, k), id;

		if (bpf_map_lookup_elem(i->rings, &ring, &id))
			continue;
		bpf_map_delete_elem(i->rings, &ring);
		clear_streams(i, ring);
		if (path)
			pin_remove(path);
	}
}

/*
 * Programs find what they look for: a ring comes after page and cache, the first ring last of all,
 * and they are told of another number of rings when these are there, or before they go.
 */
static int enter(struct instance *i, const char *dir, const struct ulsp_maps *m)
{
	const struct ulsp_asking how = {.spin_ns = POL_SPIN_DEFAULT_US * 1000,
					.success = 1024,
					.woken = 1024,
					.rings = m->nrings};
	__u32 slot = m->slot, id;

	if (bpf_map_lookup_elem(i->rings, &slot, &id)) /* it was nobody's, or another's */
		i->how[slot] = how;
	/* Before slots their waits: the daemon looks a ring up by its slots. */
	if (bpf_map_update_elem(i->pages, &slot, &m->page, BPF_ANY) ||
	    bpf_map_update_elem(i->caches, &slot, &m->cache, BPF_ANY) ||
	    bpf_map_update_elem(i->waits, &slot, &m->waits, BPF_ANY) ||
	    bpf_map_update_elem(i->slots, &slot, &m->slots, BPF_ANY))
		return -errno;
	for (__u32 k = m->nrings; k-- > 0;) {
		__u32 ring = ULSP_RING(slot, k);

		if (bpf_map_update_elem(i->rings, &ring, &m->rings[k], BPF_ANY))
			return -errno;
	}
	__atomic_store_n(&i->how[slot].rings, m->nrings, __ATOMIC_RELEASE);
	remove_rings(i, dir, slot, m->nrings);
	return 0;
}

static void count_rings(struct instance *i)
{
	struct ulsp_meta meta;
	__u32 ring, id, zero = 0, n = 0;

	for (ring = 0; ring < ULSP_ALL_RINGS; ring++)
		n += !bpf_map_lookup_elem(i->rings, &ring, &id);
	if (bpf_map_lookup_elem(i->meta, &zero, &meta))
		return;
	meta.nrings = n;
	bpf_map_update_elem(i->meta, &zero, &meta, BPF_ANY);
}

static char *ulsp_dir(const struct instance *i, const char *ulsp)
{
	scoped(scope_free) char *escaped = pin_escape(ulsp);

	return escaped ? pin_path("%s/ulsp/%s", i->pin_dir, escaped) : NULL;
}

int instance_ulsp_maps(struct instance *i, const char *ulsp, struct ulsp_shape shape,
		       struct ulsp_maps *ret, struct err *e)
{
	scoped(scope_free) char *dir = ulsp_dir(i, ulsp);
	struct ulsp_maps m = no_maps;
	int r;

	if (!dir)
		return -ENOMEM;
	shape = with_defaults(shape);
	if (shape.ring_bytes > 1u << 31)
		return err_set(e, -EINVAL, "ulsp %s: a ring has at most 2 GiB", ulsp);
	r = make_maps(i, dir, shape, &m);
	if (!r)
		r = enter(i, dir, &m);
	if (r) {
		fini(&m);
		return err_set(e, r, "ulsp %s: can't make its %u rings of %llu bytes: %s", ulsp,
			       shape.rings, (unsigned long long)shape.ring_bytes,
			       r == -ENOSPC ? "an instance has at most 31 ULSPs" : strerror(-r));
	}
	count_rings(i);
	*ret = m;
	return 0;
}

static bool fits(const struct ulsp_maps *m, struct ulsp_shape shape)
{
	bool fit = m->nrings == shape.rings && !is_frozen(m->page) && !is_frozen(m->cache) &&
		   !is_frozen(m->slots);

	for (__u32 k = 0; fit && k < m->nrings; k++)
		fit = map_entries(m->rings[k]) == shape.ring_bytes && !is_frozen(m->rings[k]);
	return fit;
}

int instance_ulsp_refit(struct instance *i, const char *ulsp, struct ulsp_shape shape,
			struct ulsp_maps *m, bool *ret_made, struct err *e)
{
	struct ulsp_maps next;
	int r;

	*ret_made = false;
	if (fits(m, with_defaults(shape)))
		return 0;
	r = instance_ulsp_maps(i, ulsp, shape, &next, e);
	if (r)
		return r;
	fini(m);
	*m = next;
	*ret_made = true;
	return 0;
}

int instance_ulsp_renew(struct instance *i, const char *ulsp, struct ulsp_shape shape,
			struct ulsp_maps *m, struct err *e)
{
	scoped(scope_free) char *dir = ulsp_dir(i, ulsp), *path = NULL;
	struct ulsp_maps next;
	int r;

	path = dir ? pin_path("%s/cache", dir) : NULL;
	r = path ? pin_remove(path) : -ENOMEM;
	if (r)
		return err_set(e, r, "ulsp %s: its cache: %s", ulsp, strerror(-r));
	r = instance_ulsp_maps(i, ulsp, shape, &next, e);
	if (r)
		return r;
	fini(m);
	*m = next;
	return 0;
}

void instance_ulsp_spin(struct instance *i, const struct ulsp_maps *m, uint32_t spin_us)
{
	/* Alone: programs count in the same entry meanwhile. */
	__atomic_store_n(&i->how[m->slot].spin_ns, spin_us * 1000, __ATOMIC_RELAXED);
}

void instance_ulsp_drop(struct instance *i, const char *ulsp, struct ulsp_maps *m)
{
	scoped(scope_free) char *dir = ulsp_dir(i, ulsp);
	__u32 slot = m->slot;

	if (dir)
		remove_rings(i, dir, slot, 0);
	bpf_map_delete_elem(i->pages, &slot);
	bpf_map_delete_elem(i->caches, &slot);
	bpf_map_delete_elem(i->slots, &slot);
	bpf_map_delete_elem(i->waits, &slot);
	if (dir)
		pin_remove(dir);
	fini(m);
	count_rings(i);
}
