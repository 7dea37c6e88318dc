/* SPDX-License-Identifier: BSD-2-Clause */
/* Leave root for a user that may look at every process, and nothing else. */
#ifndef ULSP_DROP_H
#define ULSP_DROP_H

#include <sys/types.h>

/*
 * The calling process, which is root's, becomes the user with CAP_SYS_PTRACE as its only
 * capability: /proc/PID/exe of others' processes is readable by that (proc(5)).  -EPERM: it is not
 * root's; -ESRCH: its parent is gone; -errno.
 */
int drop_to_user(uid_t uid, gid_t gid);

#endif
