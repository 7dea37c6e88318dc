/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Waiting for a ULSP's verdict.
 *
 * A question takes a slot of the ULSP, in which the verdict is written, and a
 * ticket, which tells it from the slot's earlier and later ones.  Slots are
 * taken by compare-and-swap on the time until which they are: what was never
 * given back is free some time after its deadline.
 */
#ifndef HOLD_BPF_H
#define HOLD_BPF_H

#include "maps.bpf.h"

/* Of a ULSP's denial: what the kernel keeps for itself (ERESTARTSYS to EIOCBQUEUED) is none. */
static __always_inline int may_be_errno(__s16 error)
{
	return error < 0 && error >= -4095 && !(error <= -512 && error >= -530);
}

/* What hold() and answer() say. */
enum held {
	HELD_NOT = 0, /* no slot or message: the fail mode has decided */
	HELD_STILL,   /* no verdict yet */
	HELD_DECIDED, /* by the verdict: it is in the event */
};

/*
 * Asks, and waits for the verdict within the operation as long as that is
 * likely to pay.  `busy`: not at all, it is not a process's own time.
 */
extern int hold(struct event *ev, const struct sock_state *owner, int busy);
/* The same again, after a while. */
extern int hold_on(struct event *ev);
/*
 * Whether the ULSP has another processor, as far as is known: else it can't answer before the
 * process sleeps.
 */
extern int hold_elsewhere(const struct event *ev);
/* Whether there is a verdict by now. */
extern int answer(struct event *ev);
/* The daemon is to be told of a verdict from now on; whether there is one already. */
extern int answer_parked(struct event *ev);
/* Gives the slot back. */
extern int hold_end(struct event *ev);

#endif
