/* SPDX-License-Identifier: GPL-2.0-only */
#include "memory_files.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static int memory_read(void *ctx, const char *path, char **ret_text, size_t *ret_bytes)
{
	for (const struct memory_file *f = ctx; f->path; f++) {
		if (strcmp(f->path, path) != 0)
			continue;
		*ret_text = strdup(f->text);
		*ret_bytes = strlen(f->text);
		return *ret_text ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

static int memory_glob(void *ctx, const char *pattern, char ***ret_paths)
{
	const struct memory_file *files = ctx;
	size_t n = 0, all = 0;

	while (files[all].path)
		all++;
	*ret_paths = calloc(all + 1, sizeof(**ret_paths));
	for (size_t i = 0; i < all; i++)
		if (fnmatch(pattern, files[i].path, FNM_PATHNAME) == 0)
			(*ret_paths)[n++] = strdup(files[i].path);
	return 0;
}

struct pol_reader memory_reader(const struct memory_file *files)
{
	return (struct pol_reader){.ctx = (void *)files, .read = memory_read, .glob = memory_glob};
}

char *diags_text(const struct pol_diags *d)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	pol_diags_print(d, out, false);
	fclose(out);
	return text;
}
