/* SPDX-License-Identifier: GPL-2.0-only */
#include "bpf_log.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "cleanup.h"

enum { BPF_LOG_MAX = 16 << 20 }; /* the kernel's own limit on a verifier log */

static _Thread_local struct bpf_log *active;

__attribute__((format(printf, 2, 0))) static int capture(enum libbpf_print_level level,
							 const char *format, va_list ap)
{
	va_list again;
	char *more;
	int n;

	if (!active || level == LIBBPF_DEBUG)
		return 0;
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n <= 0 || active->n + (size_t)n > BPF_LOG_MAX)
		return 0;
	more = realloc(active->text, active->n + (size_t)n + 1);
	if (!more)
		return 0;
	active->text = more;
	vsnprintf(more + active->n, (size_t)n + 1, format, ap);
	active->n += (size_t)n;
	return n;
}

void bpf_log_begin(struct bpf_log *log)
{
	*log = (struct bpf_log){};
	active = log;
	libbpf_set_print(capture);
}

void bpf_log_end(struct bpf_log *log)
{
	active = NULL;
	free(log->text);
	*log = (struct bpf_log){};
}

const char *bpf_log_cause(struct bpf_log *log, char *buf, size_t bytes)
{
	const char *line = log->text, *log_end, *end;
	size_t n;

	*buf = 0;
	if (!line)
		return buf;
	/* The verifier's last words say why; libbpf's before them only who. */
	log_end = strstr(line, "-- END PROG LOAD LOG --");
	if (log_end) {
		const char *begin = strstr(line, "-- BEGIN PROG LOAD LOG --"), *processed;

		processed = strstr(begin, "\nprocessed ");
		end = processed && processed < log_end ? processed : log_end;
		while (end > begin && end[-1] == '\n')
			end--;
		for (line = end; line > begin && line[-1] != '\n'; line--)
			;
	} else {
		end = strchrnul(line, '\n');
	}
	if (!strncmp(line, "libbpf: ", 8))
		line += 8;
	n = (size_t)(end - line);
	snprintf(buf, bytes, "%.*s", (int)(n > 300 ? 300 : n), line);
	return buf;
}

int bpf_log_save(const struct bpf_log *log, const char *dir, const char *name, char *ret_path,
		 size_t bytes)
{
	scoped(scope_close) int fd = -1;
	size_t at = 0;

	if (snprintf(ret_path, bytes, "%s/%s", dir, name) >= (int)bytes)
		return -ENAMETOOLONG;
	fd = open(ret_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (at < log->n) {
		ssize_t n = write(fd, log->text + at, log->n - at);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}
