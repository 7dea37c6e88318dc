/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ULSP as user nobody on the maps of a fake instance: a child process with the
 * descriptors and the environment that ulspd gives.
 */
#ifndef REAL_ULSP_H
#define REAL_ULSP_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "fake_instance.h"
#include "ulsp.h"

extern struct fake fake; /* of the test that runs */

/* In the child a failed check ends it with its line; the parent shows that. */
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "child: line %d: %s (errno %d)\n", __LINE__, #x, errno);   \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* For cmocka's setup and teardown. */
int real_setup(void **state);
int real_teardown(void **state);

/* Runs `body` as nobody with the environment that ulspd gives. */
pid_t real_start(void (*body)(void));
void real_must_end_well(pid_t pid);
/* Until its ring is open. */
void real_wait_for_heartbeat(void);

struct real_seen {
	int n;
	uint64_t lost, total, last;
	struct ulsp_message *kept;
};

/* In the child: counts in ctx, a struct real_seen. */
int real_on_message(struct ulsp *u, struct ulsp_message *m, void *ctx);
struct ulsp *real_open(ulsp_handler handler, struct real_seen *s);

uint64_t real_now_ns(void);

#endif
