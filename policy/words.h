/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of the language: keywords, operations, protocols, errno names; and
 * the guess of what a misspelt one was meant to be.
 */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "ulsp_abi.h"

/*
 * The grammar's token of a reserved word, and the number of an operation or
 * protocol.  0: not reserved.
 */
int word_token(const char *text, size_t bytes, int *ret_value);
const char *word_of_token(int token); /* NULL: not a keyword */

/* What error messages call a group of words that may stand in one place. */
enum word_kind { WORD_RULE, WORD_STATEMENT, WORD_SETTING, WORD_CLAUSE, WORD_PLAIN };
enum word_kind word_kind(int token);

const char *op_word(enum ulsp_op op);
const char *mode_word(uint32_t mode);	       /* of enum ulsp_mode */
const char *proto_word(enum ulsp_proto proto); /* NULL: no policy can name it */

/* Positive errno by name, 0: there is none. */
int errno_by_name(const char *text, size_t bytes);
enum { ERRNO_MAX = 133 }; /* EHWPOISON: what system calls return */

/* A group or ULSP name that stands without quotes. */
bool word_is_plain_name(const char *text);

/* Which of the tried words is nearest to a text; best is NULL while none is near. */
struct nearest {
	const char *text;
	size_t bytes;
	size_t distance;
	const char *best;
};
void nearest_init(struct nearest *n, const char *text, size_t bytes);
void nearest_try(struct nearest *n, const char *word); /* NULL: nothing */
/* Operations, also by the names of the system calls that they stand for. */
void nearest_try_ops(struct nearest *n);

#endif
