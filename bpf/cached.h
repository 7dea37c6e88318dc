/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A ULSP's cache of verdicts: sets of a few entries, found by their keys.
 *
 * Who writes an entry makes its state `busy` by compare-and-swap, then writes
 * key and times, and last, with release order, a state with another count.
 * Who reads looks at the state before and after: the same one means that all in
 * between was of one verdict.  Nobody takes what is busy, so a writer that dies
 * leaves an entry that is void; the daemon frees it before it starts the next.
 *
 * The hash is no secret and need not be: whoever makes keys meet in one set
 * drives verdicts out, which are asked for again.  A whole key is compared.
 */
#ifndef CACHED_H
#define CACHED_H

#include "ulsp_abi.h"

/* What a state says in place of an errno: 0 allows, -4095..-1 denies, all else is no verdict. */
enum {
	ULSP_CACHE_VOID = 1,
	ULSP_CACHE_BUSY = 2,
	ULSP_CACHE_ERRNO_MIN = -4095,
};

/* Generation, errno and count: 32, 16 and 16 bits. */
#define ULSP_CACHE_STATE(generation, error, count)                                                 \
	((__u64)(__u32)(generation) << 32 | (__u64)(__u16)(error) << 16 | (__u16)(count))
#define ULSP_CACHE_GENERATION(state) ((__u32)((state) >> 32))
#define ULSP_CACHE_ERROR(state)	     ((__s16)((state) >> 16))
#define ULSP_CACHE_COUNT(state)	     ((__u16)(state))

/* 0 or a denial's errno; those that the kernel keeps for itself (ERESTARTSYS to EIOCBQUEUED) are
 * none. */
static inline int ulsp_cache_is_verdict(int error)
{
	return error <= 0 && error >= ULSP_CACHE_ERRNO_MIN && !(error <= -512 && error >= -530);
}

/*
 * Products that don't wait for each other, and once more for bits that only reached the upper
 * half.  Odd numbers without a pattern: digits of the square roots of primes.
 */
static inline __u32 ulsp_cache_set_of(const struct ulsp_cache_key *key)
{
	const __u64 *w = key->words;
	__u64 h = w[0] * 0x6a09e667f3bcc909ull + w[1] * 0xbb67ae8584caa73bull +
		  w[2] * 0x3c6ef372fe94f82bull + w[3] * 0xa54ff53a5f1d36f1ull +
		  w[4] * 0x510e527fade682d1ull;

	h ^= h >> 32;
	h *= 0x9b05688c2b3e6c1full;
	return (__u32)(h >> (64 - ULSP_CACHE_SET_BITS));
}

/* 0: they are the same.  The entry's may change meanwhile. */
static inline __u64 ulsp_cache_differs(const volatile __u64 *entry, const __u64 *key)
{
	return (entry[0] ^ key[0]) | (entry[1] ^ key[1]) | (entry[2] ^ key[2]) |
	       (entry[3] ^ key[3]) | (entry[4] ^ key[4]);
}

#endif
