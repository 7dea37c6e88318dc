/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Diagnostics: kept with the line they point into, so that they can be printed
 * when the text is gone.  The number kept, and the bytes of a line kept, are
 * bounded: garbage costs no more than text.
 */
#include "diag.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

enum {
	WINDOW_BYTES = 160,   /* of a line kept around the place */
	WINDOW_BEFORE = 80,   /* of these, before the place, when the line is longer */
	MAX_UNIMPORTANT = 50, /* warnings and notes kept, so that errors have room */
	MAX_TEXT_BYTES = 512, /* of a message: it may quote names of any length */
	MAX_FILES = 4096,
};

/* ---- sources ---- */

struct source {
	char *text; /* NULL: only the name is known */
	size_t bytes;
};

struct pol_sources {
	unsigned refs;
	size_t n;
	struct source *v;
	char **names;
};

struct pol_sources *sources_new(void)
{
	struct pol_sources *s = calloc(1, sizeof(*s));

	if (s)
		s->refs = 1;
	return s;
}

struct pol_sources *sources_ref(struct pol_sources *s)
{
	if (s)
		s->refs++;
	return s;
}

void sources_unref(struct pol_sources **sp)
{
	struct pol_sources *s = *sp;

	*sp = NULL;
	if (!s || --s->refs)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].text);
		free(s->names[i]);
	}
	free(s->v);
	free(s->names);
	free(s);
}

int sources_add(struct pol_sources *s, const char *name, char *text, size_t bytes)
{
	char *copy = strdup(name);
	struct source *v;
	char **names;

	if (s->n >= MAX_FILES) {
		free(copy);
		free(text);
		return -E2BIG;
	}
	v = realloc(s->v, (s->n + 1) * sizeof(*v));
	if (v)
		s->v = v;
	names = realloc(s->names, (s->n + 1) * sizeof(*names));
	if (names)
		s->names = names;
	if (!copy || !v || !names) {
		free(copy);
		free(text);
		return -ENOMEM;
	}
	s->v[s->n] = (struct source){.text = text, .bytes = bytes};
	s->names[s->n] = copy;
	return (int)s->n++;
}

int sources_name(struct pol_sources *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->v[i].text && strcmp(s->names[i], name) == 0)
			return (int)i;
	return sources_add(s, name, NULL, 0);
}

size_t sources_count(const struct pol_sources *s)
{
	return s->n;
}

char **sources_names(const struct pol_sources *s)
{
	return s->names;
}

const char *sources_text(const struct pol_sources *s, size_t file, size_t *ret_bytes)
{
	*ret_bytes = s->v[file].bytes;
	return s->v[file].text;
}

/* The line of a place, or NULL. */
static const char *source_line(const struct pol_sources *s, const struct pol_loc *loc,
			       size_t *ret_bytes)
{
	const char *at, *end, *newline;

	if (loc->file >= s->n || !s->v[loc->file].text)
		return NULL;
	at = s->v[loc->file].text;
	end = at + s->v[loc->file].bytes;
	for (uint32_t line = 1; line < loc->line; line++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return NULL;
		at++;
	}
	newline = memchr(at, '\n', (size_t)(end - at));
	*ret_bytes = (size_t)((newline ? newline : end) - at);
	return at;
}

/* ---- adding ---- */

void pol_diags_use(struct pol_diags *d, const struct pol_policy *p)
{
	struct pol_sources *s = sources_ref(p->sources);

	sources_unref(&d->sources);
	d->sources = s;
}

void pol_diags_fini(struct pol_diags *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->v[i].file);
		free(d->v[i].text);
		free(d->v[i].source);
	}
	free(d->v);
	sources_unref(&d->sources);
	*d = (struct pol_diags){0};
}

static void keep_window(struct pol_diag *diag, const struct diag_place *at)
{
	size_t from = 0, bytes = at->text_bytes;

	if (bytes && at->text[bytes - 1] == '\r')
		bytes--;
	if (bytes > WINDOW_BYTES && at->col > WINDOW_BEFORE)
		from = at->col - WINDOW_BEFORE;
	if (from > bytes)
		return;
	while (from && (at->text[from] & 0xc0) == 0x80) /* not into a UTF-8 sequence */
		from--;
	if (bytes - from > WINDOW_BYTES)
		bytes = from + WINDOW_BYTES;
	diag->source = malloc(bytes - from + 1);
	if (!diag->source)
		return;
	memcpy(diag->source, at->text + from, bytes - from);
	for (size_t i = 0; i < bytes - from; i++)
		if (diag->source[i] == '\0')
			diag->source[i] = ' ';
	diag->source[bytes - from] = '\0';
	diag->source_at = (uint32_t)from;
}

static void clip_text(char *text)
{
	size_t at = MAX_TEXT_BYTES - 3;

	if (strlen(text) <= MAX_TEXT_BYTES)
		return;
	while (at && (text[at] & 0xc0) == 0x80)
		at--;
	strcpy(text + at, "...");
}

/* Whether there is room to keep one more of that severity. */
static bool has_room(const struct pol_diags *d, enum pol_severity sev)
{
	size_t unimportant = 0;

	if (d->n >= POL_MAX_DIAGS)
		return false;
	if (sev == POL_ERROR)
		return true;
	for (size_t i = 0; i < d->n; i++)
		unimportant += d->v[i].severity != POL_ERROR;
	return unimportant < MAX_UNIMPORTANT;
}

void diag_add(struct pol_diags *d, enum pol_severity sev, const struct diag_place *at,
	      const char *format, va_list args)
{
	struct pol_diag diag = {
		.severity = sev,
		.line = at->line,
		.col = at->col,
		.len = at->len ? at->len : 1,
		.order = at->order,
	};

	if (sev == POL_ERROR)
		d->errors++;
	if (!has_room(d, sev)) {
		d->suppressed++;
		return;
	}
	if (!d->v)
		d->v = calloc(POL_MAX_DIAGS, sizeof(*d->v));
	if (!d->v || vasprintf(&diag.text, format, args) < 0) {
		d->suppressed++;
		return;
	}
	clip_text(diag.text);
	if (at->file)
		diag.file = strdup(at->file);
	if (at->text && at->line)
		keep_window(&diag, at);
	d->v[d->n++] = diag;
}

void pol_diag_add(struct pol_diags *d, enum pol_severity sev, const struct pol_loc *loc,
		  const char *format, ...)
{
	struct diag_place at = {0};
	va_list args;

	if (loc && d->sources && loc->file < d->sources->n) {
		at.file = d->sources->names[loc->file];
		at.order = loc->file;
		at.line = loc->line;
		at.col = loc->col;
		at.len = loc->len;
		if (has_room(d, sev))
			at.text = source_line(d->sources, loc, &at.text_bytes);
	}
	va_start(args, format);
	diag_add(d, sev, &at, format, args);
	va_end(args);
}

static int compare_places(const struct pol_diag *a, const struct pol_diag *b)
{
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->col != b->col)
		return a->col < b->col ? -1 : 1;
	return 0;
}

/* Insertion sort: stable, and there are at most POL_MAX_DIAGS. */
void diags_sort(struct pol_diags *d, size_t from)
{
	for (size_t i = from + 1; i < d->n; i++) {
		struct pol_diag diag = d->v[i];
		size_t at = i;

		for (; at > from && compare_places(&d->v[at - 1], &diag) > 0; at--)
			d->v[at] = d->v[at - 1];
		d->v[at] = diag;
	}
}

/* ---- printing ---- */

/*
 * Text from a file goes to a terminal: no control characters, and tabs as
 * spaces.  Returns the column after it; `out` may be NULL.
 */
static size_t print_clean(const char *text, size_t bytes, size_t column, FILE *out)
{
	size_t n;

	for (; bytes && *text; text += n, bytes -= n, column++) {
		n = utf8_printable(text, bytes);
		if (*text == '\t') {
			for (; column % 8 != 7; column++)
				if (out)
					fputc(' ', out);
		}
		if (out && n)
			fwrite(text, n, 1, out);
		else if (out)
			fputc(*text == '\t' ? ' ' : '?', out);
		n = n ? n : 1;
	}
	return column;
}

static void print_source(const struct pol_diag *diag, FILE *out, const char *mark,
			 const char *plain)
{
	const char *clipped = diag->source_at ? "..." : "";
	size_t bytes = strlen(diag->source);
	size_t at = diag->col - 1 - diag->source_at;
	size_t from, to;

	if (at > bytes)
		at = bytes;
	fprintf(out, "  %s", clipped);
	print_clean(diag->source, bytes, 0, out);
	from = print_clean(diag->source, at, 0, NULL);
	to = print_clean(diag->source + at, diag->len, from, NULL);
	fprintf(out, "\n  %*s%s^", (int)(from + strlen(clipped)), "", mark);
	for (from++; from < to; from++)
		fputc('~', out);
	fprintf(out, "%s\n", plain);
}

void pol_diags_print(const struct pol_diags *d, FILE *out, bool colour)
{
	static const char *const word[] = {
		[POL_ERROR] = "error", [POL_WARNING] = "warning", [POL_NOTE] = "note"};
	static const char *const sgr[] = {[POL_ERROR] = "\033[1;31m",
					  [POL_WARNING] = "\033[1;35m",
					  [POL_NOTE] = "\033[1;36m"};
	const char *plain = colour ? "\033[0m" : "";

	for (size_t i = 0; i < d->n; i++) {
		const struct pol_diag *diag = &d->v[i];
		const char *mark = colour ? sgr[diag->severity] : "";

		if (diag->file) {
			print_clean(diag->file, strlen(diag->file), 0, out);
			if (diag->line)
				fprintf(out, ":%u:%u", diag->line, diag->col);
			fputs(": ", out);
		}
		fprintf(out, "%s%s:%s ", mark, word[diag->severity], plain);
		print_clean(diag->text, strlen(diag->text), 0, out);
		fputc('\n', out);
		if (diag->source && diag->line)
			print_source(diag, out, mark, plain);
	}
	if (d->suppressed)
		fprintf(out, "%zu more message%s not shown\n", d->suppressed,
			d->suppressed == 1 ? "" : "s");
}
