/* SPDX-License-Identifier: GPL-2.0-only */
#include "atom.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "parse.h"
#include "policy_gram.h"

#define SHOWN(text, bytes) (int)((bytes) > 50 ? 50 : (bytes)), (text)

/* What a unit makes of a number. */
static const struct suffix {
	const char *text;
	int token;
	uint64_t factor;
} suffixes[] = {
	{"us", TOK_MICROS, 1},
	{"ms", TOK_DURATION, 1},
	{"s", TOK_DURATION, 1000},
	{"m", TOK_DURATION, 60 * 1000},
	{"h", TOK_DURATION, 3600 * 1000},
	{"d", TOK_DURATION, 24 * 3600 * 1000},
	{"K", TOK_SIZE, 1 << 10},
	{"k", TOK_SIZE, 1 << 10},
	{"M", TOK_SIZE, 1 << 20},
	{"G", TOK_SIZE, 1 << 30},
	{"/s", TOK_RATE, 3600},
	{"/m", TOK_RATE, 60},
	{"/h", TOK_RATE, 1},
};

/* Digits at the start of text; returns how many, 0: none or too many. */
static size_t parse_digits(const char *text, size_t bytes, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	for (; n < bytes && isdigit((unsigned char)text[n]); n++) {
		if (n >= 18)
			return 0;
		v = v * 10 + (uint64_t)(text[n] - '0');
	}
	*ret = v;
	return n;
}

static bool looks_like_address(const char *text, size_t bytes)
{
	return memchr(text, ':', bytes) || memchr(text, '.', bytes);
}

int atom_parse(const char *text, size_t bytes, struct atom *ret, char error[ADDR_ERROR_BYTES])
{
	struct atom a = {0};
	size_t n = parse_digits(text, bytes, &a.lo), m;

	if (n == bytes) {
		a.hi = a.lo;
		*ret = a;
		return TOK_NUMBER;
	}
	if (n && text[n] == '-') {
		m = parse_digits(text + n + 1, bytes - n - 1, &a.hi);
		if (m && n + 1 + m == bytes) {
			if (a.lo > a.hi) {
				snprintf(error, ADDR_ERROR_BYTES,
					 "the range '%.*s' ends before it starts",
					 SHOWN(text, bytes));
				return -EINVAL;
			}
			*ret = a;
			return TOK_NUMBER;
		}
	}
	if (looks_like_address(text, bytes)) {
		int r = addr_parse(text, bytes, &a.addr, error);

		if (r < 0)
			return r;
		*ret = a;
		return TOK_ADDR;
	}
	for (size_t i = 0; n && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		const struct suffix *u = &suffixes[i];

		if (bytes - n != strlen(u->text) || memcmp(text + n, u->text, bytes - n) != 0)
			continue;
		if (a.lo > UINT32_MAX) {
			snprintf(error, ADDR_ERROR_BYTES, "'%.*s' is too large",
				 SHOWN(text, bytes));
			return -ERANGE;
		}
		a.lo *= u->factor;
		a.hi = a.lo;
		*ret = a;
		return u->token;
	}
	if (bytes == 1 && text[0] == '-')
		snprintf(error, ADDR_ERROR_BYTES, "a range is written without spaces, as 80-90");
	else if (n && text[n] == '/')
		snprintf(error, ADDR_ERROR_BYTES,
			 "'%.*s' is neither a rate (100/s, /m, /h) nor an address: write all of "
			 "it, as 10.0.0.0/8",
			 SHOWN(text, bytes));
	else if (text[0] == '/')
		snprintf(error, ADDR_ERROR_BYTES, "write paths in quotes: \"%.*s\"",
			 SHOWN(text, bytes));
	else if (n)
		snprintf(error, ADDR_ERROR_BYTES,
			 "'%.*s' is no number, duration (200ms, 60s, 5m, 1h), size (64K, 1M), rate "
			 "(100/s) or address",
			 SHOWN(text, bytes));
	else
		snprintf(error, ADDR_ERROR_BYTES, "'%.*s' is neither a word nor an address",
			 SHOWN(text, bytes));
	return -EINVAL;
}
