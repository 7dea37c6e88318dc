/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The consumer's end of a BPF ring buffer.
 *
 * A producer wakes the consumer when its record finds everything before it given back, whether the
 * consumer sleeps or not, and a wake-up costs far more than a message.  So the last record that
 * was taken is given back only when the next one is taken, or before the consumer sleeps: a
 * consumer that keeps up is never woken, and one that sleeps always is.
 */
#ifndef ULSP_RING_H
#define ULSP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>

struct ulsp_ring {
	unsigned long *consumer;       /* shared: what is given back */
	const unsigned long *producer; /* shared: what is reserved */
	const unsigned char *data;     /* mapped twice, so that a record never wraps */
	uint32_t bytes;		       /* a power of two */
	unsigned long at;	       /* what is taken; *consumer is at it or behind */
	__u64 *taken;		       /* `at`, for who takes over after a crash */
};

/* false: take no more now.  `record` is valid during the call only. */
typedef bool (*ulsp_ring_take)(void *ctx, const void *record, size_t bytes);

/* 0 or -errno; `fd` stays the caller's.  Goes on at *taken where the ring still has that. */
int ulsp_ring_open(struct ulsp_ring *r, int fd, uint32_t bytes, __u64 *taken);
void ulsp_ring_close(struct ulsp_ring *r); /* zeroed or opened */
/* Takes what is committed; returns how many records. */
unsigned int ulsp_ring_drain(struct ulsp_ring *r, ulsp_ring_take take, void *ctx);
/* Something is committed that was not taken. */
bool ulsp_ring_ready(const struct ulsp_ring *r);
/* Gives all back that was taken: from now on the next record makes the descriptor readable. */
void ulsp_ring_settle(struct ulsp_ring *r);
/* Nothing is there that was not taken, not even reserved. */
bool ulsp_ring_empty(const struct ulsp_ring *r);

#endif
