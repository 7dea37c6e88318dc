// SPDX-License-Identifier: GPL-2.0-only
#include "ulsp_output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

enum { MAX_READS = 200 }; /* each second */

static void say_dropped(struct ulsp_output *o)
{
	if (o->dropped)
		log_warning("%s: %u lines more, dropped", o->name, o->dropped);
	o->dropped = 0;
}

/* Control characters could end the line, or colour what follows it. */
static void log_line(struct ulsp_output *o, const char *line, size_t bytes)
{
	char text[4 * sizeof(o->line) + 1];
	uint64_t now = clock_now_ns() / 1000;
	size_t n = 0;

	if (now - o->since_us >= 1000000) {
		say_dropped(o);
		o->since_us = now;
		o->lines = 0;
	}
	if (o->lines >= ULSP_LOG_LINES) {
		o->dropped++;
		return;
	}
	o->lines++;
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "\\x%02x", c);
		else
			text[n++] = (char)c;
	}
	text[n] = 0;
	log_notice("%s: %s", o->name, text);
}

static void log_lines(struct ulsp_output *o, bool all)
{
	char *end;

	while ((end = memchr(o->line, '\n', o->line_bytes)) ||
	       (o->line_bytes && (all || o->line_bytes == sizeof(o->line)))) {
		size_t bytes = end ? (size_t)(end - o->line) : o->line_bytes;
		size_t taken = end ? bytes + 1 : bytes;

		if (bytes)
			log_line(o, o->line, bytes);
		memmove(o->line, o->line + taken, o->line_bytes - taken);
		o->line_bytes -= taken;
	}
}

/* Whether there was something; false: not now, or never again (*ret_end). */
static bool read_output(struct ulsp_output *o, int fd, bool *ret_end)
{
	ssize_t n = read(fd, o->line + o->line_bytes, sizeof(o->line) - o->line_bytes);

	*ret_end = !n || (n < 0 && errno != EAGAIN && errno != EINTR);
	if (n <= 0)
		return false;
	o->line_bytes += (size_t)n;
	log_lines(o, false);
	return true;
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
	struct ulsp_output *o = ctx;
	bool end;

	(void)revents;
	if (!read_output(o, fd, &end) && end) {
		log_lines(o, true);
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	return 0;
}

void ulsp_output_open(struct ulsp_output *o, sd_event *event, const char *name, int fd)
{
	o->name = name;
	o->line_bytes = 0;
	if (sd_event_add_io(event, &o->source, fd, EPOLLIN, on_output, o) < 0) {
		close(fd);
		return;
	}
	sd_event_source_set_io_fd_own(o->source, true);
	/* one that floods us waits; of what is read, so many lines are logged */
	sd_event_source_set_ratelimit(o->source, 1000000, MAX_READS);
}

/* Its last words. */
void ulsp_output_close(struct ulsp_output *o)
{
	bool end;

	for (int i = 0; o->source && i < MAX_READS; i++) {
		if (!read_output(o, sd_event_source_get_io_fd(o->source), &end))
			break;
	}
	log_lines(o, true);
	say_dropped(o);
	ulsp_output_forget(o);
}

void ulsp_output_forget(struct ulsp_output *o)
{
	o->source = sd_event_source_disable_unref(o->source);
}
