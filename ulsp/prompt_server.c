/* SPDX-License-Identifier: BSD-2-Clause */
#include "prompt_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "lines.h"

enum { MAX_GROUPS = 256, EVENTS = 8 };

struct prompt_client {
	struct prompt_server *server;
	int fd;
	uid_t uid;
	struct lines in;
	char *out;
	size_t out_bytes, out_sent, out_room;
	bool refused; /* only its refusal goes out */
	bool dead;    /* to be closed where nothing looks at it any more */
};

struct prompt_server {
	int epoll_fd, listen_fd, timer_fd;
	char *path;
	gid_t group;
	struct prompt_handlers handlers;
	struct prompt_client *clients[PROMPT_CLIENTS];
	size_t n;
	uint64_t malformed;
};

/* ---- opening ---- */

static int watch(struct prompt_server *s, int op, int fd, uint32_t events, void *what)
{
	struct epoll_event e = {.events = events, .data.ptr = what};

	return epoll_ctl(s->epoll_fd, op, fd, &e) ? -errno : 0;
}

static int listen_at(struct prompt_server *s, const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	strcpy(at.sun_path, path);
	s->path = strdup(path);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (!s->path || s->listen_fd < 0)
		return s->path ? -errno : -ENOMEM;
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
	if (bind(s->listen_fd, (void *)&at, sizeof(at))) {
		int r = -errno;

		free(s->path); /* it is somebody else's */
		s->path = NULL;
		return r;
	}
	/* Who may is decided by whom the kernel says it is; here only whom it lets knock. */
	if (chmod(path, s->group == (gid_t)-1 ? 0600 : 0666) || listen(s->listen_fd, 8))
		return -errno;
	return 0;
}

int prompt_server_open(const char *path, gid_t group, const struct prompt_handlers *handlers,
		       struct prompt_server **ret)
{
	struct prompt_server *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->handlers = *handlers;
	s->group = group;
	s->listen_fd = -1;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll_fd < 0 || s->timer_fd < 0)
		r = -errno;
	if (!r)
		r = listen_at(s, path);
	if (!r)
		r = watch(s, EPOLL_CTL_ADD, s->listen_fd, EPOLLIN, &s->listen_fd);
	if (!r)
		r = watch(s, EPOLL_CTL_ADD, s->timer_fd, EPOLLIN, &s->timer_fd);
	if (r) {
		prompt_server_close(&s);
		return r;
	}
	*ret = s;
	return 0;
}

static void client_free(struct prompt_client *c)
{
	close(c->fd);
	lines_fini(&c->in);
	free(c->out);
	free(c);
}

void prompt_server_close(struct prompt_server **ref)
{
	struct prompt_server *s = *ref;

	if (!s)
		return;
	*ref = NULL;
	while (s->n)
		client_free(s->clients[--s->n]);
	if (s->path)
		unlink(s->path);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	if (s->timer_fd >= 0)
		close(s->timer_fd);
	free(s->path);
	free(s);
}

int prompt_server_fd(const struct prompt_server *s)
{
	return s->epoll_fd;
}

/* ---- out ---- */

static bool has_output(const struct prompt_client *c)
{
	return c->out_sent < c->out_bytes;
}

static void flush(struct prompt_client *c)
{
	while (has_output(c)) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_bytes - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->dead |= errno != EAGAIN;
			break;
		}
		c->out_sent += (size_t)n;
	}
	if (!has_output(c)) {
		c->out_bytes = c->out_sent = 0;
		c->dead |= c->refused;
	}
	if (watch(c->server, EPOLL_CTL_MOD, c->fd, EPOLLIN | (has_output(c) ? EPOLLOUT : 0), c))
		c->dead = true;
}

static bool queue(struct prompt_client *c, const char *line)
{
	size_t bytes = strlen(line), waiting = c->out_bytes - c->out_sent;

	if (waiting + bytes > PROMPT_QUEUE_BYTES)
		return false;
	if (c->out_sent)
		memmove(c->out, c->out + c->out_sent, waiting);
	c->out_bytes = waiting;
	c->out_sent = 0;
	if (waiting + bytes > c->out_room) {
		size_t room = 2 * (waiting + bytes);
		char *grown = realloc(c->out, room);

		if (!grown)
			return false;
		c->out = grown;
		c->out_room = room;
	}
	memcpy(c->out + waiting, line, bytes);
	c->out_bytes += bytes;
	return true;
}

void prompt_client_send(struct prompt_client *c, char *line)
{
	if (!c->dead && (!line || !queue(c, line)))
		c->dead = true;
	free(line);
	if (!c->dead)
		flush(c);
}

void prompt_server_send(struct prompt_server *s, char *line)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->clients[i]->refused)
			prompt_client_send(s->clients[i], line ? strdup(line) : NULL);
	free(line);
}

/* ---- in ---- */

static void refuse(struct prompt_client *c, const char *why)
{
	c->refused = true;
	prompt_client_send(c, prompt_error_line(why));
}

static void take_lines(struct prompt_client *c)
{
	char why[PROMPT_WHY_BYTES], *line;
	struct prompt_answer a;
	size_t bytes;

	while (!c->dead && !c->refused && (line = lines_next(&c->in, &bytes))) {
		if (prompt_answer_parse(line, bytes, &a, why)) {
			c->server->malformed++;
			refuse(c, why);
			return;
		}
		c->server->handlers.answered(c->server->handlers.ctx, c, &a);
	}
	if (!c->dead && !c->refused && lines_too_long(&c->in, PROMPT_ANSWER_BYTES)) {
		c->server->malformed++;
		refuse(c, "the line is too long");
	}
}

static void on_client(struct prompt_client *c, uint32_t events)
{
	char rest[512];
	int r;

	if (events & EPOLLOUT)
		flush(c);
	if (c->dead || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	if (c->refused) { /* what it still says is of no interest */
		c->dead |= recv(c->fd, rest, sizeof(rest), MSG_DONTWAIT) <= 0;
		return;
	}
	r = lines_read(&c->in, c->fd, PROMPT_ANSWER_BYTES);
	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r <= 0) {
		c->dead = true;
		return;
	}
	take_lines(c);
}

static bool in_group(int fd, gid_t group, gid_t primary)
{
	gid_t groups[MAX_GROUPS];
	socklen_t bytes = sizeof(groups);

	if (group == (gid_t)-1)
		return false;
	if (primary == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes)) /* Linux 4.13 */
		return false;
	for (size_t i = 0; i < bytes / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static void on_connection(struct prompt_server *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	struct prompt_client *c;

	if (fd < 0)
		return;
	c = s->n < PROMPT_CLIENTS ? calloc(1, sizeof(*c)) : NULL;
	if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes)) {
		free(c);
		close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	c->uid = peer.uid;
	if (watch(s, EPOLL_CTL_ADD, fd, EPOLLIN, c)) {
		client_free(c);
		return;
	}
	s->clients[s->n++] = c;
	if (peer.uid && !in_group(fd, s->group, peer.gid))
		refuse(c, "only root and the prompts' group may answer");
	else
		s->handlers.joined(s->handlers.ctx, c);
}

static void bury(struct prompt_server *s)
{
	bool left = false;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->clients[i]->dead) {
			s->clients[n++] = s->clients[i];
			continue;
		}
		left |= !s->clients[i]->refused;
		client_free(s->clients[i]);
	}
	s->n = n;
	if (left)
		s->handlers.left(s->handlers.ctx);
}

void prompt_server_dispatch(struct prompt_server *s)
{
	struct epoll_event events[EVENTS];
	uint64_t ticks;
	int n = epoll_wait(s->epoll_fd, events, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == &s->listen_fd)
			on_connection(s);
		else if (events[i].data.ptr != &s->timer_fd)
			on_client(events[i].data.ptr, events[i].events);
		else if (read(s->timer_fd, &ticks, sizeof(ticks)) == sizeof(ticks))
			s->handlers.timer(s->handlers.ctx);
	}
	bury(s); /* no event points at a client any more */
}

void prompt_server_arm(struct prompt_server *s, uint64_t at_ns)
{
	struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000u),
					     .tv_nsec = (long)(at_ns % 1000000000u)}};

	timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

size_t prompt_server_clients(const struct prompt_server *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += !s->clients[i]->refused && !s->clients[i]->dead;
	return n;
}

uint64_t prompt_server_malformed(const struct prompt_server *s)
{
	return s->malformed;
}

uid_t prompt_client_uid(const struct prompt_client *c)
{
	return c->uid;
}
