/* SPDX-License-Identifier: BSD-2-Clause */
#include "handle.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { SOURCE_RING, SOURCE_TIMER, SOURCE_STOP, SOURCE_SIGNAL, SOURCES };

uint64_t ulsp_now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int ulsp_sized_in(void *to, size_t to_bytes, const void *from, size_t least)
{
	const unsigned char *bytes = from;
	size_t size;

	memcpy(&size, from, sizeof(size));
	if (size < least)
		return -EINVAL;
	/* A caller of a later version is served as long as it asks nothing that we don't know. */
	for (size_t i = to_bytes; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(to, 0, to_bytes);
	memcpy(to, from, size < to_bytes ? size : to_bytes);
	return 0;
}

int ulsp_sized_out(void *to, const void *from, size_t from_bytes, size_t least)
{
	size_t size;

	memcpy(&size, to, sizeof(size));
	if (size < least)
		return -EINVAL;
	memset(to, 0, size);
	memcpy(to, from, size < from_bytes ? size : from_bytes);
	memcpy(to, &size, sizeof(size));
	return 0;
}

static int add_source(struct ulsp *u, int fd, uint32_t source)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = source};

	return epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

int ulsp_watch(struct ulsp *u, int fd)
{
	return add_source(u, fd, SOURCE_RING);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void ulsp_unref(struct ulsp *u)
{
	if (!u || --u->refs)
		return;
	ulsp_cgroups_fini(&u->cgroups);
	close_fd(&u->epoll_fd);
	close_fd(&u->timer_fd);
	close_fd(&u->stop_fd);
	free(u);
}

static int open_sources(struct ulsp *u)
{
	struct itimerspec second = {{1, 0}, {1, 0}};
	int r;

	u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (u->epoll_fd < 0)
		return -errno;
	u->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (u->timer_fd < 0 || timerfd_settime(u->timer_fd, 0, &second, NULL))
		return -errno;
	u->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->stop_fd < 0)
		return -errno;
	r = add_source(u, u->timer_fd, SOURCE_TIMER);
	return r ? r : add_source(u, u->stop_fd, SOURCE_STOP);
}

int ulsp_new(const struct ulsp_options *options, const struct ulsp_backend *backend,
	     struct ulsp **ret)
{
	struct ulsp_options known;
	struct ulsp *u;
	int r;

	if (!options)
		return -EINVAL;
	r = ulsp_sized_in(&known, sizeof(known), options,
			  offsetof(struct ulsp_options, ctx) + sizeof(known.ctx));
	if (r)
		return r;
	if (!known.handler)
		return -EINVAL;

	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->refs = 1;
	u->nrings = 1;
	u->backend = backend;
	u->options = known;
	u->epoll_fd = u->timer_fd = u->stop_fd = -1;
	r = open_sources(u);
	if (r) {
		ulsp_unref(u);
		return r;
	}
	*ret = u;
	return 0;
}

void ulsp_close(struct ulsp **u)
{
	struct ulsp *h;

	if (!u || !*u)
		return;
	h = *u;
	*u = NULL;
	h->backend->beat(h, false);
	/* A handler may close: the ring that it was called from goes when its dispatch ends. */
	__atomic_store_n(&h->stopping, true, __ATOMIC_RELAXED);
	if (!h->dispatching) {
		h->backend->close(h);
		h->backend = NULL;
	} else {
		h->options.handler = NULL;
	}
	ulsp_unref(h);
}

void ulsp_beat(struct ulsp *u)
{
	u->beat_ns = ulsp_now_ns(CLOCK_MONOTONIC);
	u->realtime_offset = (int64_t)(ulsp_now_ns(CLOCK_REALTIME) - u->beat_ns);
	u->backend->beat(u, true);
}

static void settle_ring(struct ulsp *u, uint32_t ring, const bool *drained, uint64_t *total)
{
	for (uint32_t i = 0; i < ULSP_MAX_GROUPS; i++) {
		struct ulsp_track *t = &u->tracks[ring][i];
		char name[ULSP_NAME_BYTES];
		uint64_t fresh, sent;

		fresh = ulsp_track_settle(t, u->backend->sent(u, ring, i, &sent) ? &sent : NULL,
					  drained[ring]);
		*total += ulsp_track_lost(t);
		if (!fresh || !u->options.loss)
			continue;
		u->backend->group_name(u, i, 0, name);
		sent = 0;
		for (uint32_t r = 0; r < u->nrings; r++)
			sent += ulsp_track_lost(&u->tracks[r][i]);
		u->options.loss(u, name, fresh, sent, u->options.ctx);
		if (!u->options.handler)
			return; /* closed by it */
	}
}

void ulsp_settle(struct ulsp *u)
{
	bool drained[ULSP_RINGS_EACH];
	uint64_t total = 0;

	for (uint32_t ring = 0; ring < u->nrings; ring++)
		drained[ring] = u->backend->empty(u, ring);
	for (uint32_t ring = 0; ring < u->nrings && u->options.handler; ring++)
		settle_ring(u, ring, drained, &total);
	if (u->options.handler)
		u->stats.lost = total;
}

/* A number from before: out of order, or the stream is numbered anew; its counter tells. */
static void track(struct ulsp *u, uint32_t ring, const struct ulsp_msg *m)
{
	struct ulsp_track *t = &u->tracks[ring][m->group];
	uint64_t sent;
	bool known = m->seq <= t->max && u->backend->sent(u, ring, m->group, &sent);

	ulsp_track_seen(t, m->seq, known ? &sent : NULL);
}

static bool op_valid(uint8_t op)
{
	return op < ULSP_OP_COUNT || (op >= ULSP_OP_REACH && op < ULSP_OP_REACH + ULSP_REACH_COUNT);
}

/* The kernel wrote it; checked all the same, since all that follows indexes with it. */
static bool message_valid(const struct ulsp_msg *m)
{
	return m->abi == ULSP_ABI && m->seq && op_valid(m->op) && m->proto < ULSP_PROTO_COUNT &&
	       m->group < ULSP_MAX_GROUPS && m->file < ULSP_MAX_FILES &&
	       (m->family == 0 || m->family == 4 || m->family == 6) &&
	       (m->verdict == ULSP_VERDICT_ALLOW || m->verdict == ULSP_VERDICT_DENY) &&
	       m->error <= 0 && m->error >= -4095 && !m->reserved;
}

bool ulsp_deliver(struct ulsp *u, uint32_t ring, const void *record, size_t bytes, int number)
{
	struct ulsp_message m;
	int r;

	u->count++;
	if (bytes != sizeof(m.raw)) {
		u->stats.invalid++;
		return u->count < ULSP_BATCH;
	}
	memcpy(&m.raw, record, sizeof(m.raw));
	if (!message_valid(&m.raw)) {
		u->stats.invalid++;
		return u->count < ULSP_BATCH;
	}
	m.raw.comm[sizeof(m.raw.comm) - 1] = '\0';
	m.u = u;
	m.realtime_offset = u->realtime_offset;
	m.number = number;
	m.rule[0] = m.remote[0] = m.local[0] = '\0';
	u->backend->group_name(u, m.raw.group, m.raw.generation, m.group);
	track(u, ring, &m.raw);
	u->stats.received++;

	r = u->options.handler(u, &m, u->options.ctx);
	if (r < 0) {
		u->error = r;
		return false;
	}
	if (__atomic_load_n(&u->stopping, __ATOMIC_RELAXED))
		return false;
	/* Handlers may be slow: the heartbeat must not wait for the end of the batch. */
	if (ulsp_now_ns(CLOCK_MONOTONIC_COARSE) > u->beat_ns + ULSP_HEARTBEAT_NS)
		ulsp_beat(u);
	return u->count < ULSP_BATCH;
}

/*
 * What is readable, or -errno.  Messages that are there don't wait for a look at the rest, which is
 * due when the coarse clock has gone on.
 */
static int wait_for(struct ulsp *u, struct epoll_event events[SOURCES], bool lingered,
		    int timeout_ms)
{
	uint64_t now = lingered ? ulsp_now_ns(CLOCK_MONOTONIC_COARSE) : 0;
	int n;

	if (lingered && now == u->looked_ns)
		return 0;
	u->looked_ns = now;
	n = epoll_wait(u->epoll_fd, events, SOURCES, lingered ? 0 : timeout_ms);
	return n < 0 ? -errno : n;
}

/* One wait; returns how many messages, or -errno. */
static int dispatch_once(struct ulsp *u, int timeout_ms)
{
	struct epoll_event events[SOURCES];
	bool ring, stop = false, lingered;
	uint64_t ticks;
	int n;

	if (!u->backend)
		return -ENOTCONN;
	lingered = timeout_ms && u->backend->linger && u->backend->linger(u);
	ring = lingered;
	n = wait_for(u, events, lingered, timeout_ms);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		switch (events[i].data.u32) {
		case SOURCE_RING:
			ring = true;
			break;
		case SOURCE_TIMER:
			if (read(u->timer_fd, &ticks, sizeof(ticks)) == sizeof(ticks)) {
				ulsp_settle(u);
				if (u->options.handler) /* not closed by the loss handler */
					ulsp_beat(u);
			}
			break;
		default:
			stop = true;
		}
	}
	if (stop || __atomic_load_n(&u->stopping, __ATOMIC_RELAXED))
		return -ECANCELED;
	u->count = 0;
	u->error = 0;
	if (ring)
		u->backend->drain(u);
	if (!timeout_ms && !lingered && u->backend && u->backend->settle)
		u->backend->settle(u); /* the caller may wait for the descriptor */
	return u->error ? u->error : u->count;
}

int ulsp_dispatch(struct ulsp *u, int timeout_ms)
{
	uint64_t end = 0, now;
	int r;

	if (!u)
		return -EINVAL;
	if (u->dispatching)
		return -EBUSY;
	if (timeout_ms > 0)
		end = ulsp_now_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000u;
	u->refs++;
	u->dispatching = true;
	for (;;) {
		r = dispatch_once(u, timeout_ms);
		if (r || !timeout_ms)
			break;
		/* Only the heartbeat: wait on, if there is time left. */
		if (timeout_ms < 0)
			continue;
		now = ulsp_now_ns(CLOCK_MONOTONIC);
		if (now >= end)
			break;
		timeout_ms = (int)((end - now + 999999) / 1000000);
	}
	u->dispatching = false;
	if (!u->options.handler && u->backend) { /* closed by its handler */
		u->backend->close(u);
		u->backend = NULL;
	}
	ulsp_unref(u);
	return r;
}

void ulsp_unstop(struct ulsp *u)
{
	uint64_t stops;

	__atomic_store_n(&u->stopping, !u->backend, __ATOMIC_RELAXED);
	(void)!read(u->stop_fd, &stops, sizeof(stops));
}

int ulsp_run(struct ulsp *u)
{
	struct signalfd_siginfo info[2];
	sigset_t set, before;
	int fd, r;

	if (!u)
		return -EINVAL;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	r = pthread_sigmask(SIG_BLOCK, &set, &before);
	if (r)
		return -r;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = fd < 0 ? -errno : add_source(u, fd, SOURCE_SIGNAL);

	u->refs++; /* a handler may close it */
	while (!r || r == -EINTR) {
		r = ulsp_dispatch(u, -1);
		if (r > 0)
			r = 0;
	}
	if (r == -ECANCELED || r == -ENOTCONN) {
		r = 0;
		ulsp_unstop(u);
		/* Taken here, or it would end the process when it is no longer blocked. */
		(void)!read(fd, info, sizeof(info));
	}
	ulsp_unref(u);
	if (fd >= 0)
		close(fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

void ulsp_stop(struct ulsp *u)
{
	uint64_t one = 1;
	int saved = errno;

	if (!u)
		return;
	__atomic_store_n(&u->stopping, true, __ATOMIC_RELAXED);
	(void)!write(u->stop_fd, &one, sizeof(one));
	errno = saved;
}

int ulsp_fd(const struct ulsp *u)
{
	return u ? u->epoll_fd : -EINVAL;
}

int ulsp_get_stats(const struct ulsp *u, struct ulsp_stats *ret)
{
	if (!u || !ret)
		return -EINVAL;
	return ulsp_sized_out(ret, &u->stats, sizeof(u->stats),
			      offsetof(struct ulsp_stats, late) + sizeof(ret->late));
}

const char *ulsp_name(const struct ulsp *u)
{
	return u->name;
}
