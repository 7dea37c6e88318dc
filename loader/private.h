/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A private instance: an ulspd of ulspctl's own, which lives as long as it is
 * needed and leaves nothing behind, also when ulspctl is killed.
 */
#ifndef PRIVATE_H
#define PRIVATE_H

#include <sys/types.h>

#include "instance.h"

struct private_instance {
	char name[64];
	pid_t pid; /* 0: it has ended */
};

/*
 * Start ulspd on a policy file and wait until it is ready.  Its log goes to
 * stderr.  -EINTR: a signal came, *ret_signal says which.
 */
int private_start(struct private_instance *p, const char *policy, bool verbose, int *ret_signal,
		  struct err *e);
/* End it; what it could not remove itself is removed here. */
void private_end(struct private_instance *p);

#endif
