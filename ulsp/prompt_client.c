/* SPDX-License-Identifier: BSD-2-Clause */
#include "prompt_client.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"
#include "lines.h"
#include "prompt_screen.h"

enum {
	SHOWN_MAX = 256,
	SETTLE_MS = 400, /* keys that were meant for what was there before */
	LEFT_MAX_MS = 86400000,
};

struct shown {
	struct prompt_event event;
	uint64_t until_ns;
	bool sent; /* an answer, whose result has not come yet */
};

struct client {
	const struct prompt_client_options *options;
	char path[PATH_MAX];
	int fd; /* -1: waiting for the firewall */
	bool keys;
	bool terminal; /* a person types: at any time */
	struct lines in, typed;
	bool typed_end;
	struct shown v[SHOWN_MAX];
	size_t n, at; /* the one that keys answer */
	enum prompt_scope scope;
	uint64_t settled_ns; /* keys count from then on */
	size_t unanswered;   /* answers without a result */
	bool said_waiting;
};

static volatile sig_atomic_t ended, continued;
static struct termios before;
static bool changed;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the terminal ---- */

static void on_signal(int number)
{
	if (number == SIGCONT)
		continued = 1;
	else
		ended = 1;
}

static void restore_terminal(void)
{
	if (changed)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	changed = false;
}

static void take_keys(void)
{
	struct termios raw = before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	changed = !tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static bool may_take_keys(const struct prompt_client_options *o)
{
	const char *term = getenv("TERM");

	return !o->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
	       strcmp(term, "dumb") && !tcgetattr(STDIN_FILENO, &before);
}

static void take_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGCONT};
	struct sigaction a = {.sa_handler = on_signal};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		sigaddset(&set, signals[i]);
		sigaction(signals[i], &a, NULL);
	}
	sigprocmask(SIG_BLOCK, &set, NULL); /* but for the waits */
	signal(SIGPIPE, SIG_IGN);
}

/* ---- the socket ---- */

static int only_socket(const char *pattern, char path[PATH_MAX])
{
	glob_t found;
	int r = -1;

	if (glob(pattern, 0, NULL, &found)) {
		fprintf(stderr, "ulsp-firewall: no firewall offers prompts at %s\n", pattern);
		return -1;
	}
	if (found.gl_pathc == 1) {
		snprintf(path, PATH_MAX, "%s", found.gl_pathv[0]);
		r = 0;
	} else {
		fputs("ulsp-firewall: several firewalls offer prompts, choose by --socket:\n",
		      stderr);
		for (size_t i = 0; i < found.gl_pathc; i++)
			fprintf(stderr, "  %s\n", found.gl_pathv[i]);
	}
	globfree(&found);
	return r;
}

static int find_socket(const struct prompt_client_options *o, char path[PATH_MAX])
{
	const char *base = getenv("ULSP_RUN_DIR"), *instance = o->instance;
	char pattern[PATH_MAX];

	if (o->socket)
		return snprintf(path, PATH_MAX, "%s", o->socket) < PATH_MAX ? 0 : -1;
	if (!instance)
		instance = getenv("ULSP_INSTANCE");
	if (!instance || !*instance)
		instance = "system";
	if (strpbrk(instance, "/*?[]\\")) {
		fputs("ulsp-firewall: that is no name of an instance\n", stderr);
		return -1;
	}
	snprintf(pattern, sizeof(pattern), "%s/%s/ulsp/*/prompt",
		 base && *base ? base : "/run/ulsp", instance);
	return only_socket(pattern, path);
}

static int connect_to(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	strcpy(at.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (void *)&at, sizeof(at))) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* ---- questions ---- */

static int64_t left_ms(const struct shown *s)
{
	uint64_t now = now_ns();

	return s->until_ns > now ? (int64_t)((s->until_ns - now) / 1000000) : 0;
}

static void status(struct client *c)
{
	if (c->keys && c->n && !c->unanswered)
		screen_status(stdout, &c->v[c->at].event.question, left_ms(&c->v[c->at]), c->scope,
			      c->n - 1);
}

/* Over the status line. */
static void begin_line(struct client *c)
{
	if (c->keys)
		fputs("\r\033[K", stdout);
}

/* A key that was pressed before one could read the question is no answer to it. */
static void show_current(struct client *c)
{
	struct prompt_question *q;

	if (!c->n)
		return;
	if (c->at >= c->n)
		c->at = 0;
	q = &c->v[c->at].event.question;
	q->left_ms = left_ms(&c->v[c->at]);
	c->scope = PROMPT_PORT;
	begin_line(c);
	screen_question(stdout, q);
	if (!c->keys)
		return;
	screen_keys(stdout, q);
	tcflush(STDIN_FILENO, TCIFLUSH);
	c->settled_ns = now_ns() + SETTLE_MS * 1000000ull;
}

static struct shown *find(struct client *c, uint64_t id)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].event.id == id)
			return &c->v[i];
	return NULL;
}

static struct shown *first_open(struct client *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->v[i].sent)
			return &c->v[i];
	return NULL;
}

static void forget(struct client *c, struct shown *s)
{
	size_t i = (size_t)(s - c->v);
	bool current = i == c->at;

	prompt_event_fini(&s->event);
	memmove(s, s + 1, (c->n - i - 1) * sizeof(*s));
	c->n--;
	if (i < c->at)
		c->at--;
	/* With an answer others may go too: what is next is known with its result. */
	if (c->keys && current && !c->unanswered)
		show_current(c);
}

static void add_question(struct client *c, struct prompt_event *e)
{
	struct shown *s = find(c, e->id);
	int64_t ms = e->question.left_ms < LEFT_MAX_MS ? e->question.left_ms : LEFT_MAX_MS;
	uint64_t until = now_ns() + (uint64_t)ms * 1000000u;

	if (s) { /* it waits longer */
		s->until_ns = until;
		prompt_event_fini(e);
		return;
	}
	if (c->n == SHOWN_MAX) {
		prompt_event_fini(e);
		return;
	}
	c->v[c->n++] = (struct shown){.event = *e, .until_ns = until};
	if (c->n == 1 && (!c->keys || !c->unanswered)) {
		c->at = 0;
		show_current(c);
	} else if (!c->keys) {
		screen_question(stdout, &e->question);
	}
}

static int send_line(struct client *c, char *line)
{
	size_t bytes = line ? strlen(line) : 0;
	ssize_t n = bytes ? send(c->fd, line, bytes, MSG_NOSIGNAL) : -1;

	free(line);
	return n == (ssize_t)bytes ? 0 : -EPIPE;
}

static void answer(struct client *c, struct shown *s, struct prompt_answer *a)
{
	a->id = s->event.id;
	if (send_line(c, prompt_answer_line(a)))
		return; /* the end of the connection says it */
	c->unanswered++;
	begin_line(c);
	screen_answer(stdout, &s->event.question, a);
	s->sent = true;
}

/* ---- what the firewall says ---- */

static void say_text(struct client *c, const char *prefix, const char *text)
{
	char shown[512];

	begin_line(c);
	printf("%s%s\n", prefix, escape_text(text ? text : "", shown, sizeof(shown)));
}

static void on_gone(struct client *c, const struct prompt_event *e)
{
	static const char *const texts[] = {
		[PROMPT_LATE] = "too late: decided without an answer",
		[PROMPT_ANSWERED] = "answered by another",
		[PROMPT_DECIDED] = "decided by the answer to another",
	};
	struct shown *s = find(c, e->id);

	if (!s)
		return;
	if (!s->sent) {
		begin_line(c);
		printf("[%" PRIu64 "] %s\n", e->id, texts[e->why]);
	}
	forget(c, s);
}

static void on_event(struct client *c, struct prompt_event *e)
{
	char number[32];

	switch (e->kind) {
	case PROMPT_HELLO:
		say_text(c, "connected to ", e->text);
		if (!e->ok)
			say_text(c, "", "its rules have no `ask': there will be no questions");
		break;
	case PROMPT_QUESTION:
		add_question(c, e);
		return;
	case PROMPT_GONE:
		on_gone(c, e);
		break;
	case PROMPT_RESULT:
		if (c->unanswered)
			c->unanswered--;
		snprintf(number, sizeof(number), "[%" PRIu64 "] ", e->id);
		if (!e->ok)
			say_text(c, number, e->text);
		if (c->keys && !c->unanswered)
			show_current(c);
		break;
	case PROMPT_ERROR:
		say_text(c, "refused: ", e->text);
		break;
	}
	prompt_event_fini(e);
}

/* false: the connection is of no use any more. */
static bool on_line(struct client *c, const char *line, size_t bytes)
{
	char why[PROMPT_WHY_BYTES];
	struct prompt_event e;

	if (prompt_event_parse(line, bytes, &e, why)) {
		fprintf(stderr, "ulsp-firewall: not understood: %s\n", why);
		return false;
	}
	if (!c->options->json) {
		on_event(c, &e);
		return true;
	}
	if (e.kind == PROMPT_RESULT && c->unanswered)
		c->unanswered--;
	puts(line);
	prompt_event_fini(&e);
	return true;
}

static bool on_socket(struct client *c)
{
	int r = lines_read(&c->in, c->fd, PROMPT_EVENT_BYTES);
	char *line;
	size_t bytes;

	if (r == -EINTR)
		return true;
	while ((line = lines_next(&c->in, &bytes)))
		if (!on_line(c, line, bytes))
			return false;
	return r > 0 && !lines_too_long(&c->in, PROMPT_EVENT_BYTES);
}

/* ---- what the person says ---- */

static void on_key(struct client *c, char key)
{
	struct prompt_answer a = {0};

	switch (screen_key(key, &a)) {
	case KEY_ANSWER:
		if (!c->n || c->unanswered || now_ns() < c->settled_ns)
			return;
		a.scope = c->scope;
		answer(c, &c->v[c->at], &a);
		return;
	case KEY_SCOPE:
		c->scope = c->scope == PROMPT_ANY ? PROMPT_PORT : c->scope + 1;
		return;
	case KEY_NEXT:
		if (c->n < 2)
			return;
		c->at = (c->at + 1) % c->n;
		show_current(c);
		return;
	case KEY_QUIT:
		ended = 1;
		return;
	case KEY_NONE:
		return;
	}
}

static void on_typed(struct client *c, const char *line, size_t bytes)
{
	char why[PROMPT_WHY_BYTES], *copy;
	struct prompt_answer a;
	struct shown *s;

	if (c->options->json) {
		if (prompt_answer_parse(line, bytes, &a, why)) {
			fprintf(stderr, "ulsp-firewall: %s\n", why);
		} else if (asprintf(&copy, "%s\n", line) > 0 && !send_line(c, copy)) {
			c->unanswered++;
		}
		return;
	}
	if (!line[strspn(line, " \t\r")])
		return;
	if (!strcmp(line, "quit")) {
		ended = 1;
		return;
	}
	if (prompt_answer_type(line, &a, why)) {
		puts(why);
		return;
	}
	s = a.id ? find(c, a.id) : first_open(c);
	if (s && !s->sent)
		answer(c, s, &a);
	else
		puts("no such question");
}

/* Lines one by one: each answers what is asked when it is read. */
static bool wants_lines(struct client *c)
{
	return c->fd >= 0 && (c->options->json || c->terminal || first_open(c));
}

static void take_typed(struct client *c)
{
	char *line;
	size_t bytes;

	while (!ended && wants_lines(c) && (line = lines_next(&c->typed, &bytes)))
		on_typed(c, line, bytes);
}

static void on_input(struct client *c)
{
	char keys[64];
	ssize_t n;
	int r;

	if (c->keys) {
		n = read(STDIN_FILENO, keys, sizeof(keys));
		for (ssize_t i = 0; i < n; i++)
			on_key(c, keys[i]);
		ended |= !n;
		return;
	}
	r = lines_read(&c->typed, STDIN_FILENO, PROMPT_ANSWER_BYTES);
	if (r == -EINTR)
		return;
	if (r <= 0) {
		lines_end(&c->typed);
		c->typed_end = true;
	}
	take_typed(c);
}

/* ---- */

static void drop_connection(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	lines_fini(&c->in);
	c->unanswered = 0;
	while (c->n)
		prompt_event_fini(&c->v[--c->n].event);
}

/* true: there is one, or there will be; false: end with status 1. */
static bool have_connection(struct client *c)
{
	if (c->fd >= 0)
		return true;
	c->fd = connect_to(c->path);
	if (c->fd >= 0) {
		c->said_waiting = false;
		return true;
	}
	if (!c->keys || c->fd == -EACCES || c->fd == -ENAMETOOLONG) {
		fprintf(stderr, "ulsp-firewall: %s: %s\n", c->path, strerror(-c->fd));
		return false;
	}
	if (!c->said_waiting)
		say_text(c, "waiting for ulsp-firewall at ", c->path);
	c->said_waiting = true;
	c->fd = -1;
	return true;
}

static int wait_and_serve(struct client *c)
{
	struct pollfd fds[2] = {
		{.fd = c->fd, .events = POLLIN},
		/* Also without a question, for the input's end; no more than once ahead. */
		{.fd = c->keys || (!c->typed_end && (wants_lines(c) || lines_empty(&c->typed)))
			       ? STDIN_FILENO
			       : -1,
		 .events = POLLIN},
	};
	struct timespec second = {.tv_sec = 1};
	bool ticks = c->fd < 0 || (c->keys && c->n); /* to connect again, to show what is left */
	sigset_t none;

	sigemptyset(&none);
	fflush(stdout);
	if (ppoll(fds, 2, ticks ? &second : NULL, &none) < 0) {
		if (errno != EINTR)
			return -errno;
		fds[0].revents = fds[1].revents = 0;
	}
	if (continued) {
		continued = 0;
		if (c->keys)
			take_keys();
	}
	if (ended)
		return 0;
	if (fds[0].revents > 0 && !on_socket(c)) {
		drop_connection(c);
		if (!c->keys) {
			fputs("ulsp-firewall: the firewall ended the connection\n", stderr);
			return -EPIPE;
		}
		return 0;
	}
	if (fds[1].revents > 0)
		on_input(c);
	return 0;
}

int prompt_client_run(const struct prompt_client_options *o)
{
	static struct client c;
	int r = 0;

	c = (struct client){
		.options = o, .fd = -1, .keys = may_take_keys(o), .terminal = isatty(STDIN_FILENO)};
	if (find_socket(o, c.path))
		return 1;
	take_signals();
	if (c.keys) {
		atexit(restore_terminal);
		take_keys();
	}
	while (!r && !ended) {
		if (!have_connection(&c)) {
			r = -1;
			break;
		}
		take_typed(&c);
		if (c.typed_end && !c.unanswered && lines_empty(&c.typed))
			break;
		status(&c);
		r = wait_and_serve(&c);
	}
	begin_line(&c);
	fflush(stdout);
	restore_terminal();
	if (c.fd >= 0)
		drop_connection(&c);
	lines_fini(&c.typed);
	return r ? 1 : 0;
}
