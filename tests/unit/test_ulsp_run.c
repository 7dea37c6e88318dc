/* SPDX-License-Identifier: BSD-2-Clause */
/* Dispatching: how long it waits, what ends it, and what a handler may do within it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ulsp_double.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void handler_ends_dispatch(void **state)
{
	struct double_seen s = {.result = -EXFULL};
	struct ulsp *u = double_open(&s);

	(void)state;
	double_push(u, "connect", "192.0.2.1:1", 0);
	double_push(u, "connect", "192.0.2.1:2", 0);
	assert_int_equal(ulsp_dispatch(u, 0), -EXFULL);
	assert_int_equal(s.n, 1);
	s.result = 0;
	assert_int_equal(ulsp_dispatch(u, 0), 1);
	assert_int_equal(s.n, 2);
	s.result = -EXFULL;
	double_push(u, "connect", "192.0.2.1:2", 0);
	assert_int_equal(ulsp_run(u), -EXFULL);
	ulsp_close(&u);
}

static void dispatch_is_bounded(void **state)
{
	struct double_seen s = {0};
	struct ulsp *u = double_open(&s);

	(void)state;
	for (int i = 0; i < 1500; i++)
		double_push(u, "connect", "192.0.2.1:1", 0);
	assert_int_equal(ulsp_dispatch(u, -1), 1024);
	assert_int_equal(ulsp_dispatch(u, -1), 476);
	assert_int_equal(ulsp_dispatch(u, 0), 0);
	assert_int_equal(s.n, 1500);
	ulsp_close(&u);
}

static void waits_no_longer_than_told(void **state)
{
	struct double_seen s = {0};
	struct ulsp *u = double_open(&s);
	double start = now();

	(void)state;
	assert_int_equal(ulsp_dispatch(u, 1200), 0); /* across a heartbeat */
	assert_true(now() - start >= 1.2 && now() - start < 10);
	start = now();
	assert_int_equal(ulsp_dispatch(u, 0), 0);
	assert_true(now() - start < 5);
	ulsp_close(&u);
}

static void fd_is_pollable(void **state)
{
	struct double_seen s = {0};
	struct ulsp *u = double_open(&s);
	struct pollfd p = {.fd = ulsp_fd(u), .events = POLLIN};

	(void)state;
	assert_int_equal(poll(&p, 1, 0), 0);
	double_push(u, "connect", "192.0.2.1:1", 0);
	assert_int_equal(poll(&p, 1, 0), 1);
	ulsp_dispatch(u, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(poll(&p, 1, 1500), 1); /* the heartbeat */
	assert_int_equal(ulsp_dispatch(u, 0), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	ulsp_close(&u);
}

static void run_until_stopped(void **state)
{
	struct double_seen s = {.stop_at = 3};
	struct ulsp *u = double_open(&s);

	(void)state;
	for (int i = 0; i < 5; i++)
		double_push(u, "connect", "192.0.2.1:1", 0);
	assert_int_equal(ulsp_run(u), 0);
	assert_int_equal(s.n, 3);
	s.stop_at = 5; /* it runs again, and takes what was left */
	assert_int_equal(ulsp_run(u), 0);
	assert_int_equal(s.n, 5);
	ulsp_stop(u);
	assert_int_equal(ulsp_dispatch(u, -1), -ECANCELED);
	assert_int_equal(ulsp_run(u), 0);
	assert_int_equal(ulsp_dispatch(u, 0), 0);
	ulsp_close(&u);
}

static volatile sig_atomic_t alarms;
static struct ulsp *to_stop;

static void on_alarm(int sig)
{
	(void)sig;
	alarms = alarms + 1;
	if (to_stop)
		ulsp_stop(to_stop);
}

static void arm(int sig, int ms)
{
	struct itimerval t = {.it_value = {ms / 1000, ms % 1000 * 1000}};
	struct sigaction sa = {.sa_handler = on_alarm};

	(void)sig;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static void stop_in_a_signal_handler(void **state)
{
	struct double_seen s = {0};
	struct ulsp *u = double_open(&s);

	(void)state;
	to_stop = u;
	arm(SIGALRM, 50);
	assert_int_equal(ulsp_run(u), 0);
	to_stop = NULL;
	arm(SIGALRM, 50);
	assert_int_equal(ulsp_dispatch(u, -1), -EINTR);
	ulsp_close(&u);
}

static volatile sig_atomic_t terms;

static void on_term(int sig)
{
	(void)sig;
	terms = terms + 1;
}

static int kill_self(struct ulsp *u, struct ulsp_message *m, struct double_seen *s)
{
	(void)u;
	(void)m;
	kill(getpid(), s->n % 2 ? SIGTERM : SIGINT);
	return 0;
}

static void run_until_sigterm(void **state)
{
	struct sigaction sa = {.sa_handler = on_term}, was;
	struct double_seen s = {.each = kill_self};
	struct ulsp *u = double_open(&s);
	sigset_t before, after;

	(void)state;
	sigaction(SIGTERM, &sa, &was);
	sigprocmask(SIG_BLOCK, NULL, &before);
	for (int i = 0; i < 2; i++) {
		double_push(u, "connect", "192.0.2.1:1", 0);
		assert_int_equal(ulsp_run(u), 0);
	}
	assert_int_equal(s.n, 2);
	/* Taken by ulsp_run(), and all is as it was before. */
	assert_int_equal(terms, 0);
	sigprocmask(SIG_BLOCK, NULL, &after);
	for (int sig = 1; sig < 32; sig++)
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
	raise(SIGTERM);
	assert_int_equal(terms, 1);
	sigaction(SIGTERM, &was, NULL);
	ulsp_close(&u);
}

enum { THREADS = 4, EACH = 100 };

static struct ulsp *together[THREADS];
static int all; /* atomic */

static int stop_at_last(struct ulsp *u, struct ulsp_message *m, struct double_seen *s)
{
	(void)u;
	(void)m;
	(void)s;
	if (__atomic_add_fetch(&all, 1, __ATOMIC_SEQ_CST) == THREADS * EACH)
		ulsp_stop(together[2]);
	return 0;
}

static void threads_take_their_own(void **state)
{
	struct double_seen s[THREADS] = {0};

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		s[i].each = stop_at_last;
		together[i] = double_open(&s[i]);
	}
	for (int run = 1; run <= 2; run++) { /* they run again */
		all = 0;
		for (int i = 0; i < THREADS * EACH; i++)
			double_push(together[i % THREADS], "connect", "192.0.2.1:1", 0);
		assert_int_equal(ulsp_run_threads(together, THREADS), 0);
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(s[i].n, run * EACH);
	}
	assert_int_equal(ulsp_run_threads(together, 0), -EINVAL);
	assert_int_equal(ulsp_run_threads(NULL, 1), -EINVAL);
	for (int i = 0; i < THREADS; i++)
		ulsp_close(&together[i]);
	assert_int_equal(ulsp_run_threads(together, THREADS), -EINVAL);
}

static void threads_end_together(void **state)
{
	struct sigaction sa = {.sa_handler = on_term}, was;
	sigset_t before, after;

	(void)state;
	sigaction(SIGTERM, &sa, &was);
	terms = 0;
	sigprocmask(SIG_BLOCK, NULL, &before);
	/* by an error, a signal, a handle that is closed; each in the first and in another thread
	 */
	for (int how = 0; how < 6; how++) {
		struct double_seen s[THREADS] = {0}, *who = &s[how % 2 ? 3 : 0];

		for (int i = 0; i < THREADS; i++)
			together[i] = double_open(&s[i]);
		who->u = together[who - s];
		who->result = how / 2 == 0 ? -EXFULL : 0;
		who->each = how / 2 == 1 ? kill_self : NULL;
		who->close_at = how / 2 == 2;
		double_push(who->u, "connect", "192.0.2.1:1", 0);
		assert_int_equal(ulsp_run_threads(together, THREADS), how / 2 ? 0 : -EXFULL);
		assert_int_equal(who->n, 1);
		if (how / 2 == 2)
			together[who - s] = NULL;
		for (int i = 0; i < THREADS; i++)
			ulsp_close(&together[i]);
	}
	assert_int_equal(terms, 0);
	sigprocmask(SIG_BLOCK, NULL, &after);
	for (int sig = 1; sig < 32; sig++)
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
	sigaction(SIGTERM, &was, NULL);
}

static int dispatch_again(struct ulsp *u, struct ulsp_message *m, struct double_seen *s)
{
	(void)m;
	(void)s;
	assert_int_equal(ulsp_dispatch(u, 0), -EBUSY);
	return 0;
}

static void no_dispatch_within_a_handler(void **state)
{
	struct double_seen s = {.each = dispatch_again};
	struct ulsp *u = double_open(&s);

	(void)state;
	double_push(u, "connect", "192.0.2.1:1", 0);
	assert_int_equal(ulsp_dispatch(u, 0), 1);
	ulsp_close(&u);
	assert_int_equal(ulsp_dispatch(NULL, 0), -EINVAL);
}

static void close_within_a_handler(void **state)
{
	struct double_seen s = {.close_at = 2};

	(void)state;
	for (int run = 0; run < 2; run++) {
		s.n = 0;
		s.u = double_open(&s);
		for (int i = 0; i < 4; i++)
			double_push(s.u, "connect", "192.0.2.1:1", 0);
		if (run)
			assert_int_equal(ulsp_run(s.u), 0);
		else
			assert_int_equal(ulsp_dispatch(s.u, 0), 2);
		assert_int_equal(s.n, 2);
		assert_null(s.u);
	}
}

static int push_more(struct ulsp *u, struct ulsp_message *m, struct double_seen *s)
{
	(void)m;
	if (s->n < 100)
		double_push(u, "connect", "192.0.2.1:1", 0);
	return 0;
}

static void push_within_a_handler(void **state)
{
	struct double_seen s = {.each = push_more};
	struct ulsp *u = double_open(&s);

	(void)state;
	double_push(u, "connect", "192.0.2.1:1", 0);
	while (ulsp_dispatch(u, 0) > 0)
		;
	assert_int_equal(s.n, 100);
	ulsp_close(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handler_ends_dispatch),
		cmocka_unit_test(dispatch_is_bounded),
		cmocka_unit_test(waits_no_longer_than_told),
		cmocka_unit_test(fd_is_pollable),
		cmocka_unit_test(run_until_stopped),
		cmocka_unit_test(stop_in_a_signal_handler),
		cmocka_unit_test(run_until_sigterm),
		cmocka_unit_test(threads_take_their_own),
		cmocka_unit_test(threads_end_together),
		cmocka_unit_test(no_dispatch_within_a_handler),
		cmocka_unit_test(close_within_a_handler),
		cmocka_unit_test(push_within_a_handler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
