/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loss accounting of one group's stream to one ring.
 *
 * Senders number their messages from 1 and without gap, and then try to put
 * them into the ring; so a number that never arrives is a lost message.
 * Numbers may arrive out of order (a sender is preempted between the two
 * steps), so a gap counts only when it is still there at the settling after
 * the one that first saw it.  Settle once a second.
 */
#ifndef ULSP_TRACK_H
#define ULSP_TRACK_H

#include <stdbool.h>
#include <stdint.h>

struct ulsp_track {
	uint64_t base;	   /* first number that counts; 0: not known yet */
	uint64_t max;	   /* highest number known to have been given out */
	uint64_t received; /* of base..max */
	uint64_t mark;	   /* max at the last settling */
	uint64_t missing;  /* of base..mark */
	uint64_t lost;	   /* of those, settled */
	uint64_t before;   /* lost before the stream was numbered anew */
	uint64_t tail;	   /* the sender's counter at the last settling */
};

/* Count from number `next` on. */
void ulsp_track_start(struct ulsp_track *t, uint64_t next);
/* A message arrived.  sent: the sender's counter where it can be read, or NULL. */
void ulsp_track_seen(struct ulsp_track *t, uint64_t seq, const uint64_t *sent);
/*
 * Returns how many are newly lost.  sent as above; drained: the ring is empty now, so that what
 * was sent a settling ago and is not here is lost although nothing came after it.
 */
uint64_t ulsp_track_settle(struct ulsp_track *t, const uint64_t *sent, bool drained);
uint64_t ulsp_track_lost(const struct ulsp_track *t);

#endif
