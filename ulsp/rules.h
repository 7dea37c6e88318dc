/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules of ulsp-firewall: text to a list, an asked operation to the first
 * rule that matches.
 *
 *   allow|deny [errno NAME] OP|any PROTO|any ADDR[/PREFIX]|any [port N[-M]|any]
 *              [exe PATH] [uid N] [for DURATION|once] [cover WHAT]
 *   default allow|deny [errno NAME]
 *
 * WHAT: flow, destination, process, process-flow.  Not said: the flow, and from
 * the first rule with exe or uid on the flow of this process, for then others
 * may be judged otherwise.
 *
 * No I/O here.  Rules are immutable once parsed.
 */
#ifndef RULES_H
#define RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ulsp.h"

enum { RULES_TEXT_MAX = 16 << 20, RULES_MAX = 1 << 20, RULES_ONCE_MS = 1000 };

struct fw_verdict {
	bool allow;
	int error;	 /* negative errno of a denial */
	uint32_t ttl_ms; /* 0: as long as the policy's rule says */
	enum ulsp_cover cover;
	uint32_t line; /* 0: no rule matched, and no default is given */
};

struct fw_rule {
	struct fw_verdict verdict;
	int op, proto;	/* numbers of the ABI, -1: any */
	uint8_t family; /* 4, 6; 0: any address */
	uint8_t prefix;
	uint8_t addr[16];
	uint16_t port_lo, port_hi;
	bool any_uid, cover_given;
	uid_t uid;
	char *exe; /* NULL: any */
};

struct fw_rules {
	struct fw_rule *v;
	size_t n;
	struct fw_verdict fallback;
	bool fallback_given;
};

struct fw_error {
	uint32_t line, col; /* from 1 */
	char text[160];
};

/* -EINVAL: wrong, and e says where; -ENOMEM. */
int fw_rules_parse(const char *text, size_t bytes, struct fw_rules **ret, struct fw_error *e);
void fw_rules_free(struct fw_rules **r);

/* An operation as the rules see it: the address and port that the policy's rules judge too. */
struct fw_query {
	int op, proto;	/* -1: unknown, which only `any' matches */
	uint8_t family; /* 0: none */
	uint8_t addr[16];
	uint16_t port;
	uid_t uid;
	/* Asked only by rules with exe; NULL: unknown. */
	const char *(*exe)(void *ctx);
	void *ctx;
};

int fw_op_number(const char *word); /* -1: none */
int fw_proto_number(const char *word);
/*
 * What the first matching rule says.  When the executable is unknown, a rule that names one
 * doesn't allow, and does deny.
 */
struct fw_verdict fw_rules_judge(const struct fw_rules *r, const struct fw_query *q);

#endif
