/* SPDX-License-Identifier: BSD-2-Clause */
/* Several handles at the same time, each on a thread. */
#include "handle.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
	struct ulsp *u, *first;
	pthread_t thread;
	int r;
};

static void *work(void *ctx)
{
	struct worker *w = ctx;
	int r;

	do
		r = ulsp_dispatch(w->u, -1);
	while (r >= 0 || r == -EINTR);
	if (r == -ECANCELED || r == -ENOTCONN)
		r = 0;
	w->r = r;
	ulsp_stop(w->first);
	return NULL;
}

/* How many were made. */
static unsigned int start(struct worker *workers, struct ulsp *const *handles, unsigned int n,
			  int *ret)
{
	for (unsigned int i = 1; i < n; i++) {
		workers[i].u = handles[i];
		workers[i].first = handles[0];
		*ret = -pthread_create(&workers[i].thread, NULL, work, &workers[i]);
		if (*ret)
			return i;
	}
	return n;
}

int ulsp_run_threads(struct ulsp *const *handles, unsigned int n)
{
	struct worker *workers;
	unsigned int made;
	sigset_t set, before;
	int r = 0;

	if (!handles || !n)
		return -EINVAL;
	for (unsigned int i = 0; i < n; i++)
		if (!handles[i])
			return -EINVAL;
	workers = calloc(n, sizeof(*workers));
	if (!workers)
		return -ENOMEM;
	/* Handlers may close their handles. */
	for (unsigned int i = 0; i < n; i++)
		handles[i]->refs++;
	/* Threads have their maker's mask: the signals are for the first handle. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, &before);

	made = start(workers, handles, n, &r);
	if (!r)
		r = ulsp_run(handles[0]);
	for (unsigned int i = 1; i < made; i++) {
		ulsp_stop(handles[i]);
		pthread_join(workers[i].thread, NULL);
		ulsp_unstop(handles[i]);
		r = r ? r : workers[i].r;
	}
	ulsp_unstop(handles[0]); /* a worker's end came after its own */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (unsigned int i = 0; i < n; i++)
		ulsp_unref(handles[i]);
	free(workers);
	return r;
}
