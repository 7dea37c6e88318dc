// SPDX-License-Identifier: GPL-2.0-only
#include "ctl.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "diag_json.h"
#include "pins.h"
#include "probe.h"

enum { MAX_LINE_BYTES = 64 << 20 }; /* of an answer: a policy's text with its sets expanded */

struct json_object *ctl_request(enum control_verb verb)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "v", json_object_new_int(CONTROL_VERSION));
	json_object_object_add(o, "cmd", json_object_new_string(control_verb_name(verb)));
	return o;
}

void ctl_add(struct json_object *o, const char *key, const char *value)
{
	if (value)
		json_object_object_add(o, key, json_object_new_string(value));
}

void ctl_put(struct json_object **o)
{
	json_object_put(*o);
	*o = NULL;
}

struct json_object *ctl_get(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? v : NULL;
}

const char *ctl_get_string(struct json_object *o, const char *key)
{
	const char *s = json_object_get_string(ctl_get(o, key));

	return s ? s : "";
}

long long ctl_get_int(struct json_object *o, const char *key)
{
	return json_object_get_int64(ctl_get(o, key));
}

/* The generation that is pinned; 0: none, or this user can't see it. */
static uint32_t pinned_generation(const char *instance)
{
	scoped(scope_free) char *escaped = pin_escape(instance), *path = NULL;
	scoped(scope_close) int fd = -1;
	struct ulsp_meta meta = {0};
	char bpffs[PATH_MAX];
	uint32_t zero = 0;

	if (!escaped || geteuid() || probe_bpffs(bpffs, sizeof(bpffs)))
		return 0;
	path = pin_path("%s/ulsp/%s/meta", bpffs, escaped);
	fd = path ? pin_open(path) : -1;
	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &meta) || meta.abi != ULSP_ABI)
		return 0;
	return meta.generation;
}

static int no_daemon(const char *instance, const char *path, struct err *e)
{
	uint32_t generation = pinned_generation(instance);

	if (generation)
		return err_set(e, -ENOTCONN,
			       "no ulspd runs for instance %s; generation %u stays enforced",
			       instance, generation);
	return err_set(e, -ENOTCONN, "no ulspd runs for instance %s (nothing listens on %s)",
		       instance, path);
}

int ctl_connect(const char *instance, int *ret_fd, struct err *e)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	scoped(scope_close) int fd = -1;
	int r;

	r = control_path(instance, un.sun_path, sizeof(un.sun_path));
	if (r)
		return err_set(e, r, "the run directory's path is too long for a socket");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, -errno, "socket: %m");
	if (connect(fd, (struct sockaddr *)&un, sizeof(un))) {
		r = -errno;
		if (r == -ENOENT || r == -ECONNREFUSED)
			return no_daemon(instance, un.sun_path, e);
		if (r == -EACCES || r == -EPERM)
			return err_set(e, r, "%s: %m (only root may control ulspd: use sudo)",
				       un.sun_path);
		return err_set(e, r, "%s: %m", un.sun_path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_all(int fd, const char *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = send(fd, data, bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int ctl_read_line(struct ctl_lines *l, char **ret_line)
{
	char *end;
	ssize_t n;

	if (l->taken) {
		l->bytes -= l->taken;
		memmove(l->buf, l->buf + l->taken, l->bytes);
		l->taken = 0;
	}
	for (size_t seen = 0;;) {
		end = l->bytes > seen ? memchr(l->buf + seen, '\n', l->bytes - seen) : NULL;
		if (end) {
			*end = 0;
			*ret_line = l->buf;
			l->taken = (size_t)(end - l->buf) + 1;
			return 1;
		}
		seen = l->bytes;
		if (l->bytes >= MAX_LINE_BYTES)
			return -EMSGSIZE;
		if (l->bytes == l->room) {
			char *buf = realloc(l->buf, l->room * 2 + 65536);

			if (!buf)
				return -ENOMEM;
			l->buf = buf;
			l->room = l->room * 2 + 65536;
		}
		n = recv(l->fd, l->buf + l->bytes, l->room - l->bytes, 0);
		if (n < 0)
			return -errno;
		if (!n)
			return 0;
		l->bytes += (size_t)n;
	}
}

void ctl_lines_fini(struct ctl_lines *l)
{
	free(l->buf);
}

int ctl_ask(const char *instance, struct json_object *request, const char *text, size_t bytes,
	    struct json_object **ret, struct err *e)
{
	scoped(ctl_put) struct json_object *owned = request;
	const char *line = json_object_to_json_string_ext(owned, JSON_C_TO_STRING_PLAIN);
	scoped(scope_close) int fd = -1;
	scoped(ctl_lines_fini) struct ctl_lines lines = {0};
	scoped(ctl_put) struct json_object *answer = NULL;
	char *got;
	int r, sent;

	r = ctl_connect(instance, &fd, e);
	if (r)
		return r;
	/* when sending breaks off, the daemon may still have said why */
	sent = send_all(fd, line, strlen(line));
	if (!sent)
		sent = send_all(fd, "\n", 1);
	if (!sent && bytes)
		sent = send_all(fd, text, bytes);
	lines.fd = fd;
	do
		r = ctl_read_line(&lines, &got);
	while (r == -EINTR);
	if (r < 0)
		return err_set(e, r, "no answer from ulspd: %s", strerror(-r));
	if (!r)
		return err_set(e, -ECONNRESET, "ulspd closed the connection without an answer");
	answer = json_tokener_parse(got);
	if (!json_object_is_type(answer, json_type_object))
		return err_set(e, -EPROTO, "ulspd gave an answer that is not JSON");
	*ret = TAKE_PTR(answer);
	return 0;
}

int ctl_check_answer(struct ctl *c, struct json_object *answer)
{
	struct pol_diags diags;

	if (json_object_get_boolean(ctl_get(answer, "ok")))
		return CTL_OK;
	if (c->json) {
		ctl_print_json(answer);
		return CTL_FAILED;
	}
	diags_from_json(ctl_get(answer, "diagnostics"), &diags);
	ctl_print_diags(c, &diags);
	pol_diags_fini(&diags);
	fprintf(stderr, "ulspctl: %s\n", ctl_get_string(answer, "error"));
	return CTL_FAILED;
}

int ctl_call(struct ctl *c, struct json_object *request, struct json_object **ret)
{
	scoped(ctl_put) struct json_object *answer = NULL;
	struct err e = {0};
	int r = ctl_ask(c->instance, request, NULL, 0, &answer, &e);

	if (r)
		return ctl_fail(c, "%s", e.text);
	r = ctl_check_answer(c, answer);
	if (r == CTL_OK)
		*ret = TAKE_PTR(answer);
	return r;
}

int ctl_call_text(struct ctl *c, struct json_object *request, struct json_object **ret)
{
	scoped(ctl_put) struct json_object *answer = NULL;
	int r = ctl_call(c, request, &answer);

	if (r != CTL_OK)
		return r;
	if (c->json)
		ctl_print_json(answer);
	else
		*ret = TAKE_PTR(answer);
	return CTL_OK;
}
