/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A real instance on the running kernel: an own name, run directory, cgroup and
 * network namespace, a policy from text, and processes in the cgroup that try
 * one operation each.  All of it goes with kern_close(), also after a failure.
 */
#ifndef KERN_FIXTURE_H
#define KERN_FIXTURE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "image.h"

struct kern {
	char name[32];
	char cgroup[256]; /* directory of the members */
	char run_dir[64];
	struct instance *instance;
	struct image *image;
	struct pol_policy *policy; /* of the image */
	struct pol_table *table;
	uint32_t slot;
	uint32_t generation;
	int cgroup_fd;
	uint64_t cgroup_id;
};

/* For cmocka's setup and teardown; *state is a struct kern. */
int kern_setup(void **state);
int kern_teardown(void **state);
/* Once, before the tests: a network namespace with lo up. */
int kern_netns(void **state);

/* Compiles `text`, which has group g, as the next generation, and loads it. */
struct image *kern_load(struct kern *k, const char *text);
/* The same, and puts it on the cgroup: attached first, swapped later. */
void kern_policy(struct kern *k, const char *text);
/* log_rings of the next kern_load(). */
extern uint32_t kern_log_rings;

/* Runs try(ctx) in a member of the group; what it returns (0..255 or -errno). */
int kern_try(struct kern *k, int (*try)(void *ctx), void *ctx);
/* The same outside of the group. */
int kern_outside(int (*try)(void *ctx), void *ctx);

/* ---- operations ---- */

struct op {
	int type;	  /* SOCK_* */
	int protocol;	  /* 0: the type's own */
	const char *addr; /* decides the family; mapped addresses are IPv6 */
	uint16_t port;
	int family; /* of the socket, 0: the address's */
	bool v6only;
	const char *bind; /* address to bind to first, port 0 */
	uid_t uid;	  /* to become first, 0: stays root */
};
#define OP(t, p, a, n, ...)                                                                        \
	{                                                                                          \
		.type = t, .protocol = p, .addr = a, .port = n, ##__VA_ARGS__                      \
	}
int op_socket(void *ctx);
int op_connect(void *ctx); /* nobody need listen: ECONNREFUSED counts as 0 */
int op_sendto(void *ctx);
int op_connect_send(void *ctx); /* datagram: connect, then send */
int op_bind(void *ctx);
int op_listen(void *ctx);

/* An address and port as the socket calls take them. */
socklen_t kern_addr(const char *text, uint16_t port, struct sockaddr_storage *ret);

/* ---- what came of it ---- */

struct ulsp_group_count kern_counts(struct kern *k);
uint64_t kern_reason(struct kern *k, enum ulsp_reason reason);
/* Takes messages from a ring, at most max. */
size_t kern_messages(int ring, struct ulsp_msg *ret, size_t max);
/* Hits of the rule at a line of the policy's text; line 0: the default. */
struct ulsp_rule_count kern_rule(struct kern *k, uint32_t line);

#endif
