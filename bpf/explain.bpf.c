/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The loaded decision on a key from outside: for `ulspctl explain`, for the
 * loader's check of a new table against the host, and for tests.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "decide.h"

/* A frozen map of the table's size takes its place before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, DEC_MIN_WORDS * 4);
	__uint(map_flags, BPF_F_RDONLY_PROG);
} table SEC(".maps");

SEC("syscall")
int ulsp_explain(struct dec_explain *ctx)
{
	struct dec_key key;
	__u32 zero = 0, rule = 0;
	const __u32 *tbl = bpf_map_lookup_elem(&table, &zero);

	ctx->rule = 0;
	ctx->fault = DEC_FAULT;
	if (!tbl)
		return 0;
	key = ctx->key;
	if (dec_decide(tbl, &key, &rule))
		return 0;
	ctx->rule = rule;
	ctx->fault = 0;
	return 0;
}

char _license[] SEC("license") = "GPL";
