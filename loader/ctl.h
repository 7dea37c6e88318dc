/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the commands of ulspctl share: options, talking to the daemon, output.
 * A command returns the program's exit status: 0 ok, 1 failed, 2 usage.
 */
#ifndef CTL_H
#define CTL_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include <json-c/json.h>

#include "control.h"
#include "instance.h"
#include "policy.h"

enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

struct command;

struct ctl {
	const char *instance;
	bool json;
	bool colour;		       /* of stdout */
	const struct command *command; /* that runs */
};

struct command {
	const char *name;				  /* "load", "group attach" */
	const char *args;				  /* "FILE..." */
	const char *summary;				  /* one line, no full stop */
	const char *help;				  /* more lines, or NULL */
	int (*run)(struct ctl *c, int argc, char **argv); /* argv[0] is the last word of name */
};

int cmd_run(struct ctl *c, int argc, char **argv);
int cmd_check(struct ctl *c, int argc, char **argv);
int cmd_load(struct ctl *c, int argc, char **argv);
int cmd_diff(struct ctl *c, int argc, char **argv);
int cmd_group(struct ctl *c, int argc, char **argv);
int cmd_flow(struct ctl *c, int argc, char **argv);
int cmd_monitor(struct ctl *c, int argc, char **argv);
int cmd_explain(struct ctl *c, int argc, char **argv);
int cmd_ulsp(struct ctl *c, int argc, char **argv);
int cmd_stats(struct ctl *c, int argc, char **argv);
int cmd_doctor(struct ctl *c, int argc, char **argv);
int cmd_version(struct ctl *c, int argc, char **argv);
int cmd_shutdown(struct ctl *c, int argc, char **argv);

/* ---- options (ctl_options.c) ---- */

/*
 * getopt_long() with the options that every command has: those are handled
 * here (--help prints and exits).  Returns one of the command's own letters,
 * -1 at the end; exits with CTL_USAGE at an unknown one.
 */
int ctl_getopt(struct ctl *c, int argc, char **argv, const char *letters, const struct option *own);
void ctl_help(const struct command *cmd, FILE *out);
/* "ulspctl load: text", a hint at --help; returns CTL_USAGE. */
__attribute__((format(printf, 2, 3))) int ctl_usage(const struct ctl *c, const char *format, ...);
/* "ulspctl: text" on stderr, or an error object on stdout with --json; returns CTL_FAILED. */
__attribute__((format(printf, 2, 3))) int ctl_fail(const struct ctl *c, const char *format, ...);
/* For commands without options: takes n arguments, `wants` says which; CTL_OK or CTL_USAGE. */
int ctl_arguments(struct ctl *c, int argc, char **argv, int n, const char *wants);
/* Pick a command of a list by argv[1] and run it. */
int ctl_dispatch(struct ctl *c, const struct command *list, size_t n, int argc, char **argv);
int ctl_parse_number(const char *text, long long min, long long max, long long *ret);

/* ---- the daemon (ctl_client.c) ---- */

struct json_object *ctl_request(enum control_verb verb);
void ctl_add(struct json_object *o, const char *key, const char *value); /* NULL: nothing */
/* -ENOTCONN: no daemon; nothing is printed. */
int ctl_connect(const char *instance, int *ret_fd, struct err *e);
/*
 * Send a request (consumed) and wait for the answer.  CTL_OK and *ret, or
 * CTL_FAILED when it could not be asked or was refused, which is printed.
 */
int ctl_call(struct ctl *c, struct json_object *request, struct json_object **ret);
/* The same; with --json the answer is printed, *ret stays NULL, and all is said. */
int ctl_call_text(struct ctl *c, struct json_object *request, struct json_object **ret);
/* The same without printing: 0 and the answer, whatever it says, or -errno. */
int ctl_ask(const char *instance, struct json_object *request, const char *text, size_t bytes,
	    struct json_object **ret, struct err *e);
/* CTL_OK when the answer says ok, else prints why and returns CTL_FAILED. */
int ctl_check_answer(struct ctl *c, struct json_object *answer);

/* A line of the stream without newline; 1, 0 at its end, or -errno. */
struct ctl_lines {
	int fd;
	char *buf;
	size_t bytes, room, taken;
};
int ctl_read_line(struct ctl_lines *l, char **ret_line);
void ctl_lines_fini(struct ctl_lines *l); /* fd stays open */

const char *ctl_get_string(struct json_object *o, const char *key); /* "" when absent */
long long ctl_get_int(struct json_object *o, const char *key);
struct json_object *ctl_get(struct json_object *o, const char *key); /* NULL when absent */
void ctl_put(struct json_object **o);

/* ---- output (ctl_output.c) ---- */

enum ctl_style { CTL_PLAIN, CTL_BOLD, CTL_GOOD, CTL_BAD, CTL_DIM };
void ctl_style(const struct ctl *c, enum ctl_style style);
void ctl_print_json(struct json_object *o); /* one line */
enum ctl_style ctl_verdict_style(const char *verdict);

/* Aligned columns: cells row by row, printed at once.  A title "N>" is right-aligned. */
struct ctl_table {
	size_t columns, cells, room;
	struct ctl_cell {
		char *text;
		enum ctl_style style;
	} * v;
};
void ctl_table_init(struct ctl_table *t, const char *const *titles, size_t columns);
void ctl_cell(struct ctl_table *t, enum ctl_style style, const char *text);
void ctl_cell_int(struct ctl_table *t, long long value);
void ctl_table_print(const struct ctl *c, struct ctl_table *t); /* and frees it */

/* ---- policy files (ctl_source.c) ---- */

struct compiled;
/*
 * Parse and compile files ("-": stdin), print what is wrong with them as a
 * compiler does.  CTL_OK and *ret, or CTL_FAILED.
 */
int ctl_compile(struct ctl *c, char *const *paths, size_t n, struct compiled **ret);
/* All of stdin, at most CONTROL_TEXT_BYTES; malloc'ed. */
int ctl_read_stdin(char **ret, size_t *ret_bytes);
void ctl_print_diags(const struct ctl *c, const struct pol_diags *d);

#endif
