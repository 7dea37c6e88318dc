/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The grammar.  Actions only call builders (block.c, rule.c, set.c); what a
 * word may mean is checked there, so that the grammar knows few words and each
 * mistake gets a message of its own.
 *
 * After a syntax error the lexer skips to where the next statement may begin
 * and says RESYNC there: see lex_recover() in parse.c.
 */
%code requires {
#include "parse.h"
}

%code {
#include <string.h>

#include "words.h"

#undef yylex
#define yylex lex_token

#define YYLLOC_DEFAULT(current, rhs, n)                                                            \
	do {                                                                                       \
		(current) = YYRHSLOC(rhs, (n) ? 1 : 0);                                            \
		if (n)                                                                             \
			loc_extend(&(current), &YYRHSLOC(rhs, n));                                 \
	} while (0)

static void loc_extend(struct pol_loc *first, const struct pol_loc *last);
static void pol_yyerror(const struct pol_loc *loc, struct parser *p, const char *text);
static struct set_use use_of(const struct pol_loc *loc, struct set *s, bool negated);
}

%define api.pure full
%define api.prefix {pol_yy}
%define api.token.prefix {TOK_}
%define api.value.type {union lex_value}
%define api.location.type {struct pol_loc}
%define parse.error custom
%define parse.lac full
%locations
%param {struct parser *p}

/* A block that isn't closed ends at an error only when nothing in it can take the error. */
%expect 2

%token END 0 "the end of the file"
%token RESYNC "the next statement"
%token BAD "text"

%token ALLOW "allow" ASK "ask" DENY "deny" LIMIT "limit" SERVE "serve"
%token DEFINE "define" GROUP "group" INCLUDE "include" ULSP "ulsp"
%token DEFAULT "default" DEGRADE "degrade" ISOLATE "isolate" MEMBERS "members" MODE "mode"
%token PEERS "peers"
%token CACHE "cache" DOWN "down" ERRNO "errno" EXEC "exec" FROM "from" HOLD "hold" LOG "log"
%token PORT "port" TO "to" UID "uid"
%token ANY "any" BURST "burst" CGROUP "cgroup" FILE "file" NAMED "name" PER "per" RESTART "restart"
%token RING "ring" RINGS "rings" SPIN "spin" USER "user"

%token <number> OP "an operation" PROTO "a protocol"
%token <text> NAME "a name" STRING "a quoted string" VARIABLE "a $name"
%token <atom> ADDR "an address" NUMBER "a number" DURATION "a duration, as 200ms"
%token <atom> MICROS "microseconds, as 50us"
%token <atom> SIZE "a size, as 1M" RATE "a rate, as 100/s"

%nterm <text> any_name header_name name ulsp_name word
%nterm <atom> duration micros rate size
%nterm <elem> elem
%nterm <use> value
%nterm <number> error_number
%nterm <flag> not

%%

file:
	%empty
|	file statement
|	file error RESYNC { yyerrok; p->unit->block = 0; p->unit->in_ulsp = false; }
;

statement:
	DEFINE NAME '=' value { define_add(p, &$NAME, &@NAME, &$value); }
|	DEFINE NAME '=' error RESYNC { yyerrok; define_bad(p, &$NAME, &@NAME); }
|	INCLUDE STRING { include_files(p, &$STRING, &@STRING); }
|	ULSP header_name { ulsp_begin(p, &$header_name, &@header_name); }
	open { p->unit->in_ulsp = true; } ulsp_items close
	{ ulsp_end(p); p->unit->in_ulsp = false; }
|	GROUP header_name { group_begin(p, &$header_name, &@header_name); }
	open group_items close { group_end(p); }
;

/* ---- blocks ---- */

header_name:
	any_name
|	ADDR
	{
		if (!$ADDR.bad)
			pol_diag_add(p->diags, POL_ERROR, &@$, "an address is no name");
		$$ = (struct text){0};
	}
|	NUMBER
	{
		pol_diag_add(p->diags, POL_ERROR, &@$, "a number as a name: put it in quotes");
		$$ = (struct text){0};
	}
;

name: NAME | STRING;

/*
 * Where only a name can stand, a word of the language is one: `ulsp log`.  An
 * operation is none after `ask`: there the name was forgotten.
 */
any_name:
	ulsp_name
|	OP { $$.n = @$.len; $$.s = keep_scratch(p, p->unit->token, $$.n); }
;

ulsp_name:
	name
|	keyword { $$.n = @$.len; $$.s = keep_scratch(p, p->unit->token, $$.n); }
;

keyword:
	ALLOW | ASK | DENY | LIMIT | SERVE | DEFINE | GROUP | INCLUDE | ULSP | DEFAULT | DEGRADE
|	ISOLATE | MEMBERS | MODE | PEERS | CACHE | DOWN | ERRNO | EXEC | FROM | HOLD | LOG | PORT
|	TO | UID | ANY | BURST | CGROUP | FILE | NAMED | PER | RESTART | RING | RINGS | SPIN | USER | PROTO
;

open:
	'{' { p->unit->block = 1; }
|	%empty
	{
		pol_diag_add(p->diags, POL_ERROR, &yylloc, "expected '{' before this");
		p->unit->block = 1;
		p->unit->depth++;
	}
;

close:
	'}' { p->unit->block = 0; }
|	%empty
	{
		pol_diag_add(p->diags, POL_ERROR, &yylloc, "expected '}' before this: the %s of "
			     "line %u is not closed", p->unit->in_ulsp ? "ulsp" : "group",
			     p->unit->in_ulsp ? p->ulsp.loc.line : p->group.loc.line);
		p->unit->block = 0;
		if (p->unit->depth)
			p->unit->depth--;
	}
;

ulsp_items:
	%empty
|	ulsp_items ulsp_item
|	ulsp_items error RESYNC { yyerrok; }
;

ulsp_item:
	EXEC exec_words
|	USER word { ulsp_user(p, &$word, &@word); }
|	RESTART word { ulsp_restart(p, &$word, &@word); }
|	RING size { ulsp_ring(p, &$size, &@size); }
|	RINGS NUMBER { ulsp_ring_count(p, &$NUMBER, &@NUMBER); }
|	SPIN micros { ulsp_spin(p, &$micros, &@micros); }
;

exec_words:
	STRING { ulsp_exec(p, &$STRING, &@STRING, true); }
|	exec_words STRING { ulsp_exec(p, &$STRING, &@STRING, false); }
;

group_items:
	%empty
|	group_items group_item
|	group_items error RESYNC { yyerrok; }
;

group_item:
	MEMBERS member_list
|	PEERS { group_peers(p, &@PEERS); } peer_list
|	ISOLATE { group_isolate(p, &@ISOLATE); } isolate_list
|	MODE word { group_mode(p, &$word, &@word); }
|	DEGRADE ALLOW { group_degrade(p, &@$); }
|	DEFAULT ALLOW { default_begin(p, ULSP_VERDICT_ALLOW, &@DEFAULT); } default_clauses
	{ rule_end(p); }
|	DEFAULT DENY { default_begin(p, ULSP_VERDICT_DENY, &@DEFAULT); } default_clauses
	{ rule_end(p); }
|	verdict ops protos clauses
	{
		p->rule.rule.loc = @$;
		rule_end(p);
	}
;

member_list: CGROUP cgroup_list | EXEC exec_list;
cgroup_list: cgroup | cgroup_list ',' cgroup;
cgroup: STRING { group_add_member(p, false, &$STRING, &@STRING); };
exec_list: exec | exec_list ',' exec;
exec: STRING { group_add_member(p, true, &$STRING, &@STRING); };

peer_list: peer | peer_list ',' peer;
peer: any_name { group_peer(p, &$any_name, &@any_name); };

isolate_list: isolate | isolate_list ',' isolate;
isolate: word { group_isolate_word(p, &$word, &@word); };

/* A word that a builder knows by its text. */
word:
	name
|	PROTO { $$.s = proto_word($PROTO); $$.n = strlen($$.s); }
;

default_clauses: %empty | default_clauses default_clause;
default_clause:
	ERRNO error_number { rule_errno(p, $error_number, &@$); }
|	LOG { rule_log(p, &@$); }
;

/* ---- rules ---- */

verdict:
	ALLOW { rule_begin(p, ULSP_VERDICT_ALLOW, &@$); }
|	DENY { rule_begin(p, ULSP_VERDICT_DENY, &@$); }
|	ASK ulsp_name
	{ rule_begin(p, ULSP_VERDICT_ASK, &@$); rule_ulsp(p, &$ulsp_name, &@ulsp_name); }
|	SERVE ulsp_name
	{ rule_begin(p, ULSP_VERDICT_SERVE, &@$); rule_ulsp(p, &$ulsp_name, &@ulsp_name); }
|	LIMIT rate
	{ rule_begin(p, ULSP_VERDICT_DENY, &@$); rule_limit(p, &$rate, &@rate); } burst per
;

burst: %empty | BURST NUMBER { rule_burst(p, &$NUMBER, &@NUMBER); };
per: %empty | PER ulsp_name { rule_per(p, &$ulsp_name, &@ulsp_name); };

ops: ANY { rule_op(p, -1, &@$); } | op_list;
op_list: op | op_list ',' op;
op: OP { rule_op(p, $OP, &@OP); };

protos: ANY { rule_proto(p, -1, &@$); } | proto_list;
proto_list: proto | proto_list ',' proto;
proto: PROTO { rule_proto(p, $PROTO, &@PROTO); };

clauses: %empty | clauses clause;

clause:
	TO value { rule_to(p, &$value, &@$); }
|	TO NAMED value { rule_name(p, &$value, &@$); }
|	FROM value { rule_from(p, &$value, &@$); }
|	PORT value { rule_port(p, &$value, &@$); }
|	UID value { rule_uid(p, &$value, &@$); }
|	EXEC value { rule_exec(p, &$value, &@$); }
|	ERRNO error_number { rule_errno(p, $error_number, &@$); }
|	LOG { rule_log(p, &@$); }
|	HOLD duration { rule_hold(p, &$duration, &@$); }
|	CACHE duration { rule_cache(p, &$duration, &@$); }
|	DOWN ALLOW { rule_down(p, POL_DOWN_ALLOW, NULL, &@$); }
|	DOWN DENY { rule_down(p, POL_DOWN_DENY, NULL, &@$); }
|	DOWN HOLD duration { rule_down(p, POL_DOWN_HOLD, &$duration, &@$); }
;

error_number:
	NAME { $$ = errno_of(p, &$NAME, &@NAME); }
|	NUMBER { $$ = errno_number(p, &$NUMBER, &@NUMBER); }
;

duration:
	DURATION
|	NUMBER
	{
		pol_diag_add(p->diags, POL_ERROR, &@$, "a duration needs a unit: %llums or %llus",
			     (unsigned long long)$NUMBER.lo, (unsigned long long)$NUMBER.lo);
		$$.bad = true;
	}
;

micros:
	MICROS
|	DURATION { $$.lo *= 1000; }
|	NUMBER
	{
		if ($$.lo || $$.hi) {
			pol_diag_add(p->diags, POL_ERROR, &@$, "a duration needs a unit: %lluus",
				     (unsigned long long)$NUMBER.lo);
			$$.bad = true;
		}
	}
;

rate:
	RATE
|	NUMBER
	{
		pol_diag_add(p->diags, POL_ERROR, &@$, "a rate needs its time: %llu/s, /m or /h",
			     (unsigned long long)$NUMBER.lo);
		$$.bad = true;
	}
;

size:
	SIZE
|	NUMBER
|	DURATION
	{
		pol_diag_add(p->diags, POL_ERROR, &@$, "this is a duration: sizes end in K, M or G");
		$$.bad = true;
	}
;

/* ---- sets ---- */

value:
	not ANY
	{
		if ($not)
			pol_diag_add(p->diags, POL_ERROR, &@ANY, "'!any' matches nothing");
		$$ = use_of(&@ANY, NULL, false);
	}
|	not elem
	{
		struct set *s = $elem.kind == ELEM_SET ? $elem.set : set_new(p, &@elem);

		if ($elem.kind != ELEM_SET) {
			elem_add(p, s, false, &$elem, &@elem);
			set_close(p, s);
		}
		$$ = use_of(&@elem, s, $not);
		if (!s)
			$$ = use_of(&@elem, set_new(p, &@elem), false);
		if (!s && $$.set)
			$$.set->bad = true;
	}
|	not '{' { p->set = set_new(p, &@2); } elems_or_none '}'
	{
		set_close(p, p->set);
		$$ = use_of(&@2, p->set, $not);
		p->set = NULL;
	}
;

not: %empty { $$ = false; } | '!' { $$ = true; };

elems_or_none: %empty | elems | elems ',';
elems: set_elem | elems ',' set_elem;
set_elem: not elem { elem_add(p, p->set, $not, &$elem, &@elem); };

elem:
	ADDR { $$ = (struct elem){.kind = ELEM_ADDR, .atom = $ADDR}; }
|	NUMBER { $$ = (struct elem){.kind = ELEM_NUMBERS, .atom = $NUMBER}; }
|	STRING { $$ = (struct elem){.kind = ELEM_STRING, .text = $STRING}; }
|	FILE STRING { $$ = (struct elem){.kind = ELEM_FILE, .text = $STRING}; }
|	VARIABLE
	{ $$ = (struct elem){.kind = ELEM_SET, .set = define_find(p, &$VARIABLE, &@VARIABLE)}; }
;

%%

/* A place's length: to the end of the last part, if that is on the same line. */
static void loc_extend(struct pol_loc *first, const struct pol_loc *last)
{
	if (last->file == first->file && last->line == first->line && last->col >= first->col)
		first->len = last->col + last->len - first->col;
}

static struct set_use use_of(const struct pol_loc *loc, struct set *s, bool negated)
{
	return (struct set_use){.set = s, .loc = *loc, .negated = negated};
}

/* Only for "memory exhausted": syntax errors have yyreport_syntax_error(). */
static void pol_yyerror(const struct pol_loc *loc, struct parser *p, const char *text)
{
	(void)loc;
	(void)text;
	p->oom = true;
}

/* What could have stood where something else did, each once. */
enum { EXPECTED_SHOWN = 8 };
struct expected {
	char item[EXPECTED_SHOWN][48];
	int n; /* more than EXPECTED_SHOWN: too many to be of help */
};

static void expect(struct expected *e, const char *what, bool quote)
{
	char item[sizeof(e->item[0])];

	snprintf(item, sizeof(item), quote ? "'%s'" : "%s", what);
	for (int i = 0; i < e->n && i < EXPECTED_SHOWN; i++)
		if (strcmp(e->item[i], item) == 0)
			return;
	if (e->n < EXPECTED_SHOWN)
		strcpy(e->item[e->n], item);
	e->n++;
}

/* The kind of a keyword; other tokens are plain. */
static enum word_kind symbol_kind(yysymbol_kind_t symbol)
{
	const char *name = yysymbol_name(symbol);
	int value, token = word_token(name, strlen(name), &value);

	return token ? word_kind(token) : WORD_PLAIN;
}

/* `only`: no other keyword of its kind is expected. */
static void expect_token(struct expected *e, yysymbol_kind_t symbol, bool only)
{
	static const char *const groups[] = {
		[WORD_RULE] = "a rule",
		[WORD_STATEMENT] = "a definition",
		[WORD_SETTING] = "a setting of the group",
		[WORD_CLAUSE] = "a clause",
	};
	const char *name = yysymbol_name(symbol);
	enum word_kind kind = symbol_kind(symbol);

	switch (symbol) {
	case YYSYMBOL_RESYNC:
	case YYSYMBOL_BAD:
	case YYSYMBOL_YYerror:
		return;
	case YYSYMBOL_YYEOF:
	case YYSYMBOL_OP:
	case YYSYMBOL_PROTO:
	case YYSYMBOL_NAME:
	case YYSYMBOL_STRING:
	case YYSYMBOL_NUMBER:
	case YYSYMBOL_DURATION:
	case YYSYMBOL_MICROS:
	case YYSYMBOL_SIZE:
	case YYSYMBOL_RATE:
		expect(e, name, false);
		return;
	default:
		if (kind != WORD_PLAIN && !only)
			expect(e, groups[kind], false);
		else /* bison names a mark with its quotes */
			expect(e, name, name[0] != '\'');
	}
}

/* ", expected A, B or C" */
static void expected_text(const struct expected *e, char *text, size_t bytes)
{
	size_t n = 0;

	text[0] = '\0';
	for (int i = 0; i < e->n && e->n <= EXPECTED_SHOWN; i++) {
		snprintf(text + n, bytes - n, "%s%s",
			 i == 0 ? ", expected " : i == e->n - 1 ? " or " : ", ", e->item[i]);
		n = strlen(text);
	}
}

/* Places where one word says what all the tokens that fit are. */
static const char *expected_place(const yysymbol_kind_t *expected, int n)
{
	bool variable = false, name = false, peers = false;

	for (int i = 0; i < n; i++) {
		variable |= expected[i] == YYSYMBOL_VARIABLE;
		name |= expected[i] == YYSYMBOL_NAME;
		peers |= expected[i] == YYSYMBOL_PEERS;
	}
	if (variable)
		return "an address, a number, a quoted string, a $name or a set in braces";
	if (name && peers) /* any word of the language, too */
		return "a name";
	return NULL;
}

static void try_token(struct nearest *n, yysymbol_kind_t symbol)
{
	const char *name = yysymbol_name(symbol);
	int value;

	if (symbol == YYSYMBOL_OP)
		nearest_try_ops(n);
	else if (symbol == YYSYMBOL_PROTO)
		for (int i = 0; i < ULSP_PROTO_COUNT; i++)
			nearest_try(n, proto_word(i));
	else if (word_token(name, strlen(name), &value))
		nearest_try(n, name);
}

/* What is said about a token that can't stand where it does. */
static void report(const yypcontext_t *context, struct parser *p)
{
	struct unit *u = p->unit;
	const struct pol_loc *loc = yypcontext_location(context);
	yysymbol_kind_t expected[YYNTOKENS];
	int n = yypcontext_expected_tokens(context, expected, YYNTOKENS);
	const char *place = expected_place(expected, n);
	int of_kind[WORD_PLAIN + 1] = {0};
	struct expected e = {0};
	char list[512], shown[64];
	struct nearest guess;
	bool in_block = false;

	nearest_init(&guess, u->token, u->token_bytes);
	for (int i = 0; i < n; i++) {
		of_kind[symbol_kind(expected[i])]++;
		in_block |= strcmp(yysymbol_name(expected[i]), "'}'") == 0;
	}
	for (int i = 0; i < n; i++) {
		enum word_kind kind = symbol_kind(expected[i]);

		/* What ends an unclosed block is not what is expected in it. */
		if (in_block && (expected[i] == YYSYMBOL_YYEOF || kind == WORD_STATEMENT))
			continue;
		expect_token(&e, expected[i], of_kind[kind] == 1);
		if (yypcontext_token(context) == YYSYMBOL_NAME)
			try_token(&guess, expected[i]);
	}
	if (place)
		snprintf(list, sizeof(list), ", expected %s", place);
	else
		expected_text(&e, list, sizeof(list));
	if (yypcontext_token(context) == YYSYMBOL_YYEOF)
		snprintf(shown, sizeof(shown), "end of the file");
	else
		snprintf(shown, sizeof(shown), "'%.*s%s'",
			 (int)(u->token_bytes > 40 ? 40 : u->token_bytes), u->token,
			 u->token_bytes > 40 ? "..." : "");
	if (u->token_bytes == 1 && *u->token == ',' && of_kind[WORD_CLAUSE])
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "unexpected ',': several values of a clause stand in braces: { A, B }");
	else if (guess.best)
		pol_diag_add(p->diags, POL_ERROR, loc, "unexpected %s: did you mean '%s'?", shown,
			     guess.best);
	else
		pol_diag_add(p->diags, POL_ERROR, loc, "unexpected %s%s", shown, list);
}

static int yyreport_syntax_error(const yypcontext_t *context, struct parser *p)
{
	yysymbol_kind_t token = yypcontext_token(context);

	rule_cut(p);
	lex_recover(p);
	if (token == YYSYMBOL_BAD || token == YYSYMBOL_RESYNC ||
	    (token == YYSYMBOL_ADDR && p->unit->last.value.atom.bad))
		return 0; /* the lexer reported it */
	if (p->diags->n == POL_MAX_DIAGS) /* garbage: only counted, so be quick */
		pol_diag_add(p->diags, POL_ERROR, NULL, "unexpected text");
	else
		report(context, p);
	return 0;
}
