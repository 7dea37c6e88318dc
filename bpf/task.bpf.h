/* SPDX-License-Identifier: GPL-2.0-only */
/* What task.bpf.c has: everything that reads the current task. */
#ifndef TASK_BPF_H
#define TASK_BPF_H

#include "maps.bpf.h"

/* uid and executable in ev->key, or no_task when it is a kernel thread. */
extern int task_facts(struct event *ev);
/* How many want this processor, itself included. */
extern int task_rivals(void);
/* Whether it should leave a wait: a signal is there, or more than `rivals` want the processor. */
extern int task_wanted(int rivals);
/* Notes the task as the socket's owner. */
extern int task_own(struct sock_state *s);
/* Which process it is, for a cached verdict. */
extern int task_process(struct ulsp_cache_key *key);
/* The same for its rates. */
extern int task_limit(struct limit_process_key *key);
/*
 * Which of a ULSP's rings gets the operation, from 0: always the same for a thread, so that what
 * it does stays in order.
 */
extern int share_of(const struct event *ev, __u32 ring);
/*
 * One message to one ring: 0, -ENOBUFS when the ring is full, -ENOENT when
 * nobody has this ring (nothing is lost then: nobody was to receive it).
 */
extern int record_to(const struct event *ev, const struct sock_state *owner, __u32 ring,
		     __u32 flags);

#endif
