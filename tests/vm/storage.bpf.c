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

SEC("iter/bpf_map")
int count_storages(struct bpf_iter__bpf_map *ctx)
{
	const struct bpf_local_storage_map *map = (void *)ctx->map;
	const struct bpf_local_storage_map_bucket *buckets;
	struct walk w = {};
	__u32 n, i;

	if (!map || BPF_CORE_READ(map, map.id) != map_id)
		return 0;
	buckets = BPF_CORE_READ(map, buckets);
	n = 1u << (BPF_CORE_READ(map, bucket_log) & 31);
	for (i = 0; i < MOST_BUCKETS && i < n; i++) {
		const void *bucket = (const char *)buckets +
				     i * bpf_core_type_size(struct bpf_local_storage_map_bucket);

		w.at = BPF_CORE_READ((const struct bpf_local_storage_map_bucket *)bucket,
				     list.first);
		bpf_loop(MOST_STORAGES, count_one, &w, 0);
	}
	storages = w.n;
	found = n <= MOST_BUCKETS;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
