/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the daemon does for each request, by noun.  A handler adds fields to
 * the answer, which says ok unless it returns a negative errno with the cause.
 */
#ifndef REQUESTS_H
#define REQUESTS_H

#include <json-c/json.h>

#include "daemon.h"

struct request {
	struct daemon *d;
	struct client *client;
	const struct control_request *in;
	struct json_object *answer;
	struct err *e;
};

/* requests_group.c */
int request_group_list(const struct request *r);
int request_group_show(const struct request *r);
int request_group_attach(const struct request *r);
int request_group_detach(const struct request *r);
int request_group_mode(const struct request *r);
int request_group_run(const struct request *r);
int request_explain(const struct request *r);
/* requests_stats.c */
int request_stats(const struct request *r);
int request_ulsp_list(const struct request *r);
int request_ulsp_show(const struct request *r);
int request_ulsp_restart(const struct request *r);
/* requests_flow.c */
int request_flow_list(const struct request *r);
int request_flow_flush(const struct request *r);

/* The group or ULSP that the request names; -ENOENT. */
int request_group(const struct request *r, struct group **ret);
int request_ulsp(const struct request *r, struct supervised **ret);
/* "diagnostics": two lists as one. */
void add_diags(struct json_object *o, const struct pol_diags *a, const struct pol_diags *b);
/* Final verdicts and reasons of a group, summed over CPUs. */
int group_counts(const struct daemon *d, const struct group *g, struct ulsp_group_count *ret);

/* NULL: nothing is added. */
static inline void add_string(struct json_object *o, const char *key, const char *value)
{
	if (value)
		json_object_object_add(o, key, json_object_new_string(value));
}

static inline void add_int(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static inline void add_flag(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

#endif
