/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the loader tells a group's programs when it loads them.  Read-only data
 * of an image: the verifier takes it as constants and removes the rest.  The
 * pinned copy tells a later daemon what it adopted.
 */
#ifndef KNOBS_H
#define KNOBS_H

#include "ulsp_abi.h"

enum ulsp_knob {
	ULSP_KNOB_UID = 1 << 0,	   /* some rule has a uid condition */
	ULSP_KNOB_EXE = 1 << 1,	   /* some rule has an executable condition */
	ULSP_KNOB_SOCKET = 1 << 2, /* sock_create judges; else it only notes owners */
	ULSP_KNOB_DGRAM = 1 << 3,  /* ... of datagram sockets: messages of recvfrom name them */
	ULSP_KNOB_RAW = 1 << 4,	   /* ... of raw and ping sockets: the backstop judges by them */
	ULSP_KNOB_LISTEN = 1 << 5, /* listen is judged */
	ULSP_KNOB_RECVFROM =
		1 << 6,		 /* ingress judges datagrams too, not only what opens connections */
	ULSP_KNOB_ASK = 1 << 7,	 /* some rule asks a ULSP */
	ULSP_KNOB_HOLD = 1 << 8, /* ... and is waited for */
	ULSP_KNOB_ARRIVE = 1 << 9, /* ... about what comes to listeners */
	ULSP_KNOB_LIMIT = 1 << 10, /* some rule has a rate */
};

struct ulsp_knobs {
	__u32 slot;	    /* in the group array */
	__u32 generation;   /* of the policy */
	__u32 log_rings;    /* bit per ring that receives messages of `log` rules */
	__u32 flags;	    /* enum ulsp_knob */
	__u32 needs;	    /* programs that the group needs, as the loader counts them */
	__u32 nrules;	    /* records, so counters */
	__u32 by_exec;	    /* on the root cgroup, for sockets of members by executable only */
	__u32 restart_flag; /* of thread_info.flags: the system call can be restarted; 0: it can't
			     */
};
_Static_assert(sizeof(struct ulsp_knobs) == 32, "pinned: raise ULSP_ABI");

#endif
