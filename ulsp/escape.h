/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes that others chose (names of processes, paths) as plain ASCII: no control
 * character, no sequence for a terminal, no letter that looks like another or
 * turns the direction of writing.
 */
#ifndef ULSP_ESCAPE_H
#define ULSP_ESCAPE_H

#include <stddef.h>

/* A backslash, and what is not printable ASCII, becomes \xNN; what doesn't fit ends in "...". */
char *escape_name(const char *name, char *buf, size_t bytes);
/* The same for text that may be escaped already: backslashes stay. */
char *escape_text(const char *text, char *buf, size_t bytes);

#endif
