/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP connections that are held: their SYNs wait here for the ULSPs' verdicts,
 * are sent again or refused.
 *
 * The programs hand over each SYN that they hold back, by the instance's
 * `parked` ring.  A ULSP that answers one says so through a pipe; the verdict
 * itself is in its slot, and nothing but that counts.  Deadlines and fail modes
 * are kept here too, by a thread of their own: nothing that the daemon does
 * makes them late.  After a load the sockets are made to send their SYNs again,
 * for the new rules.  Without the daemon the kernel's own next SYN, a second later
 * or more, finds the verdict, the deadline or the rules.
 */
#ifndef PARKING_H
#define PARKING_H

#include "instance.h"

struct parking;

/* By the ULSP that is asked; a connection that two are asked about counts for both. */
struct parking_stats {
	uint64_t slots;	   /* taken now, by whatever waits */
	uint64_t held;	   /* SYNs handed over */
	uint64_t waiting;  /* of these, now */
	uint64_t released; /* sent again */
	uint64_t refused;
	uint64_t late;	 /* by the fail mode, at the deadline */
	uint64_t failed; /* could not be sent; the kernel's next SYN decides */
};

int parking_new(struct instance *i, struct parking **ret, struct err *e);
void parking_free(struct parking **p);

/*
 * A pipe of its own for the ULSP that starts now with that ring: the end to write struct
 * ulsp_poke to, for the caller to close, or -errno.  That of its predecessor goes.
 */
int parking_poke_open(struct parking *p, uint8_t ring);
void parking_stats(struct parking *p, uint8_t ring, struct parking_stats *ret);

#endif
