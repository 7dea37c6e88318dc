// SPDX-License-Identifier: GPL-2.0-only
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

static struct {
	const char *instance;
	int level;
	enum { PLAIN, STAMPED, JOURNAL } sink;
} out = {.instance = "", .level = LOG_INFO, .sink = PLAIN};

static const char *const words[] = {
	[LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
	[LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

/* JOURNAL_STREAM is "device:inode" of the stream that systemd connected to us. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	char *end;

	if (!stream || fstat(STDERR_FILENO, &st))
		return false;
	dev = strtoull(stream, &end, 10);
	if (*end != ':')
		return false;
	ino = strtoull(end + 1, NULL, 10);
	return st.st_dev == dev && st.st_ino == ino;
}

/* What libbpf says is detail to us: each message goes one level down. */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list ap)
{
	int at = level == LIBBPF_WARN ? LOG_INFO : LOG_DEBUG;
	char text[2048];

	if (at > out.level)
		return 0;
	vsnprintf(text, sizeof(text), format, ap);
	text[strcspn(text, "\n")] = 0;
	log_at(at, "%s", text);
	return 0;
}

void log_open(const char *instance, int level)
{
	out.instance = instance;
	out.level = level;
	out.sink = stderr_is_journal() ? JOURNAL : isatty(STDERR_FILENO) ? PLAIN : STAMPED;
	libbpf_set_print(print_libbpf);
}

int log_to_journal(void)
{
	if (access("/run/systemd/journal/socket", W_OK))
		return -ENOENT;
	__atomic_store_n(&out.sink, JOURNAL, __ATOMIC_RELAXED); /* other threads log meanwhile */
	return 0;
}

int log_parse_level(const char *word, int *ret_level)
{
	for (int i = LOG_ERR; i <= LOG_DEBUG; i++) {
		if (!strcmp(words[i], word)) {
			*ret_level = i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_at(int level, const char *format, ...)
{
	char text[2048], stamp[32];
	struct timespec now;
	struct tm utc;
	va_list ap;

	if (level > out.level)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	switch (__atomic_load_n(&out.sink, __ATOMIC_RELAXED)) {
	case JOURNAL:
		sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", level, "ULSP_INSTANCE=%s",
				out.instance, NULL);
		break;
	case STAMPED: /* a file: nothing else says when */
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &utc);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
		fprintf(stderr, "%s.%03ldZ ulspd: %s: %s\n", stamp, now.tv_nsec / 1000000,
			words[level], text);
		break;
	case PLAIN:
		fprintf(stderr, "ulspd: %s: %s\n", words[level], text);
		break;
	}
}
