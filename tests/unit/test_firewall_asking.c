/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions from the message to the verdict: libulsp's test double on one side,
 * prompts on a real socket on the other.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "asking.h"
#include "ulsp_abi.h"

static char dir[64], path[96];
static struct asking a;
static struct ulsp *u;
static const char *exe = "/usr/bin/curl";
static enum asking_by by;
static bool gone;

static void quiet(const char *format, ...)
{
	(void)format;
}

static const char *exe_of(void *ctx)
{
	(void)ctx;
	return exe;
}

/* As ulsp-firewall does, with `default ask else deny errno EIO'. */
static int on_message(struct ulsp *handle, struct ulsp_message *m, void *ctx)
{
	struct fw_verdict v = {.ask = true, .error = -EIO, .cover = ULSP_COVER_PROCESS_FLOW};
	struct sockaddr_storage remote;
	struct fw_query q = {.op = fw_op_number(ulsp_operation(m)),
			     .proto = fw_proto_number(ulsp_protocol(m)),
			     .family = 4,
			     .uid = ulsp_uid(m),
			     .group = ulsp_group_name(m),
			     .exe = exe_of};
	struct sockaddr_in *in = (void *)&remote;

	(void)handle;
	(void)ctx;
	assert_int_equal(ulsp_remote(m, &remote), 0);
	memcpy(q.addr, &in->sin_addr, 4);
	q.port = ntohs(in->sin_port);
	by = asking_judge(&a, m, &q, gone, &v);
	if (by != ASKING_PENDING)
		assert_int_equal(asking_give(m, &v), 0);
	return 0;
}

static uint32_t hold_ms;

static int setup(void **state)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = on_message};

	(void)state;
	strcpy(dir, "/tmp/test_asking-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/prompt", dir);
	memset(&a, 0, sizeof(a));
	a.name = "fw";
	a.asks = true;
	a.time_ms = 60000;
	a.say = quiet;
	exe = "/usr/bin/curl";
	gone = false;
	hold_ms = 0;
	return asking_open(&a, path, getegid()) || ulsp_test_open(&o, &u) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	asking_fini(&a);
	ulsp_close(&u);
	return rmdir(dir); /* the socket went with the server */
}

static int push(pid_t pid, const char *remote)
{
	struct ulsp_test_message m = {.size = sizeof(m),
				      .remote = remote,
				      .pid = pid,
				      .uid = 33,
				      .ask = 1,
				      .hold_ms = hold_ms};
	int n = ulsp_test_push(u, &m);

	assert_true(n >= 0);
	assert_true(ulsp_dispatch(u, 0) >= 0);
	return n;
}

static struct ulsp_test_verdict verdict(int number)
{
	struct ulsp_test_verdict v = {.size = sizeof(v)};

	assert_int_equal(ulsp_test_verdict(u, number, &v), 0);
	return v;
}

/* ---- a prompt ---- */

static int open_prompt(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(at.sun_path, path);
	assert_int_equal(connect(fd, (void *)&at, sizeof(at)), 0);
	prompt_server_dispatch(a.server);
	return fd;
}

/* All that it was told since. */
static const char *told(int fd)
{
	static char text[1 << 20];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	return text;
}

static void say(int fd, const char *line)
{
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	prompt_server_dispatch(a.server);
}

#define ANSWER(id, verdict, duration, scope)                                                       \
	"{\"v\":1,\"answer\":" id ",\"verdict\":\"" verdict "\",\"duration\":\"" duration          \
	"\",\"scope\":\"" scope "\"}\n"

/* ---- */

static void nobody(void **state)
{
	struct ulsp_test_verdict v = verdict(push(getpid(), "192.0.2.1:443"));

	(void)state;
	assert_int_equal(by, ASKING_NOBODY);
	assert_true(v.given);
	assert_int_equal(v.error, -EIO);
	assert_int_equal(v.cover, ULSP_COVER_PROCESS_FLOW);
	assert_int_equal(v.ttl_ms, RULES_ONCE_MS); /* soon there may be somebody */
	assert_int_equal(a.questions.n, 0);
}

static void one_question_for_all(void **state)
{
	int fd = open_prompt(), first, second, third;
	const char *text;

	(void)state;
	assert_non_null(strstr(told(fd), "{\"v\":1,\"hello\":\"fw\",\"asks\":true}\n"));
	first = push(getpid(), "192.0.2.1:443");
	assert_int_equal(by, ASKING_PENDING);
	assert_false(verdict(first).given);
	text = told(fd);
	assert_non_null(strstr(text,
			       "{\"question\":1,\"group\":\"test\",\"operation\":\"connect\","
			       "\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"port\":443"));
	assert_non_null(strstr(text, "\"exe\":\"/usr/bin/curl\""));
	assert_non_null(strstr(text, "\"held\":false,\"waiting\":1,\"otherwise\":\"deny\"}\n"));
	second = push(getpid(), "192.0.2.1:443"); /* its retry */
	third = push(getppid(), "192.0.2.1:443"); /* another of that executable */
	assert_int_equal(a.questions.n, 1);
	assert_int_equal(a.questions.v[0]->n, 2);
	push(getpid(), "192.0.2.1:444");
	exe = "/usr/bin/nc";
	push(getpid(), "192.0.2.1:443");
	assert_int_equal(a.questions.n, 3);
	told(fd);
	say(fd, ANSWER("1", "allow", "once", "port"));
	text = told(fd);
	assert_non_null(strstr(text, "{\"gone\":1,\"why\":\"answered\",\"by\":"));
	assert_non_null(strstr(text, "{\"result\":1,\"ok\":true}\n"));
	assert_false(verdict(first).given); /* its retry has it */
	assert_true(verdict(second).given && !verdict(second).error);
	assert_int_equal(verdict(second).ttl_ms, ASKING_RETRY_MS);
	assert_true(verdict(third).given && !verdict(third).error);
	assert_int_equal(a.questions.n, 2);
	say(fd, ANSWER("1", "deny", "once", "port"));
	assert_non_null(
		strstr(told(fd), "{\"result\":1,\"ok\":false,\"error\":\"no such question"));
	close(fd);
}

static void scopes_and_durations(void **state)
{
	int fd = open_prompt(), n;

	(void)state;
	push(getpid(), "192.0.2.1:443");
	n = push(getpid(), "192.0.2.1:25"); /* waits too, and is decided by it */
	told(fd);
	say(fd, ANSWER("1", "deny", "10m", "address"));
	assert_non_null(strstr(told(fd), "{\"gone\":2,\"why\":\"decided\""));
	assert_int_equal(verdict(n).error, -EIO);
	n = push(getppid(), "192.0.2.1:80");
	assert_int_equal(by, ASKING_DECISION);
	assert_int_equal(verdict(n).error, -EIO);
	assert_in_range(verdict(n).ttl_ms, 590000, 600000);
	push(getpid(), "192.0.2.2:80");
	assert_int_equal(by, ASKING_PENDING);
	say(fd, ANSWER("3", "allow", "process", "any"));
	n = push(getpid(), "192.0.2.9:9");
	assert_int_equal(by, ASKING_DECISION);
	assert_true(verdict(n).given && !verdict(n).error);
	assert_int_equal(verdict(n).cover, ULSP_COVER_PROCESS_FLOW); /* rules go first elsewhere */
	n = push(getppid(), "192.0.2.9:9");
	assert_int_equal(by, ASKING_PENDING);
	say(fd, ANSWER("4", "allow", "restart", "port"));
	assert_int_equal(verdict(n).error, 0);
	assert_int_equal(verdict(n).ttl_ms, RULES_RESTART_MS);
	exe = NULL;
	push(getppid(), "192.0.2.10:9");
	assert_int_equal(by, ASKING_PENDING);
	told(fd);
	say(fd, ANSWER("5", "allow", "forever", "any"));
	assert_non_null(strstr(told(fd), "the executable is unknown"));
	assert_int_equal(a.questions.n, 1);
	say(fd, ANSWER("5", "allow", "forever", "port")); /* no file */
	assert_non_null(strstr(told(fd), "not saved, it holds until a restart"));
	push(getppid(), "192.0.2.10:9");
	assert_int_equal(by, ASKING_DECISION);
	close(fd);
}

static void two_prompts(void **state)
{
	int one = open_prompt(), two, n = push(getpid(), "192.0.2.1:443");

	(void)state;
	two = open_prompt();
	assert_non_null(strstr(told(two), "{\"question\":1,"));
	say(two, ANSWER("1", "allow", "once", "port"));
	assert_non_null(strstr(told(one), "{\"gone\":1,\"why\":\"answered\""));
	assert_null(strstr(told(one), "result"));
	assert_int_equal(verdict(n).error, 0);
	n = push(getpid(), "192.0.2.1:444");
	close(one);
	prompt_server_dispatch(a.server);
	assert_false(verdict(n).given); /* there is one yet */
	close(two);
	prompt_server_dispatch(a.server);
	assert_int_equal(a.questions.n, 0);
	assert_true(verdict(n).given);
	assert_int_equal(verdict(n).error, -EIO);
	assert_int_equal(a.late, 1);
}

static void too_late(void **state)
{
	struct pollfd p;
	int fd = open_prompt(), n;

	(void)state;
	a.time_ms = 50;
	n = push(getpid(), "192.0.2.1:443");
	push(getpid(), "192.0.2.1:443"); /* trying makes it no longer */
	n++;
	told(fd);
	p = (struct pollfd){.fd = prompt_server_fd(a.server), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 5000), 1);
	prompt_server_dispatch(a.server);
	assert_string_equal(told(fd), "{\"gone\":1,\"why\":\"late\"}\n");
	assert_int_equal(a.questions.n, 0);
	assert_int_equal(verdict(n).error, -EIO);
	assert_int_equal(verdict(n).ttl_ms, RULES_ONCE_MS);
	close(fd);
}

static void held(void **state)
{
	int fd, n, more;

	(void)state;
	hold_ms = 5000;
	n = push(getpid(), "192.0.2.1:443");
	assert_int_equal(by, ASKING_NOBODY); /* at once */
	assert_true(verdict(n).waited);
	assert_int_equal(verdict(n).cover, ULSP_COVER_ONCE);
	assert_int_equal(verdict(n).error, -EIO);
	fd = open_prompt();
	n = push(getpid(), "192.0.2.1:443");
	more = push(getpid(), "192.0.2.1:443"); /* another thread's */
	assert_int_equal(by, ASKING_PENDING);
	assert_non_null(strstr(told(fd), "\"held\":true"));
	assert_int_equal(a.questions.v[0]->n, 2);
	say(fd, ANSWER("1", "allow", "once", "port"));
	assert_true(verdict(n).waited && !verdict(n).error);
	assert_true(verdict(more).waited && !verdict(more).error);
	assert_int_equal(verdict(n).cover, ULSP_COVER_ONCE); /* nothing is kept */
	n = push(getpid(), "192.0.2.1:443");
	assert_int_equal(by, ASKING_PENDING);
	say(fd, ANSWER("2", "deny", "10m", "port"));
	assert_true(verdict(n).waited && verdict(n).error == -EIO);
	assert_int_equal(verdict(n).cover, ULSP_COVER_PROCESS_FLOW);
	close(fd);
}

static void held_until_late(void **state)
{
	struct pollfd p = {.fd = prompt_server_fd(a.server), .events = POLLIN};
	int fd = open_prompt(), n;

	(void)state;
	hold_ms = 300;
	n = push(getpid(), "192.0.2.1:443");
	told(fd);
	assert_int_equal(poll(&p, 1, 5000), 1);
	prompt_server_dispatch(a.server);
	assert_string_equal(told(fd), "{\"gone\":1,\"why\":\"late\"}\n");
	assert_false(verdict(n).given); /* the kernel's fail mode */
	say(fd, ANSWER("1", "allow", "forever", "port"));
	assert_non_null(strstr(told(fd), "no such question"));
	assert_false(verdict(n).given);
	close(fd);
}

/* An operation that waits for 5 ms: people answer for its retry. */
static void held_too_shortly(void **state)
{
	struct timespec nap = {.tv_nsec = 10000000};
	int fd = open_prompt(), n;

	(void)state;
	hold_ms = 5;
	n = push(getpid(), "192.0.2.1:443");
	assert_int_equal(by, ASKING_PENDING);
	assert_non_null(strstr(told(fd), "\"held\":false"));
	nanosleep(&nap, NULL);
	say(fd, ANSWER("1", "allow", "once", "port"));
	assert_true(verdict(n).given && !verdict(n).error && !verdict(n).waited);
	assert_int_equal(verdict(n).cover, ULSP_COVER_PROCESS_FLOW);
	close(fd);
}

static void bounded(void **state)
{
	char remote[32];
	int fd = open_prompt(), n = 0;

	(void)state;
	for (int i = 0; i <= QUESTIONS_MAX; i++) {
		snprintf(remote, sizeof(remote), "192.0.2.1:%d", 1000 + i);
		n = push(1000000 + i, remote);
		told(fd);
	}
	assert_int_equal(by, ASKING_NOBODY);
	assert_int_equal(a.questions.n, QUESTIONS_MAX);
	assert_int_equal(a.refused, 1);
	assert_int_equal(verdict(n).error, -EIO);
	for (int i = 0; i < QUESTION_WAITERS; i++) { /* of one, each of another process */
		push(2000000 + i, "192.0.2.1:1000");
		told(fd);
	}
	assert_int_equal(a.questions.v[0]->n, QUESTION_WAITERS);
	assert_int_equal(a.refused, 2);
	questions_fini(&a.questions);
	for (int i = 0; i <= QUESTIONS_OF_PROCESS; i++) {
		snprintf(remote, sizeof(remote), "192.0.2.1:%d", 1000 + i);
		push(getpid(), remote);
		told(fd);
	}
	assert_int_equal(by, ASKING_NOBODY);
	assert_int_equal(a.questions.n, QUESTIONS_OF_PROCESS);
	push(getppid(), "192.0.2.7:1");
	assert_int_equal(by, ASKING_PENDING); /* there is room for others */
	gone = true;			      /* nobody is asked for a process that is not there */
	push(getppid(), "192.0.2.7:2");
	assert_int_equal(by, ASKING_NOBODY);
	close(fd);
}

static void malformed_ends_the_client(void **state)
{
	static const char *const lines[] = {
		"hello\n",
		"{\"v\":9,\"answer\":1,\"verdict\":\"allow\"}\n",
		"{\"v\":1,\"answer\":1,\"verdict\":\"allow\"}x\n",
		"\n",
	};
	char *lengthy = malloc(1 << 16);
	int good = open_prompt(), n = push(getpid(), "192.0.2.1:443");

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int fd = open_prompt();

		say(fd, lines[i]);
		assert_non_null(strstr(told(fd), "{\"v\":1,\"error\":"));
		assert_int_equal(recv(fd, lengthy, 1, MSG_DONTWAIT), 0); /* closed */
		close(fd);
	}
	assert_int_equal(prompt_server_malformed(a.server), 4);
	memset(lengthy, 'a', 1 << 16);
	for (int i = 0; i < 2; i++) {
		int fd = open_prompt();

		assert_true(send(fd, lengthy, 1 << 15, MSG_NOSIGNAL) > 0);
		for (int j = 0; j < 5; j++)
			prompt_server_dispatch(a.server);
		assert_non_null(strstr(told(fd), "too long"));
		close(fd);
	}
	free(lengthy);
	assert_int_equal(prompt_server_clients(a.server), 1);
	assert_false(verdict(n).given);
	say(good, ANSWER("1", "allow", "once", "port")); /* nothing happened to this one */
	assert_true(verdict(n).given);
	close(good);
}

static void answers_in_pieces(void **state)
{
	static const char line[] = ANSWER("1", "allow", "once", "port");
	int fd = open_prompt(), n = push(getpid(), "192.0.2.1:443");

	(void)state;
	for (const char *p = line; *p; p++) {
		assert_false(verdict(n).given);
		send(fd, p, 1, MSG_NOSIGNAL);
		prompt_server_dispatch(a.server);
	}
	assert_true(verdict(n).given);
	close(fd);
}

/* One that reads nothing is closed; the others aren't kept waiting. */
static void a_prompt_that_sleeps(void **state)
{
	int sleeper = open_prompt(), fd = open_prompt();
	char remote[32];

	(void)state;
	for (int i = 0; i < 40000 && prompt_server_clients(a.server) == 2; i++) {
		snprintf(remote, sizeof(remote), "192.0.2.1:%d", 1 + i % 60000);
		push(getpid(), remote);
		told(fd);
		if (a.questions.n == QUESTIONS_OF_PROCESS) {
			questions_fini(&a.questions);
			prompt_server_dispatch(a.server);
		}
	}
	assert_int_equal(prompt_server_clients(a.server), 1);
	questions_fini(&a.questions);
	push(getpid(), "192.0.2.9:1");
	assert_non_null(strstr(told(fd), "192.0.2.9"));
	close(sleeper);
	close(fd);
}

static void so_many_prompts(void **state)
{
	int fds[PROMPT_CLIENTS], more;
	char c;

	(void)state;
	for (int i = 0; i < PROMPT_CLIENTS; i++)
		fds[i] = open_prompt();
	assert_int_equal(prompt_server_clients(a.server), PROMPT_CLIENTS);
	more = open_prompt();
	assert_int_equal(recv(more, &c, 1, MSG_DONTWAIT), 0);
	close(more);
	for (int i = 0; i < PROMPT_CLIENTS; i++)
		close(fds[i]);
	for (int i = 0; i < PROMPT_CLIENTS; i++)
		prompt_server_dispatch(a.server);
	assert_int_equal(prompt_server_clients(a.server), 0);
	more = open_prompt();
	assert_non_null(strstr(told(more), "hello"));
	close(more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)
		TEST(nobody),
		TEST(one_question_for_all),
		TEST(scopes_and_durations),
		TEST(two_prompts),
		TEST(too_late),
		TEST(held),
		TEST(held_too_shortly),
		TEST(held_until_late),
		TEST(bounded),
		TEST(malformed_ends_the_client),
		TEST(answers_in_pieces),
		TEST(a_prompt_that_sleeps),
		TEST(so_many_prompts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
