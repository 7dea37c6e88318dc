/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ULSP's ring, page and verdict cache, and their slot in the arrays through
 * which programs reach them.  The slot is where the pinned ring is entered.
 */
#include "instance.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "pins.h"
#include "policy.h"

enum {
	RING_BYTES_DEFAULT = 1 << 20,
	CACHE_ENTRIES = 1 << 16, /* flows with a verdict; the least used goes first */
};

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

static uint64_t ring_size(uint64_t wanted)
{
	return wanted ? wanted : RING_BYTES_DEFAULT;
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

static void fini(struct ulsp_maps *m)
{
	if (m->mapped)
		munmap(m->mapped, sizeof(*m->mapped));
	m->mapped = NULL;
	scope_close(&m->ring);
	scope_close(&m->page);
	scope_close(&m->cache);
	scope_close(&m->slots);
	scope_close(&m->waits);
	m->ring = m->page = m->cache = m->slots = m->waits = -1;
}

static int make(struct instance *i, const char *dir, uint64_t ring_bytes, struct ulsp_maps *m)
{
	scoped(scope_free) char *old_path = pin_path("%s/ring", dir);
	scoped(scope_close) int old = old_path ? pin_open(old_path) : -ENOMEM;
	const struct ulsp_asking how = {
		.spin_ns = POL_SPIN_DEFAULT_US * 1000, .success = 1024, .woken = 1024};
	__u32 slot, id;
	void *page;
	int r;

	/* A ring of another size takes the slot of the one that it replaces. */
	r = find_slot(i, old, &m->slot);
	if (!r)
		r = pin_mkdirs(dir);
	if (!r)
		r = open_or_make(dir, "ring", BPF_MAP_TYPE_RINGBUF, 0, 0, (__u32)ring_bytes, 0,
				 &m->ring);
	if (!r)
		r = open_or_make(dir, "page", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_page), 1,
				 BPF_F_MMAPABLE, &m->page);
	if (!r)
		r = open_or_make(dir, "cache", BPF_MAP_TYPE_LRU_HASH, sizeof(struct ulsp_cache_key),
				 sizeof(struct ulsp_cache_entry), CACHE_ENTRIES, 0, &m->cache);
	if (!r)
		r = open_or_make(dir, "slots", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_slot),
				 ULSP_MAX_SLOTS, BPF_F_MMAPABLE, &m->slots);
	if (!r)
		r = open_or_make(dir, "waits", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_wait),
				 ULSP_MAX_SLOTS, BPF_F_MMAPABLE, &m->waits);
	if (r)
		return r;
	page = mmap(NULL, sizeof(struct ulsp_page), PROT_READ | PROT_WRITE, MAP_SHARED, m->page, 0);
	if (page == MAP_FAILED)
		return -errno;
	m->mapped = page;
	m->mapped->magic = ULSP_MAGIC;
	m->mapped->abi = ULSP_ABI;
	if (old < 0 || map_id(old) != map_id(m->ring))
		m->mapped->taken = 0; /* of a ring that is gone */
	slot = m->slot;
	if (bpf_map_lookup_elem(i->rings, &slot, &id)) /* it was nobody's, or another's */
		i->how[slot] = how;
	/* The ring last: what finds it finds page and cache too. */
	if (bpf_map_update_elem(i->pages, &slot, &m->page, BPF_ANY) ||
	    bpf_map_update_elem(i->caches, &slot, &m->cache, BPF_ANY) ||
	    bpf_map_update_elem(i->slots, &slot, &m->slots, BPF_ANY) ||
	    bpf_map_update_elem(i->waits, &slot, &m->waits, BPF_ANY) ||
	    bpf_map_update_elem(i->rings, &slot, &m->ring, BPF_ANY))
		return -errno;
	return 0;
}

static void count_rings(struct instance *i)
{
	struct ulsp_meta meta;
	__u32 slot, id, zero = 0, n = 0;

	for (slot = 0; slot < ULSP_MAX_RINGS; slot++)
		n += !bpf_map_lookup_elem(i->rings, &slot, &id);
	if (bpf_map_lookup_elem(i->meta, &zero, &meta))
		return;
	meta.nrings = n;
	bpf_map_update_elem(i->meta, &zero, &meta, BPF_ANY);
}

int instance_ulsp_maps(struct instance *i, const char *ulsp, uint64_t ring_bytes,
		       struct ulsp_maps *ret, struct err *e)
{
	struct ulsp_maps m = {.ring = -1, .page = -1, .cache = -1, .slots = -1, .waits = -1};
	scoped(scope_free) char *escaped = pin_escape(ulsp), *dir = NULL;
	int r;

	dir = escaped ? pin_path("%s/ulsp/%s", i->pin_dir, escaped) : NULL;
	if (!dir)
		return -ENOMEM;
	ring_bytes = ring_size(ring_bytes);
	if (ring_bytes > 1u << 31)
		return err_set(e, -EINVAL, "ulsp %s: a ring has at most 2 GiB", ulsp);
	r = make(i, dir, ring_bytes, &m);
	if (r) {
		fini(&m);
		return err_set(e, r, "ulsp %s: can't make its ring of %llu bytes: %s", ulsp,
			       (unsigned long long)ring_bytes,
			       r == -ENOSPC ? "an instance has at most 31 ULSPs" : strerror(-r));
	}
	count_rings(i);
	*ret = m;
	return 0;
}

int instance_ulsp_refit(struct instance *i, const char *ulsp, uint64_t ring_bytes,
			struct ulsp_maps *m, bool *ret_made, struct err *e)
{
	struct ulsp_maps next;
	int r;

	if (map_entries(m->ring) == ring_size(ring_bytes) && !is_frozen(m->ring) &&
	    !is_frozen(m->page) && !is_frozen(m->cache) && !is_frozen(m->slots)) {
		*ret_made = false;
		return 0;
	}
	r = instance_ulsp_maps(i, ulsp, ring_bytes, &next, e);
	if (r)
		return r;
	fini(m);
	*m = next;
	*ret_made = true;
	return 0;
}

int instance_ulsp_renew(struct instance *i, const char *ulsp, uint64_t ring_bytes,
			struct ulsp_maps *m, struct err *e)
{
	scoped(scope_free) char *escaped = pin_escape(ulsp), *path = NULL;
	struct ulsp_maps next;
	int r;

	path = escaped ? pin_path("%s/ulsp/%s/cache", i->pin_dir, escaped) : NULL;
	r = path ? pin_remove(path) : -ENOMEM;
	if (r)
		return err_set(e, r, "ulsp %s: its cache: %s", ulsp, strerror(-r));
	r = instance_ulsp_maps(i, ulsp, ring_bytes, &next, e);
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
	scoped(scope_free) char *escaped = pin_escape(ulsp), *dir = NULL;
	__u32 slot = m->slot, group;
	struct ulsp_stream none = {};

	bpf_map_delete_elem(i->rings, &slot);
	bpf_map_delete_elem(i->pages, &slot);
	bpf_map_delete_elem(i->caches, &slot);
	bpf_map_delete_elem(i->slots, &slot);
	bpf_map_delete_elem(i->waits, &slot);
	/* The slot's next ULSP counts from 1. */
	for (group = 0; group < ULSP_MAX_GROUPS; group++) {
		__u32 at = group * ULSP_MAX_RINGS + slot;

		bpf_map_update_elem(i->streams, &at, &none, BPF_ANY);
	}
	dir = escaped ? pin_path("%s/ulsp/%s", i->pin_dir, escaped) : NULL;
	if (dir)
		pin_remove(dir);
	fini(m);
	count_rings(i);
}
