/* SPDX-License-Identifier: GPL-2.0-only */
/* What of foreign text may go to a terminal or between quotes as it stands. */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

/* Bytes of the printable character at `s`; 0: a control character, or no UTF-8. */
size_t utf8_printable(const char *s, size_t bytes);

#endif
