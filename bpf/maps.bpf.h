/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps and the knobs of all programs.
 *
 * Those of the instance are made once and shared by every group, some with the
 * LSM tier too (shared_maps.bpf.h); `table` and `rcount` are an image's own.
 * Sizes given as 1 are set by the loader.  Weak: each object file has the
 * definitions and the linker keeps one.
 */
#ifndef MAPS_BPF_H
#define MAPS_BPF_H

#include "event.bpf.h"
#include "knobs.h"
#include "limit.h"
#include "shared_maps.bpf.h"

extern const volatile struct ulsp_knobs knobs;

/* A socket's state: who made it, and what was decided about it. */
struct sock_state {
	__u64 start_ns;
	__u64 cgroup;
	__u64 exe_ino;
	__u32 exe_dev;
	__u32 pid;
	__u32 tgid;
	__u32 uid;
	__u32 gid;
	__u32 listen_generation; /* of the listen verdict; 0: judge again */
	char comm[ULSP_COMM_BYTES];
	__s16 listen_error; /* negative errno of a denied listen */
	__u8 owned;	    /* the fields about the process are filled */
	__u8 bind_pending;  /* bound to port 0: post_bind judges */
	__u8 v6only;	    /* of that bind */
	__u8 reserved;
	__u16 refused; /* errno of a held connection that was refused, until it is told */
};

/* A connection that waits for a group's ULSP: its SYN is held back. */
struct park {
	__u64 deadline_ns;
	__u32 held_by; /* the group's slot plus one; 0: nobody */
	__u32 generation;
	__u8 state; /* enum park_state */
	__u8 reserved[7];
	__u64 netns;	 /* cookie */
	struct event ev; /* as it was asked */
};
enum { PARKS = 2 }; /* groups, one within the other, that hold one connection */
struct parks {
	struct park at[PARKS];
};

/* A task's call that is restarted until its verdict is there, in one group. */
struct call_key {
	__u32 tid;
	__u32 group;
};

struct call {
	struct bpf_task_work work;
	__u64 ticket;
	__u64 cookie;
	__u64 until_ns;
	__u64 deadline_ns;
	struct dec_key key;
	__u32 slot;
	__u32 rule;
	__u32 generation;
	__u32 ring;
};

/* By thread: for which group its call was restarted, where, and with which address. */
struct restarted {
	__u64 cookie;
	__u64 until_ns;
	__u32 group;
	__u32 generation;
	__u8 to[16];
	__u16 to_port;
	__u8 hook;
	__u8 reserved[5];
};

/* A SYN for a listener of a group; all of it is in the key, without holes. */
struct arrival_key {
	__u64 listener; /* socket cookie */
	__u32 group;
	__u32 seq; /* as on the wire */
	__u16 port, port2;
	__u32 addr[4], addr2[4];
	__u32 reserved;
};

/* ---- of the instance ---- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ulsp_meta);
} meta __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ULSP_MAX_RINGS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 1);
			__uint(map_flags, BPF_F_MMAPABLE);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct ulsp_page));
		});
} pages __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ULSP_MAX_RINGS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, ULSP_CACHE_SETS);
			__uint(map_flags, BPF_F_MMAPABLE);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct ulsp_cache_set));
		});
} caches __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ULSP_MAX_RINGS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, ULSP_MAX_SLOTS);
			__uint(map_flags, BPF_F_MMAPABLE);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct ulsp_slot));
		});
} slots __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ULSP_MAX_RINGS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, ULSP_MAX_SLOTS);
			__uint(map_flags, BPF_F_MMAPABLE);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct ulsp_wait));
		});
} waits __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ULSP_MAX_RINGS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct ulsp_asking);
} asking __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct call_key);
	__type(value, struct call);
} calls __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct restarted);
} restarteds __weak SEC(".maps");

/* Until when a restarted call may come back, CLOCK_MONOTONIC: mostly past, and none is looked for.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} restarting __weak SEC(".maps");

/* SYNs for listeners that are asked about. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct arrival_key);
	__type(value, struct park);
} arrivals __weak SEC(".maps");

/* Held SYNs, for the daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} parked __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct parks);
} parking __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ULSP_MAX_FILES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, ULSP_PATH_BYTES);
} files __weak SEC(".maps");

/* Counters of rules that earlier generations had; only the loader uses it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 18); /* rules of all groups and generations */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ulsp_rule_count);
} carried __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sock_state);
} socks __weak SEC(".maps");

/* Made by the loader before the programs: these only look. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIMIT_RULES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct limit_key);
	__type(value, struct limit_buckets);
} limits __weak SEC(".maps");

/* By group, so that no group drives another's out; only for those that have such rules. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ULSP_MAX_GROUPS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_LRU_HASH);
			__uint(max_entries, 1);
			__uint(key_size, sizeof(struct limit_process_key));
			__uint(value_size, sizeof(struct limit_buckets));
		});
} limits_process __weak SEC(".maps");

/* ---- of an image ---- */

/* explain.bpf.c defines it: the linker wants one strong definition to replace. */
extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, DEC_MIN_WORDS * 4);
	__uint(map_flags, BPF_F_RDONLY_PROG);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ulsp_rule_count);
} rcount __weak SEC(".maps");

#endif
