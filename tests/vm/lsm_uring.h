/* SPDX-License-Identifier: GPL-2.0-only */
/* One operation by io_uring, without liburing. */
#ifndef LSM_URING_H
#define LSM_URING_H

#include <linux/io_uring.h>

enum { URING_PERSONALITY = 1 << 16 }; /* in sqe_flags: with credentials registered before */

/* What completes it, or -errno; -253 and so on when it isn't even tried. */
int uring_do(const struct io_uring_sqe *what, unsigned int setup_flags, unsigned int sqe_flags);

/* 0 or -errno of the openat; -253 and so on when it isn't even tried. */
int uring_open(const char *path, int flags, unsigned int setup_flags, unsigned int sqe_flags);

#endif
