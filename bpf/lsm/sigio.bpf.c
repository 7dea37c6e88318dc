/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SIGIO and SIGURG: the owner of a descriptor is signalled by whoever makes it
 * ready.  Who set the owner (F_SETOWN, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP) is
 * remembered by the file's address, and judged when the signal is sent: the
 * owner may be a process group, whose members change.  The signal is dropped.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "reach.bpf.h"

/*
 * Files whose owner a member has set, until they are freed.  Who is outside adds none.  What is
 * left when the rest is taken is the groups': each has its own share.
 */
enum { OWNERS = 1 << 16, FIRST_COME = OWNERS / 2, SHARE = 100, SHARES = SHARE * ULSP_MAX_GROUPS };
_Static_assert(SHARES < OWNERS - FIRST_COME, "room for processors that count at the same time");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OWNERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} owner_tags SEC(".maps");

/* Of owner_tags, by the first group of the tag (its slot plus one); 0: of nobody any more. */
__u32 owners[ULSP_MAX_GROUPS + 1];
__u32 owners_total;

static __always_inline void count_owner(__u64 tag, __s32 by)
{
	__u32 slot = tag_slot(tag, 0);

	if (slot <= ULSP_MAX_GROUPS)
		__sync_fetch_and_add(&owners[slot], by);
}

/* 0, or why it can't be remembered. */
static __always_inline int own(__u64 key, __u64 mine)
{
	__u32 slot = tag_slot(mine, 0);

	if (slot > ULSP_MAX_GROUPS)
		return -EPERM;
	if (owners[slot] >= SHARE && owners_total >= FIRST_COME)
		return -ENOMEM;
	if (bpf_map_update_elem(&owner_tags, &key, &mine, BPF_NOEXIST))
		return -ENOMEM;
	__sync_fetch_and_add(&owners_total, 1);
	count_owner(mine, 1);
	return 0;
}

SEC("lsm/file_set_fowner")
int BPF_PROG(lsm_set_owner, struct file *file)
{
	__u64 key = (__u64)file, mine = my_tag(), *setter;

	if (!mine && !owners_total)
		return 0;
	setter = bpf_map_lookup_elem(&owner_tags, &key);
	if (setter) {
		count_owner(__sync_lock_test_and_set(setter, mine), -1);
		count_owner(mine, 1);
	} else if (mine && own(key, mine)) {
		bpf_send_signal(SIGNAL_KILL); /* fails closed: this hook can't refuse */
	}
	return 0;
}

/* Of every file: most leave at once. */
SEC("lsm/file_free_security")
int BPF_PROG(lsm_owner_ends, struct file *file)
{
	__u64 key = (__u64)file, *setter, tag;

	if (!owners_total)
		return 0;
	setter = bpf_map_lookup_elem(&owner_tags, &key);
	if (!setter)
		return 0;
	tag = *setter;
	if (bpf_map_delete_elem(&owner_tags, &key))
		return 0;
	count_owner(tag, -1);
	__sync_fetch_and_add(&owners_total, -1);
	return 0;
}

/* Before 6.12 the owner is in the file; since, it points to it. */
struct file___embeds {
	struct fown_struct f_owner;
} __attribute__((preserve_access_index));

SEC("lsm/file_send_sigiotask")
int BPF_PROG(lsm_sigio, struct task_struct *task, struct fown_struct *owner, int sig, int ret)
{
	__u64 key, *setter;

	if (ret)
		return ret;
	if (bpf_core_field_exists(owner->file))
		key = (__u64)BPF_CORE_READ(owner, file);
	else
		key = (__u64)owner - bpf_core_field_offset(struct file___embeds, f_owner);
	setter = bpf_map_lookup_elem(&owner_tags, &key);
	return reach(setter ? *setter : 0, tag_of(task), ULSP_REACH_SIGNAL, task->tgid);
}
