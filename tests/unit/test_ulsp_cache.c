/* SPDX-License-Identifier: BSD-2-Clause */
/* A cache of verdicts: what is found, what is replaced, and several that write at once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache.h"
#include "cached.h"

enum { GENERATION = 7, NOW = 1000, LATER = 1000000 };

static struct ulsp_cache_set *sets;

static int make(void **state)
{
	(void)state;
	sets = aligned_alloc(sizeof(*sets), ULSP_CACHE_BYTES);
	if (sets)
		memset(sets, 0, ULSP_CACHE_BYTES);
	return sets ? 0 : -1;
}

static int drop(void **state)
{
	(void)state;
	free(sets);
	return 0;
}

/* What is cached for an address. */
static struct ulsp_cached of(uint32_t addr)
{
	struct ulsp_cached v = {.key = {.rule = 5, .group = 1, .family = 4, .port = 443},
				.expires_ns = LATER,
				.generation = GENERATION};

	memcpy(v.key.addr, &addr, sizeof(addr));
	return v;
}

static int put(struct ulsp_cached v, uint64_t now)
{
	return ulsp_cache_put(sets, &v, now);
}

static bool has(uint32_t addr, struct ulsp_cached *ret)
{
	struct ulsp_cached v = of(addr);

	return ulsp_cache_find(sets, &v.key, ret);
}

/* The entry that has it. */
static struct ulsp_cache_entry *entry_of(uint32_t addr)
{
	struct ulsp_cached v = of(addr);
	struct ulsp_cache_set *set = &sets[ulsp_cache_set_of(&v.key)];

	for (int way = 0; way < ULSP_CACHE_WAYS; way++)
		if (!ulsp_cache_differs(set->ways[way].key.words, v.key.words))
			return &set->ways[way];
	fail();
	return NULL;
}

/* Addresses whose keys are in the set of the first. */
static void meet(uint32_t *addrs, size_t n)
{
	struct ulsp_cached first = of(0);
	uint32_t addr = 0;

	for (size_t i = 0; i < n; addr++) {
		struct ulsp_cached v = of(addr);

		if (ulsp_cache_set_of(&v.key) == ulsp_cache_set_of(&first.key))
			addrs[i++] = addr;
	}
}

static void finds_what_was_put(void **state)
{
	struct ulsp_cached v = of(1), e;

	(void)state;
	assert_false(has(0, &e)); /* nor is what was never written something */
	v.error = -ECONNREFUSED;
	assert_int_equal(put(v, NOW), 0);
	assert_true(has(1, &e));
	assert_memory_equal(&e.key, &v.key, sizeof(e.key));
	assert_int_equal(e.error, -ECONNREFUSED);
	assert_int_equal(e.generation, GENERATION);
	assert_int_equal(e.expires_ns, LATER);
	assert_false(has(2, &e));
	v.error = 0;
	v.generation++;
	assert_int_equal(put(v, NOW), 0);
	assert_true(has(1, &e));
	assert_int_equal(e.error, 0);
	assert_int_equal(e.generation, GENERATION + 1);
}

static void each_writing_has_another_state(void **state)
{
	uint64_t before;

	(void)state;
	assert_int_equal(put(of(1), NOW), 0);
	before = entry_of(1)->state;
	assert_int_equal(put(of(1), NOW), 0);
	assert_int_not_equal(entry_of(1)->state, before);
	/* not of another's count */
	for (int i = 0; i < 1 << 16; i++)
		assert_int_equal(put(of(1), NOW), 0);
	assert_int_equal(ULSP_CACHE_GENERATION(entry_of(1)->state), GENERATION);
	assert_int_equal(ULSP_CACHE_ERROR(entry_of(1)->state), 0);
}

static void voids_what_was_read_only(void **state)
{
	struct ulsp_cached e;
	uint64_t read;

	(void)state;
	assert_int_equal(put(of(1), NOW), 0);
	assert_true(ulsp_cache_read(entry_of(1), &e, &read));
	assert_int_equal(put(of(1), NOW), 0); /* given again meanwhile */
	assert_false(ulsp_cache_void(entry_of(1), read));
	assert_true(has(1, &e));
	assert_true(ulsp_cache_read(entry_of(1), &e, &read));
	assert_true(ulsp_cache_void(entry_of(1), read));
	assert_false(has(1, &e));
	assert_false(ulsp_cache_void(entry_of(1), entry_of(1)->state));
}

static void replaces_what_was_not_used_for_longest(void **state)
{
	enum { ALL = ULSP_CACHE_WAYS + 1, MIDDLE = 1 };
	uint32_t addrs[ALL];
	struct ulsp_cached e;

	(void)state;
	meet(addrs, ALL);
	for (uint32_t i = 0; i < ULSP_CACHE_WAYS; i++)
		assert_int_equal(put(of(addrs[i]), NOW + 10 * i), 0);
	for (uint32_t i = 0; i < ULSP_CACHE_WAYS; i++)
		assert_true(has(addrs[i], &e));
	/* as a program says that it decided */
	for (uint32_t i = 0; i < ULSP_CACHE_WAYS; i++)
		if (i != MIDDLE)
			entry_of(addrs[i])->used_ns = NOW + 100;
	assert_int_equal(put(of(addrs[ALL - 1]), NOW + 200), 0);
	for (uint32_t i = 0; i < ALL; i++)
		assert_int_equal(has(addrs[i], &e), i != MIDDLE);
}

static void replaces_what_is_void_first(void **state)
{
	uint32_t addrs[ULSP_CACHE_WAYS + 1], last = ULSP_CACHE_WAYS - 1;
	struct ulsp_cached e;

	(void)state;
	meet(addrs, ULSP_CACHE_WAYS + 1);
	for (int how = 0; how < 4; how++) {
		struct ulsp_cache_entry *entry;

		memset(sets, 0, ULSP_CACHE_BYTES);
		for (uint32_t i = 0; i < ULSP_CACHE_WAYS; i++)
			assert_int_equal(put(of(addrs[i]), NOW + i), 0);
		entry = entry_of(addrs[last]);
		if (how == 0)
			entry->expires_ns = NOW + 50;
		if (how == 1)
			entry->state = ULSP_CACHE_STATE(GENERATION - 1, 0, 1);
		if (how == 2)
			entry->state = ULSP_CACHE_STATE(GENERATION, 99, 1);
		if (how == 3)
			assert_true(ulsp_cache_void(entry, entry->state));
		assert_int_equal(put(of(addrs[ULSP_CACHE_WAYS]), NOW + 50), 0);
		for (uint32_t i = 0; i <= ULSP_CACHE_WAYS; i++)
			assert_int_equal(has(addrs[i], &e), i != last);
	}
}

static void leaves_what_is_being_written(void **state)
{
	uint32_t addrs[ULSP_CACHE_WAYS + 1];
	struct ulsp_cached e;
	uint64_t read;

	(void)state;
	meet(addrs, ULSP_CACHE_WAYS + 1);
	for (uint32_t i = 0; i < ULSP_CACHE_WAYS; i++) {
		assert_int_equal(put(of(addrs[i]), NOW), 0);
		entry_of(addrs[i])->state = ULSP_CACHE_STATE(0, ULSP_CACHE_BUSY, i);
	}
	assert_false(has(addrs[0], &e));
	assert_false(ulsp_cache_read(entry_of(addrs[0]), &e, &read));
	assert_false(ulsp_cache_void(entry_of(addrs[0]), entry_of(addrs[0])->state));
	assert_int_equal(put(of(addrs[0]), NOW), -EBUSY);
	/* by one that is gone */
	ulsp_cache_release(sets);
	assert_false(has(addrs[0], &e));
	assert_int_equal(put(of(addrs[ULSP_CACHE_WAYS]), NOW), 0);
	assert_true(has(addrs[ULSP_CACHE_WAYS], &e));
}

/* Keys as networks and processes make them: of each kind, sets get about as many each. */
static void spreads_what_is_alike(void **state)
{
	enum { KEYS = ULSP_CACHE_SETS, KINDS = 5, MOST = 12 };
	static uint8_t in[ULSP_CACHE_SETS];

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		uint32_t empty = 0;

		memset(in, 0, sizeof(in));
		for (uint32_t i = 0; i < KEYS; i++) {
			struct ulsp_cached v = of(0);
			uint8_t *a = v.key.addr;

			if (kind == 0) /* hosts */
				a[3] = (uint8_t)i, a[2] = (uint8_t)(i >> 8);
			if (kind == 1) /* networks */
				a[0] = (uint8_t)i, a[1] = (uint8_t)(i >> 8);
			if (kind == 2) /* IPv6 */
				a[15] = (uint8_t)i, a[14] = (uint8_t)(i >> 8);
			if (kind == 3)
				v.key.port = (uint16_t)i;
			if (kind == 4) /* processes, one after the other */
				v.key.tgid = 1000 + i, v.key.start_ns = 70000000ull * i;
			assert_true(++in[ulsp_cache_set_of(&v.key)] <= MOST);
		}
		for (uint32_t i = 0; i < ULSP_CACHE_SETS; i++)
			empty += !in[i];
		/* 37 % by chance; fewer where they are spread more evenly */
		assert_in_range(empty, 0, ULSP_CACHE_SETS * 42 / 100);
	}
}

/* ---- at once ---- */

enum { WRITERS = 3, SEEN = 100000, MET = ULSP_CACHE_WAYS + 2 };

static struct {
	uint32_t addrs[MET];
	bool done;
	uint64_t seen, wrong; /* atomic */
} race;

/* Of what an address has, both follow from it. */
static struct ulsp_cached says(uint32_t at, uint32_t round)
{
	struct ulsp_cached v = of(race.addrs[at]);

	v.error = (int16_t) - (int)(1 + at * 100 + round % 50);
	v.expires_ns = LATER + at;
	return v;
}

static void *write_all(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (uint32_t i = 0; __atomic_load_n(&race.seen, __ATOMIC_RELAXED) < SEEN; i++) {
		struct ulsp_cached v = says((uint32_t)rand_r(&seed) % MET, i);

		if (ulsp_cache_put(sets, &v, NOW))
			__atomic_add_fetch(&race.wrong, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *read_all(void *arg)
{
	struct ulsp_cached e;

	(void)arg;
	while (!__atomic_load_n(&race.done, __ATOMIC_RELAXED))
		for (uint32_t at = 0; at < MET; at++) {
			if (!has(race.addrs[at], &e))
				continue;
			__atomic_add_fetch(&race.seen, 1, __ATOMIC_RELAXED);
			if (e.expires_ns != LATER + at || (uint32_t)(-e.error - 1) / 100 != at)
				__atomic_add_fetch(&race.wrong, 1, __ATOMIC_RELAXED);
		}
	return NULL;
}

static void a_verdict_is_never_anothers(void **state)
{
	pthread_t writers[WRITERS], reader;
	struct ulsp_cache_set *set;
	struct ulsp_cached first;
	uint32_t keys = 0;

	(void)state;
	meet(race.addrs, MET);
	assert_int_equal(pthread_create(&reader, NULL, read_all, NULL), 0);
	for (uintptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_all, (void *)(i + 1)), 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	__atomic_store_n(&race.done, true, __ATOMIC_RELAXED);
	pthread_join(reader, NULL);
	assert_int_equal(race.wrong, 0);
	assert_true(race.seen > 0);
	/* and each is there once */
	first = of(race.addrs[0]);
	set = &sets[ulsp_cache_set_of(&first.key)];
	for (int way = 0; way < ULSP_CACHE_WAYS; way++) {
		struct ulsp_cached e;
		uint64_t read;

		if (!ulsp_cache_read(&set->ways[way], &e, &read))
			continue;
		for (uint32_t at = 0; at < MET; at++) {
			struct ulsp_cached v = of(race.addrs[at]);

			if (ulsp_cache_differs(e.key.words, v.key.words))
				continue;
			assert_false(keys & 1u << at);
			keys |= 1u << at;
		}
	}
	assert_int_not_equal(keys, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_what_was_put, make, drop),
		cmocka_unit_test_setup_teardown(each_writing_has_another_state, make, drop),
		cmocka_unit_test_setup_teardown(voids_what_was_read_only, make, drop),
		cmocka_unit_test_setup_teardown(replaces_what_was_not_used_for_longest, make, drop),
		cmocka_unit_test_setup_teardown(replaces_what_is_void_first, make, drop),
		cmocka_unit_test_setup_teardown(leaves_what_is_being_written, make, drop),
		cmocka_unit_test(spreads_what_is_alike),
		cmocka_unit_test_setup_teardown(a_verdict_is_never_anothers, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
