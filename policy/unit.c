/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files: opening them to the grammar, and includes.  A file is scanned from a
 * copy, because the scanner writes into its text; the text itself is kept for
 * messages.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "policy_gram.h"

/* flex's header declares lex_raw() by another name. */
#define YY_DECL int lex_raw(union lex_value *value, struct pol_loc *loc, void *scanner)
#include "policy_lex.h"

const char *error_text(int error)
{
	switch (error) {
	case -EOPNOTSUPP:
		return "files can't be read here";
	case -EFBIG:
		return "the file is too large (64 MiB are allowed)";
	case -ENXIO:
		return "not a regular file";
	}
	return strerrordesc_np(-error) ? strerrordesc_np(-error) : "unknown error";
}

/* ---- one file ---- */

/* A scanner over `copy` (bytes, then two NULs); NULL: no memory. */
static void *scanner_open(struct parser *p, char *copy, size_t bytes)
{
	void *scanner;

	if (pol_yylex_init_extra(p, &scanner))
		return NULL;
	if (setjmp(p->no_memory)) {
		pol_yylex_destroy(scanner);
		return NULL;
	}
	if (!pol_yy_scan_buffer(copy, bytes + 2, scanner)) {
		pol_yylex_destroy(scanner);
		return NULL;
	}
	return scanner;
}

/* Binary files: flex is slow at NUL, and nothing else that it'd say would help. */
static bool check_text(struct parser *p, uint16_t file, const char *text, size_t bytes)
{
	struct pol_loc loc = {.file = file, .line = 1, .col = 1, .len = 1};
	const char *nul = memchr(text, '\0', bytes);

	if (!nul)
		return true;
	for (const char *c = text; c < nul; c++) {
		loc.col++;
		if (*c == '\n') {
			loc.line++;
			loc.col = 1;
		}
	}
	pol_diag_add(p->diags, POL_ERROR, &loc, "a NUL byte: this is not text");
	return false;
}

/* Takes over `text`. */
void unit_parse(struct parser *p, const char *path, char *text, size_t bytes)
{
	struct unit u = {.parent = p->unit, .path = path, .line = 1, .col = 1, .row = 1};
	char *copy;
	int file;

	if (bytes > MAX_FILE_BYTES) {
		pol_diag_add(p->diags, POL_ERROR, NULL, "'%s': %s", path, error_text(-EFBIG));
		free(text);
		return;
	}
	p->bytes += bytes;
	if (p->bytes > MAX_TEXT_BYTES_ALL) {
		pol_diag_add(p->diags, POL_ERROR, NULL, "'%s': all files together are too large",
			     path);
		free(text);
		return;
	}
	file = sources_add(p->sources, path, text, bytes);
	if (file >= 0 && !check_text(p, (uint16_t)file, text, bytes))
		return;
	copy = file < 0 ? NULL : malloc(bytes + 2);
	if (!copy) {
		p->oom = true;
		return;
	}
	memcpy(copy, text, bytes);
	copy[bytes] = copy[bytes + 1] = '\0';
	if (bytes >= 3 && memcmp(copy, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
		memset(copy, ' ', 3);
	u.file = (uint16_t)file;
	u.scanner = scanner_open(p, copy, bytes);
	if (!u.scanner) {
		p->oom = true;
	} else {
		p->unit = &u;
		if (pol_yyparse(p) == 2)
			p->oom = true;
		p->unit = u.parent;
		pol_yylex_destroy(u.scanner);
	}
	free(copy);
}

/* `from`: the include, NULL for a file that the caller named. */
void file_parse(struct parser *p, const char *path, const struct pol_loc *from)
{
	char *text = NULL;
	size_t bytes = 0;
	int r;

	if (++p->files > MAX_INCLUDED) {
		if (p->files == MAX_INCLUDED + 1)
			pol_diag_add(p->diags, POL_ERROR, from, "more than %d files", MAX_INCLUDED);
		return;
	}
	r = p->reader ? p->reader->read(p->reader->ctx, path, &text, &bytes) : -EOPNOTSUPP;
	if (r < 0)
		pol_diag_add(p->diags, POL_ERROR, from, "cannot read '%s': %s", path,
			     error_text(r));
	else
		unit_parse(p, path, text, bytes);
}

/* ---- includes ---- */

static bool is_glob(const char *s)
{
	return strpbrk(s, "*?[") != NULL;
}

/* "a//b" and "./a" are "a/b" and "a", so that a loop is seen whatever it is called. */
static void path_clean(char *path)
{
	const char *from = path;
	char *to = path;

	while (*from) {
		bool begins = to == path || to[-1] == '/';

		if (begins && from[0] == '.' && from[1] == '/')
			from += 2;
		else if (from[0] == '/' && to > path && to[-1] == '/')
			from++;
		else
			*to++ = *from++;
	}
	*to = '\0';
}

char *path_relative(struct parser *p, const char *name, bool for_glob, const struct pol_loc *loc)
{
	const char *base = p->unit->path, *slash = strrchr(base, '/');
	size_t dir = slash && name[0] != '/' ? (size_t)(slash - base) + 1 : 0, n = 0;
	char *path = scratch_room(p, 2 * dir + strlen(name) + 1);

	if (!path)
		return NULL;
	for (size_t i = 0; i < dir; i++) {
		if (for_glob && strchr("*?[\\", base[i]))
			path[n++] = '\\';
		path[n++] = base[i];
	}
	strcpy(path + n, name);
	path_clean(path);
	if (strlen(path) >= MAX_PATH_BYTES) {
		pol_diag_add(p->diags, POL_ERROR, loc, "the file name is too long");
		return NULL;
	}
	return path;
}

static bool is_open(const struct parser *p, const char *path)
{
	for (const struct unit *u = p->unit; u; u = u->parent)
		if (strcmp(u->path, path) == 0)
			return true;
	return false;
}

static void include_one(struct parser *p, const char *path, const struct pol_loc *loc)
{
	char *kept;

	if (is_open(p, path)) {
		pol_diag_add(p->diags, POL_ERROR, loc, "'%s' includes itself%s", path,
			     p->unit->parent ? ", by way of this file" : "");
		return;
	}
	kept = keep_scratch(p, path, strlen(path));
	if (kept)
		file_parse(p, kept, loc);
}

static void free_paths(char **paths)
{
	for (size_t i = 0; paths && paths[i]; i++)
		free(paths[i]);
	free(paths);
}

static void include_glob(struct parser *p, const char *name, const struct pol_loc *loc)
{
	char *pattern = path_relative(p, name, true, loc), **paths = NULL;
	int r;

	if (!pattern)
		return;
	r = p->reader ? p->reader->glob(p->reader->ctx, pattern, &paths) : -EOPNOTSUPP;
	if (r == -ENOENT || (r == 0 && !paths[0]))
		pol_diag_add(p->diags, POL_WARNING, loc, "no file matches '%s'", pattern);
	else if (r < 0)
		pol_diag_add(p->diags, POL_ERROR, loc, "cannot look for '%s': %s", pattern,
			     error_text(r));
	for (size_t i = 0; r == 0 && paths[i] && !p->oom; i++) {
		path_clean(paths[i]);
		include_one(p, paths[i], loc);
	}
	free_paths(paths);
}

void include_files(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	char *path;

	if (!name->s)
		return;
	if (name->n == 0) {
		pol_diag_add(p->diags, POL_ERROR, loc, "an empty file name");
		return;
	}
	if (p->depth >= MAX_INCLUDE_DEPTH) {
		pol_diag_add(p->diags, POL_ERROR, loc, "includes nest more than %d deep",
			     MAX_INCLUDE_DEPTH);
		return;
	}
	p->depth++;
	if (is_glob(name->s)) {
		include_glob(p, name->s, loc);
	} else {
		path = path_relative(p, name->s, false, loc);
		if (path)
			include_one(p, path, loc);
	}
	p->depth--;
}
