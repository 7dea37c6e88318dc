/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys and lifetimes of cached verdicts, as the kernel's programs will look them up. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "verdict.h"

static struct ulsp_msg message(uint8_t op, uint8_t family)
{
	struct ulsp_msg m = {
		.group = 3,
		.rule = 77,
		.op = op,
		.proto = ULSP_PROTO_UDP,
		.family = family,
		.remote_port = 53,
		.local_port = 9999,
		.tgid = 42,
		.start_ns = 123456789,
	};

	memset(m.remote, 0xaa, family == 4 ? 4 : 16);
	memset(m.local, 0xbb, family == 4 ? 4 : 16);
	return m;
}

static struct ulsp_cache_key expect(const struct ulsp_msg *m, enum ulsp_scope scope,
				    const uint8_t *addr, uint16_t port)
{
	struct ulsp_cache_key k;

	memset(&k, 0, sizeof(k));
	k.group = 3;
	k.rule = 77;
	k.op = m->op;
	k.scope = (uint8_t)scope;
	if (scope == ULSP_SCOPE_PROCESS || scope == ULSP_SCOPE_PROCESS_FLOW) {
		k.tgid = 42;
		k.start_ns = 123456789;
	}
	if (scope == ULSP_SCOPE_PROCESS)
		return k;
	k.proto = ULSP_PROTO_UDP;
	k.family = m->family;
	k.port = port;
	memcpy(k.addr, addr, m->family == 4 ? 4 : 16);
	return k;
}

static void check(uint8_t op, const struct ulsp_msg *m, const uint8_t *addr, uint16_t port)
{
	struct ulsp_cache_key got, want;

	assert_int_equal(m->op, op);
	for (int scope = 0; scope < ULSP_SCOPE_COUNT; scope++) {
		memset(&got, 0xff, sizeof(got)); /* nothing of before may stay */
		assert_int_equal(ulsp_cache_key_of(m, (enum ulsp_scope)scope, &got), 0);
		want = expect(m, (enum ulsp_scope)scope, addr,
			      scope == ULSP_SCOPE_DESTINATION ? 0 : port);
		assert_memory_equal(&got, &want, sizeof(want));
	}
}

static void keys(void **state)
{
	(void)state;
	for (uint8_t family = 4; family <= 6; family += 2) {
		struct ulsp_msg m;

		m = message(ULSP_OP_CONNECT, family);
		check(ULSP_OP_CONNECT, &m, m.remote, 53);
		m = message(ULSP_OP_SENDTO, family);
		check(ULSP_OP_SENDTO, &m, m.remote, 53);
		m = message(ULSP_OP_BIND, family);
		check(ULSP_OP_BIND, &m, m.local, 9999);
		m = message(ULSP_OP_LISTEN, family);
		check(ULSP_OP_LISTEN, &m, m.local, 9999);
		m = message(ULSP_OP_ACCEPT, family);
		check(ULSP_OP_ACCEPT, &m, m.remote, 9999);
		m = message(ULSP_OP_RECVFROM, family);
		check(ULSP_OP_RECVFROM, &m, m.remote, 9999);
	}
}

static void ipv4_leaves_the_rest_zero(void **state)
{
	struct ulsp_msg m = message(ULSP_OP_CONNECT, 4);
	struct ulsp_cache_key k;
	static const uint8_t zero[12];

	(void)state;
	memset(m.remote, 0xaa, 16);
	assert_int_equal(ulsp_cache_key_of(&m, ULSP_SCOPE_FLOW, &k), 0);
	assert_memory_equal(k.addr + 4, zero, sizeof(zero));
}

static void no_process_to_cover(void **state)
{
	struct ulsp_msg m = message(ULSP_OP_CONNECT, 4);
	struct ulsp_cache_key k;

	(void)state;
	m.start_ns = 0;
	assert_int_equal(ulsp_cache_key_of(&m, ULSP_SCOPE_PROCESS, &k), -EINVAL);
	assert_int_equal(ulsp_cache_key_of(&m, ULSP_SCOPE_FLOW, &k), 0);
	m = message(ULSP_OP_CONNECT, 4);
	m.tgid = 0;
	assert_int_equal(ulsp_cache_key_of(&m, ULSP_SCOPE_PROCESS, &k), -EINVAL);
	assert_int_equal(ulsp_cache_key_of(&m, ULSP_SCOPE_COUNT, &k), -EINVAL);
	assert_int_equal(ulsp_cache_key_of(&m, (enum ulsp_scope) - 1, &k), -EINVAL);
}

static void ttl(void **state)
{
	(void)state;
	assert_int_equal(ulsp_cache_ttl_ms(0, 0), ULSP_TTL_DEFAULT_MS);
	assert_int_equal(ulsp_cache_ttl_ms(0, 5000), 5000);
	assert_int_equal(ulsp_cache_ttl_ms(100, 0), 100);
	assert_int_equal(ulsp_cache_ttl_ms(100, 5000), 100);
	assert_int_equal(ulsp_cache_ttl_ms(9000, 5000), 5000);
	assert_int_equal(ulsp_cache_ttl_ms(UINT32_MAX, 0), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(ipv4_leaves_the_rest_zero),
		cmocka_unit_test(no_process_to_cover),
		cmocka_unit_test(ttl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
