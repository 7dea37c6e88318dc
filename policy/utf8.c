/* SPDX-License-Identifier: GPL-2.0-only */
#include "utf8.h"

#include <stdint.h>

size_t utf8_printable(const char *s, size_t bytes)
{
	/* Least code point of a sequence by its bytes; below 0xa0 are control characters. */
	static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
	unsigned char c = bytes ? (unsigned char)s[0] : 0;
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	uint32_t point;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c < 0xc2 || c > 0xf4 || bytes < n)
		return 0;
	point = c & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		c = (unsigned char)s[i];
		if ((c & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (c & 0x3f);
	}
	if (point < least[n] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	return n;
}
