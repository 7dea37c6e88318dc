/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where lines go: a file that may be rotated under us, or standard output.
 *
 * Lines are gathered and written together.  What can't be written now (a full
 * disk) waits in the buffer; when that is full too, whole lines are dropped and
 * counted, and the count is stated when writing works again.  A line is never
 * continued in another file.
 */
#ifndef SINK_H
#define SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SINK_BYTES = 1 << 20, SINK_FLUSH_BYTES = 64 << 10 };

struct sink {
	char *path; /* NULL: standard output */
	int fd;
	dev_t dev; /* of the open file */
	ino_t ino;
	char *buf;
	size_t len;
	bool cut;	  /* the buffer begins inside of a line */
	int error;	  /* why the last write failed, 0: it didn't */
	uint64_t dropped; /* lines, since sink_take_dropped() */
	int drop_error;	  /* why */
};

int sink_open(struct sink *s, const char *path);
void sink_close(struct sink *s); /* what is not written then is lost: flush before */

/* Takes a line without its newline. */
void sink_line(struct sink *s, const char *line, size_t bytes);
/* 0: all is written.  A rotated file (renamed, removed) is opened anew before. */
int sink_flush(struct sink *s);
/* Open the path anew; the old file stays in use when that fails. */
int sink_reopen(struct sink *s);
/* Lines dropped before now, once writing works again; 0: none, or it doesn't yet. */
uint64_t sink_take_dropped(struct sink *s, int *ret_error);

#endif
