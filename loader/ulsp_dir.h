/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A directory of each ULSP's own, RUN/INSTANCE/ulsp/NAME, for the sockets that it
 * offers: there while it runs, its user's.  The directories above are root's, so
 * what a ULSP puts into its own reaches nothing else.
 */
#ifndef ULSP_DIR_H
#define ULSP_DIR_H

#include <stddef.h>

/* New, empty and root's; -ENAMETOOLONG, -errno: there is none. */
int ulsp_dir_make(const char *instance, const char *ulsp, char *buf, size_t bytes);
void ulsp_dir_remove(const char *instance, const char *ulsp);
/* Those of all ULSPs of an instance that nobody runs. */
void ulsp_dir_remove_all(const char *instance);

#endif
