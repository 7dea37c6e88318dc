/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket that prompts connect to.
 *
 * Root may, and who is of the group that was named; SO_PEERCRED tells, for the
 * firewall's own user may be others' too.  A prompt that sends what is no answer,
 * or lets what it is told lie, is closed; no prompt ends the firewall.
 */
#ifndef ULSP_PROMPT_SERVER_H
#define ULSP_PROMPT_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "prompt.h"

enum {
	PROMPT_CLIENTS = 16,
	PROMPT_QUEUE_BYTES = 512 << 10, /* of lines that one has not taken */
};

struct prompt_client;
struct prompt_server;

struct prompt_handlers {
	void (*joined)(void *ctx, struct prompt_client *c);
	void (*answered)(void *ctx, struct prompt_client *c, const struct prompt_answer *a);
	void (*left)(void *ctx);
	void (*timer)(void *ctx);
	void *ctx;
};

/* `group`: who may connect besides root; -1: nobody.  The path is taken from an old socket. */
int prompt_server_open(const char *path, gid_t group, const struct prompt_handlers *handlers,
		       struct prompt_server **ret);
void prompt_server_close(struct prompt_server **s);
int prompt_server_fd(const struct prompt_server *s); /* readable: there is something to do */
void prompt_server_dispatch(struct prompt_server *s);
/* timer() at that time (CLOCK_MONOTONIC); 0: never. */
void prompt_server_arm(struct prompt_server *s, uint64_t at_ns);
size_t prompt_server_clients(const struct prompt_server *s);
uint64_t prompt_server_malformed(const struct prompt_server *s);
uid_t prompt_client_uid(const struct prompt_client *c);

/* Queued; freed in any case.  NULL: no memory, and the client goes. */
void prompt_client_send(struct prompt_client *c, char *line);
void prompt_server_send(struct prompt_server *s, char *line); /* to all */

#endif
