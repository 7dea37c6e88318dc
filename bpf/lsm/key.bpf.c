/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keys and keyrings: a key belongs to the group of the process that made it.
 * A user's own keyrings (_uid, _uid_ses) are outside's, whoever used them
 * first: all processes of that user share them.  A member that inherited a
 * session keyring from outside joins one of its own (KEYCTL_JOIN_SESSION_KEYRING)
 * before it can keep keys there; thread and process keyrings are made for it.
 *
 * What the kernel looks up with credentials of its own (the caches of names
 * for NFS and DNS) is neither owned nor judged.  A member's request_key() that
 * calls /sbin/request-key fails: that runs outside.
 *
 * Reading /proc/keys asks for each key, and counts each as denied that is left out.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "object.bpf.h"

#define KEY_ALLOC_UID_KEYRING 0x0010 /* include/linux/key.h */
#define KEY_POSSESSED 1ul	     /* lowest bit of a key_ref_t */

static __always_inline int by_kernel(const struct task_struct *task)
{
	return task->cred != task->real_cred;
}

SEC("lsm/key_alloc")
int BPF_PROG(lsm_key_alloc, struct key *key, const struct cred *cred, unsigned long flags, int ret)
{
	if (ret)
		return ret;
	if (flags & KEY_ALLOC_UID_KEYRING || by_kernel(bpf_get_current_task_btf())) {
		object_disown(key);
		return 0;
	}
	return object_own(key);
}

/* Not the hook key_free: 6.9 and later have none. */
SEC("fentry/security_key_free")
int BPF_PROG(key_freed, struct key *key)
{
	object_disown(key);
	return 0;
}

/* Its first argument is of a type that no kernel defines, so the verifier refuses to read it. */
SEC("lsm/key_permission")
int lsm_key(__u64 *ctx)
{
	const struct task_struct *me = bpf_get_current_task_btf();
	__u64 key = 0, ret = 0;

	bpf_get_func_arg(ctx, 3, &ret);
	if (ret)
		return 0;
	if (by_kernel(me))
		return 0;
	if (bpf_get_func_arg(ctx, 0, &key))
		return -EPERM;
	return reach(my_tag(), object_tag((void *)(key & ~KEY_POSSESSED)), ULSP_REACH_KEY, 0);
}
