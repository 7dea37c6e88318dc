// SPDX-License-Identifier: GPL-2.0-only
#include "ctl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

enum { MAX_COLUMNS = 16 };

void ctl_style(const struct ctl *c, enum ctl_style style)
{
	static const char *const codes[] = {
		[CTL_PLAIN] = "\033[0m", [CTL_BOLD] = "\033[1m", [CTL_GOOD] = "\033[32m",
		[CTL_BAD] = "\033[31m",	 [CTL_DIM] = "\033[2m",
	};

	if (c->colour)
		fputs(codes[style], stdout);
}

enum ctl_style ctl_verdict_style(const char *verdict)
{
	return !strcmp(verdict, "deny") ? CTL_BAD : !strcmp(verdict, "allow") ? CTL_GOOD : CTL_BOLD;
}

void ctl_print_json(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
}

void ctl_table_init(struct ctl_table *t, const char *const *titles, size_t columns)
{
	assert(columns <= MAX_COLUMNS);
	*t = (struct ctl_table){.columns = columns};
	for (size_t i = 0; i < columns; i++)
		ctl_cell(t, CTL_DIM, titles[i]);
}

/* Names may hold anything and go to a terminal: no control characters. */
static char *printable(const char *text)
{
	size_t bytes = strlen(text);
	char *clean = strdup(text);

	for (size_t at = 0, n; clean && at < bytes; at += n ? n : 1) {
		n = utf8_printable(text + at, bytes - at);
		if (!n)
			clean[at] = '?';
	}
	if (!clean)
		abort();
	return clean;
}

void ctl_cell(struct ctl_table *t, enum ctl_style style, const char *text)
{
	if (t->cells == t->room) {
		size_t room = t->room * 2 + 64;
		struct ctl_cell *v = reallocarray(t->v, room, sizeof(*v));

		if (!v)
			abort();
		t->v = v;
		t->room = room;
	}
	t->v[t->cells++] = (struct ctl_cell){.text = printable(text), .style = style};
}

void ctl_cell_int(struct ctl_table *t, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	ctl_cell(t, CTL_PLAIN, text);
}

/* Columns that UTF-8 text takes, roughly: its characters. */
static int width(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static bool right_aligned(const struct ctl_table *t, size_t column)
{
	const char *title = t->v[column].text;

	return *title && title[strlen(title) - 1] == '>';
}

static int column_width(const struct ctl_table *t, size_t column)
{
	int most = 0;

	for (size_t i = column; i < t->cells; i += t->columns) {
		int w = width(t->v[i].text) - (i < t->columns && right_aligned(t, column));

		most = w > most ? w : most;
	}
	return most;
}

void ctl_table_print(const struct ctl *c, struct ctl_table *t)
{
	int widths[MAX_COLUMNS];

	for (size_t i = 0; i < t->columns; i++)
		widths[i] = column_width(t, i);
	for (size_t i = 0; i < t->cells; i++) {
		size_t column = i % t->columns;
		bool right = right_aligned(t, column), last = column == t->columns - 1;
		const char *text = t->v[i].text;
		int bytes = (int)strlen(text) - (i < t->columns && right);
		int pad = widths[column] - (width(text) - (i < t->columns && right));

		printf("%*s", right ? pad : 0, "");
		if (t->v[i].style != CTL_PLAIN)
			ctl_style(c, t->v[i].style);
		printf("%.*s", bytes, text);
		if (t->v[i].style != CTL_PLAIN)
			ctl_style(c, CTL_PLAIN);
		if (last)
			putchar('\n');
		else
			printf("%*s", (right ? 0 : pad) + 2, "");
	}
	/* the titles are needed to the end */
	for (size_t i = 0; i < t->cells; i++)
		free(t->v[i].text);
	free(t->v);
	*t = (struct ctl_table){0};
}
