/* SPDX-License-Identifier: GPL-2.0-only */
/* UNIX sockets: connections, datagrams, channels from before, passed descriptors. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

#define ISOLATED (1u << ULSP_REACH_UNIX | 1u << ULSP_REACH_GUARD)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void both(uint64_t peers_a, uint64_t peers_b, uint32_t flags)
{
	lsm_confine(GROUP_A, ISOLATED, peers_a, flags);
	lsm_confine(GROUP_B, ISOLATED, peers_b, flags);
}

static int up(void **state)
{
	return lsm_up(state);
}

static int each(void **state)
{
	(void)state;
	both(0, 0, 0);
	lsm_mode(GROUP_A, ULSP_MODE_ENFORCE);
	lsm_mode(GROUP_B, ULSP_MODE_ENFORCE);
	return 0;
}

/* ---- servers: one socket of each sort, named by the server ---- */

static const struct sort {
	const char *name; /* with '@': abstract */
	int type;
} sorts[] = {
	{"/tmp/%s-stream", SOCK_STREAM},
	{"@%s-stream", SOCK_STREAM},
	{"/tmp/%s-seqpacket", SOCK_SEQPACKET},
	{"/tmp/%s-dgram", SOCK_DGRAM},
};

enum { STREAM, ABSTRACT, SEQPACKET, DGRAM };

static socklen_t address(struct sockaddr_un *sun, int sort, const char *server)
{
	char format[64];
	size_t n;

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	snprintf(format, sizeof(format), "%s", sorts[sort].name);
	*strchr(format, '%') = '\0';
	n = (size_t)snprintf(sun->sun_path, sizeof(sun->sun_path), "%s%s%s", format, server,
			     strchr(sorts[sort].name, '-'));
	if (sun->sun_path[0] == '@')
		sun->sun_path[0] = '\0';
	else
		n++;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

struct server {
	const char *name;
	int ready;
};

static int serve(void *arg)
{
	const struct server *s = arg;
	struct pollfd fds[COUNT(sorts) + 64];
	nfds_t n = 0;
	char c;

	for (size_t i = 0; i < COUNT(sorts); i++) {
		struct sockaddr_un sun;
		socklen_t size = address(&sun, (int)i, s->name);
		int fd = socket(AF_UNIX, sorts[i].type, 0);

		if (sun.sun_path[0])
			unlink(sun.sun_path);
		if (bind(fd, (void *)&sun, size) || (sorts[i].type != SOCK_DGRAM && listen(fd, 16)))
			return errno;
		fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	if (write(s->ready, "r", 1) != 1)
		return 250;
	/* Connections are echoed to, datagrams are swallowed. */
	while (poll(fds, n, -1) > 0) {
		for (nfds_t i = 0, had = n; i < had; i++) {
			if (!fds[i].revents)
				continue;
			if (i < DGRAM) {
				int fd = accept(fds[i].fd, NULL, NULL);

				if (fd >= 0 && n < COUNT(fds))
					fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
			} else if (read(fds[i].fd, &c, 1) != 1) {
				close(fds[i].fd);
				fds[i].fd = -1;
			} else if (i > DGRAM && write(fds[i].fd, &c, 1) != 1) {
				return 251;
			}
			fds[i].revents = 0;
		}
	}
	return 0;
}

static pid_t server(int slot, const char *name)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = lsm_start(slot, serve, &(struct server){name, ready[1]});
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

/* ---- attempts; the argument is the server's name ---- */

static int reach_by_connect(int sort, const char *server)
{
	struct sockaddr_un sun;
	socklen_t size = address(&sun, sort, server);
	int fd = socket(AF_UNIX, sorts[sort].type, 0);
	char c = 'x';

	if (connect(fd, (void *)&sun, size) || send(fd, &c, 1, MSG_NOSIGNAL) != 1)
		return errno;
	if (sort != DGRAM && recv(fd, &c, 1, 0) != 1)
		return errno ? errno : 252;
	return 0;
}

static int stream(void *arg)
{
	return reach_by_connect(STREAM, arg);
}

static int abstract(void *arg)
{
	return reach_by_connect(ABSTRACT, arg);
}

static int seqpacket(void *arg)
{
	return reach_by_connect(SEQPACKET, arg);
}

static int connected_datagram(void *arg)
{
	return reach_by_connect(DGRAM, arg);
}

static int datagram(void *arg)
{
	struct sockaddr_un sun;
	socklen_t size = address(&sun, DGRAM, arg);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	return sendto(fd, "x", 1, 0, (void *)&sun, size) == 1 ? 0 : errno;
}

/* By a worker of the ring's, which is a thread of its own. */
static int ring_connect(void *arg)
{
	struct sockaddr_un sun;
	socklen_t size = address(&sun, STREAM, arg);
	struct io_uring_params p = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 1, &p), fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char *sq, *cq;

	if (ring < 0)
		return 240;
	sq = mmap(NULL, p.sq_off.array + sizeof(__u32), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		  IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED)
		return 241;
	*sqe = (struct io_uring_sqe){.opcode = IORING_OP_CONNECT,
				     .flags = IOSQE_ASYNC,
				     .fd = fd,
				     .addr = (uintptr_t)&sun,
				     .off = size};
	__atomic_store_n((__u32 *)(void *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return 242;
	cqe = (void *)(cq + p.cq_off.cqes);
	return -cqe->res;
}

static const struct attempt {
	const char *name;
	int (*fn)(void *);
} attempts[] = {
	{"stream", stream},
	{"abstract", abstract},
	{"seqpacket", seqpacket},
	{"datagram", datagram},
	{"connected datagram", connected_datagram},
	{"io_uring", ring_connect},
};

static void who_reaches_whom(void **state)
{
	pid_t member = server(GROUP_A, "member"), other = server(NOBODY, "other");

	(void)state;
	for (size_t i = 0; i < COUNT(attempts); i++) {
		const struct attempt *a = &attempts[i];
		uint64_t denied = lsm_denied(GROUP_A, ULSP_REACH_UNIX);

		print_message("# %s\n", a->name);
		lsm_expect(NOBODY, a->fn, "other", 0);
		lsm_expect(GROUP_A, a->fn, "member", 0);
		assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_UNIX), denied);
		lsm_expect(NOBODY, a->fn, "member", EPERM);
		lsm_expect(GROUP_B, a->fn, "member", EPERM);
		lsm_expect(GROUP_A, a->fn, "other", EPERM);
		assert_int_equal(lsm_denied(GROUP_A, ULSP_REACH_UNIX), denied + 2);
	}
	lsm_kill(member);
	lsm_kill(other);
}

static void peers_are_mutual(void **state)
{
	pid_t a = server(GROUP_A, "member"), b = server(GROUP_B, "peer");

	(void)state;
	for (size_t i = 0; i < COUNT(attempts); i++) {
		both(1 << GROUP_B, 0, 0);
		lsm_expect(GROUP_A, attempts[i].fn, "peer", EPERM);
		lsm_expect(GROUP_B, attempts[i].fn, "member", EPERM);
		both(1 << GROUP_B, 1 << GROUP_A, 0);
		lsm_expect(GROUP_A, attempts[i].fn, "peer", 0);
		lsm_expect(GROUP_B, attempts[i].fn, "member", 0);
	}
	lsm_kill(a);
	lsm_kill(b);
}

static void audit_lets_pass_and_counts(void **state)
{
	pid_t member = server(GROUP_A, "member"), other = server(NOBODY, "other");

	(void)state;
	lsm_mode(GROUP_A, ULSP_MODE_AUDIT);
	for (size_t i = 0; i < COUNT(attempts); i++) {
		uint64_t denied = lsm_denied(GROUP_A, ULSP_REACH_UNIX);

		lsm_expect(NOBODY, attempts[i].fn, "member", 0);
		lsm_expect(GROUP_A, attempts[i].fn, "other", 0);
		assert_true(lsm_denied(GROUP_A, ULSP_REACH_UNIX) >= denied + 2);
	}
	lsm_kill(member);
	lsm_kill(other);
}

/* ---- peers by path ---- */

static void name_peer(uint32_t slot, int sort, const char *server)
{
	struct ulsp_unix_path key = {.slot = slot};
	struct sockaddr_un sun;
	uint32_t one = 1;

	address(&sun, sort, server);
	memcpy(key.path, sun.sun_path, sizeof(key.path));
	if (!key.path[0])
		key.path[0] = '@';
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(lsm->maps.unix_paths), &key, &one, BPF_ANY), 0);
}

static void peers_by_path(void **state)
{
	pid_t other = server(NOBODY, "other"), b = server(GROUP_B, "peer");

	(void)state;
	name_peer(GROUP_A, STREAM, "other");
	name_peer(GROUP_A, ABSTRACT, "other");
	name_peer(GROUP_A, DGRAM, "other");
	name_peer(GROUP_A, STREAM, "peer");
	lsm_expect(GROUP_A, stream, "other", EPERM); /* without the flag */
	both(0, 0, ULSP_CONFINE_PATHS);
	lsm_expect(GROUP_A, stream, "other", 0);
	lsm_expect(GROUP_A, abstract, "other", 0);
	lsm_expect(GROUP_A, datagram, "other", 0);
	lsm_expect(GROUP_A, connected_datagram, "other", 0);
	lsm_expect(GROUP_A, seqpacket, "other", EPERM);
	lsm_expect(GROUP_B, stream, "other", EPERM);
	/* A member that binds a name doesn't become a peer by it. */
	lsm_expect(GROUP_A, stream, "peer", EPERM);
	lsm_kill(other);
	lsm_kill(b);
}

/* ---- channels from before ---- */

static int send_one(void *arg)
{
	return send(*(int *)arg, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

static int write_one(void *arg)
{
	return write(*(int *)arg, "x", 1) == 1 ? 0 : errno;
}

static int receive_one(void *arg)
{
	char c;

	return recv(*(int *)arg, &c, 1, 0) == 1 ? 0 : errno;
}

static int read_one(void *arg)
{
	char c;

	return read(*(int *)arg, &c, 1) == 1 ? 0 : errno;
}

static uint64_t tag_of(int fd)
{
	uint64_t tag = 0;

	return bpf_map_lookup_elem(bpf_map__fd(lsm->maps.sk_tags), &fd, &tag) ? 0 : tag;
}

static void set_tag(int fd, int slot)
{
	uint64_t tag = (uint64_t)(slot + 1);

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(lsm->maps.sk_tags), &fd, &tag, BPF_ANY),
			 0);
}

static void channels_from_before(void **state)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, types[i], 0, pair), 0);
		assert_int_equal(write(pair[1], "xxxx", 4), 4);
		assert_int_equal(write(pair[1], "xxxx", 4), 4);
		lsm_expect(NOBODY, receive_one, &pair[0], 0);
		lsm_expect(NOBODY, send_one, &pair[0], 0);
		lsm_expect(GROUP_A, send_one, &pair[0], EPERM);
		lsm_expect(GROUP_A, write_one, &pair[0], EPERM);
		lsm_expect(GROUP_A, receive_one, &pair[0], EPERM);
		lsm_expect(GROUP_A, read_one, &pair[0], EPERM);
		/* Nothing that was denied makes a socket the member's. */
		assert_int_equal(tag_of(pair[0]), 0);
		set_tag(pair[1], GROUP_A);
		lsm_expect(GROUP_A, send_one, &pair[0], 0);
		assert_int_equal(tag_of(pair[0]), GROUP_A + 1);
		lsm_expect(GROUP_A, receive_one, &pair[0], 0);
		lsm_expect(GROUP_B, send_one, &pair[0], EPERM);
		close(pair[0]);
		close(pair[1]);
	}
}

static int own_pair(void *arg)
{
	int pair[2];
	char c;

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || write(pair[0], "x", 1) != 1 ||
	    read(pair[1], &c, 1) != 1)
		return errno;
	return 0;
}

static void own_socketpair(void **state)
{
	(void)state;
	lsm_expect(GROUP_A, own_pair, NULL, 0);
}

static int stay(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

/* What a process holds when it is tagged while it runs. */
static void tagged_while_running(void **state)
{
	pid_t holder;
	int pair[2], fd;
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	holder = lsm_start(GROUP_A, stay, NULL);
	fd = bpf_iter_create(bpf_link__fd(lsm->links.tag_sockets));
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	assert_int_equal(tag_of(pair[0]), GROUP_A + 1);
	assert_int_equal(tag_of(pair[1]), GROUP_A + 1);
	lsm_expect(GROUP_A, send_one, &pair[0], 0);
	lsm_expect(GROUP_B, send_one, &pair[0], EPERM);
	lsm_kill(holder);
	close(pair[0]);
	close(pair[1]);
}

/* ---- descriptors ---- */

union control {
	struct cmsghdr h;
	char room[CMSG_SPACE(sizeof(int))];
};

static void pass(int channel, int fd)
{
	union control u = {.h = {.cmsg_len = CMSG_LEN(sizeof(fd)),
				 .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {"x", 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u)};

	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	assert_int_equal(sendmsg(channel, &m, 0), 1);
}

/* 0: it came; 1: it didn't, and that was told. */
static int receive(void *arg)
{
	union control u;
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u)};

	if (recvmsg(*(int *)arg, &m, 0) != 1)
		return 200;
	if (m.msg_flags & MSG_CTRUNC)
		return m.msg_controllen ? 201 : 1;
	return m.msg_controllen ? 0 : 202;
}

static void passed_descriptors(void **state)
{
	int pair[2], fd = socket(AF_INET, SOCK_STREAM, 0), map = bpf_map__fd(lsm->maps.confine);

	(void)state;
	both(0, 0, ULSP_CONFINE_OUTSIDE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);

	pass(pair[1], fd); /* nobody's, and outside is a peer */
	lsm_expect(GROUP_A, receive, &pair[0], 0);
	set_tag(fd, GROUP_A);
	pass(pair[1], fd);
	lsm_expect(GROUP_A, receive, &pair[0], 0);
	set_tag(fd, GROUP_B);
	pass(pair[1], fd);
	lsm_expect(GROUP_A, receive, &pair[0], 1);
	pass(pair[1], STDIN_FILENO);
	lsm_expect(GROUP_A, receive, &pair[0], 0);
	pass(pair[1], map);
	lsm_expect(GROUP_A, receive, &pair[0], 1);
	close(pair[0]);
	close(pair[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pass(pair[1], map);
	lsm_expect(NOBODY, receive, &pair[0], 0);
	pass(pair[1], fd);
	lsm_expect(NOBODY, receive, &pair[0], 0);
	both(0, 0, 0);
	pass(pair[1], fd);
	lsm_expect(NOBODY, receive, &pair[0], 1);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_reaches_whom, each),
		cmocka_unit_test_setup(peers_are_mutual, each),
		cmocka_unit_test_setup(audit_lets_pass_and_counts, each),
		cmocka_unit_test_setup(peers_by_path, each),
		cmocka_unit_test_setup(channels_from_before, each),
		cmocka_unit_test_setup(own_socketpair, each),
		cmocka_unit_test_setup(tagged_while_running, each),
		cmocka_unit_test_setup(passed_descriptors, each),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
