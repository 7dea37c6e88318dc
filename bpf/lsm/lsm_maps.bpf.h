/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps of the LSM programs, weak like all maps: one definition is kept.
 */
#ifndef LSM_MAPS_BPF_H
#define LSM_MAPS_BPF_H

#include "confine.h"
#include "shared_maps.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct ulsp_task_tag);
} task_tags __weak SEC(".maps");

/* Sockets: the tag of who created them; an accepted socket has its listener's. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u64);
} sk_tags __weak SEC(".maps");

/* FIFOs, message queues, shared memory: the tag of their first opener. */
struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} inode_tags __weak SEC(".maps");

/* System V objects and keys, by address: their creator's tag.  Deleted when they are freed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 17);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} object_tags __weak SEC(".maps");

/* Processes by number, for /proc. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 17);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
} tgid_tags __weak SEC(".maps");

/* Written by the loader: members cgroup by id, members exec. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 14);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} cgroup_tags __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 12);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ulsp_exec_key);
	__type(value, __u64);
} exec_tags __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ULSP_MAX_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ulsp_confine);
} confine __weak SEC(".maps");

/* Processes (tgid) that members can't reach: the daemon, the ULSPs.  Value: 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} guarded __weak SEC(".maps");

/* What tag_tasks is told: a slot plus one whose tags by cgroup are to be given anew, or 0. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tagger_knobs __weak SEC(".maps");

/* Directories (with what is below) and files that members can't change.  Value: 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ulsp_exec_key);
	__type(value, __u32);
} guarded_inodes __weak SEC(".maps");

/* Maps and programs of which members get no descriptor.  Value: 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 14); /* 256 groups have some twenty each, in two generations */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ulsp_bpf_key);
	__type(value, __u32);
} guarded_bpf __weak SEC(".maps");

#endif
