/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame of the ULSPs that come with the library: a ring, and signals beside
 * it.  SIGHUP reads something anew, SIGTERM and SIGINT end the program.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "ulsp.h"

struct program {
	const char *name;
	const char *example;		       /* how a policy names it */
	int (*after)(void *ctx);	       /* each dispatch; not 0 ends the program; or NULL */
	void (*reload)(void *ctx);	       /* SIGHUP came */
	int (*end)(void *ctx, struct ulsp *u); /* it was told to end: last work; or NULL */
	/* A descriptor beside the ring, asked for when that is open (-1: none); it is readable. */
	int (*extra_fd)(void *ctx, struct ulsp *u);
	void (*extra)(void *ctx);
	void *ctx;
};

/* "NAME: text" on standard error. */
__attribute__((format(printf, 2, 3))) void program_say(const struct program *p, const char *format,
						       ...);
/*
 * From the opening of the ring to its closing.  0: told to end; else -errno of the ring, after() or
 * end(), which is said unless it is -EPIPE: then nobody reads what the program writes.
 */
int program_run(const struct program *p, const struct ulsp_options *o);

#endif
