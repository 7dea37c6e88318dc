/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines out of a stream of bytes, none longer than was agreed. */
#ifndef ULSP_LINES_H
#define ULSP_LINES_H

#include <stddef.h>

struct lines {
	char *buf;
	size_t n, room;
	size_t taken; /* of the line that was given out last */
};

void lines_fini(struct lines *l);
/* What the descriptor has now.  0: its end; -errno, -EAGAIN among them; else how much. */
int lines_read(struct lines *l, int fd, size_t most);
/*
 * The next whole line without its newline, NUL-terminated, until the next call; NULL: none yet.
 * *ret_bytes tells a NUL in it.
 */
char *lines_next(struct lines *l, size_t *ret_bytes);
/* After the end: what is there is a line, also without a newline. */
void lines_end(struct lines *l);
int lines_empty(const struct lines *l);
/* More than `most` bytes without a newline. */
int lines_too_long(const struct lines *l, size_t most);

#endif
