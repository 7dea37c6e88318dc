/* SPDX-License-Identifier: BSD-2-Clause */
#include "prompt_screen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

enum { TEN_MINUTES_MS = 600000 };

static void put(FILE *to, const char *text)
{
	size_t bytes = 4 * strlen(text) + 1;
	char *shown = malloc(bytes);

	fputs(shown ? escape_text(text, shown, bytes) : "?", to);
	free(shown);
}

static void put_or(FILE *to, const char *text, const char *otherwise)
{
	put(to, text && *text ? text : otherwise);
}

static void put_destination(FILE *to, const struct prompt_question *q)
{
	put(to, q->operation);
	fputc(' ', to);
	put(to, q->protocol);
	if (!q->address)
		return;
	fputc(' ', to);
	put(to, q->address);
	fprintf(to, " port %u", q->port);
}

void screen_question(FILE *to, const struct prompt_question *q)
{
	fprintf(to, "[%" PRIu64 "] ", q->id);
	put_or(to, q->exe, "an executable that can't be seen");
	fputs(": ", to);
	put_destination(to, q);
	fprintf(to, "\n    process %" PRId32 " (", q->pid);
	put_or(to, q->comm, "?");
	fputs("), user ", to);
	put_or(to, q->user, "?");
	fprintf(to, " (%" PRIu32 "), group ", q->uid);
	put(to, q->group);
	if (q->cgroup) {
		fputs(", cgroup ", to);
		put(to, q->cgroup);
	}
	fputs(q->held ? "\n    held for" : "\n    not held, the answer is for a retry; asked for",
	      to);
	fprintf(to, " %" PRId64 ".%" PRId64 " s, then %s\n", q->left_ms / 1000,
		q->left_ms % 1000 / 100, q->otherwise ? "allow" : "deny");
}

void screen_scope(FILE *to, const struct prompt_question *q, enum prompt_scope scope)
{
	if (scope == PROMPT_ANY) {
		fputs("any destination of ", to);
		put_or(to, q->exe, "this process");
	} else {
		put_or(to, q->address, "this operation");
		if (scope == PROMPT_PORT && q->address)
			fprintf(to, " port %u", q->port);
		else if (q->address)
			fputs(", any port", to);
	}
}

void screen_keys(FILE *to, const struct prompt_question *q)
{
	(void)q;
	fputs("    allow  1 once  2 this process  3 10 minutes  4 until restart  5 forever\n"
	      "    deny   6 once  7 this process  8 10 minutes  9 until restart  0 forever\n"
	      "    Tab: for the port, the address, any destination   n: next   q: quit\n",
	      to);
}

void screen_status(FILE *to, const struct prompt_question *q, int64_t left_ms,
		   enum prompt_scope scope, size_t others)
{
	fprintf(to, "\r\033[K%" PRId64 " s left", (left_ms + 999) / 1000);
	if (others)
		fprintf(to, ", %zu more", others);
	fputs(", for ", to);
	screen_scope(to, q, scope);
	fputs(" > ", to);
	fflush(to);
}

void screen_answer(FILE *to, const struct prompt_question *q, const struct prompt_answer *a)
{
	char duration[24];

	fprintf(to, "[%" PRIu64 "] %s %s for ", q->id, a->allow ? "allow" : "deny",
		prompt_duration_text(a, duration));
	screen_scope(to, q, a->scope);
	fputc('\n', to);
}

enum screen_key screen_key(char key, struct prompt_answer *a)
{
	static const enum prompt_duration durations[] = {
		PROMPT_ONCE, PROMPT_PROCESS, PROMPT_FOR, PROMPT_RESTART, PROMPT_FOREVER,
	};
	static const char digits[] = "1234567890";
	const char *at = key ? strchr(digits, key) : NULL;

	if (at) {
		a->allow = at - digits < 5;
		a->duration = durations[(at - digits) % 5];
		a->for_ms = TEN_MINUTES_MS;
		return KEY_ANSWER;
	}
	switch (key) {
	case '\t':
		return KEY_SCOPE;
	case 'n':
		return KEY_NEXT;
	case 'q':
	case 4: /* ^D */
		return KEY_QUIT;
	default:
		return KEY_NONE;
	}
}
