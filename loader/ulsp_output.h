/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a ULSP writes to its stderr: a line of it is a line of our log, without
 * control characters.  A ULSP that floods us waits, and of what is read only
 * so many lines a second are logged; the count goes on from process to process.
 */
#ifndef ULSP_OUTPUT_H
#define ULSP_OUTPUT_H

#include <stdint.h>
#include <stddef.h>
#include <systemd/sd-event.h>

enum { ULSP_LOG_LINES = 100 }; /* each second; the rest is counted */

/* All zero: nothing is open. */
struct ulsp_output {
	const char *name; /* the ULSP's */
	sd_event_source *source;
	char line[1024]; /* not complete yet */
	size_t line_bytes;
	uint64_t since_us; /* the second in which lines were counted */
	unsigned lines, dropped;
};

/* Takes over the descriptor, which must not block. */
void ulsp_output_open(struct ulsp_output *o, sd_event *event, const char *name, int fd);
/* Logs what is left to read. */
void ulsp_output_close(struct ulsp_output *o);
/* Without looking. */
void ulsp_output_forget(struct ulsp_output *o);

#endif
