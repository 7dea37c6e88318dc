/* SPDX-License-Identifier: GPL-2.0-only */
/* A group's programs: where each attaches, and which groups need it. */
#ifndef HOOKS_H
#define HOOKS_H

#include <bpf/bpf.h>

enum hook_id {
	HOOK_SOCK_CREATE,
	HOOK_SOCK_RELEASE,
	HOOK_BIND4,
	HOOK_BIND6,
	HOOK_POST_BIND4,
	HOOK_POST_BIND6,
	HOOK_CONNECT4,
	HOOK_CONNECT6,
	HOOK_SENDMSG4,
	HOOK_SENDMSG6,
	HOOK_SOCKOPS,
	HOOK_GETSOCKOPT,
	HOOK_INGRESS,
	HOOK_EGRESS,
	HOOK_COUNT
};

struct hook {
	const char *name;    /* of the pin */
	const char *program; /* in the object */
	enum bpf_attach_type type;
	unsigned needs; /* any of these POL_NEED_* */
};
extern const struct hook hooks[HOOK_COUNT];

#endif
