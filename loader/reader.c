/* SPDX-License-Identifier: GPL-2.0-only */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

const struct pol_reader reader_files = {.read = reader_read, .glob = reader_glob};

int reader_read(void *ctx, const char *path, char **ret_text, size_t *ret_bytes)
{
	/* O_NONBLOCK: a FIFO must not block the open that finds out that it is one. */
	scoped(scope_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	scoped(scope_free) char *text = NULL;
	size_t n = 0, capacity;
	struct stat st;
	ssize_t got;

	(void)ctx;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -ENXIO; /* the parser calls it "not a regular file" */
	if (st.st_size > READER_MAX_BYTES)
		return -EFBIG;
	/* Files of procfs and the like say 0, and any file may grow meanwhile. */
	capacity = (size_t)st.st_size + 4096;
	text = malloc(capacity + 1);
	if (!text)
		return -ENOMEM;
	while ((got = read(fd, text + n, capacity - n)) != 0) {
		char *bigger;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		n += (size_t)got;
		if (n > READER_MAX_BYTES)
			return -EFBIG;
		if (n < capacity)
			continue;
		capacity *= 2;
		bigger = realloc(text, capacity + 1);
		if (!bigger)
			return -ENOMEM;
		text = bigger;
	}
	text[n] = '\0';
	*ret_text = TAKE_PTR(text);
	*ret_bytes = n;
	return 0;
}

int reader_glob(void *ctx, const char *pattern, char ***ret_paths)
{
	scoped(globfree) glob_t found = {0};
	int r = glob(pattern, 0, NULL, &found);
	char **paths;

	(void)ctx;
	if (r == GLOB_NOSPACE)
		return -ENOMEM;
	if (r == GLOB_ABORTED)
		return -EIO;
	paths = calloc(found.gl_pathc + 1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		paths[i] = strdup(found.gl_pathv[i]);
		if (paths[i])
			continue;
		while (i-- > 0)
			free(paths[i]);
		free(paths);
		return -ENOMEM;
	}
	*ret_paths = paths;
	return 0;
}
