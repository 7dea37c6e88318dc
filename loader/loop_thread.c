// SPDX-License-Identifier: GPL-2.0-only
#include "loop_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

struct loop_thread {
	sd_event *event;
	const char *name;
	pthread_t thread;
	/*
	 * `lock` is whose turn it is with the loop.  Whoever wants it holds `door` first: a thread
	 * that has event after event would take the lock again before a waiter has woken up.
	 */
	pthread_mutex_t door, lock;
	int wake; /* eventfd */
	bool runs, stop;
};

static void take_turn(struct loop_thread *t)
{
	pthread_mutex_lock(&t->door);
	pthread_mutex_lock(&t->lock);
	pthread_mutex_unlock(&t->door);
}

void loop_thread_enter(struct loop_thread *t)
{
	take_turn(t);
}

void loop_thread_leave(struct loop_thread *t)
{
	pthread_mutex_unlock(&t->lock);
}

/* With the lock, which is not held while nothing happens. */
static int step(struct loop_thread *t)
{
	struct pollfd fds[] = {{.fd = sd_event_get_fd(t->event), .events = POLLIN},
			       {.fd = t->wake, .events = POLLIN}};
	int r = sd_event_prepare(t->event);

	if (!r) {
		pthread_mutex_unlock(&t->lock);
		poll(fds, 2, -1);
		take_turn(t);
		r = t->stop ? 0 : sd_event_wait(t->event, 0);
	}
	return r > 0 ? sd_event_dispatch(t->event) : r;
}

static void *run(void *ctx)
{
	struct loop_thread *t = ctx;
	int r = 0;

	take_turn(t);
	while (r >= 0 && !t->stop)
		r = step(t);
	pthread_mutex_unlock(&t->lock);
	if (r < 0)
		log_error("%s: event loop: %s", t->name, strerror(-r));
	return NULL;
}

int loop_thread_new(const char *name, struct loop_thread **ret)
{
	struct loop_thread *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->name = name;
	pthread_mutex_init(&t->door, NULL);
	pthread_mutex_init(&t->lock, NULL);
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = t->wake < 0 ? -errno : sd_event_new(&t->event);
	if (r < 0) {
		loop_thread_free(&t);
		return r;
	}
	*ret = t;
	return 0;
}

sd_event *loop_thread_event(const struct loop_thread *t)
{
	return t->event;
}

/* Signals are the daemon's loop's, which takes them from a descriptor. */
int loop_thread_start(struct loop_thread *t)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r)
		return -r;
	r = pthread_create(&t->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	t->runs = true;
	pthread_setname_np(t->thread, t->name);
	return 0;
}

void loop_thread_stop(struct loop_thread *t)
{
	const uint64_t one = 1;

	if (!t->runs)
		return;
	loop_thread_enter(t);
	t->stop = true;
	loop_thread_leave(t);
	if (write(t->wake, &one, sizeof(one)) < 0)
		abort(); /* nothing wakes it then */
	pthread_join(t->thread, NULL);
	t->runs = false;
}

void loop_thread_free(struct loop_thread **tp)
{
	struct loop_thread *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	loop_thread_stop(t);
	sd_event_unref(t->event);
	scope_close(&t->wake);
	pthread_mutex_destroy(&t->door);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
