/* SPDX-License-Identifier: BSD-2-Clause */
#include "program.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

void program_say(const struct program *p, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", p->name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static int take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* -errno, which is said. */
static int open_ring(const struct program *p, const struct ulsp_options *o, struct ulsp **ret,
		     int *ret_signals)
{
	int signals = take_signals(), r;

	if (signals < 0)
		return -errno;
	r = ulsp_open(o, ret);
	if (!r) {
		*ret_signals = signals;
		return 0;
	}
	close(signals);
	if (r == -ENOTCONN)
		program_say(p, "not started by ulspd: name it in a policy, `%s'", p->example);
	else if (r == -EPROTO)
		program_say(p, "ulspd is of another version: install both from one");
	else
		program_say(p, "cannot open the ring: %s", strerror(-r));
	return r;
}

static int serve(const struct program *p, struct ulsp *u, int signals)
{
	struct pollfd fds[3] = {
		{.fd = ulsp_fd(u), .events = POLLIN},
		{.fd = signals, .events = POLLIN},
		{.fd = p->extra_fd ? p->extra_fd(p->ctx, u) : -1, .events = POLLIN}};
	struct signalfd_siginfo info;
	int r;

	for (;;) {
		if (poll(fds, 3, -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (fds[0].revents) {
			r = ulsp_dispatch(u, 0);
			if (r < 0 && r != -EINTR)
				return r;
			r = p->after ? p->after(p->ctx) : 0;
			if (r)
				return r;
		}
		if (fds[2].revents)
			p->extra(p->ctx);
		if (fds[1].revents && read(signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo != SIGHUP)
				return 0;
			p->reload(p->ctx);
		}
	}
}

int program_run(const struct program *p, const struct ulsp_options *o)
{
	struct ulsp *u = NULL;
	int signals, r;

	r = open_ring(p, o, &u, &signals);
	if (r)
		return r;
	r = serve(p, u, signals);
	if (r && r != -EPIPE)
		program_say(p, "%s", strerror(-r));
	if (!r && p->end)
		r = p->end(p->ctx, u);
	ulsp_close(&u);
	close(signals);
	return r;
}
