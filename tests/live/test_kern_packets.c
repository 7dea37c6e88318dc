/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is judged by packets: listeners and who may connect to them, datagrams
 * that arrive, and what no socket hook sees on its way out.  The members serve;
 * the other end is outside of the group, and reaches them without a policy.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kern_fixture.h"

enum {
	WAIT_MS = 250, /* a SYN or datagram that is dropped is not seen for this long */
	SERVER_MS = 20000,
};

/* ---- a server in the group, reached from here ---- */

struct server {
	struct op op;
	int ready[2]; /* the server's port, when it serves */
	int tried[2]; /* closed when the client has tried */
	uint16_t port;
	const char *from; /* client's address */
	const char *to;	  /* client's destination */
};

/* The server's part, in a member: socket, bind, listen; says its port; waits for one. */
static int serve(void *ctx)
{
	struct server *s = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(s->op.addr, s->op.port, &ss);
	int family = ss.ss_family, fd, zero = 0, one = 1;
	struct pollfd p[2];
	char c;

	fd = socket(family, s->op.type, s->op.protocol);
	if (fd < 0)
		return -errno;
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* over TIME_WAIT */
	if (bind(fd, (void *)&ss, len))
		return -errno;
	if (s->op.type == SOCK_STREAM && listen(fd, 8))
		return -errno;
	len = sizeof(ss);
	getsockname(fd, (void *)&ss, &len);
	if (write(s->ready[1], &((struct sockaddr_in *)&ss)->sin_port, 2) != 2)
		return -errno;
	p[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	p[1] = (struct pollfd){.fd = s->tried[0], .events = POLLIN};
	poll(p, 2, SERVER_MS);
	if (poll(p, 1, WAIT_MS) <= 0) /* what is under way still counts */
		return 0;
	return s->op.type == SOCK_STREAM ? accept(fd, NULL, NULL) >= 0 : recv(fd, &c, 1, 0) >= 0;
}

static int client(void *ctx)
{
	struct server *s = ctx;
	struct sockaddr_storage ss;
	int fd = socket(strchr(s->to, ':') ? AF_INET6 : AF_INET, s->op.type | SOCK_NONBLOCK,
			s->op.protocol);
	struct pollfd p;
	socklen_t len;

	if (s->from) {
		len = kern_addr(s->from, 0, &ss);
		if (bind(fd, (void *)&ss, len))
			return -errno;
	}
	len = kern_addr(s->to, s->port, &ss);
	if (s->op.type == SOCK_DGRAM)
		return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? -errno : 0;
	if (connect(fd, (void *)&ss, len) && errno != EINPROGRESS)
		return -errno;
	p = (struct pollfd){.fd = fd, .events = POLLOUT};
	return poll(&p, 1, WAIT_MS) > 0 ? 0 : -ETIMEDOUT;
}

/* Whether the server saw the client; the server's negative errno if it couldn't serve. */
static int reach_one(struct kern *k, struct server *s)
{
	pid_t pid;
	int status;
	uint16_t port;

	assert_return_code(pipe2(s->ready, O_CLOEXEC), errno);
	assert_return_code(pipe2(s->tried, O_CLOEXEC), errno);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(s->tried[1]);
		int r = k ? kern_try(k, serve, s) : kern_outside(serve, s);

		_exit(r < 0 ? 100 - r : r);
	}
	close(s->ready[1]);
	if (read(s->ready[0], &port, 2) == 2) {
		s->port = ntohs(port);
		kern_outside(client, s);
	}
	close(s->ready[0]);
	close(s->tried[0]);
	close(s->tried[1]);
	waitpid(pid, &status, 0);
	status = WEXITSTATUS(status);
	return status > 100 ? 100 - status : status;
}

static int reach(struct kern *k, int type, const char *addr, uint16_t port, const char *from,
		 const char *to)
{
	struct server s = {.op = OP(type, 0, addr, port), .from = from, .to = to};

	if (reach_one(NULL, &s) != 1)
		fail_msg("%s port %u can't be reached from %s without a policy", to, port,
			 from ? from : "anywhere");
	return reach_one(k, &s);
}

static void accept_from(void **state)
{
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "deny accept tcp to any port 7001 from { 127.0.0.9, ::1 }\n"
		       "deny accept tcp to 127.0.0.5 port 7003\n"
		       "default allow\n}\n");
	assert_int_equal(reach(k, SOCK_STREAM, "0.0.0.0", 7001, "127.0.0.1", "127.0.0.1"), 1);
	assert_int_equal(reach(k, SOCK_STREAM, "0.0.0.0", 7001, "127.0.0.9", "127.0.0.1"), 0);
	assert_int_equal(reach(k, SOCK_STREAM, "0.0.0.0", 7002, "127.0.0.9", "127.0.0.1"), 1);
	/* an IPv4 peer of an IPv6 listener */
	assert_int_equal(reach(k, SOCK_STREAM, "::", 7001, "127.0.0.9", "127.0.0.1"), 0);
	assert_int_equal(reach(k, SOCK_STREAM, "::", 7001, "127.0.0.1", "127.0.0.1"), 1);
	assert_int_equal(reach(k, SOCK_STREAM, "::", 7001, NULL, "::1"), 0);
	assert_int_equal(reach(k, SOCK_STREAM, "::", 7002, NULL, "::1"), 1);
	/* by the local address */
	assert_int_equal(reach(k, SOCK_STREAM, "0.0.0.0", 7003, NULL, "127.0.0.5"), 0);
	assert_int_equal(reach(k, SOCK_STREAM, "0.0.0.0", 7003, NULL, "127.0.0.6"), 1);
	assert_true(kern_rule(k, 2).hits >= 3);
	k->instance->group[k->slot].mode = ULSP_MODE_AUDIT;
	assert_int_equal(reach(k, SOCK_STREAM, "0.0.0.0", 7001, "127.0.0.9", "127.0.0.1"), 1);
	assert_true(kern_rule(k, 2).audited >= 1);
}

/* listen(2) returns 0 on this tier; nobody gets through. */
static void listen_denied(void **state)
{
	struct ulsp_msg m[16];
	struct kern *k = *state;
	size_t n;

	kern_policy(k, "group g {\n"
		       "deny listen tcp port 7005 errno EACCES\n"
		       "deny listen tcp to 0.0.0.0/32 port 7006\n"
		       "default allow\n}\n");
	k->instance->group[k->slot].watch = 1;
	assert_int_equal(reach(k, SOCK_STREAM, "127.0.0.1", 7004, NULL, "127.0.0.1"), 1);
	assert_int_equal(reach(k, SOCK_STREAM, "127.0.0.1", 7005, NULL, "127.0.0.1"), 0);
	assert_int_equal(reach(k, SOCK_STREAM, "::", 7005, NULL, "::1"), 0);
	assert_int_equal(reach(k, SOCK_STREAM, "::1", 7006, NULL, "::1"), 1);
	assert_int_equal(reach(k, SOCK_STREAM, "::", 7006, NULL, "::1"), 0);
	assert_true(kern_reason(k, ULSP_REASON_NOT_LISTENING) >= 3);
	assert_int_equal(kern_rule(k, 2).hits, 2);
	n = kern_messages(k->instance->monitor, m, 16);
	while (n-- && !(m[n].op == ULSP_OP_LISTEN && m[n].line == 2))
		;
	assert_true(n < 16);
	assert_int_equal(m[n].error, -EACCES);
	assert_int_equal(m[n].local_port, 7005);
	assert_true(m[n].tgid != 0);
	assert_false(m[n].flags & ULSP_MSG_NO_TASK);
}

/* bind rules and the default judge listen where no listen rule does. */
static void listen_by_bind(void **state)
{
	struct kern *k = *state;

	kern_policy(k, "group g {\nallow bind tcp port 7007\nallow listen tcp port 7009\n"
		       "allow accept tcp\ndefault deny\n}\n");
	assert_int_equal(reach(k, SOCK_STREAM, "127.0.0.1", 7007, NULL, "127.0.0.1"), 1);
	/* the port that the kernel chose: bind is let be, listen isn't */
	assert_int_equal(reach(k, SOCK_STREAM, "127.0.0.1", 0, NULL, "127.0.0.1"), 0);
}

/* A listener of before is judged by the policy of now. */
static void listen_of_before(void **state)
{
	struct kern *k = *state;
	struct server s = {.op = OP(SOCK_STREAM, 0, "127.0.0.1", 7010), .to = "127.0.0.1"};
	uint16_t port;
	int status;
	pid_t pid;

	kern_policy(k, "group g {\nallow listen tcp\ndefault allow\n}\n");
	assert_return_code(pipe2(s.ready, O_CLOEXEC), errno);
	assert_return_code(pipe2(s.tried, O_CLOEXEC), errno);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(s.tried[1]);
		_exit(kern_try(k, serve, &s) == 1);
	}
	assert_int_equal(read(s.ready[0], &port, 2), 2);
	s.port = ntohs(port);
	kern_policy(k, "group g {\ndeny listen tcp port 7010\ndefault allow\n}\n");
	assert_int_equal(kern_outside(client, &s), -ETIMEDOUT);
	close(s.tried[0]);
	close(s.tried[1]);
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(kern_rule(k, 2).hits, 1);
	close(s.ready[0]);
	close(s.ready[1]);
}

static void recvfrom_datagrams(void **state)
{
	struct ulsp_msg m[16];
	struct kern *k = *state;
	size_t n;

	kern_policy(k, "group g {\n"
		       "deny recvfrom udp to any port 7011 from { 127.0.0.9, ::1 }\n"
		       "default allow\n}\n");
	k->instance->group[k->slot].watch = 1;
	assert_int_equal(reach(k, SOCK_DGRAM, "0.0.0.0", 7011, "127.0.0.1", "127.0.0.1"), 1);
	assert_int_equal(reach(k, SOCK_DGRAM, "0.0.0.0", 7011, "127.0.0.9", "127.0.0.1"), 0);
	assert_int_equal(reach(k, SOCK_DGRAM, "0.0.0.0", 7012, "127.0.0.9", "127.0.0.1"), 1);
	assert_int_equal(reach(k, SOCK_DGRAM, "::", 7011, "127.0.0.9", "127.0.0.1"), 0);
	assert_int_equal(reach(k, SOCK_DGRAM, "::", 7011, NULL, "::1"), 0);
	assert_int_equal(reach(k, SOCK_DGRAM, "::", 7012, NULL, "::1"), 1);
	assert_int_equal(kern_rule(k, 2).hits, 3);
	/* the process is the one that made the socket */
	n = kern_messages(k->instance->monitor, m, 16);
	while (n-- && !(m[n].op == ULSP_OP_RECVFROM && m[n].verdict == ULSP_VERDICT_DENY))
		;
	assert_true(n < 16);
	assert_true(m[n].flags & ULSP_MSG_NO_TASK);
	assert_true(m[n].tgid != 0);
	assert_int_equal(m[n].local_port, 7011);
	assert_int_equal(m[n].bytes, 9); /* header and 1 byte */
}

/* ---- out ---- */

static void raw_and_ping(void **state)
{
	struct op ping4 = OP(SOCK_DGRAM, IPPROTO_ICMP, "127.0.0.2", 0);
	struct op ping6 = OP(SOCK_DGRAM, IPPROTO_ICMPV6, "::1", 0);
	struct op raw_icmp = OP(SOCK_RAW, IPPROTO_ICMP, "127.0.0.2", 0);
	struct op raw_other = OP(SOCK_RAW, 253, "127.0.0.2", 0);
	struct op raw_6 = OP(SOCK_RAW, 253, "::1", 0);
	struct op ping_ok = OP(SOCK_DGRAM, IPPROTO_ICMP, "127.0.0.3", 0);
	struct op udp = OP(SOCK_DGRAM, 0, "127.0.0.2", 9);
	struct op *denied[] = {&ping4, &ping6, &raw_icmp, &raw_other, &raw_6};
	struct ulsp_msg m[32];
	struct kern *k = *state;
	size_t n;

	kern_policy(k, "group g {\n"
		       "deny sendto icmp to { 127.0.0.2, ::1 } errno EACCES\n"
		       "deny sendto raw to { 127.0.0.2, ::1 }\n"
		       "default allow\n}\n");
	for (n = 0; n < sizeof(denied) / sizeof(denied[0]); n++) {
		if (kern_outside(op_sendto, denied[n]))
			fail_msg("case %zu fails outside: %d", n,
				 kern_outside(op_sendto, denied[n]));
		/* a dropped packet has no other errno, and of IPv6 pings the kernel hides it */
		assert_int_equal(kern_try(k, op_sendto, denied[n]),
				 denied[n] == &ping6 ? 0 : -EPERM);
	}
	assert_int_equal(kern_try(k, op_sendto, &ping_ok), 0);
	assert_int_equal(kern_try(k, op_sendto, &udp), 0);
	assert_int_equal(kern_rule(k, 2).hits, 3);
	assert_int_equal(kern_rule(k, 3).hits, 2);
	assert_int_equal(kern_reason(k, ULSP_REASON_BACKSTOP), 6);
	k->instance->group[k->slot].watch = 1;
	kern_try(k, op_sendto, &ping4);
	n = kern_messages(k->instance->monitor, m, 32);
	assert_int_equal(n, 1);
	assert_int_equal(m[0].op, ULSP_OP_SENDTO);
	assert_int_equal(m[0].proto, ULSP_PROTO_ICMP);
	assert_int_equal(m[0].reason, ULSP_REASON_BACKSTOP);
	assert_int_equal(m[0].error, -EPERM);
	assert_int_equal(m[0].line, 2);
	assert_true(m[0].tgid != 0); /* who made the socket */
	assert_string_equal(m[0].comm, "test_kern_packe");
}

/* A TCP or UDP packet by a raw socket is judged by its port. */
static int raw_udp(void *ctx)
{
	struct op *op = ctx;
	struct {
		struct iphdr ip;
		uint16_t udp[4];
	} packet = {.ip = {.version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_UDP}};
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, 0, &ss);

	packet.ip.daddr = inet_addr(op->addr);
	packet.udp[0] = htons(1000);
	packet.udp[1] = htons(op->port);
	packet.udp[2] = htons(8);
	if (op->v6only) /* here: a later fragment */
		packet.ip.frag_off = htons(100);
	return sendto(fd, &packet, sizeof(packet), 0, (void *)&ss, len) < 0 ? -errno : 0;
}

static void raw_ports(void **state)
{
	struct op denied = OP(SOCK_RAW, 0, "127.0.0.1", 53),
		  allowed = OP(SOCK_RAW, 0, "127.0.0.1", 54);
	struct op fragment = OP(SOCK_RAW, 0, "127.0.0.1", 54, .v6only = true);
	struct kern *k = *state;

	kern_policy(k, "group g {\n"
		       "deny sendto any to any port { 53, 0 }\n"
		       "default allow\n}\n");
	assert_int_equal(kern_outside(raw_udp, &denied), 0);
	assert_int_equal(kern_try(k, raw_udp, &denied), -EPERM);
	assert_int_equal(kern_try(k, raw_udp, &allowed), 0);
	assert_int_equal(kern_outside(raw_udp, &fragment), 0);
	assert_int_equal(kern_try(k, raw_udp, &fragment), -EPERM); /* as port 0 */
	assert_int_equal(kern_reason(k, ULSP_REASON_FRAGMENT), 1);
}

/* The connect was allowed for the last address; the packet goes to the first hop. */
static int source_routed(void *ctx)
{
	const unsigned char *options = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr("127.0.0.1", 9, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, 8))
		return -errno;
	return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? -errno : 0;
}

static void source_route(void **state)
{
	unsigned char lsrr[8] = {131, 7, 4, 127, 0, 0, 2, 0},
		      ssrr[8] = {137, 7, 4, 127, 0, 0, 2, 0};
	unsigned char after_nop[8] = {1, 131, 7, 4, 127, 0, 0, 2};
	unsigned char timestamp[8] = {68, 8, 5, 0, 0, 0, 0, 0};
	struct kern *k = *state;

	kern_policy(k, "group g {\ndeny sendto udp to 127.0.0.2\ndefault allow\n}\n");
	if (kern_outside(source_routed, lsrr)) {
		print_message("this kernel sends no source routes on loopback: %d\n",
			      kern_outside(source_routed, lsrr));
		skip();
	}
	assert_int_equal(kern_try(k, source_routed, lsrr), -EPERM);
	assert_int_equal(kern_try(k, source_routed, ssrr), -EPERM);
	assert_int_equal(kern_try(k, source_routed, after_nop), -EPERM);
	assert_int_equal(kern_reason(k, ULSP_REASON_SOURCE_ROUTE), 3);
	/* other options are nobody's business */
	assert_int_equal(kern_outside(source_routed, timestamp), 0);
	assert_int_equal(kern_try(k, source_routed, timestamp), 0);
}

/*
 * IPv6: a routing header behind other headers.  There is no route to the address
 * that is given, and none is needed: the packet goes to the segment.
 */
static int routed_v6(void *ctx)
{
	/* segment routing: next, len 2, type 4, left 0, last 0, flags, tag; one segment: ::1 */
	static const unsigned char srh[24] = {0, 2, 4, 0, 0, 0, 0, 0, [23] = 1};
	static const unsigned char destination[8] = {0, 0, 1, 4};
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(*(int *)ctx ? "2001:db8::5" : "::1", 9, &ss);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, destination, sizeof(destination)))
		return -errno;
	if (*(int *)ctx && setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, srh, sizeof(srh)))
		return -errno;
	return sendto(fd, "x", 1, 0, (void *)&ss, len) < 0 ? -errno : 0;
}

static void source_route_v6(void **state)
{
	struct kern *k = *state;
	struct op direct = OP(SOCK_DGRAM, 0, "2001:db8::5", 9);
	int no = 0, yes = 1;

	kern_policy(k, "group g {\ndeny sendto udp to ::1 port 10\ndefault allow\n}\n");
	assert_int_equal(kern_outside(routed_v6, &no), 0);
	assert_int_equal(kern_try(k, routed_v6, &no), 0);
	if (kern_outside(routed_v6, &yes)) {
		print_message("this kernel sends no IPv6 routing header: %d\n",
			      kern_outside(routed_v6, &yes));
		skip();
	}
	assert_int_equal(kern_outside(op_sendto, &direct), -ENETUNREACH);
	/* with no segment left, too */
	assert_int_equal(kern_try(k, routed_v6, &yes), -EPERM);
	assert_int_equal(kern_reason(k, ULSP_REASON_SOURCE_ROUTE), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(accept_from, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(listen_denied, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(listen_by_bind, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(listen_of_before, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(recvfrom_datagrams, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(raw_and_ping, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(raw_ports, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(source_route, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(source_route_v6, kern_setup, kern_teardown),
	};

	return cmocka_run_group_tests(tests, kern_netns, NULL);
}
