/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpf(2) and perf_event_open(2).  A member of an isolated group has neither.
 * A member of any other may use bpf(2), but gets none of our maps and programs
 * (guarded_bpf), and can't name a pin or a link: those have no hook of their own.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "reach.bpf.h"

static __always_inline int names_link(int cmd)
{
	return cmd == BPF_OBJ_GET || cmd == BPF_PROG_DETACH || cmd == BPF_LINK_UPDATE ||
	       cmd == BPF_LINK_DETACH || cmd == BPF_LINK_GET_FD_BY_ID;
}

static __always_inline int call(int cmd)
{
	__u64 mine = my_tag();
	int r;

	if (!mine)
		return 0;
	r = forbid(mine, ULSP_REACH_ESCAPE);
	if (r || !names_link(cmd))
		return r;
	return forbid(mine, ULSP_REACH_GUARD);
}

SEC("?lsm/bpf")
int BPF_PROG(lsm_bpf_args3, int cmd, union bpf_attr *attr, unsigned int size, int ret)
{
	return ret ? ret : call(cmd);
}

/* 7.2; not 6.12. */
SEC("?lsm/bpf")
int BPF_PROG(lsm_bpf_args4, int cmd, union bpf_attr *attr, unsigned int size, bool kernel, int ret)
{
	if (ret)
		return ret;
	return kernel ? 0 : call(cmd);
}

static __always_inline int object(__u32 type, __u32 id)
{
	struct ulsp_bpf_key key = {.type = type, .id = id};
	__u64 mine = my_tag();

	if (!mine || !bpf_map_lookup_elem(&guarded_bpf, &key))
		return 0;
	return forbid(mine, ULSP_REACH_GUARD);
}

SEC("lsm/bpf_map")
int BPF_PROG(lsm_bpf_map, struct bpf_map *map, fmode_t mode, int ret)
{
	return ret ? ret : object(ULSP_BPF_MAP, map->id);
}

SEC("lsm/bpf_prog")
int BPF_PROG(lsm_bpf_prog, struct bpf_prog *prog, int ret)
{
	return ret ? ret : object(ULSP_BPF_PROG, prog->aux->id);
}

SEC("?lsm/perf_event_open")
int BPF_PROG(lsm_perf_args2, struct perf_event_attr *attr, int type, int ret)
{
	return ret ? ret : forbid(my_tag(), ULSP_REACH_ESCAPE);
}

/* 6.12; not 6.1. */
SEC("?lsm/perf_event_open")
int BPF_PROG(lsm_perf_args1, int type, int ret)
{
	return ret ? ret : forbid(my_tag(), ULSP_REACH_ESCAPE);
}
