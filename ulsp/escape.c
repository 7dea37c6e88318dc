/* SPDX-License-Identifier: BSD-2-Clause */
#include "escape.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { UNIT = sizeof("\\xNN") - 1, DOTS = sizeof("...") - 1 };

static char *escape(const char *from, char *buf, size_t bytes, bool backslash)
{
	size_t n = 0, whole = 0; /* what leaves room for the dots */

	if (!bytes)
		return buf;
	for (; *from; from++) {
		unsigned char c = (unsigned char)*from;
		bool plain = c >= ' ' && c <= '~' && (c != '\\' || !backslash);

		if (n + (plain ? 1 : UNIT) >= bytes)
			break;
		if (plain)
			buf[n++] = (char)c;
		else
			n += (size_t)sprintf(buf + n, "\\x%02x", c);
		if (n + DOTS < bytes)
			whole = n;
	}
	buf[n] = '\0';
	if (*from && bytes > DOTS)
		strcpy(buf + whole, "...");
	return buf;
}

char *escape_name(const char *name, char *buf, size_t bytes)
{
	return escape(name, buf, bytes, true);
}

char *escape_text(const char *text, char *buf, size_t bytes)
{
	return escape(text, buf, bytes, false);
}
