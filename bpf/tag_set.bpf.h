/* SPDX-License-Identifier: GPL-2.0-only */
/* Sets of groups in one word, as confine.h has them. */
#ifndef TAG_SET_BPF_H
#define TAG_SET_BPF_H

#include "confine.h"

static __always_inline __u32 tag_slot(__u64 tag, __u32 at)
{
	return (tag >> (at * ULSP_TAG_BITS)) & ULSP_TAG_MASK;
}

/* A set has its members from the lowest bits on. */
static __always_inline int tag_has(__u64 tag, __u32 slot)
{
	return slot == tag_slot(tag, 0) || slot == tag_slot(tag, 1) || slot == tag_slot(tag, 2) ||
	       slot == tag_slot(tag, 3);
}

/* The set with one more; *full is set when it has no room. */
static __always_inline __u64 tag_with(__u64 tag, __u32 slot, int *full)
{
	__u32 at;

	if (!slot || tag_has(tag, slot))
		return tag;
	for (at = 0; at < ULSP_TAG_SLOTS; at++)
		if (!tag_slot(tag, at))
			return tag | (__u64)slot << (at * ULSP_TAG_BITS);
	*full = 1;
	return tag;
}

static __always_inline __u64 tag_union(__u64 a, __u64 b, int *full)
{
	__u32 at;

	if (!b || a == b)
		return a;
	for (at = 0; at < ULSP_TAG_SLOTS; at++)
		a = tag_with(a, tag_slot(b, at), full);
	return a;
}

#endif
