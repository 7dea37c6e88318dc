/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the policy library reaches files: regular ones only, and none so large
 * that it can only be a mistake.
 */
#ifndef READER_H
#define READER_H

#include "policy.h"

enum { READER_MAX_BYTES = 64 << 20 };

/* A whole file, NUL-terminated.  -EFBIG: too large; -ENXIO: not a regular file. */
int reader_read(void *ctx, const char *path, char **ret_text, size_t *ret_bytes);
/* Paths that match a pattern, sorted; without a match an empty list. */
int reader_glob(void *ctx, const char *pattern, char ***ret_paths);

extern const struct pol_reader reader_files;

#endif
