/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The decision: which rule of a group judges an operation.
 *
 * This header is the code that the kernel runs; unit tests, fuzzers and
 * `ulspctl explain --policy` run the same on the host.
 *
 * A table is one array of 32-bit words, written once and frozen:
 *
 *   header     fixed words; a root per operation and family
 *   address    levels of sorted interval starts, each level every 16th start
 *   maps       of the one below; then a leaf a interval
 *   functions  sorted starts over proto_class << 16 | port, then a chain each
 *   chains     {rule, condition} pairs, lowest rule first; the first whose
 *              condition holds decides; the last has none
 *   rules      struct dec_rule each, in the order of the policy
 *   conditions struct dec_cond each
 *
 * A root has up to three parts, by what its rules constrain: port functions
 * (no address), address maps (no port), both.  Each yields its first matching
 * rule and the lowest of them decides, so that rules of different kinds don't
 * multiply.  Rules are in the order in which they match; the last always does.
 *
 * Invariant: every index is checked against the number of words before use,
 * and a table that fails a check yields DEC_FAULT, which callers deny.
 */
#ifndef DECIDE_H
#define DECIDE_H

#include "ulsp_abi.h"

/* What an operation looks like to the rules. */
struct dec_key {
	__u8 op;     /* enum ulsp_op */
	__u8 family; /* DEC_V4, DEC_V6; mapped addresses are DEC_V4 */
	__u8 proto;  /* enum ulsp_proto, below ULSP_PROTO_INET_COUNT */
	__u8 no_task; /* uid and executable are unknown: such conditions fail closed */
	__u16 port;  /* connect, sendto: remote; bind, listen, accept, recvfrom: local; else 0 */
	__u16 port2; /* the other end's port, 0 when unknown */
	__u32 addr[4]; /* host-order words, most significant first; IPv4 in addr[0]:
			* connect, sendto, accept, recvfrom: remote; bind, listen: local */
	__u32 addr2[4]; /* the other end's address, 0 when unknown */
	__u32 uid;
	__u32 exe_dev; /* kernel's s_dev of the executable's file system */
	__u64 exe_ino;
};

enum { DEC_V4 = 0, DEC_V6 = 1, DEC_FAMILIES = 2 };

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
	__u32 reserved;
};
enum {
	DEC_RULE_LOG = 1 << 0,
	DEC_RULE_DOWN_ALLOW = 1 << 1, /* ask: allow while the ULSP is down */
};
_Static_assert(sizeof(struct dec_rule) == 24, "rule record");

#endif
