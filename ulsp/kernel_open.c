/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors that ulspd passed, opened: checked, mapped and claimed.
 *
 * Nothing here needs a privilege: since Linux 5.19 bpf(2) lets everyone look
 * up, update and describe a map by a descriptor that allows it, whatever
 * kernel.unprivileged_bpf_disabled says.  What it writes, and the ring, are mmapped.
 * Groups, files and streams come as read-only descriptors, which cannot be
 * mmapped (the kernel wants a shared mapping, and a shared mapping of a
 * read-only file isn't one to it: EINVAL, 6.18 still): they are looked up.
 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <bpf/bpf.h>

static const struct {
	const char *name;
	enum bpf_map_type type;
	uint32_t key, value; /* of a map */
} fd_is[FDS] = {
	[FD_PAGE] = {"page", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_page)},
	[FD_CACHE] = {"cache", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_cache_set)},
	[FD_GROUPS] = {"groups", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_group)},
	[FD_FILES] = {"files", BPF_MAP_TYPE_ARRAY, 4, ULSP_PATH_BYTES},
	[FD_STREAMS] = {"streams", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_stream)},
	[FD_SLOTS] = {"slots", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_slot)},
	[FD_RING] = {"ring", BPF_MAP_TYPE_RINGBUF, 0, 0}, /* one or more */
	[FD_POKE] = {"poke", BPF_MAP_TYPE_UNSPEC, 0, 0},
};

/* Not for the programs that a ULSP may run. */
static int duplicate(long fd)
{
	int own;

	fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	own = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
	return own < 0 ? -errno : own;
}

/* `wanted`: the only ring that is, from 1; 0: all are.  -errno. */
static int take_fd(struct kernel *k, const char *word, long fd, uint32_t wanted, uint32_t *seen)
{
	int *to = NULL;

	if (!strcmp(word, fd_is[FD_RING].name)) {
		if (*seen == ULSP_RINGS_EACH)
			return -EINVAL;
		++*seen;
		if (wanted && wanted != *seen)
			return 0;
		k->sources[k->n].k = *seen - 1;
		k->sources[k->n].at = k->n;
		to = &k->sources[k->n++].fd;
	}
	for (int i = 0; i < FDS; i++)
		if (i != FD_RING && !strcmp(word, fd_is[i].name) && k->fds[i] < 0)
			to = &k->fds[i];
	if (!to)
		return 0; /* a later version's */
	*to = duplicate(fd);
	return *to < 0 ? *to : 0;
}

/* "page=3 cache=4 ... ring=10 ring=11": duplicates, so that the handle owns what it closes. */
static int parse_fds(struct kernel *k, const char *text, uint32_t wanted)
{
	char *copy = strdup(text), *save = NULL, *word, *end;
	uint32_t rings = 0;
	int r = 0;
	long fd;

	if (!copy)
		return -ENOMEM;
	for (word = strtok_r(copy, " ", &save); word && !r; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');

		if (!value) {
			r = -EINVAL;
			break;
		}
		*value++ = '\0';
		errno = 0;
		fd = strtol(value, &end, 10);
		if (errno || end == value || *end || fd < 0 || fd > INT32_MAX)
			r = -EINVAL;
		else
			r = take_fd(k, word, fd, wanted, &rings);
	}
	free(copy);
	for (int i = 0; i < FDS && !r; i++)
		if (i != FD_RING && k->fds[i] < 0)
			r = -EINVAL;
	return r || k->n ? r : -EINVAL;
}

unsigned int ulsp_rings(void)
{
	const char *at = getenv("ULSP_FDS");
	unsigned int n = 0;

	for (; at && (at = strstr(at, "ring=")); at++)
		n++;
	return n;
}

static int parse_environment(struct ulsp *u, struct kernel *k)
{
	const char *fds = getenv("ULSP_FDS"), *abi = getenv("ULSP_ABI");
	const char *name = getenv("ULSP_NAME"), *ring = getenv("ULSP_RING");
	unsigned long number;
	char *end;

	if (!fds)
		return -ENOTCONN;
	if (!abi)
		return -EPROTO;
	number = strtoul(abi, &end, 10);
	if (end == abi || *end || number != ULSP_ABI)
		return -EPROTO;
	if (!name || !*name || strlen(name) >= sizeof(u->name) || !ring)
		return -EINVAL;
	number = strtoul(ring, &end, 10);
	if (end == ring || *end || number >= ULSP_MAX_RINGS)
		return -EINVAL;
	memcpy(u->name, name, strlen(name) + 1);
	k->first = (uint32_t)number;
	return parse_fds(k, fds, u->options.ring);
}

/* It must be what the daemon says: sizes are the ABI. */
static int check_map(int fd, int which, uint32_t *ret_entries)
{
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);
	int r;

	r = bpf_obj_get_info_by_fd(fd, &info, &bytes);
	if (r)
		return r == -EINVAL ? -EPROTO : r; /* no BPF object at all */
	if (info.type != fd_is[which].type || info.key_size != fd_is[which].key ||
	    info.value_size != fd_is[which].value)
		return -EPROTO;
	*ret_entries = info.max_entries;
	return 0;
}

static int check_maps(struct kernel *k)
{
	int r = 0;

	for (int i = 0; i < MAPS && !r; i++)
		if (i != FD_RING)
			r = check_map(k->fds[i], i, &k->entries[i]);
	if (r)
		return r;
	if (k->entries[FD_GROUPS] < ULSP_MAX_GROUPS || k->entries[FD_FILES] < ULSP_MAX_FILES ||
	    k->entries[FD_STREAMS] < ULSP_MAX_GROUPS * ULSP_ALL_RINGS ||
	    k->entries[FD_SLOTS] < ULSP_MAX_SLOTS || k->entries[FD_CACHE] < ULSP_CACHE_SETS)
		return -EPROTO;
	return 0;
}

enum { SLOTS_BYTES = ULSP_MAX_SLOTS * sizeof(struct ulsp_slot) };

/* NULL: errno. */
static void *map(const struct kernel *k, int which, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, k->fds[which], 0);

	return at == MAP_FAILED ? NULL : at;
}

static int map_pages(struct kernel *k)
{
	k->page = map(k, FD_PAGE, sizeof(*k->page));
	if (k->page)
		k->slots = map(k, FD_SLOTS, SLOTS_BYTES);
	if (k->slots)
		k->cache = map(k, FD_CACHE, ULSP_CACHE_BYTES);
	return k->cache ? 0 : -errno;
}

static int claim_page(struct kernel *k)
{
	struct ulsp_page *p = k->page;

	if ((p->magic && p->magic != ULSP_MAGIC) || (p->abi && p->abi != ULSP_ABI))
		return -EPROTO;
	p->magic = ULSP_MAGIC;
	p->abi = ULSP_ABI;
	__atomic_store_n(&p->pid, (uint32_t)getpid(), __ATOMIC_RELAXED);
	return 0;
}

/* Two handles would take each other's messages. */
static int claim_reader(struct source *s, struct ulsp_reader *reader)
{
	uint32_t before = __atomic_load_n(&reader->open, __ATOMIC_RELAXED);
	uint32_t own = (uint32_t)getpid();

	do {
		if (before == own)
			return -EBUSY;
	} while (!__atomic_compare_exchange_n(&reader->open, &before, own, false, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	s->reader = reader;
	return 0;
}

static int open_source(struct ulsp *u, struct kernel *k, struct source *s)
{
	uint32_t bytes;
	int r;

	s->u = u;
	r = check_map(s->fd, FD_RING, &bytes);
	if (!r)
		r = claim_reader(s, &k->page->readers[s->k]);
	if (!r)
		r = ulsp_ring_open(&s->ring, s->fd, bytes, &s->reader->taken);
	return r;
}

/*
 * Where counting starts.  A ring that is empty now has nothing of what was numbered so far, so the
 * next number is the first that counts.  Otherwise it holds what a predecessor left: then the first
 * that is seen starts the count, except for streams that are still at zero.
 */
static void start_tracks(struct ulsp *u, uint32_t ring)
{
	uint64_t sent[ULSP_MAX_GROUPS];
	bool empty;

	for (uint32_t i = 0; i < ULSP_MAX_GROUPS; i++)
		if (!ulsp_kernel_backend.sent(u, ring, i, &sent[i]))
			return; /* then each starts with its first message */
	empty = ulsp_kernel_backend.empty(u, ring);
	for (uint32_t i = 0; i < ULSP_MAX_GROUPS; i++)
		if (empty || !sent[i])
			ulsp_track_start(&u->tracks[ring][i], sent[i] + 1);
}

void ulsp_kernel_close(struct ulsp *u)
{
	struct kernel *k = u->impl;

	for (uint32_t i = 0; i < ULSP_RINGS_EACH; i++) {
		ulsp_ring_close(&k->sources[i].ring);
		if (k->sources[i].reader)
			__atomic_store_n(&k->sources[i].reader->open, 0, __ATOMIC_RELEASE);
		if (k->sources[i].fd >= 0)
			close(k->sources[i].fd);
	}
	if (k->page)
		munmap(k->page, sizeof(*k->page));
	if (k->slots)
		munmap(k->slots, SLOTS_BYTES);
	if (k->cache)
		munmap(k->cache, ULSP_CACHE_BYTES);
	for (int i = 0; i < FDS; i++)
		if (k->fds[i] >= 0)
			close(k->fds[i]);
	free(k);
	u->impl = NULL;
}

/* The handle counts for all its rings with its first reader. */
static void remember(struct kernel *k)
{
	const struct ulsp_reader *reader = k->sources[0].reader;

	k->before.received = reader->received;
	k->before.lost = reader->lost;
	k->before.verdicts = reader->verdicts;
	k->before.late = reader->late;
}

static int kernel_open(struct ulsp *u, struct kernel *k)
{
	int r;

	r = parse_environment(u, k);
	if (r)
		return r;
	/*
	 * Who may trace this process may take its descriptors (pidfd_getfd(2)) and write verdicts.
	 * Processes of the same user may, so a member that runs as nobody could answer itself.
	 */
	prctl(PR_SET_DUMPABLE, 0);
	r = check_maps(k);
	if (r)
		return r;
	r = map_pages(k);
	if (r)
		return r;
	r = claim_page(k);
	if (r)
		return r;
	u->nrings = k->n;
	for (uint32_t i = 0; i < k->n && !r; i++) {
		r = open_source(u, k, &k->sources[i]);
		if (r)
			return r;
		start_tracks(u, i);
		r = ulsp_watch(u, k->sources[i].fd);
	}
	remember(k);
	return r;
}

int ulsp_open(const struct ulsp_options *options, struct ulsp **ret)
{
	struct kernel *k;
	struct ulsp *u;
	int r;

	if (!ret)
		return -EINVAL;
	r = ulsp_new(options, &ulsp_kernel_backend, &u);
	if (r)
		return r;
	k = calloc(1, sizeof(*k));
	if (!k) {
		ulsp_unref(u);
		return -ENOMEM;
	}
	for (int i = 0; i < FDS; i++)
		k->fds[i] = -1;
	for (int i = 0; i < ULSP_RINGS_EACH; i++)
		k->sources[i].fd = -1;
	u->impl = k;
	r = kernel_open(u, k);
	if (r) {
		ulsp_kernel_close(u);
		ulsp_unref(u);
		return r;
	}
	ulsp_beat(u);
	*ret = u;
	return 0;
}
