/* SPDX-License-Identifier: BSD-2-Clause */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 4096 };

void lines_fini(struct lines *l)
{
	free(l->buf);
	memset(l, 0, sizeof(*l));
}

static void drop_taken(struct lines *l)
{
	if (!l->taken)
		return;
	l->n -= l->taken;
	memmove(l->buf, l->buf + l->taken, l->n);
	l->taken = 0;
}

int lines_read(struct lines *l, int fd, size_t most)
{
	ssize_t got;

	drop_taken(l);
	if (l->n > most)
		return -EMSGSIZE;
	if (l->room - l->n < READ_BYTES) {
		size_t room = l->n + 2 * READ_BYTES;
		char *grown = realloc(l->buf, room);

		if (!grown)
			return -ENOMEM;
		l->buf = grown;
		l->room = room;
	}
	got = read(fd, l->buf + l->n, READ_BYTES);
	if (got < 0)
		return -errno;
	l->n += (size_t)got;
	return (int)got;
}

char *lines_next(struct lines *l, size_t *ret_bytes)
{
	char *end;

	drop_taken(l);
	end = l->n ? memchr(l->buf, '\n', l->n) : NULL;
	if (!end)
		return NULL;
	*end = '\0';
	*ret_bytes = (size_t)(end - l->buf);
	l->taken = *ret_bytes + 1;
	return l->buf;
}

void lines_end(struct lines *l)
{
	drop_taken(l);
	if (l->n && l->buf[l->n - 1] != '\n' && l->n < l->room)
		l->buf[l->n++] = '\n';
}

int lines_empty(const struct lines *l)
{
	return l->n == l->taken;
}

int lines_too_long(const struct lines *l, size_t most)
{
	return l->n - l->taken > most;
}
