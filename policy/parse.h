/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parser's insides: what lexer, grammar and the builders of rules and
 * blocks share.
 *
 * Each file is scanned and parsed by its own recursion of the grammar, all into
 * one struct parser.  Grammar actions call builders, which check as they build
 * and report through p->diags.  Builders return nothing: when memory ends they
 * set p->oom, the lexer then ends every file, and pol_parse() returns -ENOMEM.
 */
#ifndef PARSE_H
#define PARSE_H

#include <setjmp.h>

/* A failed add leaves hh.tbl NULL, which those who add look at. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "arena.h"
#include "diag.h"
#include "policy.h"
#include "set.h"

enum {
	MAX_INCLUDE_DEPTH = 16,
	MAX_INCLUDED = 1024, /* files, so that includes can't multiply */
	MAX_FILE_BYTES = 64 << 20,
	MAX_TEXT_BYTES_ALL = 256 << 20, /* of all files: they are kept for messages */
	MAX_PATH_BYTES = 4096,
	MAX_LINE = 999999999, /* that #line can set; the last counts for all after it */
};

/* Text of a token; NUL-terminated, may hold no NUL inside. */
struct text {
	const char *s;
	size_t n;
};

/* An element of a set, as the grammar sees it. */
struct elem {
	enum { ELEM_ADDR, ELEM_NUMBERS, ELEM_STRING, ELEM_SET, ELEM_FILE } kind;
	struct atom atom;
	struct text text;
	struct set *set;
};

union lex_value {
	struct text text;
	struct atom atom;
	struct elem elem;
	struct set_use use;
	int number;
	bool flag;
};

struct define {
	const char *name;
	struct pol_loc loc;
	struct set *set;
	UT_hash_handle hh;
};

struct token {
	int kind; /* TOK_* or a mark's character */
	union lex_value value;
	struct pol_loc loc;
	bool first;	/* on its line */
	unsigned depth; /* of braces open before it */
};

/* The file being parsed; includes make a chain. */
struct unit {
	struct unit *parent;
	const char *path; /* as opened */
	void *scanner;
	uint16_t file; /* of places; a #line changes it and `line` */
	uint32_t line, col;
	uint32_t row;	   /* physical line */
	const char *token; /* last token's text, not terminated */
	size_t token_bytes;
	unsigned depth; /* of open braces */
	unsigned block; /* depth that the statement being parsed began at: 0 top, 1 in a block */
	bool in_ulsp;

	/* Recovery, see recover.c. */
	struct token last, held; /* given out last; to be given out next */
	bool has_held;
	bool skipping;
	bool put_back;	   /* `last` was put back by an error before */
	uint32_t last_row; /* of the last token read */
};

/* A name used, to be found when all is read. */
struct ref {
	const char *name;
	struct pol_loc loc;
	const char *group; /* that uses it */
};
struct refs {
	struct ref *v;
	size_t n;
};

/* Clauses of a rule, for checks of what fits. */
enum clause {
	CLAUSE_TO,
	CLAUSE_TO_PORT,
	CLAUSE_FROM,
	CLAUSE_FROM_PORT,
	CLAUSE_NAME,
	CLAUSE_UID,
	CLAUSE_EXEC,
	CLAUSE_ERRNO,
	CLAUSE_LOG,
	CLAUSE_HOLD,
	CLAUSE_DOWN,
	CLAUSE_CACHE,
	CLAUSE_COUNT
};

/* The rule being built. */
struct rule_builder {
	struct pol_rule rule;
	struct pol_loc loc[CLAUSE_COUNT]; /* line 0: not given */
	struct pol_loc ops_loc, protos_loc;
	enum clause port_of; /* what the next `port` belongs to */
	bool open;	     /* rule_end() is still to come */
	bool is_default;
	bool any_op, any_proto;
	bool bad; /* reported: checks that would only follow from it are left out */
};

struct parser {
	struct pol_diags *diags;
	const struct pol_reader *reader; /* NULL: no files */
	struct pol_policy *policy;
	struct pol_arena *arena;   /* the policy's */
	struct pol_arena *scratch; /* freed with the parser */
	struct pol_sources *sources;
	struct unit *unit;
	unsigned depth, files;
	size_t bytes; /* of all files */
	bool oom;
	jmp_buf no_memory; /* of the scanner, while a file is opened */
	struct set *sets;
	struct define *defines;
	struct set *set; /* being built between braces */
	struct rule_builder rule;
	struct pol_group group; /* being built */
	struct pol_loc mode_loc;
	struct pol_ulsp ulsp; /* being built */
	struct pol_loc exec_loc, user_loc, restart_loc, ring_loc, rings_loc, spin_loc;
	struct refs ulsp_refs, peer_refs;
};

/* Terminated copies; NULL and p->oom when memory ends. */
char *keep_text(struct parser *p, const char *s, size_t n); /* in the policy */
char *keep_scratch(struct parser *p, const char *s, size_t n);
char *scratch_room(struct parser *p, size_t bytes); /* zeroed */

/* ---- unit.c: files ---- */
void unit_parse(struct parser *p, const char *path, char *text, size_t bytes);
void file_parse(struct parser *p, const char *path, const struct pol_loc *from);
void include_files(struct parser *p, const struct text *name, const struct pol_loc *loc);
/*
 * A file name as written, relative to the file being parsed; escaped for
 * glob(3) if asked.  NULL: no memory, or too long, which is reported.
 */
char *path_relative(struct parser *p, const char *name, bool for_glob, const struct pol_loc *loc);
/* The first name by which an error number is known, for messages. */
const char *error_text(int error);

const char *file_of(const struct parser *p, const struct pol_loc *loc); /* its name */
void ref_add(struct parser *p, struct refs *refs, const char *name, const struct pol_loc *loc);

/* A set with one element, or one more element of p->set. */
void elem_add(struct parser *p, struct set *s, bool negated, const struct elem *e,
	      const struct pol_loc *loc);

/* ---- define.c ---- */
void define_add(struct parser *p, const struct text *name, const struct pol_loc *loc,
		const struct set_use *value);
/* A define whose value isn't understood: its uses are no errors of their own. */
void define_bad(struct parser *p, const struct text *name, const struct pol_loc *loc);
struct set *define_find(struct parser *p, const struct text *name, const struct pol_loc *loc);

/* ---- block.c: ULSPs and groups ---- */
void ulsp_begin(struct parser *p, const struct text *name, const struct pol_loc *loc);
void ulsp_exec(struct parser *p, const struct text *word, const struct pol_loc *loc, bool first);
void ulsp_user(struct parser *p, const struct text *name, const struct pol_loc *loc);
void ulsp_restart(struct parser *p, const struct text *word, const struct pol_loc *loc);
void ulsp_ring(struct parser *p, const struct atom *size, const struct pol_loc *loc);
void ulsp_ring_count(struct parser *p, const struct atom *number, const struct pol_loc *loc);
void ulsp_spin(struct parser *p, const struct atom *us, const struct pol_loc *loc);
void ulsp_end(struct parser *p);

void group_begin(struct parser *p, const struct text *name, const struct pol_loc *loc);
void group_add_member(struct parser *p, bool exec, const struct text *path,
		      const struct pol_loc *loc);
void group_peers(struct parser *p, const struct pol_loc *loc); /* the word `peers` */
void group_peer(struct parser *p, const struct text *name, const struct pol_loc *loc);
void group_isolate(struct parser *p, const struct pol_loc *loc);
void group_isolate_word(struct parser *p, const struct text *word, const struct pol_loc *loc);
void group_mode(struct parser *p, const struct text *word, const struct pol_loc *loc);
void group_degrade(struct parser *p, const struct pol_loc *loc);
void group_end(struct parser *p);

/* ---- rule.c ---- */
void rule_begin(struct parser *p, enum ulsp_verdict verdict, const struct pol_loc *loc);
void rule_ulsp(struct parser *p, const struct text *name, const struct pol_loc *loc);
void rule_limit(struct parser *p, const struct atom *rate, const struct pol_loc *loc);
void rule_burst(struct parser *p, const struct atom *number, const struct pol_loc *loc);
void rule_per(struct parser *p, const struct text *word, const struct pol_loc *loc);
void rule_op(struct parser *p, int op, const struct pol_loc *loc);	 /* -1: any */
void rule_proto(struct parser *p, int proto, const struct pol_loc *loc); /* -1: any */
void rule_to(struct parser *p, const struct set_use *u, const struct pol_loc *loc);
void rule_from(struct parser *p, const struct set_use *u, const struct pol_loc *loc);
void rule_name(struct parser *p, const struct set_use *u, const struct pol_loc *loc);
void rule_port(struct parser *p, const struct set_use *u, const struct pol_loc *loc);
void rule_uid(struct parser *p, const struct set_use *u, const struct pol_loc *loc);
void rule_exec(struct parser *p, const struct set_use *u, const struct pol_loc *loc);
void rule_errno(struct parser *p, int error, const struct pol_loc *loc);
void rule_log(struct parser *p, const struct pol_loc *loc);
void rule_hold(struct parser *p, const struct atom *time, const struct pol_loc *loc);
void rule_cache(struct parser *p, const struct atom *time, const struct pol_loc *loc);
void rule_down(struct parser *p, enum pol_fail fail, const struct atom *time,
	       const struct pol_loc *loc);
void rule_end(struct parser *p);
/* `default`: begins as a rule; errno and log are its only clauses. */
void default_begin(struct parser *p, enum ulsp_verdict verdict, const struct pol_loc *loc);
/* A syntax error ends the rule, if there is one: what came before it is checked. */
void rule_cut(struct parser *p);
int errno_of(struct parser *p, const struct text *name, const struct pol_loc *loc);
int errno_number(struct parser *p, const struct atom *number, const struct pol_loc *loc);

/* ---- rule_fit.c ---- */
void rule_fit(struct parser *p);
const char *clause_word(enum clause c);

/* ---- resolve.c: what only the whole policy shows ---- */
void resolve(struct parser *p);

/* ---- id.c ---- */
int ids_assign(struct pol_policy *policy);

/* ---- grammar and lexer ---- */
int lex_raw(union lex_value *value, struct pol_loc *loc, void *scanner);
int lex_token(union lex_value *value, struct pol_loc *loc, struct parser *p);
/* After a syntax error: skip to where the next statement may begin. */
void lex_recover(struct parser *p);

#endif
