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
	const char *example;	   /* how a policy names it */
	int (*after)(void *ctx);   /* each dispatch; not 0 ends program_serve(); or NULL */
	void (*reload)(void *ctx); /* SIGHUP came */
	void *ctx;
};

/* "NAME: text" on standard error. */
__attribute__((format(printf, 2, 3))) void program_say(const struct program *p, const char *format,
						       ...);
/* Takes the signals, opens the ring; -errno, which is said.  *ret_signals is to be closed. */
int program_open(const struct program *p, const struct ulsp_options *o, struct ulsp **ret,
		 int *ret_signals);
/* 0: told to end; else -errno of the ring or of after(). */
int program_serve(const struct program *p, struct ulsp *u, int signals);

#endif
