/* SPDX-License-Identifier: GPL-2.0-only */
/* Whose a socket is: sk_tags, and a socket that a member found untagged. */
#ifndef SOCKET_BPF_H
#define SOCKET_BPF_H

#include "reach.bpf.h"

enum { FAMILY_UNIX = 1, FAMILY_INET = 2, FAMILY_INET6 = 10 };

/* 0, or -ENOMEM: it would be taken for a socket outside. */
static __always_inline int sock_set_tag(struct sock *sk, __u64 tag)
{
	__u64 *have = bpf_sk_storage_get(&sk_tags, sk, &tag, BPF_SK_STORAGE_GET_F_CREATE);

	if (!have)
		return -ENOMEM;
	*have = tag;
	return 0;
}

/*
 * A socket from before its process was tagged is the first member's that uses
 * it.  Fails open without memory: it stays a socket of nobody, and its user is
 * judged by its own tag.
 */
static __always_inline void sock_adopt(struct sock *sk, __u64 mine)
{
	if (!sock_tag(sk))
		sock_set_tag(sk, mine);
}

#endif
