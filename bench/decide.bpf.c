/* SPDX-License-Identifier: GPL-2.0-only */
/* One decision an entry, on keys from an array: nothing, the table, an LPM trie. */
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decide.h"

#define KEYS (1 << 16)

const volatile __u32 key_mask = KEYS - 1; /* how many of the keys are used */

struct bench_key {
	__u32 addr[4];
	__u16 port;
	__u8 proto;
	__u8 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KEYS);
	__type(key, __u32);
	__type(value, struct bench_key);
} keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, DEC_MIN_WORDS * 4);
	__uint(map_flags, BPF_F_RDONLY_PROG);
} table SEC(".maps");

struct lpm_key {
	__u32 bits;
	__u32 addr_be[4];
};
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, sizeof(struct lpm_key));
	__uint(value_size, sizeof(__u32));
} lpm SEC(".maps");

__u32 turn;
__u64 sum;

static __always_inline const struct bench_key *next_key(void)
{
	__u32 i = turn++ & key_mask;

	return bpf_map_lookup_elem(&keys, &i);
}

SEC("tc")
int empty(struct __sk_buff *skb)
{
	const struct bench_key *from = next_key();

	if (!from)
		return 1;
	sum += from->addr[0] + from->port + from->proto;
	return 0;
}

static __always_inline int by_table(__u8 family)
{
	const struct bench_key *from = next_key();
	struct dec_key key = {.op = ULSP_OP_CONNECT, .family = family};
	__u32 zero = 0, rule = 0;
	const __u32 *tbl = bpf_map_lookup_elem(&table, &zero);

	if (!from || !tbl)
		return 1;
	__builtin_memcpy(key.addr, from->addr, sizeof(key.addr));
	key.port = from->port;
	key.proto = from->proto;
	if (dec_decide(tbl, &key, &rule))
		return 1;
	sum += rule;
	return 0;
}

SEC("tc")
int table4(struct __sk_buff *skb)
{
	return by_table(DEC_V4);
}

SEC("tc")
int table6(struct __sk_buff *skb)
{
	return by_table(DEC_V6);
}

static __always_inline int by_lpm(__u32 bits)
{
	const struct bench_key *from = next_key();
	struct lpm_key key = {.bits = bits};
	const __u32 *rule;
	int i;

	if (!from)
		return 1;
	for (i = 0; i < 4; i++)
		key.addr_be[i] = bpf_htonl(from->addr[i]);
	rule = bpf_map_lookup_elem(&lpm, &key);
	sum += rule ? *rule : 0;
	return 0;
}

SEC("tc")
int lpm4(struct __sk_buff *skb)
{
	return by_lpm(32);
}

SEC("tc")
int lpm6(struct __sk_buff *skb)
{
	return by_lpm(128);
}

char _license[] SEC("license") = "GPL";
