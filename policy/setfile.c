/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Set files: an address, prefix or range a line; '#' starts a comment.  A
 * million lines are normal, so lines are parsed where they stand and only the
 * spans are kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

struct cursor {
	struct parser *p;
	const char *file;
	uint32_t line;
	const char *text; /* the line, with comment and spaces */
	size_t bytes;
	uint64_t errors;
};

__attribute__((format(printf, 4, 5))) static void report(struct cursor *c, const char *at,
							 size_t bytes, const char *format, ...)
{
	struct diag_place place = {
		.file = c->file,
		.order = UINT16_MAX, /* after the policy's own files */
		.line = c->line,
		.col = (uint32_t)(at - c->text) + 1,
		.len = (uint32_t)bytes,
		.text = c->text,
		.text_bytes = c->bytes,
	};
	va_list args;

	va_start(args, format);
	diag_add(c->p->diags, POL_ERROR, &place, format, args);
	va_end(args);
	c->errors++;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* One line without its newline; returns 0 or -ENOMEM. */
static int add_line(struct cursor *c, struct spans *v4, struct spans *v6)
{
	const char *at = c->text, *end = c->text + c->bytes, *hash;
	char error[ADDR_ERROR_BYTES];
	struct addr a;

	while (at < end && is_space(*at))
		at++;
	if (at == end || *at == '#')
		return 0;
	hash = memchr(at, '#', (size_t)(end - at));
	if (hash)
		end = hash;
	while (end > at && is_space(end[-1]))
		end--;
	if (memchr(at, '\0', (size_t)(end - at))) {
		report(c, at, (size_t)(end - at), "a NUL byte: this is not text");
		return 0;
	}
	if (addr_parse(at, (size_t)(end - at), &a, error) < 0) {
		report(c, at, (size_t)(end - at), "%s", error);
		return 0;
	}
	return spans_add(a.family == 4 ? v4 : v6, a.lo, a.hi);
}

static int add_text(struct cursor *c, const char *text, size_t bytes, struct spans *v4,
		    struct spans *v6)
{
	const char *end = text + bytes, *newline;
	int r = 0;

	if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	for (; text < end && r == 0; text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline)
			newline = end;
		c->line++;
		c->text = text;
		c->bytes = (size_t)(newline - text);
		r = add_line(c, v4, v6);
	}
	return r;
}

void set_add_file(struct parser *p, struct set *s, bool negated, const char *name,
		  const struct pol_loc *loc)
{
	struct cursor c = {.p = p};
	size_t bytes = 0, before;
	char *text = NULL;
	int r;

	if (!s || !name)
		return;
	if (!(s->kinds & 1u << SET_ADDRS))
		s->kind_loc[SET_ADDRS] = *loc;
	s->kinds |= 1u << SET_ADDRS;
	if (!negated)
		s->plain |= 1u << SET_ADDRS;
	c.file = path_relative(p, name, false, loc);
	if (!c.file) {
		s->bad = true;
		return;
	}
	r = p->reader ? p->reader->read(p->reader->ctx, c.file, &text, &bytes) : -EOPNOTSUPP;
	if (r < 0) {
		pol_diag_add(p->diags, POL_ERROR, loc, "cannot read '%s': %s", c.file,
			     error_text(r));
		s->bad = true;
		return;
	}
	before = s->v4.n + s->v6.n + s->not4.n + s->not6.n;
	if (add_text(&c, text, bytes, negated ? &s->not4 : &s->v4, negated ? &s->not6 : &s->v6) < 0)
		p->oom = true;
	free(text);
	s->bad |= c.errors > 0;
	if (!c.errors && before == s->v4.n + s->v6.n + s->not4.n + s->not6.n)
		pol_diag_add(p->diags, POL_WARNING, loc, "'%s' holds no address", c.file);
}
