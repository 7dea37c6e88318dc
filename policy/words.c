/* SPDX-License-Identifier: GPL-2.0-only */
#include "words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "policy_gram.h"

static const struct word {
	const char *text;
	int token;
	enum word_kind kind;
} words[] = {
#define WORD(TOKEN, text, kind) {text, TOK_##TOKEN, WORD_##kind},
#include "keywords.def"
#undef WORD
};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

const char *op_word(enum ulsp_op op)
{
	static const char *const word[ULSP_OP_COUNT] = {
#define OP(n, NAME, w, text) [n] = w,
#include "ops.def"
#undef OP
	};

	return word[op];
}

const char *mode_word(uint32_t mode)
{
	return mode == ULSP_MODE_AUDIT ? "audit" : "enforce";
}

const char *proto_word(enum ulsp_proto proto)
{
	static const char *const word[ULSP_PROTO_COUNT] = {
#define PROTO(n, NAME, w, text) [n] = w,
#include "protos.def"
#undef PROTO
	};

	return proto == ULSP_PROTO_OTHER ? NULL : word[proto];
}

static bool same(const char *word, const char *text, size_t bytes)
{
	return word && strncmp(word, text, bytes) == 0 && word[bytes] == '\0';
}

int word_token(const char *text, size_t bytes, int *ret_value)
{
	for (int i = 0; i < WORDS; i++)
		if (words[i].text[0] == text[0] && same(words[i].text, text, bytes))
			return words[i].token;
	for (int i = 0; i < ULSP_OP_COUNT; i++) {
		if (same(op_word(i), text, bytes)) {
			*ret_value = i;
			return TOK_OP;
		}
	}
	for (int i = 0; i < ULSP_PROTO_COUNT; i++) {
		if (same(proto_word(i), text, bytes)) {
			*ret_value = i;
			return TOK_PROTO;
		}
	}
	return 0;
}

const char *word_of_token(int token)
{
	for (int i = 0; i < WORDS; i++)
		if (words[i].token == token)
			return words[i].text;
	return NULL;
}

enum word_kind word_kind(int token)
{
	for (int i = 0; i < WORDS; i++)
		if (words[i].token == token)
			return words[i].kind;
	return WORD_PLAIN;
}

int errno_by_name(const char *text, size_t bytes)
{
	static const struct {
		const char *name;
		int error;
	} aliases[] = {
		{"EWOULDBLOCK", EWOULDBLOCK},
		{"EDEADLOCK", EDEADLOCK},
		{"EOPNOTSUPP", EOPNOTSUPP},
		{"ENOTSUP", ENOTSUP},
	};

	for (int i = 1; i <= ERRNO_MAX; i++)
		if (same(strerrorname_np(i), text, bytes))
			return i;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (same(aliases[i].name, text, bytes))
			return aliases[i].error;
	return 0;
}

bool word_is_plain_name(const char *text)
{
	int value;

	if (!isalpha((unsigned char)text[0]) && text[0] != '_')
		return false;
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-' && *c != '.')
			return false;
	return word_token(text, strlen(text), &value) == 0;
}

/* ---- did you mean ---- */

enum { NEAREST_BYTES = 64 }; /* longer words aren't guessed at */

void nearest_init(struct nearest *n, const char *text, size_t bytes)
{
	size_t allowed = bytes < 3 ? 0 : bytes < 6 ? 1 : 2;

	*n = (struct nearest){.text = text, .bytes = bytes, .distance = allowed + 1};
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edit distance, whatever the case; two swapped neighbours count as one edit. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][NEAREST_BYTES + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= nb; j++)
		above[j] = before[j] = j;
	for (size_t i = 1; i <= na; i++) {
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = min(min(above[j], row[j - 1]) + 1,
				     above[j - 1] + !same_letter(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
			    same_letter(a[i - 2], b[j - 1]))
				row[j] = min(row[j], before[j - 2] + 1);
		}
		spare = before;
		before = above;
		above = row;
		row = spare;
	}
	return above[nb];
}

/* `word` is the guess when `spelling` is what the text is near to. */
static void try_spelling(struct nearest *n, const char *spelling, const char *word)
{
	size_t bytes = strlen(spelling), d;

	if (!bytes || bytes > NEAREST_BYTES || n->bytes > NEAREST_BYTES)
		return;
	d = distance(n->text, n->bytes, spelling, bytes);
	if (d < n->distance) {
		n->distance = d;
		n->best = word;
	}
}

void nearest_try(struct nearest *n, const char *word)
{
	if (word)
		try_spelling(n, word, word);
}

void nearest_try_ops(struct nearest *n)
{
	static const struct {
		const char *call;
		enum ulsp_op op;
	} calls[] = {
		{"send", ULSP_OP_SENDTO},      {"sendmsg", ULSP_OP_SENDTO},
		{"sendmmsg", ULSP_OP_SENDTO},  {"recv", ULSP_OP_RECVFROM},
		{"recvmsg", ULSP_OP_RECVFROM}, {"recvmmsg", ULSP_OP_RECVFROM},
		{"receive", ULSP_OP_RECVFROM},
	};

	for (int i = 0; i < ULSP_OP_COUNT; i++)
		nearest_try(n, op_word(i));
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		try_spelling(n, calls[i].call, op_word(calls[i].op));
}
