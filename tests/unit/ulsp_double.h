/* SPDX-License-Identifier: BSD-2-Clause */
/* A library handle on the test double, with a handler that notes what it sees. */
#ifndef ULSP_DOUBLE_H
#define ULSP_DOUBLE_H

#include <stdint.h>

#include "ulsp.h"

struct double_seen {
	int n, result, stop_at, close_at;
	struct ulsp *u; /* to close */
	struct ulsp_message *kept[4];
	int nkept;
	uint64_t lost, total;
	char group[64];
	int (*each)(struct ulsp *u, struct ulsp_message *m, struct double_seen *s);
};

/* The handler of double_open(): ctx is a struct double_seen. */
int double_on_message(struct ulsp *u, struct ulsp_message *m, void *ctx);
struct ulsp *double_open(struct double_seen *s);
/* A message of this process. */
int double_push(struct ulsp *u, const char *op, const char *remote, int ask);

#endif
