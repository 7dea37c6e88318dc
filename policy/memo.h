/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What has been made before: content (words) to a value.  Contents are
 * compared, not only their hashes, so equal means equal.
 */
#ifndef MEMO_H
#define MEMO_H

#include <stddef.h>
#include <stdint.h>

struct memo_slot;
struct memo {
	struct memo_slot *slots;
	size_t n, capacity; /* capacity: 0 or a power of two */
	struct pol_arena *arena;
};

void memo_fini(struct memo *m);
const uint32_t *memo_find(const struct memo *m, const uint32_t *content, size_t n);
int memo_add(struct memo *m, const uint32_t *content, size_t n, uint32_t value); /* 0, -ENOMEM */

#endif
