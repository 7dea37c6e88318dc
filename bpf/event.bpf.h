/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One operation on its way through a program: what is asked, what was decided.
 *
 * Every program goes who -> decide -> record -> enforce over one of these.  The
 * parts that only some operations need (asking, messages, packets) are global
 * functions: the verifier checks them once, not once for each caller, and the
 * compiler doesn't inline them into the path that everything takes.
 */
#ifndef EVENT_BPF_H
#define EVENT_BPF_H

#include "decide.h"

/* Not in vmlinux.h: they are macros. */
enum {
	AF_INET = 2,
	AF_INET6 = 10,
	ETH_P_IP = 0x0800,
	ETH_P_IPV6 = 0x86dd,
	IPPROTO_ICMPV6 = 58,
	EPERM = 1,
};

/* What cgroup programs return: refused, or the kernel goes on. */
enum { REFUSE = 0, GO = 1 };

/* Where a call may be made again. */
enum hook {
	HOOK_NONE,
	HOOK_CONNECT4,
	HOOK_CONNECT6,
	HOOK_SENDMSG4,
	HOOK_SENDMSG6,
	HOOK_BIND4,
	HOOK_BIND6,
	HOOK_SOCKET,
};

#define NO_RECORD 0xffffffffu /* no rule record decided */

/* A function that the verifier checks by itself. */
#define GLOBAL __weak __attribute__((noinline))

struct event {
	struct dec_key key;
	struct dec_rule by; /* the deciding rule */
	__u64 cookie;
	__u64 cgroup; /* of the socket; 0: the task's */
	__u32 rule;   /* index of `by` */
	__u32 bytes;
	__u8 verdict;
	__u8 reason;
	__u8 flags; /* ULSP_MSG_* */
	__u8 ip_proto;
	__s16 error;
	__u8 watch;   /* someone watches the group */
	__u8 rewrite; /* 4 or 6: the ULSP chose the address in `to` instead */
	/* Of a question that is waited for; ticket 0: none. */
	__u64 ticket;
	__u32 slot;
	__u32 wait_ms;
	__u64 deadline_ns;
	__u8 to[16];
	__u16 to_port;
	__u8 given_up : 1; /* the call is not restarted any more */
	__u8 told : 1;	   /* it was, for another group: what is allowed was counted and told */
	__u8 restarts : 1; /* calls are being restarted: this may be one of them */
	__u8 hook : 5;	   /* enum hook; `to` is the call's own address until another is chosen */
	__u8 share;	   /* which of the ULSP's rings is asked */
	__u32 counted;	   /* the rule whose rate has counted it */
};

#endif
