/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Losses by number, on the kernel's maps as user nobody: a full ring, a crash and
 * what follows, a flood.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "real_ulsp.h"

/* ---- losses ---- */

static void count_losses(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(real_on_message, &s);
	uint64_t end = real_now_ns() + 8000000000u;

	while (s.lost < 12 && real_now_ns() < end)
		CHECK(ulsp_dispatch(u, 1000) >= 0);
	CHECK(s.n == 3 && s.lost == 12 && s.total == 12);
	CHECK(ulsp_dispatch(u, 0) >= 0);
	CHECK(fake.page_at->readers[0].lost == 12);
	ulsp_close(&u);
}

/* A gap between messages, and a tail after which nothing comes. */
static void losses_are_counted(void **state)
{
	struct ulsp_msg m = fake_message(&fake, 1);

	(void)state;
	fake_send(&fake, &m);
	fake_send(&fake, &m);
	fake_lose(&fake, 1, 5);
	fake_send(&fake, &m);
	fake_lose(&fake, 1, 7);
	real_must_end_well(real_start(count_losses));
}

static void count_from_empty(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(real_on_message, &s);
	uint64_t end = real_now_ns() + 8000000000u;

	while (s.lost < 5 && real_now_ns() < end)
		CHECK(ulsp_dispatch(u, 1000) >= 0);
	CHECK(s.n == 1 && s.lost == 5);
	ulsp_close(&u);
}

/* What was sent before is not ours; what comes after it is, from the first number on. */
static void an_empty_ring_is_the_base(void **state)
{
	struct ulsp_msg m = fake_message(&fake, 1);
	pid_t pid;

	(void)state;
	fake_lose(&fake, 1, 1000);
	pid = real_start(count_from_empty);
	real_wait_for_heartbeat();
	fake_lose(&fake, 1, 5);
	fake_send(&fake, &m);
	real_must_end_well(pid);
}

/* ---- a full ring, a crash ---- */

static int slow(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct real_seen *s = ctx;

	(void)u;
	(void)m;
	if (++s->n == 50)
		pause(); /* until it is killed */
	return 0;
}

static void crash(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(slow, &s);

	for (;;)
		ulsp_dispatch(u, -1);
}

static void take_rest(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(real_on_message, &s);
	uint64_t end = real_now_ns() + 8000000000u;
	struct ulsp_stats stats = {.size = sizeof(stats)};

	/* The one that was in hand when it was killed comes again. */
	while (s.last < 100 && real_now_ns() < end)
		CHECK(ulsp_dispatch(u, 1000) >= 0);
	CHECK(s.n == 51 && s.last == 100);
	while (real_now_ns() < end && s.lost < 3)
		CHECK(ulsp_dispatch(u, 100) >= 0);
	CHECK(s.lost == 3);
	CHECK(!ulsp_get_stats(u, &stats) && stats.lost == 3);
	ulsp_close(&u);
}

static void killed_and_started_again(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct ulsp_msg m = fake_message(&fake, 1);

		assert_int_equal(fake_send(&fake, &m), 0);
	}
	pid = real_start(crash);
	sleep(1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(fake.page_at->readers[0].heartbeat_ns !=
		    0); /* nobody cleared it: it goes stale */
	fake_lose(&fake, 1, 3);
	real_must_end_well(real_start(take_rest));
}

static uint64_t flood_taken, flood_sent;

static void account(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(real_on_message, &s);
	uint64_t end = real_now_ns() + 20000000000u;

	while ((uint64_t)s.n + s.lost < flood_sent && real_now_ns() < end)
		CHECK(ulsp_dispatch(u, 100) >= 0);
	CHECK((uint64_t)s.n + s.lost == flood_sent);
	ulsp_close(&u);
}

/* A ring that is too small for its consumer: received and lost add up to what was sent. */
static void every_number_is_accounted_for(void **state)
{
	pid_t pid;

	(void)state;
	flood_sent = 1000000;
	pid = real_start(account);
	real_wait_for_heartbeat();
	flood_taken = fake_flood(&fake, 1, flood_sent);
	real_must_end_well(pid);
	assert_int_equal(fake.page_at->readers[0].received, flood_taken);
	assert_int_equal(fake.page_at->readers[0].lost, flood_sent - flood_taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(x) cmocka_unit_test_setup_teardown(x, real_setup, real_teardown)
		TEST(losses_are_counted),
		TEST(an_empty_ring_is_the_base),
		TEST(killed_and_started_again),
		TEST(every_number_is_accounted_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
