/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who: the operation's process, its socket's owner, protocol class, addresses.
 *
 * The group is a constant of the program, which is attached to the group's own
 * cgroups.
 */
#ifndef WHO_BPF_H
#define WHO_BPF_H

#include <bpf/bpf_endian.h>

#include "event.bpf.h"
#include "tag_set.bpf.h"
#include "task.bpf.h"

/* A program on the root cgroup judges only sockets of its own members by executable. */
static __always_inline int foreign(void *sk)
{
	__u64 *tag;

	if (!knobs.by_exec)
		return 0;
	tag = sk ? bpf_sk_storage_get(&sk_exec, sk, NULL, 0) : NULL;
	return !tag || !tag_has(*tag, knobs.slot + 1);
}

static __always_inline __u8 proto_class(__u32 type, __u32 protocol)
{
	switch (protocol) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return ULSP_PROTO_ICMP;
	}
	if (type == SOCK_RAW)
		return ULSP_PROTO_RAW;
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
		return ULSP_PROTO_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return ULSP_PROTO_UDP;
	}
	return ULSP_PROTO_OTHER;
}

/* MPTCP's number has 9 bits; what it puts on the wire is TCP. */
static __always_inline __u8 ip_proto(__u32 protocol)
{
	return protocol == IPPROTO_MPTCP ? IPPROTO_TCP : protocol;
}

/* Ports mean something for these classes only. */
static __always_inline int has_ports(__u8 proto)
{
	return proto == ULSP_PROTO_TCP || proto == ULSP_PROTO_UDP;
}

static __always_inline void addr_v4(__u32 *to, __be32 addr)
{
	to[0] = bpf_ntohl(addr);
	to[1] = to[2] = to[3] = 0;
}

static __always_inline void addr_v6(__u32 *to, __be32 a, __be32 b, __be32 c, __be32 d)
{
	to[0] = bpf_ntohl(a);
	to[1] = bpf_ntohl(b);
	to[2] = bpf_ntohl(c);
	to[3] = bpf_ntohl(d);
}

/* Host-order words of ::ffff:a.b.c.d. */
static __always_inline int is_mapped(const __u32 *words)
{
	return !words[0] && !words[1] && words[2] == 0xffff;
}

static __always_inline int is_any(const __u32 *words)
{
	return !(words[0] | words[1] | words[2] | words[3]);
}

/* A mapped address becomes the IPv4 address that it is. */
static __always_inline void unmap(__u32 *words)
{
	words[0] = words[3];
	words[1] = words[2] = words[3] = 0;
}

/* What the rules ask about the task, if any does. */
static __always_inline void task_key(struct event *ev)
{
	if (knobs.flags & (ULSP_KNOB_UID | ULSP_KNOB_EXE))
		task_facts(ev);
}

/* The same from what was noted about a socket, where no process acts. */
static __always_inline void owner_key(struct event *ev, const struct sock_state *s)
{
	ev->flags |= ULSP_MSG_NO_TASK;
	if (!s || !s->owned) {
		ev->key.no_task = 1;
		return;
	}
	ev->key.uid = s->uid;
	ev->key.exe_dev = s->exe_dev;
	ev->key.exe_ino = s->exe_ino;
}

#endif
