/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every operation that a system call can be refused: allowed and denied, with
 * the exact errno, on IPv4, IPv6 and mapped addresses.  Nothing that is denied
 * here fails without a policy, and what is allowed succeeds beside it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kern_fixture.h"

static const char policy[] = "group g {\n"
			     "deny connect tcp to { 127.0.0.1, ::1 } port 81 errno ECONNREFUSED\n"
			     "deny connect tcp to { 127.0.0.2, ::1 } port 82 errno EHOSTUNREACH\n"
			     "deny connect udp to { 127.0.0.1, ::1 } port 83 errno EACCES\n"
			     "deny sendto udp to { 127.0.0.1, ::1 } port 84 errno ENETUNREACH\n"
			     "deny bind tcp port 8085 errno EADDRINUSE\n"
			     "deny bind udp to { 127.0.0.1, ::1 } port 8086 errno EACCES\n"
			     "deny bind tcp to 0.0.0.0/32 port 8087 errno EADDRNOTAVAIL\n"
			     "default allow\n"
			     "}\n";

struct expect {
	int (*try)(void *ctx);
	struct op op;
	int result;
};

static void expect_all(struct kern *k, const struct expect *e, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct op op = e[i].op;
		int outside = kern_outside(e[i].try, &op);
		int inside = kern_try(k, e[i].try, &op);

		if (outside)
			fail_msg("case %zu (%s port %u) fails outside of the group: %d", i, op.addr,
				 op.port, outside);
		if (inside != e[i].result)
			fail_msg("case %zu (%s port %u): %d, not %d", i, op.addr, op.port, inside,
				 e[i].result);
	}
}
#define EXPECT(k, cases) expect_all(k, cases, sizeof(cases) / sizeof((cases)[0]))

static void connect_tcp(void **state)
{
	static const struct expect cases[] = {
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.1", 80), 0},
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.1", 81), 0 /* ECONNREFUSED is 0 here */},
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.2", 82), -EHOSTUNREACH},
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.3", 82), 0},
		{op_connect, OP(SOCK_STREAM, 0, "::1", 82), -EHOSTUNREACH},
		{op_connect, OP(SOCK_STREAM, 0, "::1", 80), 0},
		{op_connect, OP(SOCK_STREAM, 0, "::ffff:127.0.0.2", 82), -EHOSTUNREACH},
		{op_connect, OP(SOCK_STREAM, 0, "::ffff:127.0.0.3", 82), 0},
	};
	struct kern *k = *state;

	kern_policy(k, policy);
	EXPECT(k, cases);
	/* that the refused connect was refused by us */
	assert_int_equal(kern_rule(k, 2).hits, 1);
	assert_int_equal(kern_rule(k, 3).hits, 3);
	assert_int_equal(kern_counts(k).ops[ULSP_OP_CONNECT][1], 4);
}

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
static void connect_mptcp(void **state)
{
	struct op denied = OP(SOCK_STREAM, IPPROTO_MPTCP, "127.0.0.2", 82);
	struct op allowed = OP(SOCK_STREAM, IPPROTO_MPTCP, "127.0.0.3", 82);
	struct kern *k = *state;

	if (kern_outside(op_connect, &denied)) {
		print_message("no MPTCP in this kernel\n");
		skip();
	}
	kern_policy(k, policy);
	assert_int_equal(kern_try(k, op_connect, &denied), -EHOSTUNREACH);
	assert_int_equal(kern_try(k, op_connect, &allowed), 0);
}

/* Connects by sending. */
static int fast_open(void *ctx)
{
	struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);

	return sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&ss, len) < 0 && errno != ECONNREFUSED
		       ? -errno
		       : 0;
}

static void connect_fast_open(void **state)
{
	static const struct expect cases[] = {
		{fast_open, OP(SOCK_STREAM, 0, "127.0.0.2", 82), -EHOSTUNREACH},
		{fast_open, OP(SOCK_STREAM, 0, "127.0.0.3", 82), 0},
		{fast_open, OP(SOCK_STREAM, 0, "::1", 82), -EHOSTUNREACH},
	};
	struct kern *k = *state;

	kern_policy(k, policy);
	EXPECT(k, cases);
}

static void udp(void **state)
{
	static const struct expect cases[] = {
		{op_connect_send, OP(SOCK_DGRAM, 0, "127.0.0.1", 83), -EACCES},
		{op_connect_send, OP(SOCK_DGRAM, 0, "127.0.0.1", 84), 0},
		{op_connect_send, OP(SOCK_DGRAM, 0, "::1", 83), -EACCES},
		{op_connect_send, OP(SOCK_DGRAM, 0, "::1", 84), 0},
		{op_connect_send, OP(SOCK_DGRAM, 0, "::ffff:127.0.0.1", 83), -EACCES},
		/* each send runs sendmsg4; connect was judged */
		{op_connect_send, OP(SOCK_DGRAM, 0, "::ffff:127.0.0.1", 84), 0},
		{op_connect_send, OP(SOCK_DGRAM, 0, "127.0.0.1", 83, .family = AF_INET6), -EACCES},
		{op_sendto, OP(SOCK_DGRAM, 0, "127.0.0.1", 84), -ENETUNREACH},
		{op_sendto, OP(SOCK_DGRAM, 0, "127.0.0.1", 83), 0},
		{op_sendto, OP(SOCK_DGRAM, 0, "::1", 84), -ENETUNREACH},
		{op_sendto, OP(SOCK_DGRAM, 0, "::1", 83), 0},
		{op_sendto, OP(SOCK_DGRAM, 0, "::ffff:127.0.0.1", 84), -ENETUNREACH},
		{op_sendto, OP(SOCK_DGRAM, 0, "::ffff:127.0.0.1", 83), 0},
		{op_sendto, OP(SOCK_DGRAM, 0, "127.0.0.1", 84, .family = AF_INET6), -ENETUNREACH},
	};
	struct op lite = OP(SOCK_DGRAM, IPPROTO_UDPLITE, "127.0.0.1", 84);
	struct kern *k = *state;

	kern_policy(k, policy);
	EXPECT(k, cases);
	if (kern_outside(op_sendto, &lite) != -EPROTONOSUPPORT) /* newer kernels have none */
		assert_int_equal(kern_try(k, op_sendto, &lite), -ENETUNREACH);
}

/* Takes the socket call's own address family away. */
static int sendto_unspec(void *ctx)
{
	struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	ss.ss_family = AF_UNSPEC;
	return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? -errno : 0;
}

/* A connected socket, no address, but control messages. */
static int send_with_cmsg(void *ctx)
{
	struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM, 0), ttl = 5;
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = ss.ss_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	c->cmsg_type = ss.ss_family == AF_INET6 ? IPV6_HOPLIMIT : IP_TTL;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
	if (connect(fd, (void *)&ss, len))
		return -errno;
	return sendmsg(fd, &msg, 0) < 0 && errno != ECONNREFUSED ? -errno : 0;
}

static void udp_corners(void **state)
{
	static const struct expect cases[] = {
		{sendto_unspec, OP(SOCK_DGRAM, 0, "127.0.0.1", 84), -ENETUNREACH},
		{sendto_unspec, OP(SOCK_DGRAM, 0, "127.0.0.1", 83), 0},
		{send_with_cmsg, OP(SOCK_DGRAM, 0, "127.0.0.1", 84), 0},
		{send_with_cmsg, OP(SOCK_DGRAM, 0, "::1", 84), 0},
		{send_with_cmsg, OP(SOCK_DGRAM, 0, "127.0.0.1", 83), -EACCES},
	};
	struct kern *k = *state;

	kern_policy(k, policy);
	EXPECT(k, cases);
}

/* Connected to an IPv6 address, then sends to an IPv4 one that says "any". */
static int connect_v6_send_any(void *ctx)
{
	struct op *op = ctx;
	struct sockaddr_storage peer, any;
	socklen_t peer_len = kern_addr("::1", op->port, &peer);
	socklen_t any_len = kern_addr(op->addr, op->port, &any);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (connect(fd, (void *)&peer, peer_len))
		return -errno;
	return sendto(fd, "x", 1, 0, (void *)&any, any_len) < 0 && errno != ECONNREFUSED ? -errno
											 : 0;
}

/* The kernel takes an unspecified destination for this host, after the hooks. */
static void unspecified(void **state)
{
	static const struct expect cases[] = {
		{op_connect, OP(SOCK_STREAM, 0, "::", 82), -EHOSTUNREACH},
		{op_connect, OP(SOCK_STREAM, 0, "0.0.0.0", 82), 0},
		{op_connect_send, OP(SOCK_DGRAM, 0, "0.0.0.0", 83), -EACCES},
		{op_connect_send, OP(SOCK_DGRAM, 0, "0.0.0.0", 85), 0},
		{op_connect_send, OP(SOCK_DGRAM, 0, "::", 83), -EACCES},
		{op_connect_send, OP(SOCK_DGRAM, 0, "::ffff:0.0.0.0", 83), -EACCES},
		{op_sendto, OP(SOCK_DGRAM, 0, "0.0.0.0", 84), -ENETUNREACH},
		{op_sendto, OP(SOCK_DGRAM, 0, "0.0.0.0", 83), 0},
		{op_sendto, OP(SOCK_DGRAM, 0, "::", 84), -ENETUNREACH},
		{op_sendto, OP(SOCK_DGRAM, 0, "::ffff:0.0.0.0", 84), -ENETUNREACH},
		{op_sendto, OP(SOCK_DGRAM, 0, "0.0.0.0", 84, .family = AF_INET6), -ENETUNREACH},
		{connect_v6_send_any, OP(SOCK_DGRAM, 0, "0.0.0.0", 84), -ENETUNREACH},
		{connect_v6_send_any, OP(SOCK_DGRAM, 0, "::ffff:0.0.0.0", 84), -ENETUNREACH},
	};
	struct kern *k = *state;

	kern_policy(k, policy);
	EXPECT(k, cases);
}

static void bind_addresses(void **state)
{
	static const struct expect cases[] = {
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.1", 8085), -EADDRINUSE},
		{op_bind, OP(SOCK_STREAM, 0, "0.0.0.0", 8085), -EADDRINUSE},
		{op_bind, OP(SOCK_STREAM, 0, "::", 8085), -EADDRINUSE},
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.1", 8084), 0},
		{op_bind, OP(SOCK_DGRAM, 0, "127.0.0.1", 8086), -EACCES},
		{op_bind, OP(SOCK_DGRAM, 0, "127.0.0.2", 8086), 0},
		{op_bind, OP(SOCK_DGRAM, 0, "::1", 8086), -EACCES},
		{op_bind, OP(SOCK_DGRAM, 0, "::ffff:127.0.0.1", 8086), -EACCES},
		{op_bind, OP(SOCK_DGRAM, 0, "::ffff:127.0.0.2", 8086), 0},
		/* :: takes 0.0.0.0 too, unless it says that it doesn't */
		{op_bind, OP(SOCK_STREAM, 0, "0.0.0.0", 8087), -EADDRNOTAVAIL},
		{op_bind, OP(SOCK_STREAM, 0, "::", 8087), -EADDRNOTAVAIL},
		{op_bind, OP(SOCK_STREAM, 0, "::", 8087, .v6only = true), 0},
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.1", 8087), 0},
	};
	struct kern *k = *state;

	kern_policy(k, policy);
	EXPECT(k, cases);
}

/* The kernel picks a port: only rules refuse it, the default doesn't. */
static void bind_port_0(void **state)
{
	static const struct expect defaults[] = {
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.1", 0), 0},
		{op_bind, OP(SOCK_DGRAM, 0, "::1", 0), 0},
		{op_bind, OP(SOCK_STREAM, 0, "::", 0), 0},
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.1", 8085), -EPERM},
	};
	static const struct expect rules[] = {
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.1", 0), -EACCES},
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.2", 0), 0},
		{op_bind, OP(SOCK_STREAM, 0, "::1", 0), -EACCES},
		{op_bind, OP(SOCK_STREAM, 0, "::ffff:127.0.0.1", 0), -EACCES},
		/* IPv6 may be what it is, but it takes 0.0.0.0 as well */
		{op_bind, OP(SOCK_STREAM, 0, "::", 0), -EADDRNOTAVAIL},
		{op_bind, OP(SOCK_STREAM, 0, "::", 0, .v6only = true), 0},
		{op_bind, OP(SOCK_DGRAM, 0, "127.0.0.1", 0), 0},
	};
	struct kern *k = *state;

	kern_policy(k, "group g {\ndefault deny\n}\n");
	EXPECT(k, defaults);
	assert_int_equal(kern_reason(k, ULSP_REASON_EPHEMERAL), 3);
	kern_policy(k, "group g {\n"
		       "deny bind tcp to { 127.0.0.1, ::1 } port 1024-65535 errno EACCES\n"
		       "deny bind tcp to 0.0.0.0/32 port 1024-65535 errno EADDRNOTAVAIL\n"
		       "default allow\n}\n");
	EXPECT(k, rules);
}

/* The port is chosen at connect. */
static int bind_no_port(void *ctx)
{
	struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, 0, &ss);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) ||
	    bind(fd, (void *)&ss, len))
		return -errno;
	len = kern_addr("127.0.0.1", op->port, &ss);
	return connect(fd, (void *)&ss, len) && errno != ECONNREFUSED ? -errno : 0;
}

/* What the manual says that no hook sees: a kernel that has one fails here. */
static void bind_unseen(void **state)
{
	static const struct expect cases[] = {
		{op_bind, OP(SOCK_STREAM, 0, "127.0.0.1", 0), -EACCES},
		{op_bind, OP(SOCK_RAW, IPPROTO_ICMP, "127.0.0.1", 0), 0},
		{op_bind, OP(SOCK_DGRAM, IPPROTO_ICMP, "127.0.0.1", 0), 0},
		{bind_no_port, OP(SOCK_STREAM, 0, "127.0.0.8", 80), 0},
		/* connect sees the address */
		{bind_no_port, OP(SOCK_STREAM, 0, "127.0.0.9", 80), -EHOSTUNREACH},
	};
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "deny bind any errno EACCES\n"
		       "deny connect tcp from 127.0.0.9 errno EHOSTUNREACH\n"
		       "default allow\n}\n");
	EXPECT(k, cases);
}

static void socket_creation(void **state)
{
	static const struct expect cases[] = {
		{op_socket, OP(SOCK_STREAM, 0, "127.0.0.1", 0), 0},
		{op_socket, OP(SOCK_STREAM, 0, "::1", 0), -EAFNOSUPPORT},
		{op_socket, OP(SOCK_DGRAM, 0, "::1", 0), 0},
		{op_socket, OP(SOCK_RAW, IPPROTO_ICMP, "127.0.0.1", 0), -EPROTONOSUPPORT},
		{op_socket, OP(SOCK_DGRAM, IPPROTO_ICMP, "127.0.0.1", 0), -EPROTONOSUPPORT},
		{op_socket, OP(SOCK_RAW, IPPROTO_RAW, "127.0.0.1", 0), -EACCES},
		{op_socket, OP(SOCK_RAW, IPPROTO_UDP, "::1", 0), -EACCES},
	};
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "deny socket tcp to ::/0 errno EAFNOSUPPORT\n"
		       "deny socket icmp errno EPROTONOSUPPORT\n"
		       "deny socket raw errno EACCES\n"
		       "default allow\n}\n");
	EXPECT(k, cases);
}

static void by_uid(void **state)
{
	static const struct expect cases[] = {
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.1", 80), 0},
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.1", 80, .uid = 1234), -EACCES},
		{op_connect, OP(SOCK_STREAM, 0, "::1", 80, .uid = 1300), -EACCES},
		{op_connect, OP(SOCK_STREAM, 0, "::1", 80, .uid = 1301), 0},
	};
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "deny connect tcp uid { 1234, 1250-1300 } errno EACCES\n"
		       "default allow\n}\n");
	EXPECT(k, cases);
}

static void by_executable(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.1", 80);
	struct kern *k = *state;
	char self[256] = "", text[512];

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(text, sizeof(text),
		 "group g {\ndeny connect tcp exec \"%s\" errno EACCES\ndefault allow\n}\n", self);
	kern_policy(k, text);
	assert_int_equal(kern_try(k, op_connect, &op), -EACCES);
	kern_policy(k, "group g {\ndeny connect tcp exec \"/bin/sh\" errno EACCES\n"
		       "default allow\n}\n");
	assert_int_equal(kern_try(k, op_connect, &op), 0);
}

static void by_source(void **state)
{
	static const struct expect cases[] = {
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.1", 80), 0},
		{op_connect, OP(SOCK_STREAM, 0, "127.0.0.1", 80, .bind = "127.0.0.9"), -EACCES},
		{op_sendto, OP(SOCK_DGRAM, 0, "127.0.0.1", 80, .bind = "127.0.0.9"), -EACCES},
		{op_sendto, OP(SOCK_DGRAM, 0, "127.0.0.1", 80, .bind = "127.0.0.8"), 0},
	};
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "deny connect, sendto any from 127.0.0.9 errno EACCES\n"
		       "default allow\n}\n");
	EXPECT(k, cases);
}

/* Recorded and counted as denied, and let through. */
static void audit(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.2", 82);
	struct kern *k = *state;

	kern_policy(k, policy);
	assert_int_equal(kern_try(k, op_connect, &op), -EHOSTUNREACH);
	k->instance->group[k->slot].mode = ULSP_MODE_AUDIT;
	assert_int_equal(kern_try(k, op_connect, &op), 0);
	assert_int_equal(kern_rule(k, 3).hits, 2);
	assert_int_equal(kern_rule(k, 3).audited, 1);
	assert_int_equal(kern_counts(k).ops[ULSP_OP_CONNECT][1], 2);
	k->instance->group[k->slot].mode = ULSP_MODE_ENFORCE;
	assert_int_equal(kern_try(k, op_connect, &op), -EHOSTUNREACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(connect_tcp, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(connect_mptcp, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(connect_fast_open, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(udp, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(udp_corners, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(unspecified, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(bind_addresses, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(bind_port_0, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(bind_unseen, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(socket_creation, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(by_uid, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(by_executable, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(by_source, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(audit, kern_setup, kern_teardown),
	};

	return cmocka_run_group_tests(tests, kern_netns, NULL);
}
