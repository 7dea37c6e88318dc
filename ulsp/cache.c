/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache.h"

#include <errno.h>
#include <sched.h>

#include "cached.h"

/* A writer that was interrupted in the middle needs its processor to come to an end. */
enum { TRIES = 1000 };

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static uint64_t state_of(const struct ulsp_cache_entry *e)
{
	return __atomic_load_n((const uint64_t *)&e->state, __ATOMIC_SEQ_CST);
}

static bool change(struct ulsp_cache_entry *e, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n((uint64_t *)&e->state, &from, to, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool has_key(const struct ulsp_cache_entry *e, const struct ulsp_cache_key *key)
{
	return !ulsp_cache_differs(e->key.words, key->words);
}

/* The lower, the sooner it is replaced. */
static uint64_t rank(const struct ulsp_cache_entry *e, uint64_t state, const struct ulsp_cached *v,
		     uint64_t now_ns)
{
	if (has_key(e, &v->key))
		return 0;
	if (!ulsp_cache_is_verdict(ULSP_CACHE_ERROR(state)) ||
	    ULSP_CACHE_GENERATION(state) != v->generation ||
	    load((const uint64_t *)&e->expires_ns) <= now_ns)
		return 1;
	return 2 + load((const uint64_t *)&e->used_ns) / 2;
}

/* Makes one busy; NULL: none can be had now. */
static struct ulsp_cache_entry *take(struct ulsp_cache_set *set, const struct ulsp_cached *v,
				     uint64_t now_ns, uint64_t *ret_state)
{
	struct ulsp_cache_entry *best = NULL;
	uint64_t least = UINT64_MAX, best_state = 0;

	for (int way = 0; way < ULSP_CACHE_WAYS; way++) {
		struct ulsp_cache_entry *e = &set->ways[way];
		uint64_t state = state_of(e), r;

		if (ULSP_CACHE_ERROR(state) == ULSP_CACHE_BUSY)
			continue;
		r = rank(e, state, v, now_ns);
		if (r >= least)
			continue;
		least = r;
		best = e;
		best_state = state;
	}
	*ret_state = best_state;
	if (best && change(best, best_state,
			   ULSP_CACHE_STATE(0, ULSP_CACHE_BUSY, ULSP_CACHE_COUNT(best_state))))
		return best;
	return NULL;
}

int ulsp_cache_put(struct ulsp_cache_set *sets, const struct ulsp_cached *v, uint64_t now_ns)
{
	struct ulsp_cache_set *set = &sets[ulsp_cache_set_of(&v->key)];
	struct ulsp_cache_entry *e = NULL;
	uint64_t before;

	for (int i = 0; i < TRIES && !e; i++) {
		if (i)
			sched_yield();
		e = take(set, v, now_ns, &before);
	}
	if (!e)
		return -EBUSY;
	/* What follows is not seen before the state that says busy. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (int i = 0; i < ULSP_CACHE_KEY_WORDS; i++)
		store((uint64_t *)&e->key.words[i], v->key.words[i]);
	store((uint64_t *)&e->expires_ns, v->expires_ns);
	store((uint64_t *)&e->used_ns, now_ns);
	__atomic_store_n((uint64_t *)&e->state,
			 ULSP_CACHE_STATE(v->generation, v->error, ULSP_CACHE_COUNT(before) + 1),
			 __ATOMIC_SEQ_CST);
	/* Two may have written the key at once: who was last sees the other's. */
	for (int way = 0; way < ULSP_CACHE_WAYS; way++) {
		struct ulsp_cache_entry *other = &set->ways[way];
		uint64_t state = state_of(other);

		if (other != e && has_key(other, &v->key))
			ulsp_cache_void(other, state);
	}
	return 0;
}

bool ulsp_cache_read(const struct ulsp_cache_entry *e, struct ulsp_cached *ret, uint64_t *ret_state)
{
	uint64_t state = state_of(e);
	struct ulsp_cached v = {.generation = ULSP_CACHE_GENERATION(state),
				.error = ULSP_CACHE_ERROR(state)};

	if (v.error == ULSP_CACHE_VOID || v.error == ULSP_CACHE_BUSY)
		return false;
	for (int i = 0; i < ULSP_CACHE_KEY_WORDS; i++)
		v.key.words[i] = load((const uint64_t *)&e->key.words[i]);
	v.expires_ns = load((const uint64_t *)&e->expires_ns);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!v.expires_ns || state_of(e) != state)
		return false;
	*ret = v;
	*ret_state = state;
	return true;
}

bool ulsp_cache_find(const struct ulsp_cache_set *sets, const struct ulsp_cache_key *key,
		     struct ulsp_cached *ret)
{
	const struct ulsp_cache_set *set = &sets[ulsp_cache_set_of(key)];
	struct ulsp_cached v;
	uint64_t state;

	for (int way = 0; way < ULSP_CACHE_WAYS; way++) {
		if (!ulsp_cache_read(&set->ways[way], &v, &state) ||
		    ulsp_cache_differs(v.key.words, key->words))
			continue;
		*ret = v;
		return true;
	}
	return false;
}

bool ulsp_cache_void(struct ulsp_cache_entry *e, uint64_t state)
{
	int error = ULSP_CACHE_ERROR(state);

	return error != ULSP_CACHE_VOID && error != ULSP_CACHE_BUSY &&
	       change(e, state, ULSP_CACHE_STATE(0, ULSP_CACHE_VOID, ULSP_CACHE_COUNT(state)));
}

void ulsp_cache_release(struct ulsp_cache_set *sets)
{
	for (int at = 0; at < ULSP_CACHE_SETS; at++)
		for (int way = 0; way < ULSP_CACHE_WAYS; way++) {
			struct ulsp_cache_entry *e = &sets[at].ways[way];
			uint64_t state = state_of(e);

			if (ULSP_CACHE_ERROR(state) == ULSP_CACHE_BUSY)
				change(e, state,
				       ULSP_CACHE_STATE(0, ULSP_CACHE_VOID,
							ULSP_CACHE_COUNT(state)));
		}
}
