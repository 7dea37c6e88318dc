/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many storages a map of local storage has: bpf(2) can't list them and the
 * kernel doesn't count their memory as the map's.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

enum { MOST_BUCKETS = 1024, MOST_STORAGES = 1 << 16 };

const volatile __u32 map_id;
__u32 storages, found;

struct walk {
	const struct bpf_local_storage_map_bucket *buckets;
	struct hlist_node *at;
	__u32 n;
};

static long count_one(__u32 i, struct walk *w)
{
	const struct hlist_node *at = w->at;

	(void)i;
	if (!at)
		return 1;
	w->n++;
	w->at = BPF_CORE_READ(at, next);
	return 0;
}

/* A loop of the helper's: 6.1 would go through each bucket of another. */
static long count_bucket(__u32 i, struct walk *w)
{
	const void *bucket = (const char *)w->buckets +
			     i * bpf_core_type_size(struct bpf_local_storage_map_bucket);

	w->at = BPF_CORE_READ((const struct bpf_local_storage_map_bucket *)bucket, list.first);
	bpf_loop(MOST_STORAGES, count_one, w, 0);
	return 0;
}

SEC("iter/bpf_map")
int count_storages(struct bpf_iter__bpf_map *ctx)
{
	const struct bpf_local_storage_map *map = (void *)ctx->map;
	struct walk w = {};
	__u32 n;

	if (!map || BPF_CORE_READ(map, map.id) != map_id)
		return 0;
	w.buckets = BPF_CORE_READ(map, buckets);
	n = 1u << (BPF_CORE_READ(map, bucket_log) & 31);
	bpf_loop(n < MOST_BUCKETS ? n : MOST_BUCKETS, count_bucket, &w, 0);
	storages = w.n;
	found = n <= MOST_BUCKETS;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
