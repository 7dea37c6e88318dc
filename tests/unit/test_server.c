/* SPDX-License-Identifier: GPL-2.0-only */
/* The control socket's server, with clients that behave and clients that don't. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "log.h"
#include "server.h"

enum { BIG_BYTES = 3 << 20, LINES = 100000 };

struct fixture {
	sd_event *event;
	struct server *server;
	char dir[64], path[128];
	struct client *stream; /* the last client that asked for one */
	unsigned gone;
};

static void stream_gone(void *ctx)
{
	struct fixture *f = ctx;

	f->stream = NULL;
	f->gone++;
}

/* version: answers; policy: much; monitor: a stream; load: the text's length. */
static void handle(void *ctx, struct client *c, const struct control_request *r)
{
	struct json_object *o = json_object_new_object();
	struct fixture *f = ctx;
	char *big;

	json_object_object_add(o, "ok", json_object_new_boolean(true));
	if (r->verb == CONTROL_POLICY) {
		big = malloc(BIG_BYTES + 1);
		memset(big, 'p', BIG_BYTES);
		big[BIG_BYTES] = 0;
		json_object_object_add(o, "text", json_object_new_string(big));
		free(big);
	}
	if (r->verb == CONTROL_LOAD)
		json_object_object_add(o, "bytes", json_object_new_int((int)r->text_bytes));
	if (r->verb == CONTROL_MONITOR) {
		f->stream = c;
		client_stream(c, stream_gone, f);
	}
	client_answer(c, o);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = {0};

	strcpy(f->dir, "/tmp/ulsp-test-XXXXXX");
	if (!mkdtemp(f->dir) || sd_event_new(&f->event) < 0)
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/control", f->dir);
	if (server_new(f->event, f->path, handle, f, &f->server, &e))
		return -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	server_free(&f->server);
	sd_event_unref(f->event);
	if (access(f->path, F_OK) == 0 || rmdir(f->dir))
		return -1;
	free(f);
	return 0;
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 50; i++)
		sd_event_run(f->event, 0);
}

static int connect_to(struct fixture *f)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	turn(f);
	return fd;
}

/* What comes while the server has its turns, up to a newline or the end. */
static char *receive(struct fixture *f, int fd)
{
	static char buf[BIG_BYTES + 4096];
	size_t bytes = 0;

	for (int idle = 0; idle < 20;) {
		ssize_t n = recv(fd, buf + bytes, sizeof(buf) - 1 - bytes, MSG_DONTWAIT);

		if (!n)
			break;
		if (n < 0) {
			turn(f);
			idle++;
			continue;
		}
		bytes += (size_t)n;
		if (buf[bytes - 1] == '\n')
			break;
	}
	buf[bytes] = 0;
	return buf;
}

static bool is_closed(struct fixture *f, int fd)
{
	char c;

	turn(f);
	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void say(struct fixture *f, int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn(f);
}

static void answers_one_after_the_other(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);

	for (int i = 0; i < 3; i++) {
		say(f, fd, "{\"v\":1,\"cmd\":\"version\"}\n");
		assert_string_equal(receive(f, fd), "{\"ok\":true}\n");
	}
	/* several at once, and a text behind a line */
	say(f, fd,
	    "{\"v\":1,\"cmd\":\"version\"}\n{\"v\":1,\"cmd\":\"load\",\"text_bytes\":5}\nab\nde"
	    "{\"v\":1,\"cmd\":\"version\"}\n");
	assert_string_equal(receive(f, fd),
			    "{\"ok\":true}\n{\"ok\":true,\"bytes\":5}\n{\"ok\":true}\n");
	close(fd);
	turn(f);
	assert_int_equal(server_counts(f->server)->requests, 6);
	assert_int_equal(server_counts(f->server)->malformed, 0);
}

static void gives_large_answers(void **state)
{
	size_t bytes, expected = BIG_BYTES + strlen("{\"ok\":true,\"text\":\"\"}\n{\"ok\":true}\n");
	struct fixture *f = *state;
	int fd = connect_to(f);

	say(f, fd, "{\"v\":1,\"cmd\":\"policy\"}\n{\"v\":1,\"cmd\":\"version\"}\n");
	/* the request behind it waits until the first answer is out */
	for (bytes = 0; bytes < expected;) {
		size_t n = strlen(receive(f, fd));

		assert_int_not_equal(n, 0);
		bytes += n;
	}
	assert_int_equal(bytes, expected);
	close(fd);
}

static void refuses_and_closes(void **state)
{
	static const char *const texts[] = {"hello\n", "{\"v\":1,\"cmd\":\"reboot\"}\n",
					    "{\"v\":9,\"cmd\":\"version\"}\n"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		int fd = connect_to(f);

		say(f, fd, texts[i]);
		assert_non_null(strstr(receive(f, fd), "\"ok\":false"));
		assert_true(is_closed(f, fd));
		close(fd);
	}
	assert_int_equal(server_counts(f->server)->malformed, 3);
}

static void refuses_half_a_request(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);

	say(f, fd, "{\"v\":1,");
	shutdown(fd, SHUT_WR);
	assert_non_null(strstr(receive(f, fd), "not complete"));
	assert_true(is_closed(f, fd));
	close(fd);
}

static void refuses_an_endless_line(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);
	char block[4096];

	memset(block, 'a', sizeof(block));
	for (int i = 0; i < 1000; i++) {
		if (send(fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		    errno != EAGAIN)
			break;
		sd_event_run(f->event, 0);
	}
	turn(f);
	assert_int_equal(server_counts(f->server)->malformed, 1);
	close(fd);
	fd = connect_to(f);
	say(f, fd, "{\"v\":1,\"cmd\":\"version\"}\n");
	assert_string_equal(receive(f, fd), "{\"ok\":true}\n");
	close(fd);
}

static void has_room_for_so_many(void **state)
{
	struct fixture *f = *state;
	int fds[CONTROL_CLIENTS + 1];

	for (int i = 0; i < CONTROL_CLIENTS; i++)
		fds[i] = connect_to(f);
	fds[CONTROL_CLIENTS] = connect_to(f);
	assert_non_null(strstr(receive(f, fds[CONTROL_CLIENTS]), "too many"));
	say(f, fds[3], "{\"v\":1,\"cmd\":\"version\"}\n");
	assert_string_equal(receive(f, fds[3]), "{\"ok\":true}\n");
	close(fds[0]);
	close(fds[CONTROL_CLIENTS]);
	turn(f);
	fds[0] = connect_to(f);
	say(f, fds[0], "{\"v\":1,\"cmd\":\"version\"}\n");
	assert_string_equal(receive(f, fds[0]), "{\"ok\":true}\n");
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		close(fds[i]);
	turn(f);
	assert_int_equal(server_counts(f->server)->refused, 1);
}

/* A client that doesn't read loses lines; the daemon neither waits nor grows. */
static void bounds_a_stream(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);
	unsigned pushed = 0;

	say(f, fd, "{\"v\":1,\"cmd\":\"monitor\"}\n");
	assert_string_equal(receive(f, fd), "{\"ok\":true}\n");
	assert_non_null(f->stream);
	for (int i = 0; i < LINES; i++) {
		pushed += client_push(f->stream, "a line of a stream\n", 19);
		if (i % 100 == 0)
			sd_event_run(f->event, 0);
	}
	assert_true(pushed > 1000 && pushed < LINES);
	/* what was taken arrives whole */
	for (unsigned left = pushed; left;) {
		const char *text = receive(f, fd);

		assert_int_not_equal(strlen(text), 0);
		for (; *text; text = strchr(text, '\n') + 1, left--)
			assert_memory_equal(text, "a line of a stream\n", 19);
	}
	assert_true(client_push(f->stream, "x\n", 2));
	close(fd);
	turn(f);
	assert_int_equal(f->gone, 1);
}

static void ends_streams_that_talk(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);

	say(f, fd, "{\"v\":1,\"cmd\":\"monitor\"}\n");
	receive(f, fd);
	say(f, fd, "{\"v\":1,\"cmd\":\"version\"}\n");
	assert_int_equal(f->gone, 1);
	close(fd);
}

static void is_private(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(answers_one_after_the_other),
		TEST(gives_large_answers),
		TEST(refuses_and_closes),
		TEST(refuses_half_a_request),
		TEST(refuses_an_endless_line),
		TEST(has_room_for_so_many),
		TEST(bounds_a_stream),
		TEST(ends_streams_that_talk),
		TEST(is_private),
	};

	log_open("test", LOG_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
