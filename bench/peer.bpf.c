/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What decision tables are measured against: an empty program, and the plain
 * way to match prefixes in BPF, an LPM trie.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct lpm_key {
	__u32 bits;
	__u32 addr_be;
};
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct lpm_key);
	__type(value, __u32);
} prefixes SEC(".maps");

static __always_inline int judge(struct bpf_sock_addr *ctx)
{
	struct lpm_key k = {.bits = 32, .addr_be = ctx->user_ip4};

	return bpf_map_lookup_elem(&prefixes, &k) ? 0 : 1;
}

SEC("cgroup/connect4")
int lpm_connect4(struct bpf_sock_addr *ctx)
{
	return judge(ctx);
}

SEC("cgroup/sendmsg4")
int lpm_sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge(ctx);
}

SEC("cgroup/connect4")
int empty_connect4(struct bpf_sock_addr *ctx)
{
	return 1;
}

SEC("cgroup/sendmsg4")
int empty_sendmsg4(struct bpf_sock_addr *ctx)
{
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
