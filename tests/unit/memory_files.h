/* SPDX-License-Identifier: GPL-2.0-only */
/* Files for the policy library that are in memory. */
#ifndef MEMORY_FILES_H
#define MEMORY_FILES_H

#include "policy.h"

struct memory_file {
	const char *path;
	const char *text;
};

/* `files` ends with a path of NULL. */
struct pol_reader memory_reader(const struct memory_file *files);

/* What pol_diags_print() says; to be freed. */
char *diags_text(const struct pol_diags *d);

#endif
