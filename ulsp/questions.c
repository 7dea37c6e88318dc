/* SPDX-License-Identifier: BSD-2-Clause */
#include "questions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *exe_of(void *ctx)
{
	const struct question *q = ctx;

	return q->exe;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* An unknown executable is that of its process only. */
static bool is_same(const struct question *q, const struct fw_query *w, const char *exe,
		    const struct ulsp_message *m)
{
	if (q->what.op != w->op || q->what.proto != w->proto || q->what.family != w->family ||
	    memcmp(q->what.addr, w->addr, sizeof(w->addr)) || q->what.port != w->port ||
	    q->what.uid != w->uid || !same_text(q->group, w->group) || !same_text(q->exe, exe))
		return false;
	return exe || (q->tgid == ulsp_tgid(m) && q->start_ns == ulsp_start_ns(m));
}

static void question_free(struct question *q)
{
	for (size_t i = 0; i < q->n; i++)
		ulsp_message_unref(&q->waiters[i].m);
	free(q->exe);
	free(q->group);
	free(q);
}

static struct question *question_new(const struct ulsp_message *m, const struct fw_query *what,
				     const char *exe)
{
	struct question *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->what = *what;
	q->exe = exe ? strdup(exe) : NULL;
	q->group = what->group ? strdup(what->group) : NULL;
	if ((exe && !q->exe) || (what->group && !q->group)) {
		question_free(q);
		return NULL;
	}
	q->what.group = q->group;
	q->what.exe = exe_of;
	q->what.ctx = q;
	q->tgid = ulsp_tgid(m);
	q->start_ns = ulsp_start_ns(m);
	return q;
}

/*
 * A process whose tries fail meanwhile waits once, from its first: its last has the policy's
 * generation of now.  The kernel's own waits are all answered.
 */
static int add_waiter(struct question *q, const struct ulsp_message *m, bool held,
		      uint64_t until_ns)
{
	struct ulsp_message *kept;
	size_t at = q->n;
	int r;

	for (size_t i = 0; !held && i < q->n; i++)
		if (!q->waiters[i].held && ulsp_tgid(q->waiters[i].m) == ulsp_tgid(m) &&
		    ulsp_start_ns(q->waiters[i].m) == ulsp_start_ns(m))
			at = i;
	if (at == QUESTION_WAITERS)
		return -ENOBUFS;
	r = ulsp_message_keep(m, &kept);
	if (r)
		return r;
	if (at < q->n) {
		ulsp_message_unref(&q->waiters[at].m);
		q->waiters[at].m = kept;
	} else {
		q->waiters[q->n++] = (struct waiter){kept, until_ns, held};
	}
	return 0;
}

static bool is_full(const struct questions *q, const struct ulsp_message *m)
{
	size_t own = 0;

	for (size_t i = 0; i < q->n; i++)
		own += q->v[i]->tgid == ulsp_tgid(m) && q->v[i]->start_ns == ulsp_start_ns(m);
	return q->n == QUESTIONS_MAX || own >= QUESTIONS_OF_PROCESS;
}

int questions_add(struct questions *q, const struct ulsp_message *m, const struct fw_query *what,
		  const struct fw_verdict *otherwise, bool held, uint64_t until_ns,
		  struct question **ret)
{
	const char *exe = what->exe ? what->exe(what->ctx) : NULL;
	struct question *one;
	int r;

	for (size_t i = 0; i < q->n; i++) {
		if (!is_same(q->v[i], what, exe, m))
			continue;
		r = add_waiter(q->v[i], m, held, until_ns);
		if (!r)
			*ret = q->v[i];
		return r;
	}
	if (is_full(q, m))
		return -ENOBUFS;
	one = question_new(m, what, exe);
	if (!one)
		return -ENOMEM;
	one->otherwise = *otherwise;
	r = add_waiter(one, m, held, until_ns);
	if (r) {
		question_free(one);
		return r;
	}
	one->id = ++q->last_id;
	q->v[q->n++] = one;
	*ret = one;
	return 1;
}

struct question *questions_find(struct questions *q, uint64_t id)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->v[i]->id == id)
			return q->v[i];
	return NULL;
}

void question_drop(struct question *q, size_t waiter)
{
	ulsp_message_unref(&q->waiters[waiter].m);
	q->waiters[waiter] = q->waiters[--q->n];
}

int question_late(const struct question *q, uint64_t now_ns)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->waiters[i].until_ns <= now_ns)
			return (int)i;
	return -1;
}

uint64_t question_until_ns(const struct question *q)
{
	uint64_t last = 0;

	for (size_t i = 0; i < q->n; i++)
		if (last < q->waiters[i].until_ns)
			last = q->waiters[i].until_ns;
	return last;
}

uint64_t questions_next_ns(const struct questions *q)
{
	uint64_t next = 0;

	for (size_t i = 0; i < q->n; i++)
		for (size_t j = 0; j < q->v[i]->n; j++) {
			uint64_t at = q->v[i]->waiters[j].until_ns;

			if (!next || at < next)
				next = at;
		}
	return next;
}

void questions_remove(struct questions *q, struct question *gone)
{
	for (size_t i = 0; i < q->n; i++) {
		if (q->v[i] != gone)
			continue;
		memmove(q->v + i, q->v + i + 1, (q->n - i - 1) * sizeof(*q->v));
		q->n--;
		question_free(gone);
		return;
	}
}

void questions_fini(struct questions *q)
{
	while (q->n)
		questions_remove(q, q->v[q->n - 1]);
}

bool question_is_held(const struct question *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->waiters[i].held)
			return true;
	return false;
}
