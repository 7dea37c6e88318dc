/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What /proc says of the process of a message, verified by its start time, so
 * that another process with a recycled id is never named for it.
 */
#ifndef ULSP_PROCESS_H
#define ULSP_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * start_ns: when the process started, as the kernel's start_boottime.  Returns the length; -ESRCH:
 * gone, or another by now; -EACCES: not ours to see.
 */
int ulsp_process_exe(pid_t tgid, uint64_t start_ns, char *buf, size_t bytes);
/* Whether that process is there still. */
bool ulsp_process_is(pid_t tgid, uint64_t start_ns);
/* Start of a process in CLOCK_BOOTTIME, to the clock tick; 0: no such process. */
uint64_t ulsp_process_start_ns(pid_t tgid);

#endif
