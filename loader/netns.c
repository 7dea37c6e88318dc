// SPDX-License-Identifier: GPL-2.0-only
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <uthash.h>

#include "cleanup.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

enum { TCP_STATE_SYN_SENT = 2 };

struct space {
	uint64_t cookie;
	uint64_t used_us;
	int raw4, raw6, diag;
	uint32_t mark4, mark6, device4, device6; /* as set on the sockets */
	UT_hash_handle hh;
};

struct netns {
	int own; /* the daemon's */
	struct space *spaces;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int netns_new(struct netns **ret)
{
	struct netns *ns = calloc(1, sizeof(*ns));

	if (!ns)
		return -ENOMEM;
	ns->own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ns->own < 0) {
		free(ns);
		return -errno;
	}
	*ret = ns;
	return 0;
}

static void close_sockets(struct space *s)
{
	scope_close(&s->raw4);
	scope_close(&s->raw6);
	scope_close(&s->diag);
	free(s);
}

static void close_space(struct netns *ns, struct space *s)
{
	HASH_DEL(ns->spaces, s);
	close_sockets(s);
}

void netns_free(struct netns **nsp)
{
	struct netns *ns = *nsp;
	struct space *s, *next;

	*nsp = NULL;
	if (!ns)
		return;
	HASH_ITER (hh, ns->spaces, s, next)
		close_space(ns, s);
	scope_close(&ns->own);
	free(ns);
}

int netns_idle(struct netns *ns, uint64_t since_us)
{
	struct space *s, *next;

	HASH_ITER (hh, ns->spaces, s, next)
		if (s->used_us < since_us)
			close_space(ns, s);
	return ns->spaces != NULL;
}

/* In the namespace that the caller is in for the moment. */
static int open_sockets(struct space *s)
{
	uint64_t cookie = 0;
	socklen_t bytes = sizeof(cookie);
	int on = 1;

	s->raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (s->raw4 < 0)
		return -errno;
	if (getsockopt(s->raw4, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &bytes))
		return -errno;
	if (s->cookie && cookie != s->cookie)
		return -ESRCH;
	s->cookie = cookie;
	/* Without IPv6 there is nothing to send by it. */
	s->raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (s->raw6 >= 0 && setsockopt(s->raw6, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof(on)))
		return -errno;
	s->diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	return 0;
}

static int open_space(struct netns *ns, uint64_t cookie, pid_t pid, struct space **ret)
{
	scoped(scope_close) int theirs = -1;
	struct space *s, *old = NULL;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	theirs = open(path, O_RDONLY | O_CLOEXEC);
	if (theirs < 0)
		return -ESRCH;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->cookie = cookie;
	s->raw4 = s->raw6 = s->diag = -1;
	r = setns(theirs, CLONE_NEWNET) ? -errno : open_sockets(s);
	if (setns(ns->own, CLONE_NEWNET))
		abort(); /* in a stranger's namespace nothing is right any more */
	if (!r)
		HASH_FIND(hh, ns->spaces, &s->cookie, sizeof(s->cookie), old);
	if (r || old) {
		close_sockets(s);
		*ret = old;
		return r;
	}
	HASH_ADD(hh, ns->spaces, cookie, sizeof(s->cookie), s);
	*ret = s;
	return 0;
}

static int space_of(struct netns *ns, uint64_t cookie, pid_t pid, struct space **ret)
{
	struct space *s = NULL;
	int r = 0;

	if (cookie)
		HASH_FIND(hh, ns->spaces, &cookie, sizeof(cookie), s);
	if (!s)
		r = open_space(ns, cookie, pid, &s);
	if (r)
		return r;
	s->used_us = now_us();
	*ret = s;
	return 0;
}

static int set_option(int fd, int option, uint32_t value, uint32_t *now)
{
	if (*now == value)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)))
		return -errno;
	*now = value;
	return 0;
}

int netns_send(struct netns *ns, uint64_t cookie, pid_t pid, const struct syn *packet,
	       const struct sockaddr_storage *to, socklen_t to_bytes, uint32_t mark,
	       uint32_t ifindex)
{
	struct sockaddr_storage address = *to;
	struct sockaddr_in6 *in6 = (void *)&address;
	bool v4 = packet->family == AF_INET;
	struct space *s;
	int fd, r;

	r = space_of(ns, cookie, pid, &s);
	if (r)
		return r;
	fd = v4 ? s->raw4 : s->raw6;
	if (fd < 0)
		return -EAFNOSUPPORT;
	r = set_option(fd, SO_MARK, mark, v4 ? &s->mark4 : &s->mark6);
	if (!r)
		r = set_option(fd, SO_BINDTOIFINDEX, ifindex, v4 ? &s->device4 : &s->device6);
	if (r)
		return r;
	if (!v4) {
		in6->sin6_port = 0; /* a protocol number to a raw socket */
		if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
			in6->sin6_scope_id = ifindex;
	}
	if (sendto(fd, packet->packet, packet->bytes, 0, (void *)&address, to_bytes) < 0)
		return -errno;
	return 0;
}

struct question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

/* The socket's state, 0 for a command that succeeded, or -errno. */
static int diag(int fd, const struct question *ask)
{
	struct {
		struct nlmsghdr header;
		union {
			struct nlmsgerr error;
			struct inet_diag_msg socket;
			char room[1024];
		};
	} said;
	ssize_t n;

	if (send(fd, ask, sizeof(*ask), 0) < 0)
		return -errno;
	n = recv(fd, &said, sizeof(said), 0);
	if (n < (ssize_t)sizeof(said.header))
		return n < 0 ? -errno : -EPROTO;
	n -= (ssize_t)sizeof(said.header);
	if (said.header.nlmsg_type == NLMSG_ERROR && n >= (ssize_t)sizeof(said.error))
		return said.error.error;
	if (said.header.nlmsg_type == SOCK_DIAG_BY_FAMILY && n >= (ssize_t)sizeof(said.socket))
		return said.socket.idiag_state;
	return -EPROTO;
}

int netns_destroy(struct netns *ns, uint64_t cookie, pid_t pid, const struct syn *syn,
		  uint64_t socket_cookie, uint32_t ifindex)
{
	struct question ask = {
		.header = {.nlmsg_len = sizeof(ask),
			   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST},
		.diag = {.sdiag_family = (uint8_t)syn->family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = 1u << TCP_STATE_SYN_SENT},
	};
	struct inet_diag_sockid *id = &ask.diag.id;
	struct sockaddr_storage from, to;
	struct sockaddr_in6 *from6 = (void *)&from, *to6 = (void *)&to;
	struct sockaddr_in *from4 = (void *)&from, *to4 = (void *)&to;
	struct space *s;
	socklen_t bytes;
	int r;

	r = space_of(ns, cookie, pid, &s);
	if (r)
		return r;
	if (s->diag < 0)
		return -EOPNOTSUPP;
	syn_sender(syn, &from, &bytes);
	syn_peer(syn, &to, &bytes);
	if (syn->family == AF_INET) {
		memcpy(id->idiag_src, &from4->sin_addr, 4);
		memcpy(id->idiag_dst, &to4->sin_addr, 4);
		id->idiag_sport = from4->sin_port;
		id->idiag_dport = to4->sin_port;
	} else {
		memcpy(id->idiag_src, &from6->sin6_addr, 16);
		memcpy(id->idiag_dst, &to6->sin6_addr, 16);
		id->idiag_sport = from6->sin6_port;
		id->idiag_dport = to6->sin6_port;
	}
	id->idiag_if = ifindex;
	id->idiag_cookie[0] = (uint32_t)socket_cookie;
	id->idiag_cookie[1] = (uint32_t)(socket_cookie >> 32);
	r = diag(s->diag, &ask);
	if (r != TCP_STATE_SYN_SENT)
		return r < 0 ? r : -ENOENT;
	ask.header.nlmsg_type = SOCK_DESTROY;
	ask.header.nlmsg_flags |= NLM_F_ACK;
	return diag(s->diag, &ask);
}
