/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a reader of a non-blocking pipe may keep us: well below the heartbeat's limit. */
enum { PIPE_WAIT_MS = 500 };

static int open_path(const char *path, int *ret_fd, struct stat *ret_st)
{
	int fd;

	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd < 0)
		return -errno;
	if (fstat(fd, ret_st)) {
		int r = -errno;

		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int sink_open(struct sink *s, const char *path)
{
	struct stat st = {0};
	int r = -ENOMEM;

	memset(s, 0, sizeof(*s));
	s->fd = STDOUT_FILENO;
	s->buf = malloc(SINK_BYTES);
	if (path)
		s->path = strdup(path);
	if (s->buf && (!path || s->path))
		r = path ? open_path(path, &s->fd, &st) : 0;
	if (r) {
		free(s->buf);
		free(s->path);
		return r;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

void sink_close(struct sink *s)
{
	if (s->path)
		close(s->fd);
	free(s->buf);
	free(s->path);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}

static void consume(struct sink *s, size_t n)
{
	s->cut = s->buf[n - 1] != '\n';
	s->len -= n;
	memmove(s->buf, s->buf + n, s->len);
}

/* Write the first `bytes` of the buffer. */
static int write_out(struct sink *s, size_t bytes)
{
	struct pollfd p = {.fd = s->fd, .events = POLLOUT};

	while (bytes) {
		ssize_t n = write(s->fd, s->buf, bytes);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN && poll(&p, 1, PIPE_WAIT_MS) > 0)
				continue;
			return -errno;
		}
		if (!n)
			return -EIO;
		consume(s, (size_t)n);
		bytes -= (size_t)n;
	}
	return 0;
}

int sink_reopen(struct sink *s)
{
	struct stat st;
	int fd = -1, r;

	if (!s->path)
		return 0;
	r = open_path(s->path, &fd, &st);
	if (r)
		return r;
	if (s->cut) {
		char *end = memchr(s->buf, '\n', s->len);
		size_t rest = (size_t)(end - s->buf) + 1;

		/* The old file gets the rest of its line, or keeps it cut. */
		r = write_out(s, rest);
		if (r && s->cut) {
			end = memchr(s->buf, '\n', s->len);
			consume(s, (size_t)(end - s->buf) + 1);
			s->dropped++;
			s->drop_error = -r;
		}
	}
	close(s->fd);
	s->fd = fd;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

static bool rotated(const struct sink *s)
{
	struct stat st;

	if (!s->path)
		return false;
	if (stat(s->path, &st))
		return errno == ENOENT;
	return st.st_dev != s->dev || st.st_ino != s->ino;
}

int sink_flush(struct sink *s)
{
	int r;

	if (!s->len)
		return 0;
	if (rotated(s))
		sink_reopen(s); /* failing that, the old file takes it, and the next flush tries
				   again */
	r = write_out(s, s->len);
	s->error = -r;
	return r;
}

void sink_line(struct sink *s, const char *line, size_t bytes)
{
	if (s->len + bytes + 1 > SINK_BYTES || s->len > SINK_FLUSH_BYTES)
		sink_flush(s);
	if (s->len + bytes + 1 > SINK_BYTES) {
		s->dropped++;
		s->drop_error = s->error;
		return;
	}
	memcpy(s->buf + s->len, line, bytes);
	s->buf[s->len + bytes] = '\n';
	s->len += bytes + 1;
}

uint64_t sink_take_dropped(struct sink *s, int *ret_error)
{
	uint64_t n = s->dropped;

	if (!n || s->error || s->len)
		return 0;
	*ret_error = s->drop_error;
	s->dropped = 0;
	return n;
}
