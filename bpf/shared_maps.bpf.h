/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps that programs of both tiers use, weak like all maps: one definition
 * is kept in each tier's object.  Both must get the same map: the loader makes
 * it for one of them and puts it in the other's place before it loads that.
 */
#ifndef SHARED_MAPS_BPF_H
#define SHARED_MAPS_BPF_H

#include "ulsp_abi.h"

/* ---- of the instance ---- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ULSP_ALL_RINGS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 4096);
		});
} rings __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ULSP_MAX_GROUPS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct ulsp_group);
} groups __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ULSP_MAX_GROUPS *ULSP_ALL_RINGS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct ulsp_stream);
} streams __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ULSP_MAX_GROUPS);
	__type(key, __u32);
	__type(value, struct ulsp_group_count);
} gcount __weak SEC(".maps");

/* ---- of the LSM tier ---- */

/* Groups, as a tag, of sockets of members by executable outside their cgroups. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u64);
} sk_exec __weak SEC(".maps");

#endif
