/* SPDX-License-Identifier: BSD-2-Clause */
#include "ulsp_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

int double_on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct double_seen *s = ctx;

	s->n++;
	if (s->stop_at && s->n == s->stop_at)
		ulsp_stop(u);
	if (s->close_at && s->n == s->close_at)
		ulsp_close(&s->u);
	return s->each ? s->each(u, m, s) : s->result;
}

static void on_loss(struct ulsp *u, const char *group, uint64_t lost, uint64_t total, void *ctx)
{
	struct double_seen *s = ctx;

	(void)u;
	s->lost += lost;
	s->total = total;
	snprintf(s->group, sizeof(s->group), "%s", group);
}

struct ulsp *double_open(struct double_seen *s)
{
	struct ulsp_options o = {
		.size = sizeof(o), .handler = double_on_message, .ctx = s, .loss = on_loss};
	struct ulsp *u = NULL;

	assert_int_equal(ulsp_test_open(&o, &u), 0);
	assert_non_null(u);
	return u;
}

int double_push(struct ulsp *u, const char *op, const char *remote, int ask)
{
	struct ulsp_test_message m = {.size = sizeof(m),
				      .operation = op,
				      .remote = remote,
				      .pid = getpid(),
				      .uid = 1000,
				      .ask = ask};

	return ulsp_test_push(u, &m);
}
