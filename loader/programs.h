/* SPDX-License-Identifier: GPL-2.0-only */
/* The programs' object, fit for the kernel that runs. */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stdint.h>

struct ulsp_bpf;

/* As ulsp_bpf__open(): NULL and errno. */
struct ulsp_bpf *programs_open(void);

/*
 * The flag of a thread by which the kernel looks at what its system call returned, where BPF can
 * set it (6.18): it has no place that all kernels tell, so it is set and seen.  0: none, or not
 * the same each time.
 */
uint32_t programs_restart_flag(void);

#endif
