/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ULSP's cache of verdicts as those see it who have it mapped: the ULSP, which writes it in
 * several threads, and the daemon, which lists and voids.  bpf/cached.h says how an entry is
 * written and read.
 */
#ifndef ULSP_CACHE_H
#define ULSP_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ulsp_abi.h"

enum { ULSP_CACHE_BYTES = ULSP_CACHE_SETS * sizeof(struct ulsp_cache_set) };

/* What an entry says. */
struct ulsp_cached {
	struct ulsp_cache_key key;
	uint64_t expires_ns;
	uint32_t generation;
	int16_t error; /* 0 allows, a negative errno denies; all else is no verdict */
};

/*
 * Instead of what the key had before; else of what is void by now, else of what was not used for
 * longest in its set.  -EBUSY: others write in all of the set, and don't come to an end.
 */
int ulsp_cache_put(struct ulsp_cache_set *sets, const struct ulsp_cached *v, uint64_t now_ns);
/* false: there is none, or it is being written.  The state is for ulsp_cache_void(). */
bool ulsp_cache_read(const struct ulsp_cache_entry *entry, struct ulsp_cached *ret,
		     uint64_t *ret_state);
bool ulsp_cache_find(const struct ulsp_cache_set *sets, const struct ulsp_cache_key *key,
		     struct ulsp_cached *ret);
/* false: it is another's by now, or gone. */
bool ulsp_cache_void(struct ulsp_cache_entry *entry, uint64_t state);
/* What a writer left busy that is gone: nobody writes now. */
void ulsp_cache_release(struct ulsp_cache_set *sets);

#endif
