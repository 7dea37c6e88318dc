/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SO_ERROR of a connection that was held and refused: what refused its SYN, a
 * reset or an ICMP error, tells few errnos; the verdict's own is told here, to
 * who connects without blocking.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "who.bpf.h"

enum { LEVEL_SOCKET = 1, OPTION_ERROR = 4 };

SEC("cgroup/getsockopt")
int ulsp_getsockopt(struct bpf_sockopt *ctx)
{
	int *value = ctx->optval;
	struct bpf_sock *sk = ctx->sk;
	struct sock_state *s;

	if (ctx->level != LEVEL_SOCKET || ctx->optname != OPTION_ERROR || !sk || foreign(sk))
		return GO;
	s = bpf_sk_storage_get(&socks, sk, NULL, 0);
	if (!s || !s->refused || (void *)(value + 1) > ctx->optval_end || !*value)
		return GO;
	*value = s->refused;
	s->refused = 0;
	return GO;
}

char _license[] SEC("license") = "GPL";
