/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Decide, record and enforce for LSM programs: may one tag reach another?
 *
 * Two tags are of one another's reach when each group of either either has the
 * other as a member or peer, or doesn't isolate this kind.  Groups nest: a
 * process in two is bound by both.  Every program's first lines leave for two
 * equal tags, most often both 0.  Audit mode flips the verdict in reach.bpf.c,
 * refused(), and nowhere else.
 */
#ifndef REACH_BPF_H
#define REACH_BPF_H

#include "tag.bpf.h"

/*
 * 1: some group of either keeps the two apart, counted and told; `tgid`: whom `mine` would reach.
 * In reach.bpf.c: the verifier checks them once, not once for each program.
 */
extern int reach_denied(__u64 mine, __u64 theirs, __u32 kind, __u32 tgid);
/* 1: some group of `mine` has this kind, whatever it is done to. */
extern int act_denied(__u64 mine, __u32 kind);

/* 6.12 and 7.2 want the value provably in [-4095, 0], which a conditional move isn't. */
static __always_inline int eperm_if(int denied)
{
	if (denied) {
		barrier_var(denied);
		return -EPERM;
	}
	return 0;
}

/* -EPERM, or 0: allowed, or audited. */
static __always_inline int reach(__u64 mine, __u64 theirs, __u32 kind, __u32 tgid)
{
	if (mine == theirs)
		return 0;
	return eperm_if(reach_denied(mine, theirs, kind, tgid));
}

static __always_inline int forbid(__u64 mine, __u32 kind)
{
	if (!mine)
		return 0;
	return eperm_if(act_denied(mine, kind));
}

#endif
