/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The decision: which rule of a group judges an operation.
 *
 * This header is the code that the kernel runs; unit tests, fuzzers and
 * `ulspctl explain --policy` run the same on the host.
 *
 * A table is one array of 32-bit words in a one-entry BPF_MAP_TYPE_ARRAY with
 * BPF_F_RDONLY_PROG, filled by one update and frozen before any program that
 * uses it is loaded: the verifier then reads the header and the map headers as
 * constants and removes what a group doesn't need.
 *
 *   header    magic, size, where the rules are; a root per operation and family
 *   maps      sorted interval ends, in nodes of 16; a leaf for each interval
 *   chains    tests of a condition, with a leaf where it holds and one where not
 *   rules     struct dec_rule each, in the order in which they match
 *   conditions struct dec_cond each
 *
 * A map finds the first interval whose end is not below a key.  Its ends are
 * in nodes of 16, its levels are arrays of nodes, each level has the last end
 * of every node of the level below, and the lowest has the leaves beside the
 * ends: a cache line or two a level.  Within a node two steps of three
 * independent comparisons each find the place; without branches, so that
 * nothing is mispredicted and the verifier sees one path.
 *
 * Address maps: IPv4 by the address, IPv6 by its upper 64 bits, and where
 * intervals end within a /64 a map by the lower 64 bits.  Port functions:
 * maps by proto << 16 | port.  All identical maps and chains are stored once.
 *
 * A root has up to four parts, by what its rules constrain: a port function
 * (no address), an address map without port functions below it, and two with
 * them (of small and of large sets of addresses).  Each yields its first
 * matching rule and the lowest of them decides, so that rules of different
 * kinds don't multiply.
 *
 * Invariant: every index is checked against the number of words before use; a
 * table that fails a check yields DEC_FAULT, which callers deny.
 */
#ifndef DECIDE_H
#define DECIDE_H

#include "ulsp_abi.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* What an operation looks like to the rules. */
struct dec_key {
	__u8 op;	/* enum ulsp_op */
	__u8 family;	/* DEC_V4, DEC_V6; mapped addresses are DEC_V4 */
	__u8 proto;	/* enum ulsp_proto, below ULSP_PROTO_INET_COUNT */
	__u8 no_task;	/* uid and executable are unknown: such conditions fail closed */
	__u16 port;	/* connect, sendto: remote; bind, listen, accept, recvfrom: local; else 0 */
	__u16 port2;	/* the other end's port, 0 when unknown */
	__u32 addr[4];	/* host-order words, most significant first; IPv4 in addr[0]:
			 * connect, sendto, accept, recvfrom: remote; bind, listen: local */
	__u32 addr2[4]; /* the other end's address, 0 when unknown */
	__u32 uid;
	__u32 exe_dev; /* kernel's s_dev of the executable's file system */
	__u64 exe_ino;
};

enum { DEC_V4 = 0, DEC_V6 = 1, DEC_FAMILIES = 2 };

enum { DEC_FAULT = 1 }; /* the table is damaged, or the key is none: deny */

/* One rule as the programs need it. */
struct dec_rule {
	__u32 id;   /* stable across reloads; 0: default and implied rules */
	__u32 line; /* 0: no line */
	__u16 file;
	__u8 verdict; /* enum ulsp_verdict */
	__u8 reason;  /* ULSP_REASON_RULE, _DEFAULT or _IMPLIED */
	__s16 error;  /* negative errno of deny and of ask's denials; else 0 */
	__u8 flags;   /* DEC_RULE_* */
	__u8 ring;    /* ask: ring of the ULSP */
	__u32 cache_ms;
	__u32 counter; /* stable id under which the loader keeps its counters */
	union {
		__u32 hold_ms;	     /* ask: the verdict is waited for; 0: denied meanwhile */
		__u32 rate_per_hour; /* limit */
	};
	union {
		__u32 down_ms; /* ask: waited for while the ULSP is down; 0: not waited */
		__u32 burst;   /* limit: at least 1 */
	};
};
enum {
	DEC_RULE_LOG = 1 << 0,
	DEC_RULE_DOWN_ALLOW = 1 << 1,  /* ask: allow while the ULSP is down */
	DEC_RULE_FOR_BIND = 1 << 2,    /* copy of a rule for bind, by which listen is judged */
	DEC_RULE_LIMIT = 1 << 3,       /* allowed within a rate, denied above it */
	DEC_RULE_PER_PROCESS = 1 << 4, /* limit: each process has the rate for itself */
	DEC_RULE_OF_PROCESS = 1 << 5,  /* limit: asks for a process: an unknown one is denied */
};
_Static_assert(sizeof(struct dec_rule) == 32, "rule record");

/* Words of the header. */
enum {
	DEC_H_MAGIC = 0,
	DEC_H_WORDS = 1, /* size of the table */
	DEC_H_RULES = 2, /* where rule 0 is */
	DEC_H_RULE_COUNT = 3,
	DEC_H_KINDS = 4,   /* bit per kind of leaf in the table: code for others is removed */
	DEC_H_TESTS = 5,   /* of the longest chain */
	DEC_H_NO_RULE = 6, /* two words, DEC_VALUE_MASK: see dec_decide() */
	DEC_H_ROOTS = 8,
};
#define DEC_MAGIC 0x31434544u /* "DEC1", little endian */

/* Parts of a root: a leaf, and the places of three maps; 0: absent. */
enum { DEC_PORT = 0, DEC_ADDR = 1, DEC_BOTH = 2, DEC_WIDE = 3, DEC_PARTS = 4 };
#define DEC_ROOT(op, family, part)                                                                 \
	(DEC_H_ROOTS + ((op)*DEC_FAMILIES + (family)) * DEC_PARTS + (part))
enum { DEC_HEADER_WORDS = DEC_ROOT(ULSP_OP_COUNT, 0, 0) };

/* A leaf: kind and value. */
enum dec_kind {
	DEC_NONE = 0,	/* no rule of this part matches */
	DEC_RULE = 1,	/* this rule */
	DEC_CHAIN = 2,	/* a condition decides: the struct dec_test at */
	DEC_NODE4 = 3,	/* port function of up to 4 intervals: 4 ends, 4 leaves at */
	DEC_NODE16 = 4, /* of up to 16: 16 ends, 16 leaves at */
	DEC_MAP = 5,	/* any other port function: a struct dec_map at */
	DEC_LOW = 6,	/* IPv6: struct dec_map by the lower 64 bits at */
};
#define DEC_LEAF(kind, value) ((__u32)(kind) << DEC_KIND_SHIFT | (value))
enum { DEC_KIND_SHIFT = 28, DEC_VALUE_MASK = (1 << DEC_KIND_SHIFT) - 1 };

/*
 * A map: `levels` levels of nodes with 16 ends, the highest first, and the
 * lowest of nodes with 16 ends and 16 leaves.  Ends of 64-bit keys are two
 * words each; places in their maps count in pairs of words.
 */
enum { DEC_LEVELS = 5 }; /* above the lowest: 4 * 16^6 intervals, more than any table holds */
struct dec_map {
	__u32 levels;
	__u32 wide; /* != 0: first a step over top[] */
	__u64 top[3];
	__u32 lowest;
	__u32 at[DEC_LEVELS];
	__u32 reserved[2];
};
_Static_assert(sizeof(struct dec_map) == 64, "one cache line");
enum {
	DEC_MAP_WORDS = sizeof(struct dec_map) / 4,
	DEC_NODE = 16,
	DEC_MIN_WORDS = DEC_HEADER_WORDS + 64, /* no check below underflows */
};

/*
 * A test of a chain.  Chains end after at most DEC_CHAIN_MAX tests, which bounds
 * the verifier's work and an operation's time.
 */
struct dec_test {
	__u32 cond;    /* place of a struct dec_cond */
	__u32 no, yes; /* leaves: DEC_RULE, DEC_NONE or DEC_CHAIN */
	__u32 reserved;
};
enum { DEC_TEST_WORDS = sizeof(struct dec_test) / 4, DEC_CHAIN_MAX = 64 };

/* A condition: lo <= what it is on <= hi.  Two of them tell executables and IPv6 addresses. */
enum dec_on {
	DEC_ON_NO_TASK = 0,
	DEC_ON_UID = 1,
	DEC_ON_EXE_DEV = 2,
	DEC_ON_EXE_INO = 3,
	DEC_ON_ADDR2 = 4,     /* words 0 and 1 */
	DEC_ON_ADDR2_LOW = 5, /* words 2 and 3 */
	DEC_ON_PORT2 = 6,
};
struct dec_cond {
	__u32 on;
	__u32 reserved;
	__u64 lo, hi;
};
enum { DEC_COND_WORDS = sizeof(struct dec_cond) / 4 };

/*
 * Keeps the compiler from seeing through a value: no branches made of
 * arithmetic, and no `or` made of an addition, of which the verifier of 6.1
 * knows nothing.
 */
#define dec_opaque(x) __asm__("" : "+r"(x))

/* 1 when end < key, both below 2^63. */
static __always_inline __u64 dec_below(__u64 end, __u64 key)
{
	end -= key;
	dec_opaque(end);
	return end >> 63;
}

/*
 * The same for any 64-bit numbers, without a carry: halves are compared, and
 * the lowest bits decide between equal halves.  half_up = key / 2 + odd.
 */
static __always_inline __u64 dec_below64(__u64 end, __u64 half_up, __u64 odd)
{
	__u64 half = end >> 1;

	half += end & odd;
	half -= half_up;
	dec_opaque(half);
	return half >> 63;
}

/* How many of the ends at 0, stride, 2 * stride are below the key. */
static __always_inline __u64 dec_step(const __u32 *end, int stride, __u64 key)
{
	return dec_below(end[0], key) + dec_below(end[stride], key) +
	       dec_below(end[2 * stride], key);
}

static __always_inline __u64 dec_step64(const __u64 *end, int stride, __u64 half_up, __u64 odd)
{
	return dec_below64(end[0], half_up, odd) + dec_below64(end[stride], half_up, odd) +
	       dec_below64(end[2 * stride], half_up, odd);
}

/* Place of the key in a node of 16: the last end is never below it. */
static __always_inline __u64 dec_place(const __u32 *node, __u64 key)
{
	__u64 quarter = dec_step(node + 3, 4, key) * 4;

	dec_opaque(quarter);
	return quarter + dec_step(node + quarter, 1, key);
}

static __always_inline __u64 dec_place64(const __u64 *node, __u64 half_up, __u64 odd)
{
	__u64 quarter = dec_step64(node + 3, 4, half_up, odd) * 4;

	dec_opaque(quarter);
	return quarter + dec_step64(node + quarter, 1, half_up, odd);
}

/* The leaf of a 32-bit key. */
static __always_inline int dec_search(const __u32 *tbl, __u64 words, __u64 map, __u64 key,
				      __u32 *ret_leaf)
{
	const struct dec_map *m;
	__u64 at, i = 0;
	__u32 l;

	if (map > words - DEC_MAP_WORDS)
		return DEC_FAULT;
	dec_opaque(map);
	m = (const struct dec_map *)(tbl + (map & ~1ull));
	if (m->wide)
		i = dec_below(m->top[0], key) + dec_below(m->top[1], key) +
		    dec_below(m->top[2], key);
	for (l = 0; l < DEC_LEVELS && l < m->levels; l++) {
		at = m->at[l] + i * DEC_NODE;
		if (at > words - DEC_NODE)
			return DEC_FAULT;
		dec_opaque(at);
		i = i * DEC_NODE + dec_place(tbl + at, key);
	}
	at = m->lowest + i * (2 * DEC_NODE);
	if (at > words - 2 * DEC_NODE)
		return DEC_FAULT;
	dec_opaque(at);
	tbl += at;
	*ret_leaf = tbl[DEC_NODE + dec_place(tbl, key)];
	return 0;
}

/* The leaf of a 64-bit key. */
static __always_inline int dec_search64(const __u32 *tbl, __u64 words, __u64 map, __u64 key,
					__u32 *ret_leaf)
{
	__u64 odd = key & 1, half_up = (key >> 1) + odd;
	const __u64 *wide = (const __u64 *)tbl;
	const struct dec_map *m;
	__u64 at, i = 0;
	__u32 l;

	if (map > words - DEC_MAP_WORDS)
		return DEC_FAULT;
	dec_opaque(map);
	m = (const struct dec_map *)(tbl + (map & ~1ull));
	if (m->wide)
		i = dec_step64(m->top, 1, half_up, odd);
	for (l = 0; l < DEC_LEVELS && l < m->levels; l++) {
		at = m->at[l] + i * DEC_NODE;
		if (at > (words - 2 * DEC_NODE) / 2)
			return DEC_FAULT;
		dec_opaque(at);
		i = i * DEC_NODE + dec_place64(wide + at, half_up, odd);
	}
	at = m->lowest + i * (3 * DEC_NODE / 2);
	if (at > (words - 3 * DEC_NODE) / 2)
		return DEC_FAULT;
	dec_opaque(at);
	wide += at;
	*ret_leaf = ((const __u32 *)wide)[2 * DEC_NODE + dec_place64(wide, half_up, odd)];
	return 0;
}

/* Whether a leaf is of a kind, which is no question when the table has none. */
static __always_inline int dec_is(const __u32 *tbl, __u32 leaf, enum dec_kind kind)
{
	return tbl[DEC_H_KINDS] & 1u << kind && leaf >> DEC_KIND_SHIFT == kind;
}

/* The leaf of a port function; other leaves stay as they are. */
static __always_inline int dec_function(const __u32 *tbl, __u64 words, __u32 leaf, __u64 key,
					__u32 *ret_leaf)
{
	__u64 at = leaf & DEC_VALUE_MASK;

	if (dec_is(tbl, leaf, DEC_NODE4)) {
		if (at > words - 8)
			return DEC_FAULT;
		dec_opaque(at);
		tbl += at;
		*ret_leaf = tbl[4 + dec_step(tbl, 1, key)];
	} else if (dec_is(tbl, leaf, DEC_NODE16)) {
		if (at > words - 2 * DEC_NODE)
			return DEC_FAULT;
		dec_opaque(at);
		tbl += at;
		*ret_leaf = tbl[DEC_NODE + dec_place(tbl, key)];
	} else if (dec_is(tbl, leaf, DEC_MAP)) {
		return dec_search(tbl, words, at, key, ret_leaf);
	} else {
		*ret_leaf = leaf;
	}
	return 0;
}

/* 1 when a < b. */
static __always_inline __u64 dec_less(__u64 a, __u64 b)
{
	return dec_below64(a, (b >> 1) + (b & 1), b & 1);
}

/* What conditions are on, by enum dec_on, and whether it is known. */
struct dec_facts {
	__u64 v[8][2];
};

static __always_inline void dec_facts(const struct dec_key *key, struct dec_facts *f)
{
	__u64 task = dec_below(key->no_task, 1);

	__builtin_memset(f, 0, sizeof(*f));
	f->v[DEC_ON_NO_TASK][0] = key->no_task;
	f->v[DEC_ON_NO_TASK][1] = 1;
	f->v[DEC_ON_UID][0] = key->uid;
	f->v[DEC_ON_UID][1] = task;
	f->v[DEC_ON_EXE_DEV][0] = key->exe_dev;
	f->v[DEC_ON_EXE_DEV][1] = task;
	f->v[DEC_ON_EXE_INO][0] = key->exe_ino;
	f->v[DEC_ON_EXE_INO][1] = task;
	f->v[DEC_ON_ADDR2][0] = (__u64)key->addr2[0] << 32 | key->addr2[1];
	f->v[DEC_ON_ADDR2][1] = 1;
	f->v[DEC_ON_ADDR2_LOW][0] = (__u64)key->addr2[2] << 32 | key->addr2[3];
	f->v[DEC_ON_ADDR2_LOW][1] = 1;
	f->v[DEC_ON_PORT2][0] = key->port2;
	f->v[DEC_ON_PORT2][1] = 1;
}

/*
 * 1 when a condition holds.  Numbers and not branches, so that the verifier
 * learns nothing from a result and sees all tests of a chain alike.
 */
static __always_inline __u64 dec_holds(const struct dec_cond *c, const struct dec_facts *f)
{
	const __u64 *v = f->v[c->on & 7];
	__u64 holds = v[1] & ~(dec_less(v[0], c->lo) | dec_less(c->hi, v[0]));

	dec_opaque(holds);
	return holds & 1;
}

/* The leaf that a chain ends in. */
static __always_inline int dec_chain(const __u32 *tbl, __u64 words, const struct dec_key *key,
				     __u32 leaf, __u32 *ret_leaf)
{
	__u32 tests = tbl[DEC_H_TESTS], i;
	struct dec_facts f;
	__u64 at, cond;

	dec_facts(key, &f);
	for (i = 0; i <= tests && i < DEC_CHAIN_MAX; i++) {
		if (leaf >> DEC_KIND_SHIFT != DEC_CHAIN) {
			*ret_leaf = leaf;
			return 0;
		}
		at = leaf & DEC_VALUE_MASK;
		if (at > words - DEC_TEST_WORDS)
			return DEC_FAULT;
		dec_opaque(at);
		cond = tbl[at];
		if (cond > words - DEC_COND_WORDS)
			return DEC_FAULT;
		dec_opaque(cond);
		leaf = tbl[at + 1 + dec_holds((const struct dec_cond *)(tbl + (cond & ~1ull)), &f)];
	}
	return DEC_FAULT;
}

/* Lowers *best to the rule that a leaf comes to, if any. */
static __always_inline int dec_lower(const __u32 *tbl, __u64 words, __u32 leaf,
				     const struct dec_key *key, __u32 *best)
{
	if (dec_is(tbl, leaf, DEC_CHAIN) && dec_chain(tbl, words, key, leaf, &leaf))
		return DEC_FAULT;
	if (leaf >> DEC_KIND_SHIFT > DEC_RULE)
		return DEC_FAULT;
	if (leaf && (leaf & DEC_VALUE_MASK) < *best)
		*best = leaf & DEC_VALUE_MASK;
	return 0;
}

/* One address map: its leaf, through the port function if it is one. */
static __always_inline int dec_address(const __u32 *tbl, __u64 words, __u32 map,
				       const struct dec_key *key, __u32 *ret_leaf)
{
	__u32 leaf;

	if (key->family == DEC_V4)
		return dec_search(tbl, words, map, key->addr[0], ret_leaf);
	if (dec_search64(tbl, words, map, (__u64)key->addr[0] << 32 | key->addr[1], &leaf))
		return DEC_FAULT;
	if (dec_is(tbl, leaf, DEC_LOW))
		return dec_search64(tbl, words, leaf & DEC_VALUE_MASK,
				    (__u64)key->addr[2] << 32 | key->addr[3], ret_leaf);
	*ret_leaf = leaf;
	return 0;
}

/* Lowers *best by one part with addresses, if the root has it. */
static __always_inline int dec_part(const __u32 *tbl, __u64 words, __u32 map, int ports,
				    const struct dec_key *key, __u64 port, __u32 *best)
{
	__u32 leaf;

	if (!map)
		return 0;
	if (dec_address(tbl, words, map, key, &leaf) ||
	    (ports && dec_function(tbl, words, leaf, port, &leaf)))
		return DEC_FAULT;
	return dec_lower(tbl, words, leaf, key, best);
}

/*
 * Which rule record judges the operation: 0 or DEC_FAULT.  Where key->op and
 * key->family are constants in a program, so are the places of the roots.
 */
static __always_inline int dec_decide(const __u32 *tbl, const struct dec_key *key, __u32 *ret_rule)
{
	__u64 words = tbl[DEC_H_WORDS], port = (__u32)key->proto << 16 | key->port;
	__u64 root;
	__u32 leaf, best;
	const __u32 *roots;

	if (words < DEC_MIN_WORDS || tbl[DEC_H_MAGIC] != DEC_MAGIC)
		return DEC_FAULT;
	if (key->op >= ULSP_OP_COUNT || key->family >= DEC_FAMILIES ||
	    key->proto >= ULSP_PROTO_INET_COUNT)
		return DEC_FAULT;
	/* Checked again as one number, which the verifier of 6.1 can't put together. */
	root = DEC_ROOT(key->op, key->family, 0);
	dec_opaque(root);
	if (root >= DEC_HEADER_WORDS)
		return DEC_FAULT;
	roots = tbl + root;

	/* From either of two words, so that no verifier knows it and follows it as a case. */
	best = tbl[DEC_H_NO_RULE + (key->proto & 1)];
	leaf = roots[DEC_PORT];
	if (leaf && (dec_function(tbl, words, leaf, port, &leaf) ||
		     dec_lower(tbl, words, leaf, key, &best)))
		return DEC_FAULT;
	if (dec_part(tbl, words, roots[DEC_ADDR], 0, key, port, &best) ||
	    dec_part(tbl, words, roots[DEC_BOTH], 1, key, port, &best) ||
	    dec_part(tbl, words, roots[DEC_WIDE], 1, key, port, &best))
		return DEC_FAULT;
	if (best == DEC_VALUE_MASK)
		return DEC_FAULT;
	*ret_rule = best;
	return 0;
}

/* Context of the program that runs the loaded decision on one key (BPF_PROG_TEST_RUN). */
struct dec_explain {
	struct dec_key key;
	__u32 rule;  /* out: index of the record */
	__u32 fault; /* out: 0 or DEC_FAULT */
};

/* A record is copied as words; its fields are read as what they are. */
typedef __u32 __attribute__((__may_alias__)) dec_word;

/* A rule record. */
static __always_inline int dec_rule_at(const __u32 *tbl, __u32 index, struct dec_rule *out)
{
	__u64 words = tbl[DEC_H_WORDS], at;
	dec_word *to = (dec_word *)out;
	unsigned i;

	if (words < DEC_MIN_WORDS || index >= tbl[DEC_H_RULE_COUNT])
		return DEC_FAULT;
	at = tbl[DEC_H_RULES] + (__u64)index * (sizeof(*out) / 4);
	if (at > words - sizeof(*out) / 4)
		return DEC_FAULT;
	dec_opaque(at);
	tbl += at;
	for (i = 0; i < sizeof(*out) / 4; i++)
		to[i] = tbl[i];
	return 0;
}

#endif
