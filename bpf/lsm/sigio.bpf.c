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

/* Not deleted when the file is closed: the address's next owner-setter replaces it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} owner_tags SEC(".maps");

SEC("lsm/file_set_fowner")
int BPF_PROG(lsm_set_owner, struct file *file)
{
	__u64 key = (__u64)file, mine = my_tag();

	if (!mine)
		bpf_map_delete_elem(&owner_tags, &key);
	else if (bpf_map_update_elem(&owner_tags, &key, &mine, BPF_ANY))
		bpf_send_signal(SIGNAL_KILL); /* fails closed: this hook can't refuse */
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
