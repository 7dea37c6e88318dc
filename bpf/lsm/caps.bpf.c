/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Capabilities by which a member could leave its group or act around its
 * policy, user namespaces, which hand them out, and credentials of others.
 *
 * CAP_SYS_ADMIN is refused as a whole, not by system call: it is what setns,
 * unshare, clone with a new namespace and everything that mounts ask for, in
 * whatever user namespace; system calls have other numbers in 32 bits; and
 * CAP_PERFMON and CAP_BPF fall back to it.  A member that runs as root is what
 * root is in a container.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "reach.bpf.h"

enum {
	CAP_NET_ADMIN = 12,  /* nftables, routes and interfaces: below what the rules see */
	CAP_SYS_MODULE = 16, /* code in the kernel */
	CAP_SYS_RAWIO = 17,  /* /dev/mem, /dev/port, ioperm */
	CAP_SYS_ADMIN = 21,
	CAP_SYS_BOOT = 22,  /* kexec, reboot */
	CAP_MAC_ADMIN = 33, /* other LSMs' policies */
	CAP_PERFMON = 38,   /* since 7.2 also /proc/PID/maps and environ */
	CAP_BPF = 39,
	CAP_OPT_NOAUDIT = 1 << 1,
};

#define REFUSED                                                                                    \
	(1ull << CAP_NET_ADMIN | 1ull << CAP_SYS_MODULE | 1ull << CAP_SYS_RAWIO |                  \
	 1ull << CAP_SYS_ADMIN | 1ull << CAP_SYS_BOOT | 1ull << CAP_MAC_ADMIN |                    \
	 1ull << CAP_PERFMON | 1ull << CAP_BPF)

SEC("lsm/capable")
int BPF_PROG(lsm_capable, const struct cred *cred, struct user_namespace *ns, int cap,
	     unsigned int opts, int ret)
{
	if (ret)
		return ret;
	if (!(REFUSED >> (cap & 63) & 1))
		return 0;
	/* Asked to choose, not to act: seccomp without no_new_privs, lists of attributes. */
	if (opts & CAP_OPT_NOAUDIT && cap == CAP_SYS_ADMIN)
		return 0;
	return forbid(my_tag(), ULSP_REACH_ESCAPE);
}

/* The kernel would run modprobe outside of the group, and what a member put in its place. */
SEC("lsm/kernel_module_request")
int BPF_PROG(lsm_module_request, char *name, int ret)
{
	return ret ? ret : forbid(my_tag(), ULSP_REACH_ESCAPE);
}

SEC("lsm/userns_create")
int BPF_PROG(lsm_userns, const struct cred *cred, int ret)
{
	if (ret)
		return ret;
	return forbid(my_tag(), ULSP_REACH_ESCAPE);
}

/* Credentials registered in a ring are whoever's registered them: the ring may be another's. */
SEC("?lsm/uring_override_creds")
int BPF_PROG(lsm_uring_creds, const struct cred *new, int ret)
{
	return ret ? ret : forbid(my_tag(), ULSP_REACH_ESCAPE);
}
