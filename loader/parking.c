// SPDX-License-Identifier: GPL-2.0-only
#include "parking.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <uthash.h>
#include <utlist.h>

#include "cleanup.h"
#include "log.h"
#include "loop_thread.h"
#include "netns.h"

enum {
	HOLDERS = 2,	     /* groups that hold one connection */
	LOOK_US = 20000,     /* where a ULSP's word may have been lost */
	REFUSED_US = 100000, /* for a refusal to be taken, before the socket is ended */
	REFUSALS = 2,	     /* that are sent until then */
	IDLE_US = 30000000,  /* for a namespace's sockets */
	POKES = 256,
	/* A ULSP's words are read so often at most; the rest is found by looking. */
	POKE_BURST = 100,
	POKE_INTERVAL_US = 10000,
	AGAINS = 1000, /* SYNs that are asked for after a load, between two looks */
};

/* A ULSP's slots and who waits in each, as the programs see them. */
struct lane {
	__u32 id; /* of the map of slots; 0: nothing is mapped */
	struct ulsp_slot *slots;
	const struct ulsp_wait *waits;
	sd_event_source *pokes; /* the pipe by which its ULSP tells; NULL: none */
	struct held *at[ULSP_MAX_SLOTS];
};

/* One question about a connection. */
struct question {
	bool allowed;
	uint8_t ring, flags;
	int error; /* positive, of a denial by the fail mode */
	uint32_t slot, group, generation;
	uint64_t ticket, deadline_ns;
};

/* A connection that waits. */
struct held {
	uint64_t cookie; /* of the socket */
	uint64_t netns;
	uint32_t tgid, mark, ifindex;
	unsigned n, holders; /* questions that are here, and that there are */
	struct question questions[HOLDERS];
	bool in;	    /* for a listener */
	unsigned refusals;  /* sent; waits for the socket's end */
	int error;	    /* of these */
	uint64_t refuse_ns; /* again, or the socket's end */
	struct syn syn;	    /* bytes 0: it can't be sent */
	UT_hash_handle hh;
};

struct parking {
	struct loop_thread *thread; /* runs the handlers; its lock is for all of this */
	struct instance *instance;
	struct netns *netns;
	struct ring_buffer *ring;
	sd_event_source *ring_source, *timer;
	struct lane *lanes[ULSP_MAX_RINGS];
	struct held *all;
	unsigned agains; /* since the last look at all */
	struct parking_stats stats[ULSP_MAX_RINGS];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- lanes ---- */

static void unmap(struct lane *l)
{
	if (l->slots)
		munmap(l->slots, ULSP_MAX_SLOTS * sizeof(*l->slots));
	if (l->waits)
		munmap((void *)l->waits, ULSP_MAX_SLOTS * sizeof(*l->waits));
	l->slots = NULL;
	l->waits = NULL;
	l->id = 0;
}

/* The map that an array of maps has at `ring`: NULL and errno, or mapped. */
static void *map_inner(int outer, __u32 ring, size_t bytes, int prot, __u32 *ret_id)
{
	scoped(scope_close) int fd = -1;
	void *at;

	if (bpf_map_lookup_elem(outer, &ring, ret_id))
		return NULL;
	fd = bpf_map_get_fd_by_id(*ret_id);
	if (fd < 0)
		return NULL;
	at = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

static struct lane *make_lane(struct parking *p, uint32_t ring)
{
	if (!p->lanes[ring])
		p->lanes[ring] = calloc(1, sizeof(struct lane));
	return p->lanes[ring];
}

static void forget(struct parking *p, struct held *h);

/* Its slot may be another's by now: `at` doesn't name it then. */
static bool waits_for(const struct held *h, uint32_t ring)
{
	for (unsigned i = 0; i < h->n; i++)
		if (h->questions[i].ring == ring)
			return true;
	return false;
}

/* NULL: no ULSP has that ring.  Whoever waits for one that had it is forgotten. */
static struct lane *lane_of(struct parking *p, uint32_t ring)
{
	struct lane *l = make_lane(p, ring);
	struct held *h, *next;
	__u32 id = 0, unused;

	if (!l)
		return NULL;
	if (bpf_map_lookup_elem(p->instance->slots, &ring, &id))
		id = 0;
	if (id && l->id == id)
		return l;
	if (l->id) { /* another ULSP's */
		HASH_ITER (hh, p->all, h, next)
			if (waits_for(h, ring))
				forget(p, h);
		p->stats[ring] = (struct parking_stats){.waiting = p->stats[ring].waiting};
	}
	unmap(l);
	if (!id)
		return NULL;
	l->slots = map_inner(p->instance->slots, ring, ULSP_MAX_SLOTS * sizeof(*l->slots),
			     PROT_READ, &id);
	l->waits = map_inner(p->instance->waits, ring, ULSP_MAX_SLOTS * sizeof(*l->waits),
			     PROT_READ, &unused);
	if (!l->slots || !l->waits) {
		unmap(l);
		return NULL;
	}
	l->id = id;
	return l;
}

/* ---- one connection ---- */

static void forget(struct parking *p, struct held *h)
{
	for (unsigned i = 0; i < h->n; i++) {
		struct lane *l = p->lanes[h->questions[i].ring];

		p->stats[h->questions[i].ring].waiting--;
		if (l && l->at[h->questions[i].slot] == h)
			l->at[h->questions[i].slot] = NULL;
	}
	HASH_DEL(p->all, h);
	free(h);
}

static void failed(struct parking *p, const struct held *h, const char *what, int r)
{
	for (unsigned i = 0; i < h->n; i++)
		p->stats[h->questions[i].ring].failed++;
	log_debug("can't %s the connection of process %u: %s", what, h->tgid, strerror(-r));
}

static void count_refused(struct parking *p, const struct held *h)
{
	for (unsigned i = 0; i < h->n; i++)
		p->stats[h->questions[i].ring].refused++;
}

static int send_syn(struct parking *p, const struct held *h)
{
	struct sockaddr_storage to;
	socklen_t bytes;

	if (!h->syn.bytes)
		return -EMSGSIZE;
	syn_peer(&h->syn, &to, &bytes);
	return netns_send(p->netns, h->netns, (pid_t)h->tgid, &h->syn, &to, bytes, h->mark,
			  h->ifindex);
}

static int send_refusal(struct parking *p, const struct held *h, int error)
{
	struct sockaddr_storage to;
	struct syn refusal;
	socklen_t bytes;

	if (!h->syn.bytes)
		return -EMSGSIZE;
	syn_refusal(&h->syn, error, &refusal);
	syn_sender(&h->syn, &to, &bytes);
	return netns_send(p->netns, h->netns, (pid_t)h->tgid, &refusal, &to, bytes, h->mark,
			  h->ifindex);
}

static void release(struct parking *p, struct held *h)
{
	int r = send_syn(p, h);

	if (r)
		failed(p, h, "release", r);
	for (unsigned i = 0; !r && i < h->n; i++)
		p->stats[h->questions[i].ring].released++;
	forget(p, h);
}

/* The program drops it once more, and counts; a peer is told only where it is to be. */
static void refuse_arrival(struct parking *p, struct held *h, int error)
{
	int r = send_syn(p, h);

	if (!r && error == ECONNREFUSED)
		r = send_refusal(p, h, error);
	if (r)
		failed(p, h, "refuse", r);
	else
		count_refused(p, h);
	forget(p, h);
}

static void refuse(struct parking *p, struct held *h, int error)
{
	int r;

	if (h->in) {
		refuse_arrival(p, h, error);
		return;
	}
	r = send_refusal(p, h, error);
	if (r)
		failed(p, h, "refuse", r);
	else if (!h->refusals)
		count_refused(p, h);
	h->refusals++;
	h->error = error;
	h->refuse_ns = now_ns() + REFUSED_US * 1000ull;
}

/* It should be gone by now. */
static void destroy(struct parking *p, struct held *h)
{
	int r = netns_destroy(p->netns, h->netns, (pid_t)h->tgid, &h->syn, h->cookie, h->ifindex);

	if (r && r != -ENOENT)
		failed(p, h, "end", r);
	forget(p, h);
}

/*
 * The verdict in its slot: 1 and *ret_error (0: allowed), or 0: none yet.  No other address can be
 * given to what is parked: it is refused.
 */
static int verdict(const struct lane *l, const struct question *q, int *ret_error)
{
	const struct ulsp_slot *s = &l->slots[q->slot];
	int error;

	if (__atomic_load_n(&s->ticket, __ATOMIC_ACQUIRE) != q->ticket ||
	    s->generation != q->generation)
		return 0;
	if (s->verdict == ULSP_VERDICT_ALLOW)
		error = 0;
	else if (s->verdict == ULSP_VERDICT_DENY && s->error < 0 && s->error >= -4095)
		error = -s->error;
	else if (s->verdict == ULSP_VERDICT_REWRITE)
		error = q->error;
	else
		return 0;
	/* As long as nobody got a later ticket of the slot all of that was this question's. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&l->waits[q->slot].ticket, __ATOMIC_RELAXED) != q->ticket)
		return 0;
	*ret_error = error;
	return 1;
}

/* Whether the policy that asked is gone. */
static bool is_void(const struct parking *p, const struct question *q)
{
	const struct ulsp_group *g = &p->instance->group[q->group];

	return !__atomic_load_n(&g->in_use, __ATOMIC_ACQUIRE) ||
	       (int32_t)(q->generation - __atomic_load_n(&g->generation, __ATOMIC_ACQUIRE)) < 0;
}

/* One that is being swapped in may be taken back. */
static bool is_early(const struct parking *p, const struct question *q)
{
	const struct ulsp_group *g = &p->instance->group[q->group];

	return (int32_t)(q->generation - __atomic_load_n(&g->generation, __ATOMIC_ACQUIRE)) > 0;
}

/*
 * The policy in force is to judge it: by a SYN that comes from its own socket, or to its listener.
 * Where that fails the kernel's own next one is judged.
 */
static void judge_again(struct parking *p, struct held *h)
{
	struct sockaddr_storage to;
	struct syn again;
	socklen_t bytes;
	int r = -EMSGSIZE;

	if (p->agains++ >= AGAINS)
		return; /* at the next look */
	if (h->in) {
		r = send_syn(p, h);
	} else if (h->syn.bytes) {
		syn_again(&h->syn, &again);
		syn_sender(&h->syn, &to, &bytes);
		r = netns_send(p->netns, h->netns, (pid_t)h->tgid, &again, &to, bytes, h->mark,
			       h->ifindex);
	}
	if (r)
		log_debug("the connection of process %u is judged at its next SYN: %s", h->tgid,
			  strerror(-r));
	forget(p, h);
}

/* Looks at all its questions; may forget it. */
static void look(struct parking *p, struct held *h, uint64_t now)
{
	unsigned allowed = 0;
	int error;

	for (unsigned i = 0; i < h->n; i++) {
		struct question *q = &h->questions[i];
		const struct lane *l = p->lanes[q->ring];

		if (!l->waits || l->waits[q->slot].ticket != q->ticket ||
		    !__atomic_load_n(&l->waits[q->slot].until_ns, __ATOMIC_ACQUIRE)) {
			forget(p, h); /* the connection has come to its end */
			return;
		}
		if (is_void(p, q)) {
			judge_again(p, h);
			return;
		}
		if (is_early(p, q))
			return;
		if (h->refusals)
			continue;
		if (!q->allowed && verdict(l, q, &error)) {
			if (error) {
				refuse(p, h, error);
				return;
			}
			q->allowed = true;
		}
		if (!q->allowed && now >= q->deadline_ns) {
			p->stats[q->ring].late++;
			if (!(q->flags & ULSP_PARKED_ALLOW)) {
				refuse(p, h, q->error);
				return;
			}
			q->allowed = true;
		}
		allowed += q->allowed;
	}
	if (h->refusals) {
		if (now < h->refuse_ns)
			return;
		if (h->refusals < REFUSALS)
			refuse(p, h, h->error);
		else
			destroy(p, h);
		return;
	}
	if (allowed == h->holders)
		release(p, h);
}

/* ---- what comes in ---- */

static struct held *held_of(struct parking *p, const struct ulsp_parked *in)
{
	struct held *h;

	HASH_FIND(hh, p->all, &in->cookie, sizeof(in->cookie), h);
	if (h) {
		/* another attempt of the same socket */
		if (h->refusals || h->n >= h->holders || h->holders != in->holders) {
			forget(p, h);
			h = NULL;
		}
	}
	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->cookie = in->cookie;
	h->netns = in->netns;
	h->tgid = in->tgid;
	h->mark = in->mark;
	h->ifindex = in->ifindex;
	h->in = in->flags & ULSP_PARKED_IN;
	h->holders = in->holders ? in->holders : 1;
	if (in->bytes && in->bytes <= sizeof(in->packet) &&
	    !syn_parse(in->packet, in->bytes, &h->syn))
		syn_complete(&h->syn);
	HASH_ADD(hh, p->all, cookie, sizeof(h->cookie), h);
	return h;
}

static void set_timer(struct parking *p, uint64_t us)
{
	sd_event_source_set_time_relative(p->timer, us);
	sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static int on_parked(void *ctx, void *data, size_t bytes)
{
	const struct ulsp_parked *in = data;
	struct parking *p = ctx;
	struct question *q;
	struct lane *l;
	struct held *h;

	if (bytes != sizeof(*in) || in->ring >= ULSP_MAX_RINGS || in->slot >= ULSP_MAX_SLOTS ||
	    in->group >= ULSP_MAX_GROUPS)
		return 0;
	l = lane_of(p, in->ring);
	p->stats[in->ring].held++;
	h = l || in->flags & ULSP_PARKED_REFUSED ? held_of(p, in) : NULL;
	if (!h || h->n >= HOLDERS) {
		p->stats[in->ring].failed++;
		return 0;
	}
	if (HASH_COUNT(p->all) == 1 && !h->n)
		set_timer(p, LOOK_US);
	if (in->flags & ULSP_PARKED_REFUSED) {
		refuse(p, h, in->error < 0 ? -in->error : EPERM);
		return 0;
	}
	q = &h->questions[h->n++];
	p->stats[in->ring].waiting++;
	*q = (struct question){
		.ring = in->ring,
		.flags = in->flags,
		.error = in->error < 0 ? -in->error : EPERM,
		.slot = in->slot,
		.group = in->group,
		.generation = in->generation,
		.ticket = in->ticket,
		.deadline_ns = in->deadline_ns,
	};
	if (l->waits[in->slot].ticket == in->ticket)
		l->at[in->slot] = h;
	look(p, h, now_ns());
	return 0;
}

static int on_ring(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct parking *p = ctx;

	(void)source, (void)fd, (void)events;
	ring_buffer__consume(p->ring);
	return 0;
}

/*
 * What a ULSP writes is words of 8 bytes, each written at once.  Who writes anything else, or
 * is gone, isn't heard any more.
 */
static int on_poke(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	struct ulsp_poke pokes[POKES];
	struct parking *p = ctx;
	ssize_t n = read(fd, pokes, sizeof(pokes));
	uint64_t now = now_ns();
	uint32_t ring = 0;

	(void)events;
	while (ring < ULSP_MAX_RINGS && !(p->lanes[ring] && p->lanes[ring]->pokes == source))
		ring++;
	if (ring == ULSP_MAX_RINGS)
		return 0;
	if (n <= 0 || n % (ssize_t)sizeof(*pokes)) {
		if (n >= 0 || errno != EAGAIN)
			p->lanes[ring]->pokes = sd_event_source_disable_unref(source);
		return 0;
	}
	/* What was answered may have been handed over a moment ago. */
	ring_buffer__consume(p->ring);
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(*pokes); i++) {
		uint32_t slot = pokes[i].slot;

		if (slot < ULSP_MAX_SLOTS && p->lanes[ring]->at[slot])
			look(p, p->lanes[ring]->at[slot], now);
	}
	return 0;
}

/* Deadlines, and verdicts of which no word came. */
static int on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct parking *p = ctx;
	struct held *h, *next;
	uint64_t now = now_ns();
	bool open;

	(void)source, (void)usec;
	for (uint32_t ring = 0; ring < ULSP_MAX_RINGS; ring++)
		if (p->lanes[ring])
			lane_of(p, ring);
	p->agains = 0;
	HASH_ITER (hh, p->all, h, next)
		look(p, h, now);
	open = netns_idle(p->netns, now / 1000 - IDLE_US);
	if (p->all)
		set_timer(p, LOOK_US);
	else if (open)
		set_timer(p, IDLE_US);
	return 0;
}

/* ---- */

static int open_poke(struct parking *p, uint8_t ring)
{
	struct lane *l = make_lane(p, ring);
	int fds[2], r;

	if (!l)
		return -ENOMEM;
	l->pokes = sd_event_source_disable_unref(l->pokes);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	r = sd_event_add_io(loop_thread_event(p->thread), &l->pokes, fds[0], EPOLLIN, on_poke, p);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(l->pokes, true);
	else
		close(fds[0]);
	if (r >= 0)
		r = sd_event_source_set_ratelimit(l->pokes, POKE_INTERVAL_US, POKE_BURST);
	if (r < 0) {
		l->pokes = sd_event_source_disable_unref(l->pokes);
		close(fds[1]);
		return r;
	}
	return fds[1];
}

int parking_poke_open(struct parking *p, uint8_t ring)
{
	int fd;

	loop_thread_enter(p->thread);
	fd = open_poke(p, ring);
	loop_thread_leave(p->thread);
	return fd;
}

void parking_stats(struct parking *p, uint8_t ring, struct parking_stats *ret)
{
	const struct lane *l;
	uint64_t now = now_ns();

	loop_thread_enter(p->thread);
	l = lane_of(p, ring);
	*ret = p->stats[ring];
	for (uint32_t i = 0; l && i < ULSP_MAX_SLOTS; i++)
		ret->slots += __atomic_load_n(&l->waits[i].until_ns, __ATOMIC_RELAXED) > now;
	loop_thread_leave(p->thread);
}

static int open_parking(struct parking *p)
{
	sd_event *event;
	int r;

	r = loop_thread_new("ulspd-parking", &p->thread);
	if (!r)
		r = netns_new(&p->netns);
	if (r)
		return r;
	event = loop_thread_event(p->thread);
	p->ring = ring_buffer__new(p->instance->parked, on_parked, p, NULL);
	if (!p->ring)
		return -errno;
	r = sd_event_add_io(event, &p->ring_source, ring_buffer__epoll_fd(p->ring), EPOLLIN,
			    on_ring, p);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &p->timer, CLOCK_MONOTONIC, 0, 1000, on_timer,
					       p);
	return r < 0 ? r : loop_thread_start(p->thread);
}

int parking_new(struct instance *i, struct parking **ret, struct err *e)
{
	struct parking *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->instance = i;
	r = open_parking(p);
	if (r) {
		parking_free(&p);
		return err_set(e, r, "can't hold connections: %s", strerror(-r));
	}
	*ret = p;
	return 0;
}

void parking_free(struct parking **pp)
{
	struct parking *p = *pp;
	struct held *h, *next;

	*pp = NULL;
	if (!p)
		return;
	if (p->thread)
		loop_thread_stop(p->thread);
	HASH_ITER (hh, p->all, h, next)
		forget(p, h);
	sd_event_source_disable_unref(p->ring_source);
	sd_event_source_disable_unref(p->timer);
	ring_buffer__free(p->ring);
	for (size_t i = 0; i < ULSP_MAX_RINGS; i++) {
		if (p->lanes[i]) {
			unmap(p->lanes[i]);
			sd_event_source_disable_unref(p->lanes[i]->pokes);
		}
		free(p->lanes[i]);
	}
	netns_free(&p->netns);
	loop_thread_free(&p->thread);
	free(p);
}
