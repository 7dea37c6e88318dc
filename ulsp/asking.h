/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking people: what the rules leave to them goes to what they decided before,
 * else as a question to the prompts that are connected, else to what the rules
 * say otherwise.  Who asks is never kept waiting for more than the question's
 * time, nor when there is nobody to answer.
 */
#ifndef ULSP_ASKING_H
#define ULSP_ASKING_H

#include "decisions.h"
#include "prompt_server.h"
#include "questions.h"

enum {
	ASKING_TIME_MS = 30000,	 /* of a question for which no operation is held */
	ASKING_RETRY_MS = 10000, /* so long after an answer `once' a retry may come then */
};

struct asking {
	struct decisions decisions;
	struct questions questions;
	struct prompt_server *server; /* NULL: no prompts */
	const char *name;	      /* of this ULSP */
	bool asks;		      /* the rules of now may */
	uint32_t time_ms;
	uint64_t answered, late, refused; /* questions; operations without room for one */
	/* Says what people decided. */
	void (*say)(const char *format, ...) __attribute__((format(printf, 1, 2)));
};

int asking_open(struct asking *a, const char *path, gid_t group);
void asking_fini(struct asking *a);

/* By whom a verdict is. */
enum asking_by { ASKING_RULES, ASKING_DECISION, ASKING_NOBODY, ASKING_PENDING };
/*
 * What becomes of an operation that the rules leave to people: *v is changed to what holds now.
 * `gone`: its process, so that nobody is asked.
 * ASKING_PENDING: nothing yet; the message is kept.
 */
enum asking_by asking_judge(struct asking *a, const struct ulsp_message *m,
			    const struct fw_query *q, bool gone, struct fw_verdict *v);
/* Gives the verdict; the return value of ulsp_allow(). */
int asking_give(struct ulsp_message *m, const struct fw_verdict *v);

#endif
