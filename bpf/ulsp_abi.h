/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs, the daemon and the ULSPs share: messages, verdict
 * entries and slots, the ULSP's page, per-group control and counters.
 *
 * Compiles for BPF (after vmlinux.h) and for the host.  Fixed-width fields,
 * host byte order unless the name ends in _be; reserved fields are zero and
 * are checked.  Everything here is versioned by ULSP_ABI: pins, fds and
 * messages of another version are refused.
 */
#ifndef ULSP_ABI_H
#define ULSP_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define ULSP_ABI   4
#define ULSP_MAGIC 0x50534c55u /* "ULSP", little endian */

enum ulsp_op {
#define OP(n, NAME, word, text) ULSP_OP_##NAME = n,
#include "ops.def"
#undef OP
	ULSP_OP_COUNT
};

/* What BPF LSM judges; in messages the number is added to ULSP_OP_REACH. */
enum ulsp_reach {
#define REACH(n, NAME, word, text) ULSP_REACH_##NAME = n,
#include "reaches.def"
#undef REACH
	ULSP_REACH_COUNT
};
enum { ULSP_OP_REACH = 32, ULSP_MAX_REACHES = 16 };

enum ulsp_proto {
#define PROTO(n, NAME, word, text) ULSP_PROTO_##NAME = n,
#include "protos.def"
#undef PROTO
	ULSP_PROTO_COUNT,
	ULSP_PROTO_INET_COUNT = ULSP_PROTO_OTHER + 1 /* classes that decision tables know */
};

enum ulsp_verdict {
#define VERDICT(n, NAME, word, text) ULSP_VERDICT_##NAME = n,
#include "verdicts.def"
#undef VERDICT
	ULSP_VERDICT_COUNT
};

enum ulsp_reason {
#define REASON(n, NAME, word, text) ULSP_REASON_##NAME = n,
#include "reasons.def"
#undef REASON
	ULSP_REASON_COUNT
};

enum {
	ULSP_MAX_GROUPS = 256, /* groups of one instance */
	ULSP_MAX_RINGS = 32, /* first rings: 0 is the daemon's monitor ring, the rest are ULSPs' */
	ULSP_RINGS_EACH = 8, /* of one ULSP */
	ULSP_ALL_RINGS = ULSP_MAX_RINGS * ULSP_RINGS_EACH,
	ULSP_MAX_FILES = 256,	/* policy files that messages can name */
	ULSP_MAX_SLOTS = 16384, /* operations that wait for one ULSP at a time */
	ULSP_NAME_BYTES = 64,	/* group and ULSP names, NUL included */
	ULSP_PATH_BYTES = 256,	/* a policy file's name, NUL included, the tail when longer */
	ULSP_COMM_BYTES = 16,
	ULSP_RING_MONITOR = 0,
};

/* The number of a ULSP's ring `k`: the ULSP itself goes by that of its first. */
#define ULSP_RING(first, k) ((first) + (k)*ULSP_MAX_RINGS)

/* Message flags. */
enum {
	ULSP_MSG_AUDIT = 1 << 0,  /* audit mode: the verdict was recorded, not enforced */
	ULSP_MSG_ASK = 1 << 1,	  /* this ULSP is asked for a verdict */
	ULSP_MSG_LOG = 1 << 2,	  /* the rule says log */
	ULSP_MSG_MAPPED = 1 << 3, /* IPv4 address given as ::ffff:a.b.c.d */
	ULSP_MSG_NO_TASK =
		1 << 4, /* no process context: pid... are those that made the socket, or 0 */
};

/*
 * One networking operation of one process of a group, as it is in a ring.
 *
 * Addresses are 16 bytes in network order, an IPv4 address in the first four.
 * `remote` is the peer (connect, sendto, accept, recvfrom), `local` the
 * socket's own address (bind, listen, accept, recvfrom); the one that does not
 * apply is all zero.
 */
struct ulsp_msg {
	__u64 seq;     /* per group and ring, from 1; a gap is a lost message */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 cookie;  /* socket cookie, 0 when the hook has none */
	__u64 cgroup;  /* cgroup2 id of the process, or of the socket without a process */
	__u32 group;   /* index in the group array */
	__u32 generation;
	__u32 rule; /* the rule's stable id; 0: the default or none */
	__u32 line; /* of the rule, from 1; 0: none */
	__u16 file; /* index in the file array */
	__u8 abi;   /* ULSP_ABI */
	__u8 op;
	__u8 proto;
	__u8 ip_proto; /* IPPROTO_* as the socket or packet has it */
	__u8 family;   /* 4, 6; 0: no address */
	__u8 verdict;  /* what was decided: allow or deny after fail modes; ask only never */
	__s16 error;   /* negative errno of a denial, 0 otherwise */
	__u8 reason;
	__u8 flags;
	__u16 remote_port; /* host order */
	__u16 local_port;
	__u8 remote[16];
	__u8 local[16];
	__u32 pid; /* thread id, as gettid(2) in the initial pid namespace */
	__u32 tgid;
	__u32 uid;
	__u32 gid;
	char comm[ULSP_COMM_BYTES];
	__u32 slot;	/* verdict slot, ULSP_NO_SLOT when none waits */
	__u32 bytes;	/* length of a datagram where the hook knows it, else 0 */
	__u64 start_ns; /* the process's start, with tgid names a process for good */
	__u32 cache_ms; /* longest time that the rule lets a verdict live, 0: not said */
	__u32 reserved;
	__u64 ticket;	   /* of the slot: whom the verdict is for */
	__u64 deadline_ns; /* CLOCK_MONOTONIC, when the rule's fail mode decides; 0: nobody waits */
};
#define ULSP_NO_SLOT 0xffffffffu

/* What a cached verdict covers. */
enum ulsp_scope {
	ULSP_SCOPE_FLOW = 0,	    /* operation, protocol, remote (bind: local) address and port */
	ULSP_SCOPE_DESTINATION = 1, /* operation, protocol, address; every port */
	ULSP_SCOPE_PROCESS = 2,	    /* operation, one process; every address */
	ULSP_SCOPE_PROCESS_FLOW = 3, /* the flow, of one process */
	ULSP_SCOPE_COUNT
};

/* Key of a verdict in a ULSP's cache; fields that the scope leaves out are zero. */
enum { ULSP_CACHE_KEY_WORDS = 5 };
struct ulsp_cache_key {
	union {
		struct {
			__u32 rule;
			__u16 group;
			__u16 port;
			__u8 op;
			__u8 proto;
			__u8 family;
			__u8 scope;
			__u32 tgid;
			__u8 addr[16];
			__u64 start_ns;
		};
		__u64 words[ULSP_CACHE_KEY_WORDS];
	};
};

/*
 * A verdict, in a cache line: the ULSP writes it, programs read it meanwhile (cached.h).
 * What has another generation than the deciding program's, or no verdict, is void.
 */
struct ulsp_cache_entry {
	__u64 state;	  /* ULSP_CACHE_STATE(): what it says, and how often it was written */
	__u64 expires_ns; /* CLOCK_MONOTONIC; 0 never matches */
	__u64 used_ns;	  /* when it decided last, to ULSP_CACHE_USED_NS, or was written */
	struct ulsp_cache_key key;
};

/* A key's verdict is in the set that ulsp_cache_set_of() says, and in no other. */
enum { ULSP_CACHE_WAYS = 4, ULSP_CACHE_SET_BITS = 14, ULSP_CACHE_SETS = 1 << ULSP_CACHE_SET_BITS };
struct ulsp_cache_set {
	struct ulsp_cache_entry ways[ULSP_CACHE_WAYS];
};
#define ULSP_CACHE_USED_NS 1000000000ull

/*
 * A verdict slot: one cache line that the asked ULSP writes and the waiting
 * program reads.  `ticket` is written last, with release order; a slot that
 * has another one than the waiting program's has no verdict for it.
 */
struct ulsp_slot {
	__u64 ticket; /* as in the message that is answered */
	__u64 parked; /* by the kernel: this ticket's operation waits for the daemon to go on */
	__u32 generation;
	__u8 verdict;  /* ULSP_VERDICT_ALLOW, _DENY or _REWRITE */
	__u8 family;   /* rewrite: 4 or 6 */
	__s16 error;   /* negative errno of a denial */
	__u8 addr[16]; /* rewrite: network order, as in messages */
	__u16 port;    /* rewrite: host order */
	__u8 reserved[22];
};

/* Who has the slot of the same number.  Of the kernel's side: no ULSP can write it. */
struct ulsp_wait {
	__u64 until_ns; /* CLOCK_MONOTONIC; 0 or past: free */
	__u64 ticket;	/* grows with each that had it */
};

/* How a ULSP is waited for, and what came of it: by its first ring.  No ULSP can write it. */
struct ulsp_asking {
	__u32 spin_ns;	/* longest wait within the operation; 0: none */
	__u32 success;	/* of the last such waits for a ULSP that was awake, in 1/1024 */
	__u32 skipped;	/* waits left out since they seldom succeed */
	__u32 woken;	/* as success, for one that slept */
	__u64 spun;	/* waits within the operation */
	__u64 answered; /* of these */
	__u32 rings;	/* how many it has */
	__u32 reserved;
};

/*
 * A SYN that waits for a verdict: for the daemon, which sends it again or
 * refuses it.  Its network namespace is that of the process.
 */
enum { ULSP_SYN_BYTES = 256 };
struct ulsp_parked {
	__u64 ticket;
	__u64 deadline_ns;
	__u64 netns;  /* cookie */
	__u64 cookie; /* of the socket */
	__u32 slot;
	__u32 group;
	__u32 generation;
	__u32 tgid;
	__u32 mark;
	__u32 ifindex; /* the socket's device; 0: any */
	__s16 error;   /* of a denial by the fail mode */
	__u8 ring;
	__u8 flags;    /* ULSP_PARKED_* */
	__u16 bytes;   /* of the packet, from its IP header; 0: too long to be sent again */
	__u16 holders; /* groups that hold it: so many of these come */
	__u8 packet[ULSP_SYN_BYTES];
};
enum {
	ULSP_PARKED_ALLOW = 1 << 0,   /* the fail mode allows */
	ULSP_PARKED_IN = 1 << 1,      /* it came for a listener; its cookie is ULSP_PARKED_KEY */
	ULSP_PARKED_REFUSED = 1 << 2, /* decided: `error` is the denial's, no slot is taken */
};
#define ULSP_PARKED_KEY(ring, slot) (1ull << 63 | (__u64)(ring) << 32 | (slot))

/* What a ULSP writes into the daemon's pipe after it answered what is parked. */
struct ulsp_poke {
	__u32 ring;
	__u32 slot;
};

/*
 * Who reads one ring of a ULSP: a cache line, which its thread alone writes.
 * heartbeat_ns older than ULSP_HEARTBEAT_STALE_NS, from the future, or 0, means down.
 */
struct ulsp_reader {
	__u64 heartbeat_ns; /* CLOCK_MONOTONIC, each ULSP_HEARTBEAT_NS; 0: down */
	__u32 awake;	    /* 1 + the CPU on which it looks for messages; 0: it sleeps */
	__u32 cpu;	    /* 1 + the CPU on which it did so last */
	__u64 taken;	/* the ring up to here: what the ring says is given back may be behind */
	__u64 received; /* messages taken from the ring */
	__u64 lost;	/* gaps seen in sequence numbers */
	__u64 verdicts; /* given */
	__u64 late;	/* verdicts that came after the deadline or for an old generation */
	__u32 open;	/* process whose handle reads it; 0: none */
	__u32 reserved;
};

/* A ULSP's page: written by the ULSP and by the daemon, read by programs. */
struct ulsp_page {
	__u32 magic;
	__u32 abi;
	__u32 scopes; /* bit per ulsp_scope that the cache may hold */
	__u32 pid;
	__u8 reserved[48];
	struct ulsp_reader readers[ULSP_RINGS_EACH];
	__u8 reserved2[4096 - 64 - ULSP_RINGS_EACH * 64];
};
#define ULSP_HEARTBEAT_NS	1000000000ull
#define ULSP_HEARTBEAT_STALE_NS 5000000000ull
/* The second of grace is for clocks of two CPUs, which may differ a little. */
#define ULSP_HEARTBEAT_FRESH(beat, now)                                                            \
	((beat) &&                                                                                 \
	 (now) + ULSP_HEARTBEAT_NS - (beat) <= ULSP_HEARTBEAT_STALE_NS + ULSP_HEARTBEAT_NS)

/* Group control: one per group, mmapped; programs read mode and watch. */
enum { ULSP_MODE_ENFORCE = 0, ULSP_MODE_AUDIT = 1 };
struct ulsp_group {
	__u32 mode;
	__u32 watch; /* != 0: every operation's message goes to the monitor ring too */
	__u32 generation;
	__u32 in_use;
	char name[ULSP_NAME_BYTES];
	__u8 reserved[48];
};

/* The stream from one group to one ring: index ULSP_STREAM(group, ring). */
#define ULSP_STREAM(group, ring) ((group)*ULSP_ALL_RINGS + (ring))
struct ulsp_stream {
	__u64 seq;  /* last number given out */
	__u64 lost; /* of those, not delivered because the ring was full */
};

/* Per-CPU counters of a group. */
struct ulsp_group_count {
	__u64 ops[ULSP_OP_COUNT][2]; /* by final verdict: [0] allowed, [1] denied (or would be) */
	__u64 reasons[ULSP_REASON_COUNT];
	__u64 reaches[ULSP_MAX_REACHES]; /* denied, or would be */
};

/* Per-CPU counters of a rule: index as in the decision table. */
struct ulsp_rule_count {
	__u64 hits;
	__u64 audited; /* of those, a denial that audit mode let pass */
};

/* The instance's meta entry. */
struct ulsp_meta {
	__u32 magic;
	__u32 abi;
	__u32 generation; /* of the policy that is fully swapped in */
	__u32 nrings;	  /* rings in use, monitor included */
	__u32 last_slot;  /* of a group, given out last */
	__u32 reserved;
};

#define ULSP_SIZE(type, bytes)                                                                     \
	_Static_assert(sizeof(struct type) == (bytes), #type " changed size: raise ULSP_ABI")
#define ULSP_AT(type, field, at)                                                                   \
	_Static_assert(__builtin_offsetof(struct type, field) == (at),                             \
		       #type "." #field " moved: raise ULSP_ABI")
ULSP_SIZE(ulsp_msg, 168);
ULSP_AT(ulsp_msg, group, 32);
ULSP_AT(ulsp_msg, file, 48);
ULSP_AT(ulsp_msg, error, 56);
ULSP_AT(ulsp_msg, remote, 64);
ULSP_AT(ulsp_msg, local, 80);
ULSP_AT(ulsp_msg, pid, 96);
ULSP_AT(ulsp_msg, comm, 112);
ULSP_AT(ulsp_msg, slot, 128);
ULSP_AT(ulsp_msg, start_ns, 136);
ULSP_SIZE(ulsp_cache_key, 40);
ULSP_AT(ulsp_cache_key, addr, 16);
ULSP_SIZE(ulsp_cache_entry, 64);
ULSP_SIZE(ulsp_cache_set, 256);
ULSP_AT(ulsp_msg, ticket, 152);
ULSP_SIZE(ulsp_slot, 64);
ULSP_AT(ulsp_slot, addr, 24);
ULSP_SIZE(ulsp_wait, 16);
ULSP_SIZE(ulsp_asking, 40);
ULSP_SIZE(ulsp_parked, 320);
ULSP_SIZE(ulsp_reader, 64);
ULSP_AT(ulsp_page, readers, 64);
ULSP_SIZE(ulsp_page, 4096);
ULSP_SIZE(ulsp_group, 128);
ULSP_SIZE(ulsp_stream, 16);
ULSP_SIZE(ulsp_rule_count, 16);
ULSP_SIZE(ulsp_meta, 24);

#endif
