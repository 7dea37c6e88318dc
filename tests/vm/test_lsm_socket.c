/* SPDX-License-Identifier: GPL-2.0-only */
/* Which sockets a member may create and how it may set them. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void allow(uint32_t slot, uint32_t flags, uint16_t families)
{
	struct ulsp_confine c = {.kinds = 1u << ULSP_REACH_FAMILY | 1u << ULSP_REACH_LOOPBACK,
				 .flags = flags,
				 .generation = 1,
				 .families = families};

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lsm->maps.confine), &slot, &c, BPF_ANY),
			 0);
}

static int each(void **state)
{
	(void)state;
	allow(GROUP_A, 0, 0);
	lsm_confine(GROUP_B, 0, 0, 0);
	lsm_mode(GROUP_A, ULSP_MODE_ENFORCE);
	return 0;
}

static const struct sort {
	const char *name;
	int family, type, protocol;
	int proto; /* what allows it; -1: always allowed */
} sorts[] = {
	{"tcp", AF_INET, SOCK_STREAM, 0, -1},
	{"tcp6", AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP, -1},
	{"udp", AF_INET, SOCK_DGRAM, IPPROTO_UDP, -1},
	{"mptcp", AF_INET, SOCK_STREAM, 262, -1},
	{"netlink route", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, -1},
	{"unix", AF_UNIX, SOCK_STREAM, 0, -1},
	{"netlink usersock", AF_NETLINK, SOCK_DGRAM, NETLINK_USERSOCK, ULSP_PROTO_NETLINK},
	{"netlink sock_diag", AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG, ULSP_PROTO_NETLINK},
	{"packet", AF_PACKET, SOCK_RAW, 0, ULSP_PROTO_PACKET},
	{"SOCK_PACKET", AF_INET, SOCK_PACKET, 0, ULSP_PROTO_PACKET},
	{"raw", AF_INET, SOCK_RAW, IPPROTO_UDP, ULSP_PROTO_RAW},
	{"raw6", AF_INET6, SOCK_RAW, IPPROTO_TCP, ULSP_PROTO_RAW},
	{"raw icmp", AF_INET, SOCK_RAW, IPPROTO_ICMP, ULSP_PROTO_RAW},
	{"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP, ULSP_PROTO_ICMP},
	{"ping6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, ULSP_PROTO_ICMP},
	{"udplite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, ULSP_PROTO_OTHER},
	{"sctp", AF_INET, SOCK_STREAM, IPPROTO_SCTP, ULSP_PROTO_OTHER},
	{"dccp", AF_INET, SOCK_DCCP, IPPROTO_DCCP, ULSP_PROTO_OTHER},
	{"vsock", AF_VSOCK, SOCK_STREAM, 0, ULSP_PROTO_OTHER},
	{"alg", AF_ALG, SOCK_SEQPACKET, 0, ULSP_PROTO_OTHER},
	{"bluetooth", AF_BLUETOOTH, SOCK_RAW, 0, ULSP_PROTO_OTHER},
	{"tipc", AF_TIPC, SOCK_STREAM, 0, ULSP_PROTO_OTHER},
	{"key", AF_KEY, SOCK_RAW, 2, ULSP_PROTO_OTHER},
	{"xdp", AF_XDP, SOCK_RAW, 0, ULSP_PROTO_OTHER},
};

static int create(void *arg)
{
	const struct sort *s = arg;

	return socket(s->family, s->type, s->protocol) < 0 ? errno : 0;
}

static void permit_ping(void)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0 0", 3) != 3)
		print_message("# ping sockets stay refused: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void families(void **state)
{
	size_t absent = 0;

	(void)state;
	permit_ping();
	for (size_t i = 0; i < COUNT(sorts); i++) {
		struct sort s = sorts[i];
		int free = lsm_as(NOBODY, create, &s);
		uint64_t denied = lsm_denied(GROUP_A, ULSP_REACH_FAMILY);

		if (free) {
			print_message("# %s: %s here\n", s.name, strerror(free));
			absent++;
		} else {
			print_message("# %s\n", s.name);
		}
		assert_int_not_equal(free, EPERM);
		allow(GROUP_A, 0, 0);
		if (s.proto < 0) {
			lsm_expect(GROUP_A, create, &s, free);
			assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_FAMILY), denied);
			continue;
		}
		lsm_expect(GROUP_A, create, &s, EPERM);
		assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_FAMILY), denied + 1);
		lsm_expect(GROUP_B, create, &s, free);
		allow(GROUP_A, 0, (uint16_t) ~(1u << s.proto));
		lsm_expect(GROUP_A, create, &s, EPERM);
		allow(GROUP_A, 0, (uint16_t)(1u << s.proto));
		lsm_expect(GROUP_A, create, &s, free);
	}
	assert_true(absent < COUNT(sorts) / 2);
}

static int create_pair(void *arg)
{
	int pair[2];

	(void)arg;
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? errno : 0;
}

static void unix_sockets(void **state)
{
	struct sort s = {.family = AF_UNIX, .type = SOCK_DGRAM};

	(void)state;
	allow(GROUP_A, ULSP_CONFINE_UNIX, 0);
	lsm_expect(GROUP_A, create, &s, EPERM);
	lsm_expect(GROUP_A, create_pair, NULL, EPERM);
	allow(GROUP_A, ULSP_CONFINE_UNIX, 1u << ULSP_PROTO_UNIX);
	lsm_expect(GROUP_A, create, &s, 0);
	lsm_expect(GROUP_A, create_pair, NULL, 0);
}

static void audit(void **state)
{
	struct sort s = {.family = AF_PACKET, .type = SOCK_RAW};
	uint64_t denied = lsm_denied(GROUP_A, ULSP_REACH_FAMILY);

	(void)state;
	lsm_mode(GROUP_A, ULSP_MODE_AUDIT);
	lsm_expect(GROUP_A, create, &s, 0);
	assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_FAMILY), denied + 1);
}

/* ---- options ---- */

static int broadcast(void *arg)
{
	int on = 1, fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	return setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) ? errno : 0;
}

static int device(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) ? errno : 0;
}

static int device_by_index(void *arg)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	return setsockopt(fd, SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */, &one, sizeof(one)) ? errno : 0;
}

static int reuse(void *arg)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ? errno : 0;
}

static void options(void **state)
{
	static int (*const fns[])(void *) = {broadcast, device, device_by_index};

	(void)state;
	for (size_t i = 0; i < COUNT(fns); i++) {
		lsm_expect(NOBODY, fns[i], NULL, 0);
		lsm_expect(GROUP_B, fns[i], NULL, 0);
		lsm_expect(GROUP_A, fns[i], NULL, EPERM);
	}
	lsm_expect(GROUP_A, reuse, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(families, each),
		cmocka_unit_test_setup(unix_sockets, each),
		cmocka_unit_test_setup(audit, each),
		cmocka_unit_test_setup(options, each),
	};

	return cmocka_run_group_tests(tests, lsm_up, lsm_down);
}
