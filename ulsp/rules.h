/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules of ulsp-firewall: text to a list, an asked operation to the first
 * rule that matches.
 *
 *   allow|deny [errno NAME] OP|any PROTO|any ADDR[/PREFIX]|any [port N[-M]|any]
 *              [exe PATH] [uid N|user NAME] [group NAME]
 *              [for DURATION|once|until restart|forever] [cover WHAT]
 *   ask        OP|any PROTO|any ADDR[/PREFIX]|any [port N[-M]|any]
 *              [exe PATH] [uid N|user NAME] [group NAME] [else allow|deny [errno NAME]]
 *   default [OP] allow|deny [errno NAME]
 *   default [OP] ask [else allow|deny [errno NAME]]
 *
 * WHAT: flow, destination, process, process-flow.  Not said: the flow, and from
 * the first rule with exe, uid or user on the flow of this process, for then
 * others may be judged otherwise.
 *
 * No I/O here but the look-up of user names.  Rules are immutable once parsed.
 */
#ifndef RULES_H
#define RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ulsp.h"

enum {
	RULES_TEXT_MAX = 16 << 20,
	RULES_MAX = 1 << 20,
	RULES_ONCE_MS = 1000,	  /* long enough for the retry that follows a denial */
	RULES_RESTART_MS = 30000, /* so soon nothing is left of what held until a restart */
	RULES_OPS = 16,
};

struct fw_verdict {
	bool allow;
	bool ask;	 /* people are to be asked; the rest is what holds when there is nobody */
	bool once;	 /* for one operation only, where the kernel can do that */
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
	bool else_given; /* ask: what holds otherwise; not given: what the default says */
	uid_t uid;
	char *exe;   /* NULL: any */
	char *group; /* of the policy; NULL: any */
};

struct fw_default {
	struct fw_verdict verdict;
	bool given, else_given;
};

struct fw_rules {
	struct fw_rule *v;
	size_t n;
	struct fw_default fallback;
	struct fw_default by_op[RULES_OPS];
	bool asks; /* some rule or default does */
};

struct fw_error {
	uint32_t line, col; /* from 1 */
	char text[160];
};

/* -EINVAL: wrong, and e says where; -ENOMEM. */
int fw_rules_parse(const char *text, size_t bytes, struct fw_rules **ret, struct fw_error *e);
void fw_rules_free(struct fw_rules **r);
void fw_rule_fini(struct fw_rule *rule);

/* An operation as the rules see it: the address and port that the policy's rules judge too. */
struct fw_query {
	int op, proto;	/* -1: unknown, which only `any' matches */
	uint8_t family; /* 0: none */
	uint8_t addr[16];
	uint16_t port;
	uid_t uid;
	const char *group; /* NULL: unknown, which no rule with a group matches */
	/* Asked only by rules with exe; NULL: unknown. */
	const char *(*exe)(void *ctx);
	void *ctx;
};

const char *fw_op_word(int op); /* "any" for -1 */
const char *fw_proto_word(int proto);
int fw_op_number(const char *word); /* -1: none */
int fw_proto_number(const char *word);
/*
 * What the first matching rule says.  When the executable is unknown, a rule that names one
 * doesn't allow, and does deny or ask.
 */
struct fw_verdict fw_rules_judge(const struct fw_rules *r, const struct fw_query *q);
/* One rule; an unknown executable is none that it could name. */
bool fw_rule_is_about(const struct fw_rule *rule, const struct fw_query *q);

/*
 * The rule as a line of a rule file that parses to it again, without newline; its length.
 * -EINVAL: a path or name that no line can hold.  -ENOSPC.
 */
enum { RULES_LINE_BYTES = 2 * 4096 + 1024 };
int fw_rule_print(const struct fw_rule *rule, char *buf, size_t bytes);

#endif
