/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread with an event loop of its own, for what must not wait for the daemon's loop.
 *
 * Its handlers run under a lock.  Who calls from another thread enters first and leaves soon: in
 * between no handler runs, and sources of descriptors may be added and removed.  Timers are for
 * the handlers alone: one that is set from outside is heard of at the loop's next event only.
 */
#ifndef LOOP_THREAD_H
#define LOOP_THREAD_H

#include <systemd/sd-event.h>

struct loop_thread;

/* It doesn't run yet.  `name`: at most 15 bytes. */
int loop_thread_new(const char *name, struct loop_thread **ret);
sd_event *loop_thread_event(const struct loop_thread *t);
int loop_thread_start(struct loop_thread *t);
/* Waits for its handler's end.  Then the caller is alone with the loop. */
void loop_thread_stop(struct loop_thread *t);
void loop_thread_free(struct loop_thread **t);

void loop_thread_enter(struct loop_thread *t);
void loop_thread_leave(struct loop_thread *t);

#endif
