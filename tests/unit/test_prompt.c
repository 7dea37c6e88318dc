/* SPDX-License-Identifier: BSD-2-Clause */
/* What prompts and the firewall say to each other, and what people see of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "escape.h"
#include "prompt.h"
#include "prompt_screen.h"

static void names_are_plain(void **state)
{
	static const struct {
		const char *name, *shown;
	} cases[] = {
		{"/usr/bin/curl", "/usr/bin/curl"},
		{"", ""},
		{"a b~", "a b~"},
		{"\033[2J\033]0;title\007", "\\x1b[2J\\x1b]0;title\\x07"},
		{"a\r\nb\tc\x7f", "a\\x0d\\x0ab\\x09c\\x7f"},
		{"\\x1b", "\\x5cx1b"}, /* two names are never shown the same */
		{"caf\xc3\xa9", "caf\\xc3\\xa9"},
		{"\xe2\x80\xaetxt.exe", "\\xe2\\x80\\xaetxt.exe"}, /* right to left */
		{"\x9b"
		 "31m",
		 "\\x9b31m"}, /* an escape of one byte */
	};
	char buf[100];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(escape_name(cases[i].name, buf, sizeof(buf)), cases[i].shown);
	assert_string_equal(escape_text("\\x1b \033", buf, sizeof(buf)), "\\x1b \\x1b");
}

static void names_are_bounded(void **state)
{
	static const char name[] = "ab\033cdefghij";
	char buf[32];

	(void)state;
	for (size_t n = 1; n <= sizeof(buf); n++) {
		memset(buf, 'X', sizeof(buf));
		escape_name(name, buf, n);
		assert_in_range(strlen(buf), 0, n - 1);
		if (n < sizeof(buf))
			assert_int_equal(buf[n], 'X');
	}
	assert_string_equal(escape_name(name, buf, 11), "ab\\x1bc...");
	assert_string_equal(escape_name(name, buf, 10), "ab\\x1b...");
	assert_string_equal(escape_name(name, buf, 9), "ab..."); /* no half of an escape */
	assert_string_equal(escape_name(name, buf, 15), "ab\\x1bcdefghij");
}

static void typed(void **state)
{
	static const struct {
		const char *line;
		struct prompt_answer a;
	} good[] = {
		{"allow", {0, true, PROMPT_ONCE, 0, PROMPT_PORT}},
		{" 7  deny\t", {7, false, PROMPT_ONCE, 0, PROMPT_PORT}},
		{"allow process", {0, true, PROMPT_PROCESS, 0, PROMPT_PORT}},
		{"deny any forever", {0, false, PROMPT_FOREVER, 0, PROMPT_ANY}},
		{"3 allow 10m address", {3, true, PROMPT_FOR, 600000, PROMPT_ADDRESS}},
		{"allow restart port\r", {0, true, PROMPT_RESTART, 0, PROMPT_PORT}},
		{"allow 49d", {0, true, PROMPT_FOR, 4233600000u, PROMPT_PORT}},
	};
	static const char *const bad[] = {
		"",
		"7",
		"yes",
		"allow allow",
		"allow once 10m",
		"allow 0m",
		"allow 50d",
		"allow 10",
		"allow 10mm",
		"0 allow",
		"7x allow",
		"-1 allow",
		"allow -1m",
		"ALLOW",
		"allow any any",
		"99999999999999999999999 allow",
	};
	char why[PROMPT_WHY_BYTES], lengthy[2000];
	struct prompt_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(prompt_answer_type(good[i].line, &a, why), 0);
		assert_int_equal(a.id, good[i].a.id);
		assert_int_equal(a.allow, good[i].a.allow);
		assert_int_equal(a.duration, good[i].a.duration);
		assert_int_equal(a.for_ms, good[i].a.for_ms);
		assert_int_equal(a.scope, good[i].a.scope);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = '\0';
		assert_int_equal(prompt_answer_type(bad[i], &a, why), -EINVAL);
		assert_non_null(strstr(why, "type: "));
	}
	memset(lengthy, 'a', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	assert_int_equal(prompt_answer_type(lengthy, &a, why), -EINVAL);
}

static void durations(void **state)
{
	static const struct {
		uint32_t ms;
		const char *text;
	} cases[] = {{1000, "1s"},    {90000, "90s"},	{600000, "10m"},
		     {3600000, "1h"}, {86400000, "1d"}, {90000000, "25h"}};
	char text[24];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prompt_answer a = {.duration = PROMPT_FOR, .for_ms = cases[i].ms}, b = {0};

		assert_string_equal(prompt_duration_text(&a, text), cases[i].text);
		assert_int_equal(prompt_duration_parse(text, &b), 0);
		assert_int_equal(b.for_ms, cases[i].ms);
	}
}

static void answers_that_are_none(void **state)
{
	static const struct {
		const char *line, *why;
		int error;
	} cases[] = {
		{"", "not a JSON object", -EINVAL},
		{"allow", "not a JSON object", -EINVAL},
		{"[]", "not a JSON object", -EINVAL},
		{"{}{}", "not a JSON object", -EINVAL},
		{"{\"v\":1,}", "not a JSON object", -EINVAL},
		{"{\"v\":1,\"answer\":{\"a\":{\"b\":{}}}}", "not a JSON object", -EINVAL},
		{"{}", "\"v\"", -EINVAL},
		{"{\"v\":\"1\"}", "\"v\"", -EINVAL},
		{"{\"v\":2,\"answer\":1,\"verdict\":\"allow\"}", "version 2", -EPROTONOSUPPORT},
		{"{\"v\":1,\"verdict\":\"allow\"}", "\"answer\"", -EINVAL},
		{"{\"v\":1,\"answer\":0,\"verdict\":\"allow\"}", "\"answer\"", -EINVAL},
		{"{\"v\":1,\"answer\":-5,\"verdict\":\"allow\"}", "\"answer\"", -EINVAL},
		{"{\"v\":1,\"answer\":1e3,\"verdict\":\"allow\"}", "\"answer\"", -EINVAL},
		{"{\"v\":1,\"answer\":9999999999999999999999,\"verdict\":\"allow\"}", "\"answer\"",
		 -EINVAL},
		{"{\"v\":1,\"answer\":1}", "\"verdict\"", -EINVAL},
		{"{\"v\":1,\"answer\":1,\"verdict\":true}", "\"verdict\"", -EINVAL},
		{"{\"v\":1,\"answer\":1,\"verdict\":\"allow\\u0000\"}", "\"verdict\"", -EINVAL},
		{"{\"v\":1,\"answer\":1,\"verdict\":\"allow\",\"duration\":5}", "\"duration\"",
		 -EINVAL},
		{"{\"v\":1,\"answer\":1,\"verdict\":\"allow\",\"scope\":null}", "\"scope\"",
		 -EINVAL},
		{"{\"v\":1,\"answer\":1,\"verdict\":\"allow\",\"x\":1}", "unknown field", -EINVAL},
		{"{\"v\":1,\"answer\":1,\"verdict\":\"\xff\"}", "not a JSON object", -EINVAL},
	};
	char why[PROMPT_WHY_BYTES];
	struct prompt_answer a = {.id = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = prompt_answer_parse(cases[i].line, strlen(cases[i].line), &a, why);

		if (r != cases[i].error || !strstr(why, cases[i].why))
			print_error("%s: %d %s\n", cases[i].line, r, why);
		assert_int_equal(r, cases[i].error);
		assert_non_null(strstr(why, cases[i].why));
		assert_int_equal(a.id, 77);
	}
	assert_int_equal(prompt_answer_parse("{\"v\":1}\0", 8, &a, why), -EINVAL);
	/* control: the least that is one */
	assert_int_equal(
		prompt_answer_parse("{\"v\":1,\"answer\":1,\"verdict\":\"deny\"}", 35, &a, why), 0);
	assert_int_equal(a.id, 1);
	assert_int_equal(a.duration, PROMPT_ONCE);
}

static struct prompt_event event(char *line)
{
	char why[PROMPT_WHY_BYTES];
	struct prompt_event e;

	assert_non_null(line);
	assert_int_equal(line[strlen(line) - 1], '\n');
	assert_null(memchr(line, '\n', strlen(line) - 1));
	assert_int_equal(prompt_event_parse(line, strlen(line) - 1, &e, why), 0);
	free(line);
	return e;
}

static const struct prompt_question example = {
	.id = 9,
	.group = "agent",
	.operation = "connect",
	.protocol = "tcp",
	.address = "2001:db8::1",
	.port = 443,
	.pid = 42,
	.uid = 33,
	.comm = "curl",
	.left_ms = 4800,
	.held = true,
	.waiting = 3,
	.otherwise = true,
};

static void events(void **state)
{
	struct prompt_event e;

	(void)state;
	e = event(prompt_hello_line("fw", true));
	assert_int_equal(e.kind, PROMPT_HELLO);
	assert_true(e.ok);
	assert_string_equal(e.text, "fw");
	prompt_event_fini(&e);
	e = event(prompt_question_line(&example));
	assert_int_equal(e.kind, PROMPT_QUESTION);
	assert_int_equal(e.id, 9);
	assert_string_equal(e.question.address, "2001:db8::1");
	assert_int_equal(e.question.port, 443);
	assert_null(e.question.exe);
	assert_null(e.question.user);
	assert_true(e.question.held && e.question.otherwise);
	assert_int_equal(e.question.left_ms, 4800);
	prompt_event_fini(&e);
	e = event(prompt_gone_line(4, PROMPT_DECIDED, 0));
	assert_int_equal(e.kind, PROMPT_GONE);
	assert_int_equal(e.why, PROMPT_DECIDED);
	prompt_event_fini(&e);
	e = event(prompt_result_line(4, NULL));
	assert_true(e.kind == PROMPT_RESULT && e.ok && e.id == 4);
	prompt_event_fini(&e);
	e = event(prompt_result_line(4, "no"));
	assert_true(e.kind == PROMPT_RESULT && !e.ok);
	assert_string_equal(e.text, "no");
	prompt_event_fini(&e);
	e = event(prompt_error_line("no"));
	assert_int_equal(e.kind, PROMPT_ERROR);
	prompt_event_fini(&e);
}

static char *screen(const struct prompt_question *q)
{
	static char text[8192];
	FILE *f = fmemopen(text, sizeof(text), "w");

	screen_question(f, q);
	screen_scope(f, q, PROMPT_ANY);
	fclose(f);
	return text;
}

static void what_people_see(void **state)
{
	struct prompt_question q = example;

	(void)state;
	assert_string_equal(
		screen(&q),
		"[9] an executable that can't be seen: connect tcp 2001:db8::1 port 443\n"
		"    process 42 (curl), user ? (33), group agent\n"
		"    held for 4.8 s, then allow\n"
		"any destination of this process");
	/* An impostor at the other end escapes nothing. */
	q.exe = q.comm = q.user = q.group = q.cgroup = q.operation = q.address = "\033[31m\n\x9b";
	for (const char *p = screen(&q); *p; p++)
		assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
	assert_non_null(strstr(screen(&q), "\\x1b[31m\\x0a\\x9b"));
}

static void keys(void **state)
{
	static const struct {
		char key;
		bool allow;
		enum prompt_duration duration;
	} cases[] = {
		{'1', true, PROMPT_ONCE},     {'2', true, PROMPT_PROCESS},
		{'3', true, PROMPT_FOR},      {'4', true, PROMPT_RESTART},
		{'5', true, PROMPT_FOREVER},  {'6', false, PROMPT_ONCE},
		{'7', false, PROMPT_PROCESS}, {'8', false, PROMPT_FOR},
		{'9', false, PROMPT_RESTART}, {'0', false, PROMPT_FOREVER},
	};
	struct prompt_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(screen_key(cases[i].key, &a), KEY_ANSWER);
		assert_int_equal(a.allow, cases[i].allow);
		assert_int_equal(a.duration, cases[i].duration);
	}
	assert_int_equal(screen_key('3', &a), KEY_ANSWER);
	assert_int_equal(a.for_ms, 600000);
	assert_int_equal(screen_key('\t', &a), KEY_SCOPE);
	for (int c = 0; c < 256; c++)
		if (!c || !strchr("0123456789\tnq\x04", c))
			assert_int_equal(screen_key((char)c, &a), KEY_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_plain),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(typed),
		cmocka_unit_test(durations),
		cmocka_unit_test(answers_that_are_none),
		cmocka_unit_test(events),
		cmocka_unit_test(what_people_see),
		cmocka_unit_test(keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
