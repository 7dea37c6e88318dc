/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `ulsp-firewall --prompt': questions to a person, or to a program, and answers
 * back.  On a terminal a key is an answer; into pipes, and where TERM is `dumb', it
 * is a line; with JSON it is the protocol's own lines.
 */
#ifndef ULSP_PROMPT_CLIENT_H
#define ULSP_PROMPT_CLIENT_H

#include <stdbool.h>

struct prompt_client_options {
	const char *socket;   /* NULL: the only firewall of the instance */
	const char *instance; /* NULL: as ulspctl has it */
	bool json;
};

int prompt_client_run(const struct prompt_client_options *o); /* the exit status */

#endif
