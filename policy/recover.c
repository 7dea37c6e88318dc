/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Going on after a syntax error, so that one run reports every mistake once.
 *
 * The grammar has no mark that ends a statement, but statements begin lines.
 * After an error the rest of the line is skipped, with the lines that it plainly
 * continues on: those inside braces that it opened, and those that begin with a
 * clause.  Then the parser gets RESYNC, which ends its recovery, and the first
 * token that wasn't skipped.
 */
#include "parse.h"
#include "policy_gram.h"
#include "words.h"

/* Whether a statement of the block begins with it; outer statements always may. */
static bool begins_statement(const struct unit *u, int kind)
{
	if (!word_of_token(kind))
		return false;
	switch (word_kind(kind)) {
	case WORD_STATEMENT:
		return true;
	case WORD_RULE:
	case WORD_SETTING:
		return u->block > 0 && !u->in_ulsp;
	default:
		return u->in_ulsp && (kind == TOK_EXEC || kind == TOK_USER || kind == TOK_RESTART ||
				      kind == TOK_RING || kind == TOK_SPIN);
	}
}

static bool continues_statement(const struct unit *u, int kind)
{
	if (kind == ',' || kind == '=' || kind == '{')
		return true;
	return word_of_token(kind) && word_kind(kind) == WORD_CLAUSE && !begins_statement(u, kind);
}

static struct token next_raw(struct parser *p)
{
	struct unit *u = p->unit;
	struct token t = {0};
	uint32_t before = u->last_row;

	t.depth = u->depth;
	t.kind = p->oom ? TOK_END : lex_raw(&t.value, &t.loc, u->scanner);
	t.first = u->row != before;
	u->last_row = u->row;
	if (t.kind == '{')
		u->depth++;
	else if (t.kind == '}' && u->depth)
		u->depth--;
	return t;
}

/* The first token that isn't part of what is skipped. */
static struct token skip(struct parser *p)
{
	struct unit *u = p->unit;

	for (;;) {
		struct token t = next_raw(p);

		if (t.kind == TOK_END)
			return t;
		/* The block's end; or a stray one. */
		if (t.kind == '}' && t.depth <= u->block && (u->block || t.first))
			return t;
		if (!t.first)
			continue;
		if (begins_statement(u, t.kind)) {
			u->depth = u->block;
			return t;
		}
		/* Inside of what the statement opened, or its end. */
		if (t.kind == '}' || u->depth != u->block)
			continue;
		if (!continues_statement(u, t.kind))
			return t;
	}
}

int lex_token(union lex_value *value, struct pol_loc *loc, struct parser *p)
{
	struct unit *u = p->unit;
	struct token t;

	if (u->skipping) {
		if (!u->has_held)
			u->held = skip(p);
		u->has_held = true;
		u->skipping = false;
		u->last = (struct token){.kind = TOK_RESYNC, .loc = u->held.loc};
		*loc = u->last.loc;
		return TOK_RESYNC;
	}
	if (u->has_held) {
		t = u->held;
		u->has_held = false;
	} else {
		t = next_raw(p);
		u->put_back = false;
	}
	u->last = t;
	*value = t.value;
	*loc = t.loc;
	return t.kind;
}

void lex_recover(struct parser *p)
{
	struct unit *u = p->unit;
	const struct token *t = &u->last;
	bool again = (t->first && begins_statement(u, t->kind)) ||
		     (t->kind == '}' && t->depth == u->block && u->block);

	u->skipping = true;
	/* Put back only once, or the same error would come again for ever. */
	if (again && !u->put_back) {
		u->held = *t;
		u->has_held = true;
		u->put_back = true;
		if (t->kind != '}')
			u->depth = u->block;
	}
}
