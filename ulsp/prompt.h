/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ulsp-firewall and its prompts say to each other.
 *
 * A stream socket, a line of JSON a message.  The firewall speaks first:
 *
 *   {"v":1,"hello":"firewall","asks":true}
 *   {"question":7,"group":"agent","operation":"connect","protocol":"tcp",
 *    "address":"192.0.2.1","port":443,"pid":42,"uid":33,"user":"www-data",
 *    "comm":"curl","exe":"/usr/bin/curl","cgroup":"a/b","left_ms":4800,
 *    "held":true,"waiting":1,"otherwise":"deny"}
 *   {"gone":7,"why":"answered","by":0}            or "decided": by another's answer; or "late"
 *   {"result":7,"ok":false,"error":"..."}         to who answered
 *   {"v":1,"error":"..."}                         and the end
 *
 * A prompt says only answers:
 *
 *   {"v":1,"answer":7,"verdict":"allow","duration":"10m","scope":"port"}
 *
 * Names that others chose are escaped before they are sent (escape_name()).
 * What isn't known is null.  This file has no I/O: lines in, checked values out.
 */
#ifndef ULSP_PROMPT_H
#define ULSP_PROMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

enum {
	PROMPT_VERSION = 1,
	PROMPT_ANSWER_BYTES = 1024,    /* of a line to the firewall */
	PROMPT_EVENT_BYTES = 64 << 10, /* of a line to a prompt */
	PROMPT_DEPTH = 3,	       /* of nested JSON */
	PROMPT_WHY_BYTES = 160,
};

enum prompt_duration {
	PROMPT_ONCE,
	PROMPT_PROCESS,
	PROMPT_FOR, /* so many ms */
	PROMPT_RESTART,
	PROMPT_FOREVER,
};

enum prompt_scope {
	PROMPT_PORT,	/* this address and port */
	PROMPT_ADDRESS, /* every port of the address */
	PROMPT_ANY,	/* this operation, to anywhere */
};

struct prompt_answer {
	uint64_t id; /* 0: not said */
	bool allow;
	enum prompt_duration duration;
	uint32_t for_ms;
	enum prompt_scope scope;
};

/* "once", "process", "10m", "restart", "forever". */
int prompt_duration_parse(const char *word, struct prompt_answer *a);
char *prompt_duration_text(const struct prompt_answer *a, char buf[24]);
const char *prompt_scope_word(enum prompt_scope scope);
/* As people type it: [ID] allow|deny [DURATION] [SCOPE]; -EINVAL, and why. */
int prompt_answer_type(const char *line, struct prompt_answer *ret, char why[PROMPT_WHY_BYTES]);
/* As it is sent; the line has its newline and is to be freed.  NULL: no memory. */
char *prompt_answer_line(const struct prompt_answer *a);
/* -EINVAL, -EPROTONOSUPPORT: `why` says it. */
int prompt_answer_parse(const char *line, size_t bytes, struct prompt_answer *ret,
			char why[PROMPT_WHY_BYTES]);

/* A question as it is told; strings are the caller's, or the event's. */
struct prompt_question {
	uint64_t id;
	const char *group, *operation, *protocol;
	const char *address; /* NULL: none */
	uint16_t port;
	int32_t pid; /* 0: unknown */
	uint32_t uid;
	const char *user, *comm, *exe, *cgroup; /* NULL: unknown */
	int64_t left_ms;
	bool held; /* the operation waits; else only its retry is decided */
	uint32_t waiting;
	bool otherwise; /* allowed when nobody answers */
};

char *prompt_hello_line(const char *ulsp, bool asks);
char *prompt_question_line(const struct prompt_question *q);
enum prompt_gone { PROMPT_LATE, PROMPT_ANSWERED, PROMPT_DECIDED };
char *prompt_gone_line(uint64_t id, enum prompt_gone why, uint32_t by);
char *prompt_result_line(uint64_t id, const char *error); /* NULL: it was taken */
char *prompt_error_line(const char *error);

enum prompt_kind { PROMPT_HELLO, PROMPT_QUESTION, PROMPT_GONE, PROMPT_RESULT, PROMPT_ERROR };

struct prompt_event {
	enum prompt_kind kind;
	uint64_t id;
	bool ok; /* result; hello: it may ask */
	enum prompt_gone why;
	const char *text; /* error; hello: the ULSP's name */
	struct prompt_question question;
	struct json_object *json; /* has the strings */
};
int prompt_event_parse(const char *line, size_t bytes, struct prompt_event *ret,
		       char why[PROMPT_WHY_BYTES]);
void prompt_event_fini(struct prompt_event *e);

#endif
