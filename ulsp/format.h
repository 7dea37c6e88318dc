/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A message as text: the names of the numbers, one JSON object, one line for
 * people.  Shared by libulsp and ulspctl.
 *
 * A process chooses its own name and a cgroup's owner its path: whatever bytes
 * they hold, JSON stays one line of valid UTF-8, and text has no control
 * characters.
 */
#ifndef ULSP_FORMAT_H
#define ULSP_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "ulsp_abi.h"

enum { ULSP_FORMAT_BYTES = 8192 }; /* any message fits, with a cgroup path of 1 KiB at least */

/* Words as in a policy; "unknown" for a number that this version doesn't know. */
const char *ulsp_op_word(uint8_t op);
const char *ulsp_proto_word(uint8_t proto);
const char *ulsp_verdict_word(uint8_t verdict);
const char *ulsp_reason_word(uint8_t reason);
/* "EPERM" for 1 or -1; "0" for 0, the number where there is no name. */
const char *ulsp_errno_word(int error, char buf[16]);

/* 4: "192.0.2.1:443"; 6: "[2001:db8::1]:443"; else "-". */
enum { ULSP_ENDPOINT_BYTES = 56 };
void ulsp_format_endpoint(uint8_t family, const uint8_t addr[16], uint16_t port,
			  char buf[ULSP_ENDPOINT_BYTES]);
/* Whether an operation has the address at all. */
int ulsp_has_remote(const struct ulsp_msg *m);
int ulsp_has_local(const struct ulsp_msg *m);

/*
 * "file:line" of the rule or the default statement; "default" where a group has no such statement,
 * "implied" for what the default doesn't cover, "none" when nothing of the policy was consulted.
 */
void ulsp_format_rule(const struct ulsp_msg *m, const char *file, char *buf, size_t bytes);
/* "2026-01-02T03:04:05.000000006Z" */
enum { ULSP_TIME_BYTES = 32 };
void ulsp_format_time(int64_t realtime_ns, char buf[ULSP_TIME_BYTES]);
/* A JSON string with its quotes; returns the length, -ENOSPC. */
int ulsp_format_json_string(const char *s, char *buf, size_t bytes);

/*
 * What a message has by number.  NULL: not known.  `actor` and `target` are the groups of the two
 * processes where one would reach another (op >= ULSP_OP_REACH); NULL: in no group.
 */
struct ulsp_names {
	const char *group;
	const char *file; /* of the rule; "" is unknown, too */
	const char *cgroup;
	const char *actor, *target;
};
/* Slot plus one of those two groups, 0: none; and the process that was to be reached, 0: none. */
uint32_t ulsp_actor_slot(const struct ulsp_msg *m);
uint32_t ulsp_target_slot(const struct ulsp_msg *m);
uint32_t ulsp_target_tgid(const struct ulsp_msg *m);

/*
 * Return the length without the NUL; -ENOSPC: doesn't fit, and buf is "".  The plain forms take the
 * clocks' offset of now.
 */
int ulsp_format_json(const struct ulsp_msg *m, const struct ulsp_names *n, char *buf, size_t bytes);
int ulsp_format_json_at(const struct ulsp_msg *m, int64_t realtime_ns, const struct ulsp_names *n,
			char *buf, size_t bytes);
int ulsp_format_text(const struct ulsp_msg *m, const struct ulsp_names *n, char *buf, size_t bytes);
int ulsp_format_text_at(const struct ulsp_msg *m, int64_t realtime_ns, const struct ulsp_names *n,
			char *buf, size_t bytes);

#endif
