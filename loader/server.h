/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control socket: clients, their bytes and their time.
 *
 * Nothing a client does blocks the daemon or ends it: reads and writes don't
 * block, a request has a limit and a time, and so has taking an answer.  A
 * malformed request is answered, counted and ends its client.
 */
#ifndef SERVER_H
#define SERVER_H

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "control.h"
#include "instance.h"

struct server;
struct client;

struct server_counts {
	uint64_t clients, requests;
	uint64_t malformed; /* requests that were none */
	uint64_t timed_out; /* clients that were too slow */
	uint64_t refused;   /* clients of another user, or over CONTROL_CLIENTS */
};

/* Must end in client_answer(); the request is the server's. */
typedef void (*server_handler)(void *ctx, struct client *c, const struct control_request *r);

/* Listens on the path, mode 0600; what is left there from an earlier daemon is replaced. */
int server_new(sd_event *event, const char *path, server_handler handler, void *ctx,
	       struct server **ret, struct err *e);
/* No new client, no stream any more; answers can still be given. */
void server_stop(struct server *s);
/* Gives waiting answers a moment to leave and closes. */
void server_free(struct server **s);
const struct server_counts *server_counts(const struct server *s);

/* The process that connected; 0: not known. */
pid_t client_pid(const struct client *c);
/* One line; takes over `answer`. */
void client_answer(struct client *c, struct json_object *answer);
/*
 * After the answer the client is a stream: it sends nothing more, and `gone` is
 * called once when it is closed.
 */
void client_stream(struct client *c, void (*gone)(void *ctx), void *ctx);
/* A line with its newline; false when the client is too slow to queue more. */
bool client_push(struct client *c, const char *line, size_t bytes);

#endif
