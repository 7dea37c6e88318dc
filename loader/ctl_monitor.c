// SPDX-License-Identifier: GPL-2.0-only
/* ulspctl monitor: the daemon's stream, line by line. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "ctl.h"

static const struct option options[] = {
	{"group", required_argument, NULL, 'g'},
	{"output", required_argument, NULL, 'o'},
	{"count", required_argument, NULL, 'n'},
	{0},
};

static void print_line(const struct ctl *c, const char *line, bool lost)
{
	bool denied = strstr(line, " deny ");

	if (lost || denied)
		ctl_style(c, lost ? CTL_BOLD : CTL_BAD);
	fputs(line, stdout);
	if (lost || denied)
		ctl_style(c, CTL_PLAIN);
	putchar('\n');
}

/* Whether the stream has nothing more at once: then what is printed must be seen. */
static bool is_idle(const struct ctl_lines *l)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};

	return !memchr(l->buf + l->taken, '\n', l->bytes - l->taken) && poll(&p, 1, 0) == 0;
}

/* In a pipe that its reader closed, there is nobody to print for. */
static int stream(struct ctl *c, struct ctl_lines *lines, bool json, long long count)
{
	char *line;
	int r = 1;

	while (count > 0) {
		r = ctl_read_line(lines, &line);
		if (r == -EINTR)
			continue;
		if (r <= 0)
			break;
		if (!strncmp(line, json ? "{\"lost\"" : "lost ", json ? 7 : 5)) {
			print_line(c, line, true);
		} else {
			print_line(c, line, false);
			count--;
		}
		if ((!count || is_idle(lines)) && fflush(stdout))
			return CTL_OK;
	}
	if (r < 0)
		return ctl_fail(c, "the stream broke off: %s", strerror(-r));
	return r ? CTL_OK : ctl_fail(c, "ulspd ended the stream");
}

int cmd_monitor(struct ctl *c, int argc, char **argv)
{
	scoped(ctl_put) struct json_object *request = ctl_request(CONTROL_MONITOR), *answer = NULL;
	scoped(scope_close) int fd = -1;
	scoped(ctl_lines_fini) struct ctl_lines lines = {0};
	const char *output = NULL, *text;
	long long count = LLONG_MAX;
	struct err e = {0};
	char *line;
	int got, r;

	while ((got = ctl_getopt(c, argc, argv, "g:o:n:", options)) != -1) {
		if (got == 'g')
			ctl_add(request, "group", optarg);
		else if (got == 'o')
			output = optarg;
		else if (ctl_parse_number(optarg, 1, LLONG_MAX, &count))
			return ctl_usage(c, "--count %s: not a number above 0", optarg);
	}
	if (optind != argc)
		return ctl_usage(c, "takes no argument");
	if (!output)
		output = c->json ? "json" : "text";
	if (strcmp(output, "json") && strcmp(output, "text"))
		return ctl_usage(c, "--output is text or json");
	ctl_add(request, "output", output);
	r = ctl_connect(c->instance, &fd, &e);
	if (r)
		return ctl_fail(c, "%s", e.text);
	text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
	lines.fd = fd;
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0 ||
	    ctl_read_line(&lines, &line) != 1)
		return ctl_fail(c, "ulspd gave no answer");
	answer = json_tokener_parse(line);
	r = ctl_check_answer(c, answer);
	if (r != CTL_OK)
		return r;
	return stream(c, &lines, !strcmp(output, "json"), count);
}
