/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ulsp-log: writes the messages that it is sent, a line each.
 *
 * Three kinds of loss are told apart, each a line of its own: "lost" (the ring
 * was full: by gaps in the numbers), "dropped" (what could not be written).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <syslog.h>

#include "format.h"
#include "program.h"
#include "sink.h"
#include "ulsp.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* What is in the ring at the end is still written, within this time. */
enum { LAST_NS = 1000000000 };

struct logger {
	struct sink sink;
	bool text, journal;
	bool failing; /* said that writing fails */
	uint64_t journal_dropped;
	int journal_error;
};

static const char usage[] =
	"Usage: ulsp-log [OPTION]...\n"
	"Write the networking operations that ulspd sends, a JSON object a line.\n"
	"Started by ulspd: see `ulsp' in ulsp-policy(5).\n"
	"\n"
	"  -f, --file PATH   append to PATH; it may be rotated, SIGHUP opens it anew\n"
	"  -j, --journald    to the systemd journal, with fields\n"
	"  -t, --text        lines for people instead of JSON\n"
	"  -h, --help        this text\n"
	"  -V, --version     the version\n"
	"\n"
	"Without --file and --journald: standard output.\n";

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

enum { FIELD_BYTES = 1024, FIELDS_MAX = 24 };

struct fields {
	struct iovec v[FIELDS_MAX];
	int n;
	char text[FIELDS_MAX][FIELD_BYTES];
};

__attribute__((format(printf, 2, 3))) static void add_field(struct fields *f, const char *format,
							    ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(f->text[f->n], FIELD_BYTES, format, ap);
	va_end(ap);
	if (n < 0)
		return;
	f->v[f->n].iov_base = f->text[f->n];
	f->v[f->n].iov_len = (size_t)n < FIELD_BYTES ? (size_t)n : FIELD_BYTES - 1;
	f->n++;
}

static void send_fields(struct logger *l, struct fields *f)
{
	int r = sd_journal_sendv(f->v, f->n);

	if (r < 0) {
		l->journal_dropped++;
		l->journal_error = -r;
	} else if (l->journal_dropped) {
		uint64_t n = l->journal_dropped;

		l->journal_dropped = 0;
		sd_journal_send("MESSAGE=%" PRIu64 " messages dropped: %s", n,
				strerror(l->journal_error), "PRIORITY=%d", LOG_WARNING,
				"SYSLOG_IDENTIFIER=ulsp-log", "ULSP_DROPPED=%" PRIu64, n, NULL);
	}
}

static void to_journal(struct logger *l, const struct ulsp_message *m)
{
	char line[ULSP_LINE_BYTES], cgroup[FIELD_BYTES - 32], name[16];
	struct fields f = {.n = 0};
	int error = ulsp_error(m);

	if (ulsp_text(m, line, sizeof(line)) < 0)
		return;
	add_field(&f, "MESSAGE=%s", line);
	add_field(&f, "PRIORITY=%d", error ? LOG_NOTICE : LOG_INFO);
	add_field(&f, "SYSLOG_IDENTIFIER=ulsp-log");
	add_field(&f, "ULSP_SEQ=%" PRIu64, ulsp_seq(m));
	add_field(&f, "ULSP_TIME_NS=%" PRIu64, ulsp_time_ns(m));
	add_field(&f, "ULSP_GROUP=%s", ulsp_group_name(m));
	add_field(&f, "ULSP_OP=%s", ulsp_operation(m));
	add_field(&f, "ULSP_PROTO=%s", ulsp_protocol(m));
	add_field(&f, "ULSP_REMOTE=%s", ulsp_remote_text(m));
	add_field(&f, "ULSP_LOCAL=%s", ulsp_local_text(m));
	add_field(&f, "ULSP_VERDICT=%s", ulsp_verdict_name(m));
	add_field(&f, "ULSP_REASON=%s", ulsp_reason_name(m));
	add_field(&f, "ULSP_RULE=%s", ulsp_rule(m));
	add_field(&f, "ULSP_AUDIT=%d", ulsp_is_audit(m));
	add_field(&f, "ULSP_PID=%d", (int)ulsp_tgid(m));
	add_field(&f, "ULSP_UID=%u", (unsigned int)ulsp_uid(m));
	add_field(&f, "ULSP_COMM=%s", ulsp_comm(m));
	if (error)
		add_field(&f, "ULSP_ERRNO=%s", ulsp_errno_word(error, name));
	if (ulsp_cgroup(m, cgroup, sizeof(cgroup)) > 0)
		add_field(&f, "ULSP_CGROUP=%s", cgroup);
	send_fields(l, &f);
}

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	char line[ULSP_LINE_BYTES];
	struct logger *l = ctx;
	int n;

	(void)u;
	if (l->journal) {
		to_journal(l, m);
		return 0;
	}
	n = l->text ? ulsp_text(m, line, sizeof(line)) : ulsp_json(m, line, sizeof(line));
	if (n > 0)
		sink_line(&l->sink, line, (size_t)n);
	return 0;
}

static void on_loss(struct ulsp *u, const char *group, uint64_t lost, uint64_t total, void *ctx)
{
	char line[1024], time[ULSP_TIME_BYTES], name[6 * ULSP_NAME_BYTES + 3];
	struct logger *l = ctx;
	int n;

	(void)u;
	if (l->journal) {
		sd_journal_send("MESSAGE=%" PRIu64 " messages of group %s lost, %" PRIu64
				" in all: the ring was full",
				lost, group, total, "PRIORITY=%d", LOG_WARNING,
				"SYSLOG_IDENTIFIER=ulsp-log", "ULSP_GROUP=%s", group,
				"ULSP_LOST=%" PRIu64, lost, "ULSP_LOST_TOTAL=%" PRIu64, total,
				NULL);
		return;
	}
	ulsp_format_time(clock_ns(CLOCK_REALTIME), time);
	if (l->text) {
		n = snprintf(line, sizeof(line),
			     "%s %s lost %" PRIu64 " messages, %" PRIu64 " in all", time, group,
			     lost, total);
	} else {
		ulsp_format_json_string(group, name, sizeof(name));
		n = snprintf(line, sizeof(line),
			     "{\"lost\":%" PRIu64 ",\"group\":%s,\"total\":%" PRIu64
			     ",\"time\":\"%s\"}",
			     lost, name, total, time);
	}
	sink_line(&l->sink, line, (size_t)n);
}

static void say_dropped(struct logger *l)
{
	char line[256], time[ULSP_TIME_BYTES], name[16];
	const char *word;
	uint64_t dropped;
	int n, error;

	dropped = sink_take_dropped(&l->sink, &error);
	if (!dropped)
		return;
	word = ulsp_errno_word(error, name);
	ulsp_format_time(clock_ns(CLOCK_REALTIME), time);
	if (l->text)
		n = snprintf(line, sizeof(line), "%s dropped %" PRIu64 " lines: %s", time, dropped,
			     word);
	else
		n = snprintf(line, sizeof(line),
			     "{\"dropped\":%" PRIu64 ",\"errno\":\"%s\",\"time\":\"%s\"}", dropped,
			     word, time);
	sink_line(&l->sink, line, (size_t)n);
	sink_flush(&l->sink);
}

/* Writing failed, or works again: say so once each. */
static int flush(struct logger *l)
{
	int r = sink_flush(&l->sink);

	if (r && !l->failing)
		fprintf(stderr, "ulsp-log: cannot write: %s\n", strerror(-r));
	else if (!r && l->failing)
		fprintf(stderr, "ulsp-log: writing again, %" PRIu64 " lines were dropped\n",
			l->sink.dropped);
	l->failing = r != 0;
	if (!r)
		say_dropped(l);
	return r;
}

static int end(void *ctx, struct ulsp *u)
{
	int64_t until = clock_ns(CLOCK_MONOTONIC) + LAST_NS;
	struct logger *l = ctx;

	while (ulsp_dispatch(u, 0) > 0 && clock_ns(CLOCK_MONOTONIC) < until)
		flush(l);
	return l->journal ? 0 : flush(l);
}

/* A reader that is gone ends it. */
static int after(void *ctx)
{
	return flush(ctx) == -EPIPE ? -EPIPE : 0;
}

static void reload(void *ctx)
{
	struct logger *l = ctx;
	int r = sink_reopen(&l->sink);

	if (r)
		fprintf(stderr, "ulsp-log: cannot open %s anew: %s\n", l->sink.path, strerror(-r));
}

static int run(struct logger *l)
{
	const struct program program = {
		.name = "ulsp-log",
		.example = "ulsp logger { exec \"ulsp-log\" }",
		.after = after,
		.reload = reload,
		.end = end,
		.ctx = l,
	};
	struct ulsp_options options = {
		.size = sizeof(options), .handler = on_message, .ctx = l, .loss = on_loss};

	return program_run(&program, &options);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"file", required_argument, NULL, 'f'}, {"journald", no_argument, NULL, 'j'},
		{"text", no_argument, NULL, 't'},	{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},	{0},
	};
	struct logger l = {0};
	const char *path = NULL;
	int c, r;

	while ((c = getopt_long(argc, argv, "f:jthV", options, NULL)) >= 0) {
		switch (c) {
		case 'f':
			path = optarg;
			break;
		case 'j':
			l.journal = true;
			break;
		case 't':
			l.text = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("ulsp-log " ULSP_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "ulsp-log: unexpected argument: %s\n", argv[optind]);
		return 2;
	}
	if (l.journal && (path || l.text)) {
		fprintf(stderr, "ulsp-log: --journald goes without --file and --text\n");
		return 2;
	}
	/* The journal's library succeeds silently when there is none. */
	if (l.journal && access(JOURNAL_SOCKET, W_OK)) {
		fprintf(stderr, "ulsp-log: no journal at %s: %s\n", JOURNAL_SOCKET,
			strerror(errno));
		return 1;
	}
	r = sink_open(&l.sink, path);
	if (r) {
		fprintf(stderr, "ulsp-log: cannot open %s: %s\n", path ? path : "standard output",
			strerror(-r));
		return 1;
	}
	r = run(&l);
	sink_close(&l.sink);
	return r ? 1 : 0;
}
