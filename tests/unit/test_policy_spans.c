/* SPDX-License-Identifier: GPL-2.0-only */
/* Span sets against a bitmap of a small universe; addresses as text. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"
#include "spans.h"

enum { UNIVERSE = 64, ROUNDS = 3000 };

static uint64_t bitmap(const struct spans *s)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < s->n; i++)
		for (span_int v = s->v[i].lo; v <= s->v[i].hi; v++)
			bits |= 1ull << (unsigned)v;
	return bits;
}

static void assert_normal(const struct spans *s)
{
	for (size_t i = 0; i < s->n; i++) {
		assert_true(s->v[i].lo <= s->v[i].hi);
		if (i)
			assert_true(s->v[i - 1].hi + 1 < s->v[i].lo);
	}
}

static struct spans random_spans(unsigned *seed)
{
	struct spans s = {0};
	int n = rand_r(seed) % 9;

	for (int i = 0; i < n; i++) {
		unsigned a = (unsigned)rand_r(seed) % UNIVERSE,
			 b = (unsigned)rand_r(seed) % UNIVERSE;

		assert_int_equal(spans_add(&s, a < b ? a : b, a < b ? b : a), 0);
	}
	return s;
}

static void algebra(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct spans a = random_spans(&seed), b = random_spans(&seed);
		uint64_t bits_a = bitmap(&a), bits_b = bitmap(&b);

		spans_normalise(&a);
		spans_normalise(&b);
		assert_normal(&a);
		assert_true(bitmap(&a) == bits_a);
		assert_int_equal(spans_subtract(&a, &b), 0);
		assert_normal(&a);
		assert_true(bitmap(&a) == (bits_a & ~bits_b));
		assert_int_equal(spans_complement(&a, UNIVERSE - 1), 0);
		assert_normal(&a);
		assert_true(bitmap(&a) == ~(bits_a & ~bits_b));
		assert_int_equal(spans_append(&a, &b), 0);
		spans_normalise(&a);
		assert_normal(&a);
		assert_true(bitmap(&a) == (~(bits_a & ~bits_b) | bits_b));
		spans_fini(&a);
		spans_fini(&b);
	}
}

/* At both ends of the largest universe nothing wraps. */
static void ends(void **state)
{
	struct spans s = {0};

	(void)state;
	assert_int_equal(spans_add(&s, ADDR_MAX6, ADDR_MAX6), 0);
	assert_int_equal(spans_add(&s, 0, 0), 0);
	assert_int_equal(spans_add(&s, ADDR_MAX6 - 1, ADDR_MAX6), 0);
	spans_normalise(&s);
	assert_int_equal(s.n, 2);
	assert_int_equal(spans_complement(&s, ADDR_MAX6), 0);
	assert_int_equal(s.n, 1);
	assert_true(s.v[0].lo == 1 && s.v[0].hi == ADDR_MAX6 - 2);
	assert_int_equal(spans_add(&s, 0, ADDR_MAX6), 0);
	spans_normalise(&s);
	assert_int_equal(spans_complement(&s, ADDR_MAX6), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(spans_complement(&s, ADDR_MAX6), 0);
	assert_int_equal(s.n, 1);
	assert_true(s.v[0].lo == 0 && s.v[0].hi == ADDR_MAX6);
	spans_fini(&s);
}

static void check_addr(const char *text, const char *printed)
{
	char error[ADDR_ERROR_BYTES] = "", out[ADDR_TEXT_BYTES];
	struct addr a;
	struct pol_range r;
	int got = addr_parse(text, strlen(text), &a, error);

	if (!printed) {
		if (got == 0)
			fail_msg("'%s' is taken for an address", text);
		assert_true(error[0]);
		return;
	}
	if (got < 0)
		fail_msg("'%s': %s", text, error);
	r = addr_to_range(a.family, &(struct span){a.lo, a.hi});
	addr_print(&r, out);
	assert_string_equal(out, printed);
}

static void addresses(void **state)
{
	(void)state;
	check_addr("10.0.0.1", "10.0.0.1");
	check_addr("10.0.0.1/32", "10.0.0.1");
	check_addr("0.0.0.0/0", "0.0.0.0/0");
	check_addr("255.255.255.255", "255.255.255.255");
	check_addr("128.0.0.0/1", "128.0.0.0/1");
	check_addr("10.0.0.0-10.0.0.255", "10.0.0.0/24");
	check_addr("10.0.0.1-10.0.0.255", "10.0.0.1-10.0.0.255");
	check_addr("::", "::");
	check_addr("::/0", "::/0");
	check_addr("2001:DB8::/32", "2001:db8::/32");
	check_addr("fe80::1-fe80::2", "fe80::1-fe80::2");
	check_addr("::ffff:10.0.0.1", "10.0.0.1");
	check_addr("::ffff:10.0.0.0/104", "10.0.0.0/8");
	check_addr("::ffff:0:0/96", "0.0.0.0/0");
	check_addr("::ffff:0.0.0.9-::ffff:0.0.0.10", "0.0.0.9-0.0.0.10");
	check_addr("::ffff:0:0/95", NULL);
	check_addr("::fffe:0:0/95", "::fffe:0:0/95");
	check_addr("10.0.0.0/33", NULL);
	check_addr("10.0.0.1/8", NULL);
	check_addr("10.0.0.0/", NULL);
	check_addr("10.0.0.0/+8", NULL);
	check_addr("10.0.0.0/008", "10.0.0.0/8");
	check_addr("10.0.0.0/0000000000000008", NULL);
	check_addr("10.0.0", NULL);
	check_addr("10.0.0.256", NULL);
	check_addr("10.0.0.01", NULL);
	check_addr("10.0.0.1.", NULL);
	check_addr("1.2.3.4.5", NULL);
	check_addr("::1/129", NULL);
	check_addr("::1/64", NULL);
	check_addr(":::", NULL);
	check_addr("fe80::1%eth0", NULL);
	check_addr("10.0.0.2-10.0.0.1", NULL);
	check_addr("10.0.0.2-::1", NULL);
	check_addr("", NULL);
	check_addr("-", NULL);
	check_addr("/", NULL);
}

/* The block of mapped addresses is nobody's, whatever surrounds it. */
static void mapped_hole(void **state)
{
	const span_int lo = (span_int)0xffff << 32, hi = lo | 0xffffffff;
	struct spans s = {0};

	(void)state;
	assert_int_equal(spans_add(&s, 0, ADDR_MAX6), 0);
	assert_int_equal(addr_normalise6(&s), 0);
	assert_int_equal(s.n, 1);
	s.n = 0;
	assert_int_equal(spans_add(&s, lo - 5, hi), 0);
	assert_int_equal(addr_normalise6(&s), 0);
	assert_int_equal(s.n, 1);
	assert_true(s.v[0].lo == lo - 5 && s.v[0].hi == lo - 1);
	assert_int_equal(spans_add(&s, hi + 1, hi + 7), 0);
	assert_int_equal(addr_normalise6(&s), 0);
	assert_int_equal(s.n, 1);
	assert_true(s.v[0].lo == lo - 5 && s.v[0].hi == hi + 7);
	s.n = 0;
	assert_int_equal(spans_add(&s, lo + 1, hi - 1), 0);
	assert_int_equal(addr_normalise6(&s), 0);
	assert_int_equal(s.n, 0);
	spans_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(algebra),
		cmocka_unit_test(ends),
		cmocka_unit_test(addresses),
		cmocka_unit_test(mapped_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
