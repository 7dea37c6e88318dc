// SPDX-License-Identifier: GPL-2.0-only
#include "ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 16 };

static const struct option common[] = {
	{"instance", required_argument, NULL, 'i'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
};
enum { COMMON = sizeof(common) / sizeof(*common) };

void ctl_help(const struct command *cmd, FILE *out)
{
	fprintf(out, "Usage: ulspctl %s [OPTION]...%s%s\n\n%s.\n", cmd->name, *cmd->args ? " " : "",
		cmd->args, cmd->summary);
	if (cmd->help)
		fprintf(out, "\n%s", cmd->help);
	fputs("\nEvery command:\n"
	      "  -i, --instance NAME  the daemon's instance ($ULSP_INSTANCE, default system)\n"
	      "  -j, --json           print JSON\n"
	      "  -h, --help           print this\n",
	      out);
}

int ctl_getopt(struct ctl *c, int argc, char **argv, const char *letters, const struct option *own)
{
	struct option all[MAX_OPTIONS + COMMON + 1] = {0};
	char all_letters[64];
	size_t n = 0;
	int got;

	memcpy(all, common, sizeof(common));
	while (own && own[n].name && n < MAX_OPTIONS) {
		all[COMMON + n] = own[n];
		n++;
	}
	snprintf(all_letters, sizeof(all_letters), "%s%si:jh", *letters == '+' ? "+" : "",
		 letters + (*letters == '+'));
	for (;;) {
		got = getopt_long(argc, argv, all_letters, all, NULL);
		switch (got) {
		case 'i':
			c->instance = optarg;
			if (!control_instance_ok(optarg))
				exit(ctl_usage(c, "\"%s\" is no instance name", optarg));
			break;
		case 'j':
			c->json = true;
			break;
		case 'h':
			ctl_help(c->command, stdout);
			exit(CTL_OK);
		case '?':
			exit(ctl_usage(c, NULL));
		default:
			return got;
		}
	}
}

static void print_error(const char *text)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ok", json_object_new_boolean(false));
	json_object_object_add(o, "error", json_object_new_string(text));
	ctl_print_json(o);
	json_object_put(o);
}

int ctl_usage(const struct ctl *c, const char *format, ...)
{
	const char *name = c->command ? c->command->name : "";
	char text[512] = "unknown or incomplete option";
	va_list ap;

	if (format) {
		va_start(ap, format);
		vsnprintf(text, sizeof(text), format, ap);
		va_end(ap);
		fprintf(stderr, "ulspctl%s%s: %s\n", *name ? " " : "", name, text);
	}
	if (c->json)
		print_error(text);
	fprintf(stderr, "Try 'ulspctl%s%s --help'.\n", *name ? " " : "", name);
	return CTL_USAGE;
}

int ctl_arguments(struct ctl *c, int argc, char **argv, int n, const char *wants)
{
	if (ctl_getopt(c, argc, argv, "", NULL) != -1)
		return CTL_USAGE;
	return argc - optind == n ? CTL_OK : ctl_usage(c, "%s", wants);
}

int ctl_fail(const struct ctl *c, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (c->json) {
		print_error(text);
	} else {
		fprintf(stderr, "ulspctl: %s\n", text);
	}
	return CTL_FAILED;
}

/* The last word of a command's name is what is typed at this level. */
static const char *last_word(const char *name)
{
	const char *space = strrchr(name, ' ');

	return space ? space + 1 : name;
}

static void help_list(const struct ctl *c, const struct command *list, size_t n, FILE *out)
{
	const char *name = c->command ? c->command->name : "";

	fprintf(out, "Usage: ulspctl %s%sCOMMAND [OPTION]... [ARGUMENT]...\n\n", name,
		*name ? " " : "");
	for (size_t i = 0; i < n; i++)
		fprintf(out, "  %-8s %-28s %s\n", last_word(list[i].name), list[i].args,
			list[i].summary);
	fputs("\nEvery command:\n"
	      "  -i, --instance NAME  the daemon's instance ($ULSP_INSTANCE, default system)\n"
	      "  -j, --json           print JSON\n"
	      "  -h, --help           print help\n"
	      "\nExit status: 0 ok, 1 failed, 2 usage; `run` ends with the program's own.\n",
	      out);
}

int ctl_dispatch(struct ctl *c, const struct command *list, size_t n, int argc, char **argv)
{
	static const struct option own[] = {{"version", no_argument, NULL, 'V'}, {0}};
	static char called[64];
	int got, at;

	/* only the options before the command's word: '+' stops there */
	optind = 0; /* and start over: the order may be another */
	for (;;) {
		struct option all[COMMON + 2] = {0};

		memcpy(all, common, sizeof(common));
		all[COMMON] = own[0];
		got = getopt_long(argc, argv, "+i:jhV", all, NULL);
		if (got < 0)
			break;
		switch (got) {
		case 'i':
			c->instance = optarg;
			if (!control_instance_ok(optarg))
				return ctl_usage(c, "\"%s\" is no instance name", optarg);
			break;
		case 'j':
			c->json = true;
			break;
		case 'h':
			help_list(c, list, n, stdout);
			return CTL_OK;
		case 'V':
			printf("ulspctl %s\n", ULSP_VERSION);
			return CTL_OK;
		default:
			return ctl_usage(c, NULL);
		}
	}
	at = optind;
	if (at >= argc) {
		help_list(c, list, n, stderr);
		return CTL_USAGE;
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(last_word(list[i].name), argv[at]))
			continue;
		c->command = &list[i];
		/* what getopt(3) begins its messages with */
		snprintf(called, sizeof(called), "ulspctl %s", list[i].name);
		argv[at] = called;
		optind = 0; /* and start over: the order may be another */
		return list[i].run(c, argc - at, argv + at);
	}
	return ctl_usage(c, "no command \"%s\"", argv[at]);
}

int ctl_parse_number(const char *text, long long min, long long max, long long *ret)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (end == text || *end || errno || n < min || n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}
