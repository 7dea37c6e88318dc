/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP and UDP between sockets of one host, by the programs of the cgroup root. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
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

#define ISOLATED (1u << ULSP_REACH_LOOPBACK)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { MPTCP = 262 };

/* Ports of a server, from its first. */
enum { V4, V6, MULTIPATH, CONNECTED, PORTS };
enum { MEMBER = 5000, OTHER = 5010, SENDER = 6000, CLOSED = 7000 };

static struct bpf_link *links[4];

static int up(void **state)
{
	struct bpf_program *programs[4];
	int root;

	if (lsm_up(state))
		return -1;
	root = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -1;
	programs[0] = lsm->progs.loopback_connect4;
	programs[1] = lsm->progs.loopback_connect6;
	programs[2] = lsm->progs.loopback_sendmsg4;
	programs[3] = lsm->progs.loopback_sendmsg6;
	for (size_t i = 0; i < COUNT(links); i++) {
		links[i] = bpf_program__attach_cgroup(programs[i], root);
		if (!links[i])
			return -1;
	}
	close(root);
	return 0;
}

static int down(void **state)
{
	for (size_t i = 0; i < COUNT(links); i++)
		bpf_link__destroy(links[i]);
	return lsm_down(state);
}

static int each(void **state)
{
	(void)state;
	lsm_confine(GROUP_A, ISOLATED, 0, 0);
	lsm_confine(GROUP_B, ISOLATED, 0, 0);
	lsm_mode(GROUP_A, ULSP_MODE_ENFORCE);
	lsm_mode(GROUP_B, ULSP_MODE_ENFORCE);
	return 0;
}

/* ---- addresses ---- */

static socklen_t address(struct sockaddr_storage *to, const char *ip, int port)
{
	struct sockaddr_in *in = (void *)to;
	struct sockaddr_in6 *in6 = (void *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	return inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1 ? sizeof(*in6) : 0;
}

static int bound(const char *ip, int type, int protocol, int port)
{
	struct sockaddr_storage at;
	socklen_t size = address(&at, ip, port);
	int on = 1, fd = socket(at.ss_family, type, protocol);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (void *)&at, size) || (type == SOCK_STREAM && listen(fd, 16))) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* ---- servers ---- */

struct server {
	int port, ready;
};

static int serve(void *arg)
{
	const struct server *s = arg;
	struct sockaddr_storage to;
	struct pollfd fds[6];
	char c;

	fds[0].fd = bound("127.0.0.1", SOCK_STREAM, 0, s->port + V4);
	fds[1].fd = bound("::", SOCK_STREAM, 0, s->port + V6);
	fds[2].fd = bound("0.0.0.0", SOCK_DGRAM, 0, s->port + V4);
	fds[3].fd = bound("::1", SOCK_DGRAM, 0, s->port + V6);
	fds[4].fd = bound("127.0.0.1", SOCK_DGRAM, 0, s->port + CONNECTED);
	for (int i = 0; i < 5; i++)
		if (fds[i].fd < 0)
			return 250;
	if (connect(fds[4].fd, (void *)&to, address(&to, "127.0.0.1", SENDER)))
		return 251;
	fds[5].fd = bound("127.0.0.1", SOCK_STREAM, MPTCP, s->port + MULTIPATH);
	for (int i = 0; i < 6; i++)
		fds[i].events = POLLIN;
	if (write(s->ready, "r", 1) != 1)
		return 252;
	while (poll(fds, COUNT(fds), -1) > 0) {
		for (int i = 0; i < 6; i++) {
			if (!fds[i].revents)
				continue;
			if (i >= 2 && i <= 4)
				(void)!read(fds[i].fd, &c, 1);
			else
				close(accept(fds[i].fd, NULL, NULL));
		}
	}
	return 0;
}

static pid_t server(int slot, int port)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = lsm_start(slot, serve, &(struct server){port, ready[1]});
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

/* ---- attempts ---- */

enum how { CONNECT, SENDTO, FASTOPEN };

static struct attempt {
	const char *name;
	const char *ip;
	int plus; /* to the server's first port */
	int type, protocol;
	enum how how;
	int from; /* bound to this port */
} attempts[] = {
	{"tcp", "127.0.0.1", V4, SOCK_STREAM, 0, CONNECT, 0},
	{"tcp to 0.0.0.0", "0.0.0.0", V4, SOCK_STREAM, 0, CONNECT, 0},
	{"tcp mapped", "::ffff:127.0.0.1", V4, SOCK_STREAM, 0, CONNECT, 0},
	{"tcp to dual stack", "127.0.0.1", V6, SOCK_STREAM, 0, CONNECT, 0},
	{"tcp to dual stack, 127.0.0.2", "127.0.0.2", V6, SOCK_STREAM, 0, CONNECT, 0},
	{"tcp mapped to dual stack", "::ffff:127.0.0.1", V6, SOCK_STREAM, 0, CONNECT, 0},
	{"tcp6", "::1", V6, SOCK_STREAM, 0, CONNECT, 0},
	{"tcp6 to ::", "::", V6, SOCK_STREAM, 0, CONNECT, 0},
	{"tcp fast open", "127.0.0.1", V4, SOCK_STREAM, 0, FASTOPEN, 0},
	{"mptcp to tcp", "127.0.0.1", V4, SOCK_STREAM, MPTCP, CONNECT, 0},
	{"mptcp", "127.0.0.1", MULTIPATH, SOCK_STREAM, MPTCP, CONNECT, 0},
	{"tcp to mptcp", "127.0.0.1", MULTIPATH, SOCK_STREAM, 0, CONNECT, 0},
	{"udp sendto", "127.0.0.1", V4, SOCK_DGRAM, 0, SENDTO, 0},
	{"udp sendto 0.0.0.0", "0.0.0.0", V4, SOCK_DGRAM, 0, SENDTO, 0},
	{"udp connect", "127.0.0.1", V4, SOCK_DGRAM, 0, CONNECT, 0},
	{"udp mapped sendto", "::ffff:127.0.0.1", V4, SOCK_DGRAM, 0, SENDTO, 0},
	{"udp mapped connect", "::ffff:127.0.0.1", V4, SOCK_DGRAM, 0, CONNECT, 0},
	{"udp6 sendto", "::1", V6, SOCK_DGRAM, 0, SENDTO, 0},
	{"udp6 connect", "::1", V6, SOCK_DGRAM, 0, CONNECT, 0},
	{"udp6 sendto ::", "::", V6, SOCK_DGRAM, 0, SENDTO, 0},
	{"udp to a connected socket", "127.0.0.1", CONNECTED, SOCK_DGRAM, 0, SENDTO, SENDER},
};

struct
try {
	const struct attempt *a;
	int port;
};

static int make(void *arg)
{
	const struct try *t = arg;
	const struct attempt *a = t->a;
	struct sockaddr_storage to, own;
	socklen_t size = address(&to, a->ip, t->port + a->plus);
	int fd = socket(to.ss_family, a->type, a->protocol);

	if (fd < 0)
		return errno;
	if (a->from && bind(fd, (void *)&own, address(&own, "127.0.0.1", a->from)))
		return 240;
	switch (a->how) {
	case CONNECT:
		if (connect(fd, (void *)&to, size))
			return errno;
		return a->type == SOCK_DGRAM && send(fd, "x", 1, 0) != 1 ? errno : 0;
	case FASTOPEN:
		return sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&to, size) == 1
			       ? 0
			       : errno;
	case SENDTO:
		break;
	}
	return sendto(fd, "x", 1, 0, (void *)&to, size) == 1 ? 0 : errno;
}

static int attempt(int slot, const struct attempt *a, int port)
{
	return lsm_as(slot, make, &(struct try){a, port});
}

/* Or its kernel has no MPTCP. */
static bool possible(const struct attempt *a)
{
	int fd;

	if (a->protocol != MPTCP && a->plus != MULTIPATH)
		return true;
	fd = socket(AF_INET, SOCK_STREAM, MPTCP);
	if (fd >= 0)
		close(fd);
	else
		print_message("# %s: no MPTCP here\n", a->name);
	return fd >= 0;
}

static void who_reaches_whom(void **state)
{
	pid_t member = server(GROUP_A, MEMBER), other = server(NOBODY, OTHER);

	(void)state;
	for (size_t i = 0; i < COUNT(attempts); i++) {
		const struct attempt *a = &attempts[i];
		uint64_t denied = lsm_denied(GROUP_A, ULSP_REACH_LOOPBACK);

		if (!possible(a))
			continue;
		print_message("# %s\n", a->name);
		assert_int_equal(attempt(NOBODY, a, OTHER), 0);
		assert_int_equal(attempt(GROUP_A, a, MEMBER), 0);
		assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_LOOPBACK), denied);
		assert_int_equal(attempt(NOBODY, a, MEMBER), EPERM);
		assert_int_equal(attempt(GROUP_B, a, MEMBER), EPERM);
		assert_int_equal(attempt(GROUP_A, a, OTHER), EPERM);
		assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_LOOPBACK), denied + 2);
	}
	lsm_kill(member);
	lsm_kill(other);
}

static void nobody_listens(void **state)
{
	(void)state;
	assert_int_equal(attempt(NOBODY, &attempts[0], CLOSED), ECONNREFUSED);
	assert_int_equal(attempt(GROUP_A, &attempts[0], CLOSED), ECONNREFUSED);
}

static void peers_are_mutual(void **state)
{
	pid_t b = server(GROUP_B, OTHER);

	(void)state;
	for (size_t i = 0; i < COUNT(attempts); i++) {
		if (!possible(&attempts[i]))
			continue;
		lsm_confine(GROUP_A, ISOLATED, 1 << GROUP_B, 0);
		lsm_confine(GROUP_B, ISOLATED, 0, 0);
		assert_int_equal(attempt(GROUP_A, &attempts[i], OTHER), EPERM);
		lsm_confine(GROUP_B, ISOLATED, 1 << GROUP_A, 0);
		assert_int_equal(attempt(GROUP_A, &attempts[i], OTHER), 0);
	}
	lsm_kill(b);
}

static void audit_lets_pass_and_counts(void **state)
{
	pid_t other = server(NOBODY, OTHER);
	uint64_t denied = lsm_denied(GROUP_A, ULSP_REACH_LOOPBACK);

	(void)state;
	lsm_mode(GROUP_A, ULSP_MODE_AUDIT);
	assert_int_equal(attempt(GROUP_A, &attempts[0], OTHER), 0);
	assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_LOOPBACK), denied + 1);
	lsm_kill(other);
}

/* A socket that a member inherited is the member's once it uses it. */
static int accept_one(void *arg)
{
	return accept4(*(int *)arg, NULL, NULL, SOCK_NONBLOCK) < 0 ? errno : 0;
}

static int connect_to_other(void *arg)
{
	struct sockaddr_storage to;
	socklen_t size = address(&to, "127.0.0.1", OTHER);

	return connect(*(int *)arg, (void *)&to, size) ? errno : 0;
}

/* A datagram. */
static int send_one(int fd, const char *ip, int port)
{
	struct sockaddr_storage to;
	socklen_t size = address(&to, ip, port);

	return sendto(fd, "x", 1, 0, (void *)&to, size) == 1 ? 0 : errno;
}

static int send_to_other(void *arg)
{
	return send_one(*(int *)arg, "127.0.0.1", OTHER);
}

static void sockets_from_before(void **state)
{
	int listener = bound("127.0.0.1", SOCK_STREAM, 0, MEMBER), fd;
	pid_t other = server(NOBODY, OTHER);

	(void)state;
	assert_true(listener >= 0);
	assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(attempt(NOBODY, &attempts[0], MEMBER), 0);
	assert_int_equal(attempt(GROUP_A, &attempts[0], MEMBER), EPERM);
	lsm_expect(GROUP_A, accept_one, &listener, 0);
	assert_int_equal(attempt(NOBODY, &attempts[0], MEMBER), EPERM);
	assert_int_equal(attempt(GROUP_A, &attempts[0], MEMBER), 0);
	close(listener);

	fd = socket(AF_INET, SOCK_STREAM, 0);
	lsm_expect(GROUP_A, connect_to_other, &fd, EPERM);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	lsm_expect(NOBODY, send_to_other, &fd, 0);
	lsm_expect(GROUP_A, send_to_other, &fd, EPERM);
	close(fd);
	lsm_kill(other);
}

static int multicast(void *arg)
{
	struct in_addr via = {htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)arg;
	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &via, sizeof(via)))
		return 240;
	return send_one(fd, "239.1.1.1", 5353);
}

static void multicast_is_refused(void **state)
{
	(void)state;
	lsm_expect(NOBODY, multicast, NULL, 0);
	lsm_expect(GROUP_A, multicast, NULL, EPERM);
	lsm_confine(GROUP_A, 0, 0, 0);
	lsm_expect(GROUP_A, multicast, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_reaches_whom, each),
		cmocka_unit_test_setup(nobody_listens, each),
		cmocka_unit_test_setup(peers_are_mutual, each),
		cmocka_unit_test_setup(audit_lets_pass_and_counts, each),
		cmocka_unit_test_setup(sockets_from_before, each),
		cmocka_unit_test_setup(multicast_is_refused, each),
	};

	return cmocka_run_group_tests(tests, up, down);
}
