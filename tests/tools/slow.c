/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ULSP that takes its time for each question, and then allows it:
 *
 *   slow MS all        one handle reads all of its rings
 *   slow MS threads    a thread for each
 *   slow MS N          only its ring N, from 1
 *
 * Says on stderr by which of its handles each was answered, and of which process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ulsp.h"

enum { MAX = 8 };

static unsigned int ms;

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct ulsp_cache once = {.size = sizeof(once), .cover = ULSP_COVER_ONCE};
	struct timespec t = {.tv_nsec = ms * 1000000l};
	int r;

	(void)u;
	if (!ulsp_is_ask(m))
		return 0;
	nanosleep(&t, NULL);
	r = ulsp_allow(m, &once);
	fprintf(stderr, "handle %u thread %d %s: %s\n", *(unsigned int *)ctx, (int)ulsp_pid(m),
		ulsp_remote_text(m), strerror(-r));
	return 0;
}

int main(int argc, char **argv)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = on_message};
	unsigned int number[MAX], n = 1, only = 0;
	struct ulsp *u[MAX] = {NULL}, *twice = NULL;
	int r = 0;

	if (argc < 3)
		return 2;
	ms = (unsigned int)atoi(argv[1]);
	only = (unsigned int)atoi(argv[2]);
	if (!strcmp(argv[2], "threads"))
		n = ulsp_rings();
	for (unsigned int i = 0; i < n && i < MAX && !r; i++) {
		number[i] = i + 1;
		o.ctx = &number[i];
		o.ring = only ? only : n > 1 ? i + 1 : 0;
		r = ulsp_open(&o, &u[i]);
	}
	/* What belongs to one handle is refused to another. */
	if (!r && ulsp_open(&o, &twice) != -EBUSY)
		r = -EUCLEAN;
	o.ring = ulsp_rings() + 1;
	if (!r && ulsp_open(&o, &twice) != -EINVAL)
		r = -EUCLEAN;
	if (!r)
		r = ulsp_run_threads(u, n);
	fprintf(stderr, "ended: %s\n", strerror(-r));
	for (int i = 0; i < MAX; i++)
		ulsp_close(&u[i]);
	return r ? 1 : 0;
}
