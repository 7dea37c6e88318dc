/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The questions that people have not answered yet.
 *
 * Operations of the same executable, user and group to the same destination and
 * port are one question, however many wait for its answer.  A question goes when
 * it is answered, or when nobody waits any more.  Questions and what waits for
 * them are bounded; who adds more is told.
 */
#ifndef ULSP_QUESTIONS_H
#define ULSP_QUESTIONS_H

#include "rules.h"
#include "ulsp.h"

enum {
	QUESTIONS_MAX = 128,
	QUESTIONS_OF_PROCESS = 32, /* one that asks about everything leaves room for others */
	QUESTION_WAITERS = 64,	   /* of one question */
};

struct waiter {
	struct ulsp_message *m;
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	bool held;	   /* by the kernel, so long; else its retry is decided */
};

struct question {
	uint64_t id;
	struct fw_query what; /* its exe() is set; group is the question's */
	char *exe;	      /* NULL: unknown */
	char *group;
	pid_t tgid; /* of the first that asked */
	uint64_t start_ns;
	struct fw_verdict otherwise; /* what holds without an answer */
	uint64_t told_until_ns;	     /* to the prompts; who tells them sets it */
	struct waiter waiters[QUESTION_WAITERS];
	size_t n;
};

struct questions {
	struct question *v[QUESTIONS_MAX];
	size_t n;
	uint64_t last_id;
};

/*
 * `m` waits for the answer to `what` until `until_ns`; `held`: the kernel waits as long.  Keeps a
 * copy of all.  1: a new question, 0: one that is there.  -ENOBUFS, -ENOMEM: nobody waits.
 */
int questions_add(struct questions *q, const struct ulsp_message *m, const struct fw_query *what,
		  const struct fw_verdict *otherwise, bool held, uint64_t until_ns,
		  struct question **ret);
struct question *questions_find(struct questions *q, uint64_t id); /* NULL: none */
/* One that waits no more, or -1; the question is the caller's to remove when n is 0. */
int question_late(const struct question *q, uint64_t now_ns);
void question_drop(struct question *q, size_t waiter);
uint64_t question_until_ns(const struct question *q); /* of the last */
/* When the next of them would have to expire; 0: never. */
uint64_t questions_next_ns(const struct questions *q);
void questions_remove(struct questions *q, struct question *gone); /* frees it */
void questions_fini(struct questions *q);
/* The kernel holds at least one of its operations. */
bool question_is_held(const struct question *q);

#endif
