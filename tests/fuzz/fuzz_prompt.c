/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as what a prompt, a firewall or a person says: what is taken is within
 * its bounds and comes back the same from the line that it makes; what is refused
 * is so with a reason.  And any bytes as a name: what is shown is plain.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "prompt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void check_answer(const struct prompt_answer *a)
{
	struct prompt_answer again;
	char why[PROMPT_WHY_BYTES];
	char *line = prompt_answer_line(a);

	if (a->duration > PROMPT_FOREVER || a->scope > PROMPT_ANY)
		fail("an answer out of bounds");
	if (a->duration == PROMPT_FOR && !a->for_ms)
		fail("for no time");
	if (strlen(line) > PROMPT_ANSWER_BYTES || line[strlen(line) - 1] != '\n')
		fail("a line that is none");
	if (prompt_answer_parse(line, strlen(line) - 1, &again, why))
		fail("an answer that isn't taken");
	if (again.id != a->id || again.allow != a->allow || again.duration != a->duration ||
	    again.for_ms != a->for_ms || again.scope != a->scope)
		fail("another answer");
	free(line);
}

static void check_event(const struct prompt_event *e)
{
	const struct prompt_question *q = &e->question;
	struct prompt_event again;
	char why[PROMPT_WHY_BYTES];
	char *line;

	if (e->kind != PROMPT_QUESTION)
		return;
	line = prompt_question_line(q);
	if (prompt_event_parse(line, strlen(line) - 1, &again, why))
		fail("a question that isn't taken");
	if (again.id != e->id || again.question.port != q->port || again.question.pid != q->pid ||
	    again.question.left_ms != q->left_ms || strcmp(again.question.group, q->group))
		fail("another question");
	prompt_event_fini(&again);
	free(line);
}

static void check_escaping(const char *text)
{
	char shown[300], whole[4096 * 4 + 1];

	escape_name(text, shown, sizeof(shown));
	for (const char *p = shown; *p; p++)
		if (*p < ' ' || *p > '~')
			fail("a character that isn't plain");
	escape_text(text, shown, 5);
	if (strlen(shown) > 4)
		fail("more than fits");
	if (strlen(text) < 4096 && strstr(escape_name(text, whole, sizeof(whole)), "\n"))
		fail("two lines");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char why[PROMPT_WHY_BYTES];
	struct prompt_answer a;
	struct prompt_event e;
	char *text = malloc(bytes + 1);

	memcpy(text, data, bytes);
	text[bytes] = '\0';
	if (bytes > 1 << 16)
		bytes = 1 << 16;
	if (!prompt_answer_parse(text, bytes, &a, why))
		check_answer(&a);
	else if (!why[0])
		fail("no reason");
	if (!prompt_answer_type(text, &a, why)) {
		a.id = a.id && a.id < INT64_MAX ? a.id : 1;
		check_answer(&a);
	}
	if (!prompt_event_parse(text, bytes, &e, why)) {
		check_event(&e);
		prompt_event_fini(&e);
	} else if (!why[0]) {
		fail("no reason");
	}
	check_escaping(text);
	free(text);
	return 0;
}
