/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Behind diagnostics: the texts that places point into, and messages about
 * text that no place can name (set files).
 */
#ifndef DIAG_H
#define DIAG_H

#include <stdarg.h>

#include "policy.h"

/* Reference-counted: a policy and the diagnostics of its parsing share one. */
struct pol_sources *sources_new(void);
struct pol_sources *sources_ref(struct pol_sources *s);
void sources_unref(struct pol_sources **s);
/*
 * Add a file; takes over `text` (malloc'ed, NULL: the text is not known) also
 * when it fails.  Returns its index or a negative errno, -E2BIG: too many.
 */
int sources_add(struct pol_sources *s, const char *name, char *text, size_t bytes);
/* An entry without text by that name: as sources_add(), but made only once. */
int sources_name(struct pol_sources *s, const char *name);
size_t sources_count(const struct pol_sources *s);
char **sources_names(const struct pol_sources *s); /* lives as long as `s`, until the next add */
const char *sources_text(const struct pol_sources *s, size_t file, size_t *ret_bytes);

/* A message about a line of text that isn't in the sources. */
struct diag_place {
	const char *file;
	uint16_t order;
	uint32_t line, col, len;
	const char *text; /* the line; NULL: none */
	size_t text_bytes;
};
void diag_add(struct pol_diags *d, enum pol_severity sev, const struct diag_place *at,
	      const char *format, va_list args);

/* By file, line and column; messages about one place stay in order. */
void diags_sort(struct pol_diags *d, size_t from);

#endif
