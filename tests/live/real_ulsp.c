/* SPDX-License-Identifier: BSD-2-Clause */
#include "real_ulsp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

struct fake fake;

int real_setup(void **state)
{
	(void)state;
	return fake_open(&fake, 1 << 16);
}

int real_teardown(void **state)
{
	(void)state;
	fake_close(&fake);
	return 0;
}

pid_t real_start(void (*body)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	fake_setenv(&fake);
	CHECK(!fake_drop());
	body();
	_exit(0);
}

void real_must_end_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

void real_wait_for_heartbeat(void)
{
	for (int i = 0; i < 1000 && !fake.page_at->readers[0].heartbeat_ns; i++)
		usleep(10000);
	assert_true(fake.page_at->readers[0].heartbeat_ns);
}

int real_on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct real_seen *s = ctx;

	(void)u;
	s->n++;
	s->last = ulsp_seq(m);
	return 0;
}

static void on_loss(struct ulsp *u, const char *group, uint64_t lost, uint64_t total, void *ctx)
{
	struct real_seen *s = ctx;

	(void)u;
	CHECK(!strcmp(group, "group1"));
	s->lost += lost;
	s->total = total;
}

struct ulsp *real_open(ulsp_handler handler, struct real_seen *s)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = handler, .ctx = s, .loss = on_loss};
	struct ulsp *u = NULL;
	int r = ulsp_open(&o, &u);

	if (r)
		fprintf(stderr, "ulsp_open: %s\n", strerror(-r));
	CHECK(!r);
	return u;
}

uint64_t real_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
