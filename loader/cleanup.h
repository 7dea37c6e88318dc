/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ownership by scope: a variable marked `scoped(x)` is released by x when it
 * goes out of scope, unless TAKE_PTR or TAKE_FD moved it on.
 */
#ifndef CLEANUP_H
#define CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define scoped(release) __attribute__((cleanup(release)))

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) took_ = (p);                                                         \
		(p) = NULL;                                                                        \
		took_;                                                                             \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int took_fd_ = (fd);                                                               \
		(fd) = -1;                                                                         \
		took_fd_;                                                                          \
	})

static inline void scope_free(void *p)
{
	free(*(void **)p);
}

static inline void scope_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void scope_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static inline void scope_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

#endif
