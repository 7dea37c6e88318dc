// SPDX-License-Identifier: GPL-2.0-only
#include "monitor.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "format.h"

enum {
	BATCH = 512, /* messages before other work has its turn */
	PATHS = 256, /* remembered cgroup paths, direct mapped */
	PATH_BYTES = 512,
	LOSS_US = 500000, /* how often the ring's losses are looked at */
};

struct watcher {
	struct monitor *monitor;
	struct watcher *next;
	int slot;
	bool json;
	monitor_sink sink;
	void *ctx;
	uint64_t slow;			/* lost lines that were not said yet */
	uint64_t full[ULSP_MAX_GROUPS]; /* the stream's count that was said */
};

struct monitor {
	sd_event *event;
	struct instance *instance;
	const struct cgroup_root *root;
	struct watcher *watchers;
	struct ring_buffer *ring; /* NULL: nobody watches */
	sd_event_source *io, *timer;
	unsigned taken; /* of this batch */
	bool discard;	/* what was in the ring before somebody watched */
	struct {
		uint64_t id;
		char path[PATH_BYTES];
	} paths[PATHS];
};

static bool wants(const struct watcher *w, uint32_t slot)
{
	return w->slot < 0 || (uint32_t)w->slot == slot;
}

/* ---- losses ---- */

static const struct ulsp_stream *stream_of(const struct monitor *m, size_t slot)
{
	return &m->instance->stream[ULSP_STREAM(slot, ULSP_RING_MONITOR)];
}

static bool say_lost(struct watcher *w, uint64_t lost, const char *group, const char *cause)
{
	char line[256];
	int n;

	if (w->json)
		n = snprintf(line, sizeof(line), "{\"lost\":%llu,\"cause\":\"%s\"%s%s%s}\n",
			     (unsigned long long)lost, cause, group ? ",\"group\":\"" : "",
			     group ? group : "", group ? "\"" : "");
	else
		n = snprintf(line, sizeof(line), "lost %llu messages%s%s: %s\n",
			     (unsigned long long)lost, group ? " of " : "", group ? group : "",
			     cause);
	return w->sink(w->ctx, line, (size_t)n);
}

static void say_losses(struct watcher *w)
{
	const struct monitor *m = w->monitor;

	if (w->slow && say_lost(w, w->slow, NULL, "slow-client"))
		w->slow = 0;
	for (size_t i = 0; i < ULSP_MAX_GROUPS; i++) {
		uint64_t lost = __atomic_load_n(&stream_of(m, i)->lost, __ATOMIC_RELAXED);

		if (lost == w->full[i] || !wants(w, (uint32_t)i))
			continue;
		/* a group's slot may have been given to another, whose count starts again */
		if (lost < w->full[i] ||
		    say_lost(w, lost - w->full[i], m->instance->group[i].name, "ring-full"))
			w->full[i] = lost;
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct monitor *m = ctx;

	for (struct watcher *w = m->watchers; w; w = w->next)
		say_losses(w);
	sd_event_source_set_time(source, usec + LOSS_US);
	return 0;
}

/* ---- messages ---- */

/*
 * As a policy names it, the root itself as "/".  A cgroup's id is never given
 * again, so what was found stays right.
 */
static const char *path_of(struct monitor *m, uint64_t id)
{
	size_t at = id % PATHS;
	char path[PATH_BYTES] = "";

	if (!id)
		return NULL;
	if (m->paths[at].id == id)
		return m->paths[at].path;
	if (cgroup_path(m->root, id, path, sizeof(path)))
		return NULL;
	if (!*path)
		strcpy(path, "/");
	m->paths[at].id = id;
	memcpy(m->paths[at].path, path, PATH_BYTES);
	return m->paths[at].path;
}

/* By slot plus one, as messages of reaches have it. */
static const char *group_by(const struct monitor *m, uint32_t slot)
{
	return slot && slot <= ULSP_MAX_GROUPS ? m->instance->group[slot - 1].name : NULL;
}

/* Format once for each form that somebody wants. */
static void hand_out(struct monitor *m, const struct ulsp_msg *msg)
{
	char lines[2][ULSP_FORMAT_BYTES + 1];
	int bytes[2] = {0, 0};
	const struct ulsp_names names = {
		.group = m->instance->group[msg->group].name,
		.file = msg->file < ULSP_MAX_FILES ? m->instance->file[msg->file] : NULL,
		.cgroup = path_of(m, msg->cgroup),
		.actor = group_by(m, ulsp_actor_slot(msg)),
		.target = group_by(m, ulsp_target_slot(msg)),
	};

	for (struct watcher *w = m->watchers; w; w = w->next) {
		char *line = lines[w->json];
		int *n = &bytes[w->json];

		if (!wants(w, msg->group))
			continue;
		if (!*n) {
			*n = (w->json ? ulsp_format_json : ulsp_format_text)(msg, &names, line,
									     ULSP_FORMAT_BYTES);
			if (*n > 0)
				line[(*n)++] = '\n';
		}
		if (*n <= 0)
			continue;
		if (w->slow && say_lost(w, w->slow, NULL, "slow-client"))
			w->slow = 0;
		if (w->slow || !w->sink(w->ctx, line, (size_t)*n))
			w->slow++;
	}
}

static int on_message(void *ctx, void *data, size_t bytes)
{
	struct monitor *m = ctx;
	const struct ulsp_msg *msg = data;

	if (!m->discard && bytes >= sizeof(*msg) && msg->abi == ULSP_ABI &&
	    msg->group < ULSP_MAX_GROUPS)
		hand_out(m, msg);
	return ++m->taken >= BATCH && !m->discard ? -EAGAIN : 0;
}

static int on_ring(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
	struct monitor *m = ctx;

	(void)source;
	(void)fd;
	(void)revents;
	m->taken = 0;
	ring_buffer__consume(m->ring); /* what is left makes the fd readable again */
	return 0;
}

/* ---- watchers ---- */

void monitor_update(struct monitor *m)
{
	for (uint32_t i = 0; i < ULSP_MAX_GROUPS; i++) {
		struct ulsp_group *g = &m->instance->group[i];
		uint32_t watch = 0;

		for (struct watcher *w = m->watchers; w && g->in_use; w = w->next)
			watch |= wants(w, i);
		if (g->watch != watch)
			__atomic_store_n(&g->watch, watch, __ATOMIC_RELAXED);
	}
}

static void stop(struct monitor *m)
{
	m->io = sd_event_source_disable_unref(m->io);
	m->timer = sd_event_source_disable_unref(m->timer);
	ring_buffer__free(m->ring);
	m->ring = NULL;
}

static int start(struct monitor *m, struct err *e)
{
	int r;

	m->ring = ring_buffer__new(m->instance->monitor, on_message, m, NULL);
	if (!m->ring)
		return err_set(e, -errno, "the monitor ring can't be mapped: %m");
	m->discard = true;
	ring_buffer__consume(m->ring);
	m->discard = false;
	r = sd_event_add_io(m->event, &m->io, ring_buffer__epoll_fd(m->ring), EPOLLIN, on_ring, m);
	if (r >= 0)
		r = sd_event_add_time_relative(m->event, &m->timer, CLOCK_MONOTONIC, LOSS_US, 10000,
					       on_timer, m);
	if (r < 0) {
		stop(m);
		return err_set(e, r, "monitor: %s", strerror(-r));
	}
	sd_event_source_set_enabled(m->timer, SD_EVENT_ON);
	sd_event_source_set_priority(m->io, SD_EVENT_PRIORITY_IDLE);
	return 0;
}

int monitor_new(sd_event *event, struct instance *i, const struct cgroup_root *root,
		struct monitor **ret)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->event = event;
	m->instance = i;
	m->root = root;
	monitor_update(m); /* nobody watches what an earlier daemon's clients watched */
	*ret = m;
	return 0;
}

void monitor_free(struct monitor **mp)
{
	struct monitor *m = *mp;

	*mp = NULL;
	if (!m)
		return;
	stop(m);
	free(m);
}

int monitor_watch(struct monitor *m, int slot, bool json, monitor_sink sink, void *ctx,
		  struct watcher **ret, struct err *e)
{
	struct watcher *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_set(e, -ENOMEM, "out of memory");
	r = m->ring ? 0 : start(m, e);
	if (r) {
		free(w);
		return r;
	}
	*w = (struct watcher){.monitor = m,
			      .slot = slot,
			      .json = json,
			      .sink = sink,
			      .ctx = ctx,
			      .next = m->watchers};
	for (size_t i = 0; i < ULSP_MAX_GROUPS; i++)
		w->full[i] = stream_of(m, i)->lost;
	m->watchers = w;
	monitor_update(m);
	*ret = w;
	return 0;
}

void monitor_unwatch(struct watcher **wp)
{
	struct watcher *w = *wp, **at;
	struct monitor *m;

	*wp = NULL;
	if (!w)
		return;
	m = w->monitor;
	for (at = &m->watchers; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	free(w);
	monitor_update(m);
	if (!m->watchers)
		stop(m);
}
