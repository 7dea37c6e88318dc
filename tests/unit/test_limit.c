/* SPDX-License-Identifier: GPL-2.0-only */
/* Buckets of tokens: against a plain one, at their ends, and by several threads at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "limit.h"

static bool take(__u64 *bucket, __u64 now, __u32 rate, __u32 burst)
{
	struct limit_try t = limit_begin(bucket, now, rate, burst);
	enum limit_result r;

	while ((r = limit_once(&t)) == LIMIT_RACED)
		;
	return r == LIMIT_WITHIN;
}

static uint64_t seed = 1;
static uint64_t below(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* The oracle: what flows in, as it is told in books. */
struct plain {
	unsigned __int128 level_ns, depth_ns; /* a token is an interval's worth */
	uint64_t interval_ns, then_ns;
};

static bool plain_take(struct plain *p, uint64_t now)
{
	p->level_ns += now - p->then_ns;
	p->then_ns = now;
	if (p->level_ns > p->depth_ns)
		p->level_ns = p->depth_ns;
	if (p->level_ns < p->interval_ns)
		return false;
	p->level_ns -= p->interval_ns;
	return true;
}

static void as_a_plain_bucket(void **state)
{
	static const uint32_t rates[] = {1, 2, 7, 60, 3599, 360000, 999999, 3600000, 4294967295u};

	(void)state;
	for (int n = 0; n < 400; n++) {
		uint32_t rate = rates[below(9)], burst = 1 + (uint32_t)below(n % 2 ? 5 : 1000);
		uint64_t interval = limit_interval_ns(rate), now = below(1ull << 40);
		unsigned __int128 depth = (unsigned __int128)interval * burst;
		struct plain p = {depth, depth, interval, now};
		__u64 bucket = 0;

		for (int i = 0; i < 3000; i++) {
			bool is = take(&bucket, now, rate, burst), should = plain_take(&p, now);

			if (is != should)
				fail_msg("%u/h burst %u, operation %d: %d, not %d", rate, burst, i,
					 is, should);
			if (below(3))
				now += below(2) ? below(interval + 1) : below(3);
			if (!below(500))
				now += interval * below(2ull * burst + 1);
		}
	}
}

static void rates_are_not_exceeded(void **state)
{
	(void)state;
	assert_int_equal(limit_interval_ns(1), 3600000000000);
	assert_int_equal(limit_interval_ns(3600), 1000000000);
	assert_int_equal(limit_interval_ns(7 * 3600), 142857143); /* up */
	assert_int_equal(limit_interval_ns(4294967295u), 839);
	for (uint32_t rate = 1; rate < 4000000000u; rate = rate * 3 + 1)
		assert_true((unsigned __int128)limit_interval_ns(rate) * rate >= 3600000000000u);
}

static void ends(void **state)
{
	__u64 bucket = 0, year = 366ull * 24 * 3600 * 1000000000;

	(void)state;
	/* the longest that the language takes: a year to come back, on a host that is up for long
	 */
	for (int i = 0; i < 366 * 24; i++)
		assert_true(take(&bucket, 100 * year, 1, 366 * 24));
	assert_false(take(&bucket, 100 * year, 1, 366 * 24));
	assert_true(take(&bucket, 100 * year + 3600000000000, 1, 366 * 24));
	assert_false(take(&bucket, 100 * year + 3600000000000, 1, 366 * 24));
	/* to the nanosecond */
	bucket = 0;
	assert_true(take(&bucket, 1000, 3600, 1));
	assert_false(take(&bucket, 1000, 3600, 1));
	assert_false(take(&bucket, 1000000999, 3600, 1));
	assert_true(take(&bucket, 1000001000, 3600, 1));
	/* a damaged record neither divides by nothing nor lets all pass */
	bucket = 0;
	assert_true(take(&bucket, 5, 0, 0));
	assert_false(take(&bucket, 5, 0, 0));
}

/* ---- threads ---- */

enum { THREADS = 4, BURST = 400000 };
static __u64 shared;
static uint64_t clock_ns; /* the threads' own time */
static pthread_barrier_t start;

static void *drain(void *arg)
{
	uint64_t *passed = arg;

	pthread_barrier_wait(&start);
	while (take(&shared, 1000, 1, BURST))
		++*passed;
	return NULL;
}

/* Time goes on by 1 ns with each try: so does what comes back. */
static void *drain_on(void *arg)
{
	uint64_t *passed = arg;

	pthread_barrier_wait(&start);
	for (int i = 0; i < 300000; i++)
		*passed += take(&shared, __sync_add_and_fetch(&clock_ns, 1), 4294967295u, 10000);
	return NULL;
}

static uint64_t run(void *(*what)(void *))
{
	uint64_t passed[THREADS] = {0}, sum = 0;
	pthread_t id[THREADS];

	shared = 0;
	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&id[i], NULL, what, &passed[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(id[i], NULL);
		sum += passed[i];
	}
	pthread_barrier_destroy(&start);
	return sum;
}

static void none_lost_none_twice(void **state)
{
	(void)state;
	assert_int_equal(run(drain), BURST);
	clock_ns = 1000;
	/* 1.2 ms of 839 ns a token; what a thread is late with may be one token short */
	assert_in_range(run(drain_on), 10000 + THREADS * 300000 / 839 - THREADS,
			10000 + THREADS * 300000 / 839 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_a_plain_bucket),
		cmocka_unit_test(rates_are_not_exceeded),
		cmocka_unit_test(ends),
		cmocka_unit_test(none_lost_none_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
