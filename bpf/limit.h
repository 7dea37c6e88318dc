/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rates: a bucket of tokens in one 64-bit number.
 *
 * The number is the time at which the bucket will be full again (the theoretical
 * arrival time of the generic cell rate algorithm); one in the past is full, so
 * a new bucket is 0.  A token moves it on by one interval, and one that would
 * move it on to more than `burst` intervals from now isn't there.  One
 * compare-and-swap takes a token: whoever loses the race looks again, so none is
 * lost and none is given twice, on however many processors.
 *
 * This header is the code that the kernel runs; unit tests run it on the host.
 */
#ifndef LIMIT_H
#define LIMIT_H

#include "ulsp_abi.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

enum {
	LIMIT_RULES_MAX = 1 << 14,     /* of all groups */
	LIMIT_PROCESSES_MAX = 1 << 14, /* buckets of one group's processes: the least used goes */
};

/* Of a group's rule. */
struct limit_key {
	__u32 slot; /* of the group */
	__u32 rule; /* its id: the bucket outlives a reload, as long as the rule does */
};

/* Of a process, in its group's map.  All 0: of those that aren't known. */
struct limit_process_key {
	__u64 start_ns;
	__u32 tgid;
	__u32 rule;
};

struct limit_buckets {
	__u64 full_ns;
	__u64 listen_full_ns; /* of listen by a rule for bind: the bind took a token already */
};

/* Rounded up: never more than the rate. */
static __always_inline __u64 limit_interval_ns(__u32 rate_per_hour)
{
	const __u64 hour_ns = 3600ull * 1000 * 1000 * 1000;

	return rate_per_hour ? (hour_ns + rate_per_hour - 1) / rate_per_hour : hour_ns;
}

struct limit_try {
	__u64 *full_ns;
	__u64 seen; /* what was there when it was last looked at */
	__u64 now;
	__u64 interval_ns;
	__u64 ahead_ns; /* how far ahead it may be for one more */
};
enum limit_result { LIMIT_OVER, LIMIT_WITHIN, LIMIT_RACED };

static __always_inline struct limit_try limit_begin(__u64 *full_ns, __u64 now_ns,
						    __u32 rate_per_hour, __u32 burst)
{
	__u64 interval_ns = limit_interval_ns(rate_per_hour);

	return (struct limit_try){
		.full_ns = full_ns,
		.seen = *(volatile __u64 *)full_ns,
		.now = now_ns,
		.interval_ns = interval_ns,
		.ahead_ns = interval_ns * (burst ? burst - 1 : 0),
	};
}

/* Once; LIMIT_RACED: another took one, and *t is ready for the next try. */
static __always_inline enum limit_result limit_once(struct limit_try *t)
{
	__u64 seen = t->seen, from = seen > t->now ? seen : t->now;

	if (from - t->now > t->ahead_ns)
		return LIMIT_OVER;
	t->seen = __sync_val_compare_and_swap(t->full_ns, seen, from + t->interval_ns);
	return t->seen == seen ? LIMIT_WITHIN : LIMIT_RACED;
}

#endif
