/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instance's monitor ring: read only while somebody watches, and given to
 * every watcher as lines.  The programs send to it only then (ulsp_group.watch).
 *
 * What a watcher misses is counted and said in a line of its own, by cause:
 * the ring was full, or the watcher did not keep up.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include <systemd/sd-event.h>

#include "cgroups.h"
#include "instance.h"

struct monitor;
struct watcher;

/* Takes a line with its newline; false: not now, it counts as lost. */
typedef bool (*monitor_sink)(void *ctx, const char *line, size_t bytes);

int monitor_new(sd_event *event, struct instance *i, const struct cgroup_root *root,
		struct monitor **ret);
void monitor_free(struct monitor **m); /* no watcher may be left */

/* slot < 0: every group. */
int monitor_watch(struct monitor *m, int slot, bool json, monitor_sink sink, void *ctx,
		  struct watcher **ret, struct err *e);
void monitor_unwatch(struct watcher **w);
/* After groups came or went. */
void monitor_update(struct monitor *m);

#endif
