/* SPDX-License-Identifier: BSD-2-Clause */
/* Loss accounting: out of order, late, tails, renumbered streams. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "track.h"

static void in_order(void **state)
{
	struct ulsp_track t = {0};

	(void)state;
	ulsp_track_start(&t, 1);
	for (uint64_t i = 1; i <= 100; i++)
		ulsp_track_seen(&t, i, NULL);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 0);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 0);
	assert_int_equal(ulsp_track_lost(&t), 0);
	assert_int_equal(t.received, 100);
}

static void gap_counts_at_second_settling(void **state)
{
	struct ulsp_track t = {0};

	(void)state;
	ulsp_track_start(&t, 1);
	ulsp_track_seen(&t, 1, NULL);
	ulsp_track_seen(&t, 5, NULL);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 0);
	assert_int_equal(ulsp_track_lost(&t), 0);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 3);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 0);
	assert_int_equal(ulsp_track_lost(&t), 3);
}

static void out_of_order_is_no_loss(void **state)
{
	struct ulsp_track t = {0};

	(void)state;
	ulsp_track_start(&t, 1);
	ulsp_track_seen(&t, 3, NULL);
	ulsp_track_seen(&t, 1, NULL);
	ulsp_track_settle(&t, NULL, false);
	ulsp_track_seen(&t, 4, NULL);
	ulsp_track_seen(&t, 2, NULL); /* between the two settlings */
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 0);
	assert_int_equal(ulsp_track_lost(&t), 0);
}

static void very_late_is_taken_back(void **state)
{
	struct ulsp_track t = {0};

	(void)state;
	ulsp_track_start(&t, 1);
	ulsp_track_seen(&t, 3, NULL);
	ulsp_track_settle(&t, NULL, false);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 2);
	ulsp_track_seen(&t, 2, NULL);
	assert_int_equal(ulsp_track_lost(&t), 1);
	ulsp_track_settle(&t, NULL, false);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 0);
	assert_int_equal(ulsp_track_lost(&t), 1);
}

static void first_seen_is_the_base(void **state)
{
	struct ulsp_track t = {0};

	(void)state;
	ulsp_track_seen(&t, 1000, NULL);
	ulsp_track_seen(&t, 999, NULL); /* before the base: not ours to count */
	ulsp_track_seen(&t, 1002, NULL);
	ulsp_track_settle(&t, NULL, false);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 1);
	assert_int_equal(t.received, 2);
}

static void known_base_counts_what_never_came(void **state)
{
	struct ulsp_track t = {0};

	(void)state;
	ulsp_track_start(&t, 101); /* 100 were sent before, and the ring was empty */
	ulsp_track_seen(&t, 111, NULL);
	ulsp_track_settle(&t, NULL, false);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), 10);
}

static void tail_counts_when_drained(void **state)
{
	struct ulsp_track t = {0};
	uint64_t sent = 10;

	(void)state;
	ulsp_track_start(&t, 1);
	for (uint64_t i = 1; i <= 10; i++)
		ulsp_track_seen(&t, i, &sent);
	sent = 15; /* five more that never arrive, and nothing after them */
	assert_int_equal(ulsp_track_settle(&t, &sent, true), 0);
	assert_int_equal(ulsp_track_settle(&t, &sent, true), 0);
	assert_int_equal(ulsp_track_settle(&t, &sent, true), 5);
	assert_int_equal(ulsp_track_settle(&t, &sent, true), 0);
	ulsp_track_seen(&t, 16, &sent);
	ulsp_track_settle(&t, &sent, true);
	assert_int_equal(ulsp_track_settle(&t, &sent, true), 0);
	assert_int_equal(ulsp_track_lost(&t), 5);
}

static void tail_waits_in_a_full_ring(void **state)
{
	struct ulsp_track t = {0};
	uint64_t sent = 15;

	(void)state;
	ulsp_track_start(&t, 1);
	ulsp_track_seen(&t, 10, &sent);
	for (int i = 0; i < 5; i++)
		ulsp_track_settle(&t, &sent, false);
	assert_int_equal(ulsp_track_lost(&t), 9); /* not 14: they may still be in the ring */
}

static void renumbered_stream_starts_anew(void **state)
{
	struct ulsp_track t = {0};
	uint64_t sent = 100;

	(void)state;
	ulsp_track_start(&t, 1);
	for (uint64_t i = 1; i <= 100; i++)
		if (i != 50)
			ulsp_track_seen(&t, i, &sent);
	ulsp_track_settle(&t, &sent, false);
	ulsp_track_settle(&t, &sent, false);
	assert_int_equal(ulsp_track_lost(&t), 1);
	sent = 3; /* the group's slot has another group now */
	ulsp_track_seen(&t, 1, &sent);
	ulsp_track_seen(&t, 3, &sent);
	ulsp_track_settle(&t, &sent, false);
	assert_int_equal(ulsp_track_settle(&t, &sent, false), 1);
	assert_int_equal(ulsp_track_lost(&t), 2);
}

static void random_order_with_losses(void **state)
{
	enum { N = 20000, WINDOW = 64 };
	struct ulsp_track t = {0};
	uint64_t lost = 0, held[WINDOW];
	size_t n = 0;
	unsigned int seed = 7;

	(void)state;
	ulsp_track_start(&t, 1);
	for (uint64_t i = 1; i <= N; i++) {
		/* The first and the last arrive, so that the span is known. */
		if (i != 1 && i != N && rand_r(&seed) % 10 == 0) {
			lost++;
			continue;
		}
		held[n++] = i;
		if (n == WINDOW) {
			size_t at = (size_t)rand_r(&seed) % n;

			ulsp_track_seen(&t, held[at], NULL);
			held[at] = held[--n];
		}
	}
	while (n)
		ulsp_track_seen(&t, held[--n], NULL);
	ulsp_track_settle(&t, NULL, false);
	assert_int_equal(ulsp_track_settle(&t, NULL, false), lost);
	assert_int_equal(t.received + lost, N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(gap_counts_at_second_settling),
		cmocka_unit_test(out_of_order_is_no_loss),
		cmocka_unit_test(very_late_is_taken_back),
		cmocka_unit_test(first_seen_is_the_base),
		cmocka_unit_test(known_base_counts_what_never_came),
		cmocka_unit_test(tail_counts_when_drained),
		cmocka_unit_test(tail_waits_in_a_full_ring),
		cmocka_unit_test(renumbered_stream_starts_anew),
		cmocka_unit_test(random_order_with_losses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
