/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A socket that a process holds, as the iterator writes it. */
#ifndef HELD_H
#define HELD_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

struct held_socket {
	__u64 cgroup; /* id of the one in which it was made */
	__u64 inode;  /* of the socket */
	__u32 tgid;
	__u32 fd;
	__u16 family;
	__u16 type; /* SOCK_* */
	__u32 reserved;
};
_Static_assert(sizeof(struct held_socket) == 32, "read as it is written");

#endif
