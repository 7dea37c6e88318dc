/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel objects without storage of their own, known by their address: System
 * V IPC and keys.  Members' only: what has no entry is outside's.  The entry
 * goes with the object, since its address is used again.
 */
#ifndef OBJECT_BPF_H
#define OBJECT_BPF_H

#include "reach.bpf.h"

static __always_inline __u64 object_tag(const void *object)
{
	__u64 at = (__u64)object, *tag = bpf_map_lookup_elem(&object_tags, &at);

	return tag ? *tag : 0;
}

static __always_inline void object_disown(const void *object)
{
	__u64 at = (__u64)object;

	bpf_map_delete_elem(&object_tags, &at);
}

/* Of current's group from now on.  Fails closed: with a full map it isn't made. */
static __always_inline int object_own(const void *object)
{
	__u64 at = (__u64)object, mine = my_tag();

	if (!mine) {
		/* Left by one whose making failed after this hook. */
		bpf_map_delete_elem(&object_tags, &at);
		return 0;
	}
	if (bpf_map_update_elem(&object_tags, &at, &mine, BPF_ANY))
		return -ENOMEM;
	return 0;
}

#endif
