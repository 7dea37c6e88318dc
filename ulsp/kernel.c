/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's side of a handle: the maps whose descriptors ulspd passed.
 *
 * Nothing here needs a privilege: since Linux 5.19 bpf(2) lets everyone look
 * up, update and describe a map by a descriptor that allows it, whatever
 * kernel.unprivileged_bpf_disabled says.  The ring and the page are mmapped.
 * Groups, files and streams come as read-only descriptors, which cannot be
 * mmapped (the kernel wants a shared mapping, and a shared mapping of a
 * read-only file isn't one to it: EINVAL, 6.18 still): they are looked up.
 */
#include "handle.h"
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <bpf/bpf.h>

enum { FD_PAGE, FD_CACHE, FD_GROUPS, FD_FILES, FD_STREAMS, FD_SLOTS, FD_RING, MAPS };
enum { FD_POKE = MAPS, FDS }; /* a pipe to the daemon */

static const struct {
	const char *name;
	enum bpf_map_type type; /* BPF_MAP_TYPE_UNSPEC: any with these sizes */
	uint32_t key, value;	/* of a map */
} fd_is[FDS] = {
	[FD_PAGE] = {"page", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_page)},
	[FD_CACHE] = {"cache", BPF_MAP_TYPE_UNSPEC, sizeof(struct ulsp_cache_key),
		      sizeof(struct ulsp_cache_entry)},
	[FD_GROUPS] = {"groups", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_group)},
	[FD_FILES] = {"files", BPF_MAP_TYPE_ARRAY, 4, ULSP_PATH_BYTES},
	[FD_STREAMS] = {"streams", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_stream)},
	[FD_SLOTS] = {"slots", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ulsp_slot)},
	[FD_RING] = {"ring", BPF_MAP_TYPE_RINGBUF, 0, 0}, /* one or more */
	[FD_POKE] = {"poke", BPF_MAP_TYPE_UNSPEC, 0, 0},
};

/*
 * A short wait for the next message before a sleep costs less than the wake-up, where messages
 * follow each other.  Where they don't it is tried now and then only.  It is longer where somebody
 * waits for answers: a process that connects by TCP asks again after 30 to 60 us.
 */
enum { LINGER_NS = 20000, LINGER_ASKED_NS = 80000 };
enum { LINGER_PAUSES = 4, LINGER_CREDIT = 8, LINGER_RETRY = 32 };
struct pause {
	bool warm;	     /* the last drain took something */
	bool asked;	     /* and somebody was answered */
	bool poked;	     /* by way of the daemon, which may need this processor */
	unsigned int credit; /* waits that may fail before they are held off */
	unsigned int held;   /* waits held off since */
};

/* One of the rings that the handle reads. */
struct source {
	int fd;
	uint32_t k; /* which of the ULSP's it is */
	struct ulsp_ring ring;
	struct ulsp_reader *reader; /* in the page; NULL: not the handle's yet */
	struct ulsp *u;
	uint32_t at; /* in `sources` */
};

struct kernel {
	int fds[FDS]; /* FD_RING: none, see sources */
	uint32_t entries[MAPS];
	uint32_t first; /* number of the ULSP's first ring */
	struct source sources[ULSP_RINGS_EACH];
	uint32_t n, turn;
	struct pause pause;
	struct ulsp_page *page;
	struct ulsp_slot *slots;
	/* Names as the messages of a generation have them: a slot is given anew only by a reload.
	 */
	struct {
		uint32_t generation; /* 0: not looked up */
		char name[ULSP_NAME_BYTES];
	} groups[ULSP_MAX_GROUPS];
	struct {
		uint32_t generation;
		char name[ULSP_PATH_BYTES];
	} files[ULSP_MAX_FILES];
	/* What earlier runs of this ULSP left in the page: it counts on. */
	struct ulsp_stats before;
};

static const struct ulsp_backend kernel_backend;

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
	if (fd_is[which].type != BPF_MAP_TYPE_UNSPEC && info.type != fd_is[which].type)
		return -EPROTO;
	if (info.key_size != fd_is[which].key || info.value_size != fd_is[which].value)
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
	    k->entries[FD_SLOTS] < ULSP_MAX_SLOTS)
		return -EPROTO;
	return 0;
}

enum { SLOTS_BYTES = ULSP_MAX_SLOTS * sizeof(struct ulsp_slot) };

static int map_pages(struct kernel *k)
{
	void *at = mmap(NULL, sizeof(*k->page), PROT_READ | PROT_WRITE, MAP_SHARED, k->fds[FD_PAGE],
			0);

	if (at == MAP_FAILED)
		return -errno;
	k->page = at;
	at = mmap(NULL, SLOTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, k->fds[FD_SLOTS], 0);
	if (at == MAP_FAILED)
		return -errno;
	k->slots = at;
	return 0;
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

static bool kernel_sent(const struct ulsp *u, uint32_t ring, uint32_t group, uint64_t *ret)
{
	const struct kernel *k = u->impl;
	uint32_t at = ULSP_STREAM(group, ULSP_RING(k->first, k->sources[ring].k));
	struct ulsp_stream stream;

	if (bpf_map_lookup_elem(k->fds[FD_STREAMS], &at, &stream))
		return false;
	*ret = stream.seq;
	return true;
}

static bool kernel_empty(const struct ulsp *u, uint32_t ring)
{
	const struct kernel *k = u->impl;

	return ulsp_ring_empty(&k->sources[ring].ring);
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
		if (!kernel_sent(u, ring, i, &sent[i]))
			return; /* then each starts with its first message */
	empty = kernel_empty(u, ring);
	for (uint32_t i = 0; i < ULSP_MAX_GROUPS; i++)
		if (empty || !sent[i])
			ulsp_track_start(&u->tracks[ring][i], sent[i] + 1);
}

static bool on_record(void *ctx, const void *record, size_t bytes)
{
	const struct source *s = ctx;

	return ulsp_deliver(s->u, s->at, record, bytes, 0);
}

static void kernel_close(struct ulsp *u)
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
	r = ulsp_new(options, &kernel_backend, &u);
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
		kernel_close(u);
		ulsp_unref(u);
		return r;
	}
	ulsp_beat(u);
	*ret = u;
	return 0;
}

static void publish(struct ulsp *u)
{
	struct kernel *k = u->impl;
	struct ulsp_reader *reader = k->sources[0].reader;

	reader->received = k->before.received + u->stats.received;
	reader->lost = k->before.lost + u->stats.lost;
	reader->verdicts = k->before.verdicts + u->stats.verdicts;
	reader->late = k->before.late + u->stats.late;
}

/* Asking programs wait for who is awake on another processor than theirs. */
static void awake(struct kernel *k, bool now)
{
	uint32_t cpu = now ? (uint32_t)sched_getcpu() + 1 : 0;

	for (uint32_t i = 0; i < k->n; i++) {
		if (now)
			__atomic_store_n(&k->sources[i].reader->cpu, cpu, __ATOMIC_RELAXED);
		__atomic_store_n(&k->sources[i].reader->awake, cpu, __ATOMIC_RELEASE);
	}
}

/* From another ring each time, where a batch may end before all had their turn. */
static void kernel_drain(struct ulsp *u)
{
	struct kernel *k = u->impl;
	unsigned int taken = 0;

	awake(k, true);
	k->pause.asked = k->pause.poked = false;
	for (uint32_t i = 0; i < k->n; i++) {
		struct source *s = &k->sources[(k->turn + i) % k->n];

		taken += ulsp_ring_drain(&s->ring, on_record, s);
		if (u->error || u->count >= ULSP_BATCH ||
		    __atomic_load_n(&u->stopping, __ATOMIC_RELAXED))
			break;
	}
	k->turn++;
	k->pause.warm = taken > 0;
	publish(u);
}

static bool ready(const struct kernel *k)
{
	for (uint32_t i = 0; i < k->n; i++)
		if (ulsp_ring_ready(&k->sources[i].ring))
			return true;
	return false;
}

static void settle(struct kernel *k)
{
	awake(k, false);
	for (uint32_t i = 0; i < k->n; i++)
		ulsp_ring_settle(&k->sources[i].ring);
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool wait_shortly(const struct kernel *k, bool asked)
{
	uint64_t end = ulsp_now_ns(CLOCK_MONOTONIC) + (asked ? LINGER_ASKED_NS : LINGER_NS);

	do {
		if (ready(k))
			return true;
		/* Looks apart from each other: each takes a cache line from the producer. */
		for (int i = 0; i < LINGER_PAUSES; i++)
			relax();
	} while (ulsp_now_ns(CLOCK_MONOTONIC) < end);
	return false;
}

static bool kernel_linger(struct ulsp *u)
{
	struct kernel *k = u->impl;
	struct pause *l = &k->pause;

	awake(k, true);
	if (ready(k))
		return true;
	if (l->warm && !l->poked && (l->credit || ++l->held >= LINGER_RETRY)) {
		l->held = 0;
		if (wait_shortly(k, l->asked)) {
			l->credit = LINGER_CREDIT;
			return true;
		}
		if (l->credit)
			l->credit--;
	}
	l->warm = false;
	settle(k);
	return ready(k);
}

static void kernel_settle(struct ulsp *u)
{
	settle(u->impl);
}

/*
 * The scope's bit goes first: programs look only for scopes that have one, so an entry is never
 * there unseen.
 */
static int kernel_put(struct ulsp *u, const struct ulsp_message *m,
		      const struct ulsp_cache_key *key, const struct ulsp_cache_entry *entry,
		      uint32_t ttl_ms)
{
	struct kernel *k = u->impl;

	(void)m;
	(void)ttl_ms;
	__atomic_or_fetch(&k->page->scopes, 1u << key->scope, __ATOMIC_SEQ_CST);
	return bpf_map_update_elem(k->fds[FD_CACHE], key, entry, BPF_ANY);
}

/*
 * The ticket goes last: who sees it sees the rest.  Who waits outside the operation waits for the
 * daemon: it is told, unless that is said to be so only after the ticket was there.
 */
static int kernel_answer(struct ulsp *u, const struct ulsp_message *m, const struct ulsp_slot *said)
{
	struct kernel *k = u->impl;
	struct ulsp_poke poke = {.ring = k->first, .slot = m->raw.slot};
	struct ulsp_slot *s;

	if (m->raw.slot >= ULSP_MAX_SLOTS)
		return -EINVAL;
	k->pause.asked = true;
	s = &k->slots[m->raw.slot];
	if (__atomic_load_n(&s->ticket, __ATOMIC_RELAXED) >= said->ticket)
		return -EALREADY;
	if (said->verdict == ULSP_VERDICT_REWRITE &&
	    __atomic_load_n(&s->parked, __ATOMIC_ACQUIRE) == said->ticket)
		return -EOPNOTSUPP;
	s->generation = said->generation;
	s->verdict = said->verdict;
	s->family = said->family;
	s->error = said->error;
	s->port = said->port;
	memcpy(s->addr, said->addr, sizeof(s->addr));
	__atomic_store_n(&s->ticket, said->ticket, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&s->parked, __ATOMIC_SEQ_CST) != said->ticket)
		return 0;
	(void)!write(k->fds[FD_POKE], &poke, sizeof(poke)); /* full: it looks by itself */
	k->pause.poked = true;
	/* Parked meanwhile: that it is refused is as good as its own denial. */
	return said->verdict == ULSP_VERDICT_REWRITE ? -EOPNOTSUPP : 0;
}

static void kernel_beat(struct ulsp *u, bool alive)
{
	struct kernel *k = u->impl;

	publish(u);
	if (!alive)
		awake(k, false);
	for (uint32_t i = 0; i < k->n; i++)
		__atomic_store_n(&k->sources[i].reader->heartbeat_ns, alive ? u->beat_ns : 0,
				 __ATOMIC_RELEASE);
}

static void kernel_group_name(const struct ulsp *u, uint32_t group, uint32_t generation,
			      char name[ULSP_NAME_BYTES])
{
	struct kernel *k = u->impl;
	struct ulsp_group now;

	if (!k->groups[group].generation || k->groups[group].generation != generation) {
		if (!bpf_map_lookup_elem(k->fds[FD_GROUPS], &group, &now)) {
			now.name[ULSP_NAME_BYTES - 1] = '\0';
			memcpy(k->groups[group].name, now.name, ULSP_NAME_BYTES);
			k->groups[group].generation = generation;
		}
		if (!k->groups[group].name[0])
			snprintf(k->groups[group].name, ULSP_NAME_BYTES, "#%u", group);
	}
	memcpy(name, k->groups[group].name, ULSP_NAME_BYTES);
}

static void kernel_file_name(const struct ulsp *u, uint16_t file, uint32_t generation,
			     char name[ULSP_PATH_BYTES])
{
	struct kernel *k = u->impl;
	uint32_t at = file;
	char now[ULSP_PATH_BYTES];

	if (!k->files[file].generation || k->files[file].generation != generation)
		if (!bpf_map_lookup_elem(k->fds[FD_FILES], &at, now)) {
			now[ULSP_PATH_BYTES - 1] = '\0';
			memcpy(k->files[file].name, now, ULSP_PATH_BYTES);
			k->files[file].generation = generation;
		}
	memcpy(name, k->files[file].name, ULSP_PATH_BYTES);
}

static int kernel_generation(const struct ulsp *u, uint32_t group, uint32_t *ret)
{
	const struct kernel *k = u->impl;
	struct ulsp_group now;
	int r;

	r = bpf_map_lookup_elem(k->fds[FD_GROUPS], &group, &now);
	if (!r)
		*ret = now.generation;
	return r;
}

static const struct ulsp_backend kernel_backend = {
	.drain = kernel_drain,
	.linger = kernel_linger,
	.settle = kernel_settle,
	.put = kernel_put,
	.answer = kernel_answer,
	.beat = kernel_beat,
	.sent = kernel_sent,
	.empty = kernel_empty,
	.group_name = kernel_group_name,
	.file_name = kernel_file_name,
	.generation = kernel_generation,
	.close = kernel_close,
};
