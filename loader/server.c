// SPDX-License-Identifier: GPL-2.0-only
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "log.h"

enum {
	STREAM_QUEUE_BYTES = 256 << 10, /* of lines waiting for one stream client */
	READ_BYTES = 16384,
	FLUSH_MS = 200, /* for answers when the server goes */
};

struct client {
	struct server *server;
	struct client *next, **link;
	int fd;
	sd_event_source *io, *timer;
	struct control_input in;
	char *out;
	size_t out_bytes, out_room, out_sent;
	bool stream;
	bool closing; /* when its answer is out */
	void (*gone)(void *ctx);
	void *gone_ctx;
};

struct server {
	sd_event *event;
	sd_event_source *io;
	char *path;
	server_handler handler;
	void *ctx;
	struct client *clients;
	size_t nclients;
	struct server_counts counts;
};

/* ---- a client ---- */

static void client_free(struct client *c)
{
	if (c->gone)
		c->gone(c->gone_ctx);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->server->nclients--;
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	close(c->fd);
	control_input_fini(&c->in);
	free(c->out);
	free(c);
}

static bool has_output(const struct client *c)
{
	return c->out_sent < c->out_bytes;
}

/* A stream client waits as long as it likes, unless it lets its lines lie. */
static void arm(struct client *c)
{
	uint64_t now;

	if (c->stream && !has_output(c)) {
		sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_now(c->server->event, CLOCK_MONOTONIC, &now);
	sd_event_source_set_time(c->timer, now + CONTROL_REQUEST_MS * 1000ull);
	sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static void update_io(struct client *c)
{
	/* no new request before the answer to the last is out */
	sd_event_source_set_io_events(c->io, has_output(c) ? EPOLLOUT : EPOLLIN);
}

static bool append(struct client *c, const char *data, size_t bytes)
{
	if (c->out_sent) {
		memmove(c->out, c->out + c->out_sent, c->out_bytes - c->out_sent);
		c->out_bytes -= c->out_sent;
		c->out_sent = 0;
	}
	if (c->out_bytes + bytes > c->out_room) {
		size_t room = (c->out_bytes + bytes) * 2;
		char *out = realloc(c->out, room);

		if (!out)
			return false;
		c->out = out;
		c->out_room = room;
	}
	memcpy(c->out + c->out_bytes, data, bytes);
	c->out_bytes += bytes;
	return true;
}

/* Sends what the socket takes; -errno when the client is gone. */
static int flush(struct client *c)
{
	size_t before = c->out_sent;

	while (has_output(c)) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_bytes - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			return -errno;
		c->out_sent += (size_t)n;
	}
	if (c->out_sent != before)
		arm(c);
	update_io(c);
	return 0;
}

void client_answer(struct client *c, struct json_object *answer)
{
	const char *text = json_object_to_json_string_ext(
		answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	if (!append(c, text, strlen(text)) || !append(c, "\n", 1))
		c->closing = true;
	json_object_put(answer);
}

void client_stream(struct client *c, void (*gone)(void *ctx), void *ctx)
{
	c->stream = true;
	c->gone = gone;
	c->gone_ctx = ctx;
	arm(c);
}

bool client_push(struct client *c, const char *line, size_t bytes)
{
	bool idle = !has_output(c);

	if (c->out_bytes - c->out_sent + bytes > STREAM_QUEUE_BYTES || !append(c, line, bytes))
		return false;
	if (idle) { /* the rest goes when the loop comes round: lines are sent together */
		arm(c);
		update_io(c);
	}
	return true;
}

static void refuse(struct client *c, const char *why)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ok", json_object_new_boolean(false));
	json_object_object_add(o, "error", json_object_new_string(why));
	c->closing = true;
	client_answer(c, o);
}

/* Everything that is complete, one answer at a time. */
static void take_requests(struct client *c)
{
	char why[CONTROL_WHY_BYTES];
	struct control_request request;

	while (!has_output(c) && !c->closing && !c->stream) {
		int r = control_next(&c->in, &request, why);

		if (!r)
			return;
		if (r < 0) {
			c->server->counts.malformed++;
			log_info("control: malformed request: %s", why);
			refuse(c, why);
			return;
		}
		c->server->counts.requests++;
		arm(c);
		c->server->handler(c->server->ctx, c, &request);
		control_request_fini(&request);
	}
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
	struct client *c = ctx;
	char buf[READ_BYTES];
	ssize_t n;

	(void)source;
	if (revents & EPOLLIN) {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if ((n < 0 && errno != EAGAIN && errno != EINTR) || (n > 0 && c->stream) ||
		    (!n && !(c->in.bytes || c->in.pending))) {
			client_free(c);
			return 0;
		}
		if (!n) { /* no more comes, and what came is no whole request */
			c->server->counts.malformed++;
			refuse(c, "the request is not complete");
		}
		if (n > 0 && control_feed(&c->in, buf, (size_t)n)) {
			c->server->counts.malformed++;
			refuse(c, "more than a request may have");
		}
	} else if (revents & (EPOLLHUP | EPOLLERR)) {
		client_free(c);
		return 0;
	}
	do {
		if (!has_output(c))
			take_requests(c);
		if (flush(c)) {
			client_free(c);
			return 0;
		}
	} while (!has_output(c) && c->in.bytes && !c->closing && !c->stream &&
		 (c->in.pending ? c->in.bytes >= c->in.load.text_bytes
				: memchr(c->in.buf, '\n', c->in.bytes) != NULL));
	if (c->closing && !has_output(c))
		client_free(c);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct client *c = ctx;

	(void)source;
	(void)usec;
	if (c->in.bytes || c->in.pending || has_output(c)) {
		c->server->counts.timed_out++;
		log_info("control: a client was too slow: closed");
	}
	client_free(c);
	return 0;
}

/* ---- the socket ---- */

static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

pid_t client_pid(const struct client *c)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	return getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) ? 0 : peer.pid;
}

static void turn_away(struct server *s, int fd, const char *why)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "{\"ok\":false,\"error\":\"%s\"}\n", why);

	s->counts.refused++;
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control: a refused client is gone");
	log_warning("control: client refused: %s", why);
}

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *ctx)
{
	struct server *s = ctx;
	scoped(scope_close) int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	(void)source;
	(void)revents;
	if (got < 0)
		return 0;
	if (!is_allowed(got)) {
		turn_away(s, got, "only root and the user of ulspd may control it");
		return 0;
	}
	if (s->nclients >= CONTROL_CLIENTS) {
		turn_away(s, got, "too many clients");
		return 0;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return 0;
	c->server = s;
	c->fd = got;
	if (sd_event_add_io(s->event, &c->io, got, EPOLLIN, on_client, c) < 0 ||
	    sd_event_add_time_relative(s->event, &c->timer, CLOCK_MONOTONIC,
				       CONTROL_REQUEST_MS * 1000ull, 10000, on_time, c) < 0) {
		sd_event_source_disable_unref(c->io);
		free(c);
		return 0;
	}
	TAKE_FD(got);
	c->next = s->clients;
	c->link = &s->clients;
	if (c->next)
		c->next->link = &c->next;
	s->clients = c;
	s->nclients++;
	s->counts.clients++;
	return 0;
}

int server_new(sd_event *event, const char *path, server_handler handler, void *ctx,
	       struct server **ret, struct err *e)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	scoped(scope_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct server *s;
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(un.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: too long for a socket", path);
	strcpy(un.sun_path, path);
	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "%s: %m", path);
	mask = umask(0177);
	r = fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) ? -errno : 0;
	umask(mask);
	if (r || listen(fd, CONTROL_CLIENTS))
		return err_set(e, r ? r : -errno, "%s: %s", path, strerror(r ? -r : errno));
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->event = event;
	s->handler = handler;
	s->ctx = ctx;
	s->path = strdup(path);
	r = s->path ? sd_event_add_io(event, &s->io, fd, EPOLLIN, on_connect, s) : -ENOMEM;
	if (r < 0) {
		server_free(&s);
		return err_set(e, r, "%s: %s", path, strerror(-r));
	}
	sd_event_source_set_io_fd_own(s->io, true);
	TAKE_FD(fd);
	*ret = s;
	return 0;
}

void server_stop(struct server *s)
{
	struct client *c, *next;

	s->io = sd_event_source_disable_unref(s->io);
	if (s->path && unlink(s->path) && errno != ENOENT)
		log_warning("%s: %m", s->path);
	free(s->path);
	s->path = NULL;
	for (c = s->clients; c; c = next) {
		next = c->next;
		if (c->stream)
			client_free(c);
	}
}

void server_free(struct server **sp)
{
	struct server *s = *sp;
	struct client *c, *next;

	*sp = NULL;
	if (!s)
		return;
	server_stop(s);
	for (c = s->clients; c; c = next) {
		struct pollfd p = {.fd = c->fd, .events = POLLOUT};

		next = c->next;
		while (has_output(c) && poll(&p, 1, FLUSH_MS) == 1 && !flush(c))
			;
		client_free(c);
	}
	free(s);
}

const struct server_counts *server_counts(const struct server *s)
{
	return &s->counts;
}
