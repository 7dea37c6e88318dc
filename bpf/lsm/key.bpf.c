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

/* include/linux/key.h */
#define KEY_ALLOC_NOT_IN_QUOTA 0x0002 /* persistent keyrings of users, authorities of upcalls */
#define KEY_ALLOC_UID_KEYRING  0x0010
#define KEY_FLAG_UID_KEYRING   9
#define KEY_POSSESSED	       1ul /* lowest bit of a key_ref_t */

static __always_inline int by_kernel(const struct task_struct *task)
{
	return task->cred != task->real_cred;
}

/* A keyring whose name begins with a dot, as only the kernel's do: the register of users' keyrings.
 */
static __always_inline int is_register(const struct key *key)
{
	char type[8] = {}, dot = 0;

	bpf_probe_read_kernel(&dot, 1, BPF_CORE_READ(key, description));
	if (dot != '.')
		return 0;
	bpf_probe_read_kernel_str(type, sizeof(type), BPF_CORE_READ(key, type, name));
	return !__builtin_memcmp(type, "keyring", sizeof(type));
}

/* The register is made for whoever asks first. */
SEC("lsm/key_alloc")
int BPF_PROG(lsm_key_alloc, struct key *key, const struct cred *cred, unsigned long flags, int ret)
{
	if (ret)
		return ret;
	if (flags & (KEY_ALLOC_UID_KEYRING | KEY_ALLOC_NOT_IN_QUOTA) || is_register(key) ||
	    by_kernel(bpf_get_current_task_btf())) {
		object_disown(key);
		return 0;
	}
	return object_own(key);
}

/* Searched on the way to a process's own keyrings: what is found there is judged. */
static __always_inline int searched_by_all(const struct key *key)
{
	return BPF_CORE_READ(key, flags) >> KEY_FLAG_UID_KEYRING & 1 || is_register(key);
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
	__u64 key = 0, need = 0, ret = 0, mine, theirs;

	bpf_get_func_arg(ctx, 3, &ret);
	if (ret)
		return 0;
	if (by_kernel(me))
		return 0;
	if (bpf_get_func_arg(ctx, 0, &key))
		return -EPERM;
	key &= ~KEY_POSSESSED;
	mine = my_tag();
	theirs = object_tag((void *)key);
	if (mine == theirs)
		return 0;
	bpf_get_func_arg(ctx, 2, &need);
	if ((__u32)need == KEY_DEFER_PERM_CHECK)
		return 0; /* asked again; a denial now would be told as ENOKEY */
	if ((__u32)need == KEY_NEED_SEARCH && searched_by_all((void *)key))
		return 0;
	return reach(mine, theirs, ULSP_REACH_KEY, 0);
}
