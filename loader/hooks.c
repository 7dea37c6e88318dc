/* SPDX-License-Identifier: GPL-2.0-only */
#include "hooks.h"

#include "policy.h"

/*
 * sock_create also notes who made a socket, for programs that run without its
 * process; the loader's knobs say which of the two it does.
 */
const struct hook hooks[HOOK_COUNT] = {
	[HOOK_SOCK_CREATE] = {"sock_create", "ulsp_sock_create", BPF_CGROUP_INET_SOCK_CREATE,
			      POL_NEED_SOCKET | POL_NEED_RECVFROM | POL_NEED_BACKSTOP},
	[HOOK_SOCK_RELEASE] = {"sock_release", "ulsp_sock_release", BPF_CGROUP_INET_SOCK_RELEASE,
			       POL_NEED_HOLD},
	[HOOK_BIND4] = {"bind4", "ulsp_bind4", BPF_CGROUP_INET4_BIND, POL_NEED_BIND},
	[HOOK_BIND6] = {"bind6", "ulsp_bind6", BPF_CGROUP_INET6_BIND, POL_NEED_BIND},
	[HOOK_POST_BIND4] = {"post_bind4", "ulsp_post_bind4", BPF_CGROUP_INET4_POST_BIND,
			     POL_NEED_BIND},
	[HOOK_POST_BIND6] = {"post_bind6", "ulsp_post_bind6", BPF_CGROUP_INET6_POST_BIND,
			     POL_NEED_BIND},
	[HOOK_CONNECT4] = {"connect4", "ulsp_connect4", BPF_CGROUP_INET4_CONNECT, POL_NEED_CONNECT},
	[HOOK_CONNECT6] = {"connect6", "ulsp_connect6", BPF_CGROUP_INET6_CONNECT, POL_NEED_CONNECT},
	[HOOK_SENDMSG4] = {"sendmsg4", "ulsp_sendmsg4", BPF_CGROUP_UDP4_SENDMSG, POL_NEED_SENDTO},
	[HOOK_SENDMSG6] = {"sendmsg6", "ulsp_sendmsg6", BPF_CGROUP_UDP6_SENDMSG, POL_NEED_SENDTO},
	[HOOK_SOCKOPS] = {"sockops", "ulsp_sockops", BPF_CGROUP_SOCK_OPS,
			  POL_NEED_LISTEN | POL_NEED_HOLD},
	[HOOK_GETSOCKOPT] = {"getsockopt", "ulsp_getsockopt", BPF_CGROUP_GETSOCKOPT, POL_NEED_HOLD},
	[HOOK_INGRESS] = {"ingress", "ulsp_ingress", BPF_CGROUP_INET_INGRESS,
			  POL_NEED_INGRESS | POL_NEED_LISTEN | POL_NEED_RECVFROM},
	[HOOK_EGRESS] = {"egress", "ulsp_egress", BPF_CGROUP_INET_EGRESS,
			 POL_NEED_BACKSTOP | POL_NEED_HOLD},
};
