/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions as people see them, and keys as they answer them.
 *
 * Whoever is at the other end of the socket: nothing of what it sends gets to the
 * terminal but as plain ASCII.
 */
#ifndef ULSP_PROMPT_SCREEN_H
#define ULSP_PROMPT_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

#include "prompt.h"

/* Some lines: who wants what, and until when. */
void screen_question(FILE *to, const struct prompt_question *q);
/* What the keys mean, and the line that changes: `left_ms`, the scope, how many others wait. */
void screen_keys(FILE *to, const struct prompt_question *q);
void screen_status(FILE *to, const struct prompt_question *q, int64_t left_ms,
		   enum prompt_scope scope, size_t others);
/* "192.0.2.1 port 443", "192.0.2.1", "any destination of /usr/bin/curl" */
void screen_scope(FILE *to, const struct prompt_question *q, enum prompt_scope scope);
void screen_answer(FILE *to, const struct prompt_question *q, const struct prompt_answer *a);

enum screen_key { KEY_NONE, KEY_ANSWER, KEY_SCOPE, KEY_NEXT, KEY_QUIT };
/* KEY_ANSWER: verdict and duration are in *a. */
enum screen_key screen_key(char key, struct prompt_answer *a);

#endif
