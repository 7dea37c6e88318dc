/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control protocol: what ulspctl and ulspd say to each other.
 *
 * A stream socket, RUN/INSTANCE/control.  A request is one line of JSON, with
 * the protocol's version and a verb; a `load` of text that is in no file is
 * followed by exactly text_bytes bytes.  The answer is one line of JSON:
 *
 *   {"v":1,"cmd":"group-mode","group":"web","mode":"audit"}
 *   {"ok":true,...}
 *   {"ok":false,"error":"no group \"web\"","diagnostics":[...]}
 *
 * `monitor` answers with a line and then a line a message, JSON or text, until
 * either side closes.  This file is the part without I/O: bytes in, checked requests out.
 * Bytes may be anything; a request that comes out has known fields only, each
 * of its type, and strings without NUL.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

enum {
	CONTROL_VERSION = 1,
	CONTROL_LINE_BYTES = 64 << 10, /* of a request's line, newline included */
	CONTROL_TEXT_BYTES = 1 << 20,  /* of a policy text behind it */
	CONTROL_CLIENTS = 32,	       /* at once; more are told so and closed */
	CONTROL_REQUEST_MS = 10000,    /* for a whole request, and to take an answer */
	CONTROL_DEPTH = 4,	       /* of nested JSON */
	CONTROL_WHY_BYTES = 200,
};

enum control_verb {
	CONTROL_VERSION_GET,
	CONTROL_LOAD,
	CONTROL_POLICY,
	CONTROL_GROUP_LIST,
	CONTROL_GROUP_SHOW,
	CONTROL_GROUP_ATTACH,
	CONTROL_GROUP_DETACH,
	CONTROL_GROUP_MODE,
	CONTROL_GROUP_RUN,
	CONTROL_EXPLAIN,
	CONTROL_MONITOR,
	CONTROL_ULSP_LIST,
	CONTROL_ULSP_SHOW,
	CONTROL_ULSP_RESTART,
	CONTROL_FLOW_LIST,
	CONTROL_FLOW_FLUSH,
	CONTROL_STATS,
	CONTROL_DOCTOR,
	CONTROL_SHUTDOWN,
	CONTROL_VERBS
};
const char *control_verb_name(enum control_verb verb);

struct control_request {
	enum control_verb verb;
	struct json_object *args; /* the whole request */
	char *text;		  /* load: what followed, NUL-terminated; else NULL */
	size_t text_bytes;
};
void control_request_fini(struct control_request *r);

/* Fields of a checked request; NULL, `missing` or false when absent. */
const char *control_string(const struct control_request *r, const char *field);
int64_t control_int(const struct control_request *r, const char *field, int64_t missing);
bool control_flag(const struct control_request *r, const char *field);
/* Strings of a list field. */
size_t control_count(const struct control_request *r, const char *field);
const char *control_at(const struct control_request *r, const char *field, size_t index);

/* What a client has sent and nobody has taken yet. */
struct control_input {
	char *buf;
	size_t bytes, room;
	bool pending; /* a load's line was read, its text is not complete */
	struct control_request load;
};
void control_input_fini(struct control_input *in);
/* -ENOMEM, or -EMSGSIZE when more is waiting than any request may have. */
int control_feed(struct control_input *in, const void *data, size_t bytes);
/*
 * Take the next request: 1 when there is one, 0 when it is not complete.
 * -EINVAL, -EMSGSIZE, -EPROTONOSUPPORT: malformed, `why` says how; what
 * follows in the stream has no meaning then.
 */
int control_next(struct control_input *in, struct control_request *ret,
		 char why[static CONTROL_WHY_BYTES]);

/* Instances are named by 1 to 48 letters, digits, '-', '_' and '.', no dot first. */
bool control_instance_ok(const char *name);
/* Of an instance's socket, in its run directory (control_path.c). */
int control_path(const char *instance, char *buf, size_t bytes);

#endif
