/* SPDX-License-Identifier: GPL-2.0-only */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ::ffff:0:0/96 */
#define MAPPED_LO ((span_int)0xffff << 32)
#define MAPPED_HI (MAPPED_LO | 0xffffffff)

static span_int from_bytes(const uint8_t *b, unsigned n)
{
	span_int v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | b[i];
	return v;
}

static void to_bytes(span_int v, uint8_t *b, unsigned n)
{
	for (unsigned i = n; i-- > 0; v >>= 8)
		b[i] = (uint8_t)v;
}

/* Dotted quads only, and no leading zeros: some programs read those as octal. */
static bool parse4(const char *text, size_t bytes, span_int *ret)
{
	uint32_t v = 0;
	size_t at = 0;

	for (int part = 0; part < 4; part++) {
		unsigned n = 0;
		size_t from;

		if (part && (at >= bytes || text[at++] != '.'))
			return false;
		for (from = at; at < bytes && at - from < 3 && text[at] >= '0' && text[at] <= '9';
		     at++)
			n = n * 10 + (unsigned)(text[at] - '0');
		if (at == from || n > 255 || (at - from > 1 && text[from] == '0'))
			return false;
		v = v << 8 | n;
	}
	*ret = v;
	return at == bytes;
}

static bool parse6(const char *text, size_t bytes, span_int *ret)
{
	char buf[INET6_ADDRSTRLEN];
	uint8_t b[16];

	if (bytes >= sizeof(buf))
		return false;
	memcpy(buf, text, bytes);
	buf[bytes] = '\0';
	if (strlen(buf) != bytes || inet_pton(AF_INET6, buf, b) != 1)
		return false;
	*ret = from_bytes(b, 16);
	return true;
}

static bool parse_one(const char *text, size_t bytes, uint8_t *ret_family, span_int *ret)
{
	if (parse4(text, bytes, ret)) {
		*ret_family = 4;
		return true;
	}
	if (memchr(text, ':', bytes) && parse6(text, bytes, ret)) {
		*ret_family = 6;
		return true;
	}
	return false;
}

static char *print_decimal(unsigned n, char *to)
{
	if (n >= 100)
		*to++ = (char)('0' + n / 100);
	if (n >= 10)
		*to++ = (char)('0' + n / 10 % 10);
	*to++ = (char)('0' + n % 10);
	return to;
}

/* Sets of a million are printed: not by inet_ntop(3), which prints by printf(3). */
static char *print_one(uint8_t family, span_int v, char *to)
{
	uint8_t b[16];

	if (family == 6) {
		to_bytes(v, b, 16);
		inet_ntop(AF_INET6, b, to, INET6_ADDRSTRLEN);
		return to + strlen(to);
	}
	for (int shift = 24; shift >= 0; shift -= 8) {
		to = print_decimal((unsigned)(v >> shift) & 255, to);
		*to++ = shift ? '.' : '\0';
	}
	return to - 1;
}

/* Messages quote what was written, but not all of a very long word. */
#define SHOWN(text, bytes) (int)((bytes) > 50 ? 50 : (bytes)), (text)

static int bad_address(const char *text, size_t bytes, char *error)
{
	if (memchr(text, '%', bytes))
		snprintf(error, ADDR_ERROR_BYTES,
			 "'%.*s' names a zone: write the address without '%%...'",
			 SHOWN(text, bytes));
	else if (memchr(text, '.', bytes) || memchr(text, ':', bytes))
		snprintf(error, ADDR_ERROR_BYTES, "'%.*s' is not an IPv4 or IPv6 address",
			 SHOWN(text, bytes));
	else
		snprintf(error, ADDR_ERROR_BYTES,
			 "'%.*s' is not an address: write all of it, as 10.0.0.0 or fd00::",
			 SHOWN(text, bytes));
	return -EINVAL;
}

static int parse_prefix(const char *text, size_t bytes, size_t slash, struct addr *ret, char *error)
{
	unsigned length = 0, bits;
	span_int host;
	size_t at;

	if (!parse_one(text, slash, &ret->family, &ret->lo))
		return bad_address(text, slash, error);
	bits = ret->family == 4 ? 32 : 128;
	for (at = slash + 1; at < bytes && at - slash <= 3; at++) {
		if (text[at] < '0' || text[at] > '9')
			break;
		length = length * 10 + (unsigned)(text[at] - '0');
	}
	if (at != bytes || at == slash + 1 || length > bits) {
		snprintf(error, ADDR_ERROR_BYTES,
			 "'%.*s' is not a prefix length: write a number from 0 to %u",
			 SHOWN(text + slash + 1, bytes - slash - 1), bits);
		return -EINVAL;
	}
	host = length == 0 ? (bits == 32 ? ADDR_MAX4 : ADDR_MAX6)
			   : ((span_int)1 << (bits - length)) - 1;
	if (ret->lo & host) {
		char fixed[INET6_ADDRSTRLEN];

		print_one(ret->family, ret->lo & ~host, fixed);
		snprintf(error, ADDR_ERROR_BYTES,
			 "'%.*s' has bits set after its prefix: write %s/%u, or %.*s for the one "
			 "address",
			 SHOWN(text, bytes), fixed, length, (int)slash, text);
		return -EINVAL;
	}
	ret->hi = ret->lo | host;
	return 0;
}

static int parse_range(const char *text, size_t bytes, size_t dash, struct addr *ret,
		       char error[ADDR_ERROR_BYTES])
{
	uint8_t family;

	if (!parse_one(text, dash, &ret->family, &ret->lo))
		return bad_address(text, dash, error);
	if (!parse_one(text + dash + 1, bytes - dash - 1, &family, &ret->hi))
		return bad_address(text + dash + 1, bytes - dash - 1, error);
	if (family != ret->family || ret->lo > ret->hi) {
		snprintf(error, ADDR_ERROR_BYTES, "the range '%.*s' %s", SHOWN(text, bytes),
			 family != ret->family ? "mixes IPv4 and IPv6" : "ends before it starts");
		return -EINVAL;
	}
	return 0;
}

int addr_parse(const char *text, size_t bytes, struct addr *ret, char error[ADDR_ERROR_BYTES])
{
	const char *slash = memchr(text, '/', bytes);
	const char *dash = memchr(text, '-', bytes);
	struct addr a;
	int r = 0;

	if (dash) {
		r = parse_range(text, bytes, (size_t)(dash - text), &a, error);
	} else if (slash) {
		r = parse_prefix(text, bytes, (size_t)(slash - text), &a, error);
	} else {
		if (!parse_one(text, bytes, &a.family, &a.lo))
			return bad_address(text, bytes, error);
		a.hi = a.lo;
	}
	if (r < 0)
		return r;
	if (a.family == 6 && a.lo >= MAPPED_LO && a.hi <= MAPPED_HI) {
		a.family = 4;
		a.lo &= ADDR_MAX4;
		a.hi &= ADDR_MAX4;
	}
	*ret = a;
	return 0;
}

void addr_print(const struct pol_range *r, char text[ADDR_TEXT_BYTES])
{
	unsigned bytes = r->family == 4 ? 4 : 16, bits = bytes * 8, length = bits;
	span_int lo = from_bytes(r->lo, bytes), hi = from_bytes(r->hi, bytes);
	span_int host = lo ^ hi;

	text = print_one(r->family, lo, text);
	if (lo == hi)
		return;
	if ((host & (host + 1)) == 0 && (lo & host) == 0) {
		for (; host; host >>= 1)
			length--;
		*text++ = '/';
		*print_decimal(length, text) = '\0';
	} else {
		*text++ = '-';
		print_one(r->family, hi, text);
	}
}

struct pol_range addr_to_range(uint8_t family, const struct span *s)
{
	struct pol_range r = {.family = family};

	to_bytes(s->lo, r.lo, family == 4 ? 4 : 16);
	to_bytes(s->hi, r.hi, family == 4 ? 4 : 16);
	return r;
}

int addr_normalise6(struct spans *s)
{
	struct span hole = {MAPPED_LO, MAPPED_HI};
	const struct spans holes = {.v = &hole, .n = 1};
	bool touched = false, below = false, above = false;
	int r;

	spans_normalise(s);
	for (size_t i = 0; i < s->n; i++)
		touched |= s->v[i].lo <= MAPPED_HI && s->v[i].hi >= MAPPED_LO;
	if (touched) {
		r = spans_subtract(s, &holes);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < s->n; i++) {
		below |= s->v[i].hi == MAPPED_LO - 1;
		above |= s->v[i].lo == MAPPED_HI + 1;
	}
	if (below && above) {
		r = spans_add(s, MAPPED_LO, MAPPED_HI);
		if (r < 0)
			return r;
		spans_normalise(s);
	}
	return 0;
}
