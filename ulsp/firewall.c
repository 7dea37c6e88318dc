/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ulsp-firewall: answers `ask' rules by a rule file.
 *
 * The asked operation itself was denied already; the answer goes into the
 * verdict cache, and the kernel decides the retry by it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "program.h"
#include "rules.h"
#include "ulsp.h"
#include "ulsp_abi.h"

struct firewall {
	const char *path;
	struct fw_rules *rules;
	bool verbose;
	time_t complained; /* last complaint about a cache that takes nothing */
};

static const char usage[] =
	"Usage: ulsp-firewall [OPTION]... --rules PATH\n"
	"       ulsp-firewall --check PATH\n"
	"Answer the operations that `ask' rules of a policy send, by a rule file.\n"
	"Started by ulspd: see `ulsp' in ulsp-policy(5).\n"
	"\n"
	"  -r, --rules PATH  the rules, see ulsp-firewall(8); SIGHUP reads them again\n"
	"  -c, --check PATH  only say whether the rules are right\n"
	"  -v, --verbose     log each decision to standard error\n"
	"  -h, --help        this text\n"
	"  -V, --version     the version\n";

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("ulsp-firewall: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
}

static int read_text(const char *path, char **ret, size_t *ret_bytes)
{
	size_t n = 0, room = 1 << 16;
	char *text = malloc(room), *grown;
	ssize_t got = -1;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : text ? 0 : -ENOMEM;
	while (!r && (got = read(fd, text + n, room - n)) > 0) {
		n += (size_t)got;
		if (n < room)
			continue;
		if (room >= RULES_TEXT_MAX) {
			r = -EFBIG;
			break;
		}
		room *= 2;
		grown = realloc(text, room);
		if (grown)
			text = grown;
		else
			r = -ENOMEM;
	}
	if (!r && got < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	if (r) {
		free(text);
		return r;
	}
	*ret = text;
	*ret_bytes = n;
	return 0;
}

/* Says what is wrong; *ret is replaced only by rules that are right. */
static int load(const char *path, struct fw_rules **ret)
{
	struct fw_rules *rules;
	struct fw_error e;
	size_t bytes;
	char *text;
	int r;

	r = read_text(path, &text, &bytes);
	if (r) {
		say("%s: %s", path, strerror(-r));
		return r;
	}
	r = fw_rules_parse(text, bytes, &rules, &e);
	free(text);
	if (r == -EINVAL)
		fprintf(stderr, "%s:%" PRIu32 ":%" PRIu32 ": error: %s\n", path, e.line, e.col,
			e.text);
	else if (r)
		say("%s: %s", path, strerror(-r));
	if (r)
		return r;
	fw_rules_free(ret);
	*ret = rules;
	return 0;
}

struct exe_of {
	const struct ulsp_message *m;
	bool looked;
	char path[4096];
};

static const char *lookup_exe(void *ctx)
{
	struct exe_of *e = ctx;

	if (!e->looked && ulsp_exe(e->m, e->path, sizeof(e->path)) <= 0)
		e->path[0] = '\0';
	e->looked = true;
	return e->path[0] ? e->path : NULL;
}

static uint16_t take_address(const struct sockaddr_storage *from, struct fw_query *q)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;

	if (from->ss_family == AF_INET6) {
		if (q) {
			q->family = 6;
			memcpy(q->addr, &in6->sin6_addr, 16);
		}
		return ntohs(in6->sin6_port);
	}
	if (q) {
		q->family = 4;
		memcpy(q->addr, &in->sin_addr, 4);
	}
	return ntohs(in->sin_port);
}

/* The address that the policy's rules judge: the peer's, or where there is none the own. */
static struct fw_query query_of(const struct ulsp_message *m, struct exe_of *exe)
{
	struct fw_query q = {
		.op = fw_op_number(ulsp_operation(m)),
		.proto = fw_proto_number(ulsp_protocol(m)),
		.uid = ulsp_uid(m),
		.exe = lookup_exe,
		.ctx = exe,
	};
	struct sockaddr_storage remote, local;
	bool has_local = !ulsp_local(m, &local);

	if (!ulsp_remote(m, &remote))
		q.port = take_address(&remote, &q);
	else if (has_local)
		q.port = take_address(&local, &q);
	if (has_local && (q.op == ULSP_OP_ACCEPT || q.op == ULSP_OP_RECVFROM))
		q.port = take_address(&local, NULL);
	return q;
}

static void log_decision(const struct ulsp_message *m, const struct fw_verdict *v, int r)
{
	char line[ULSP_LINE_BYTES], rule[32] = "default";

	if (v->line)
		snprintf(rule, sizeof(rule), "line %" PRIu32, v->line);
	if (ulsp_text(m, line, sizeof(line)) < 0)
		return;
	say("%s%s%s (%s)%s%s: %s", v->allow ? "allow" : "deny", v->allow ? "" : " ",
	    v->allow ? "" : strerrorname_np(-v->error), rule, r ? ", not taken: " : "",
	    r ? strerror(-r) : "", line);
}

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct firewall *f = ctx;
	struct exe_of exe = {.m = m};
	struct ulsp_cache cache = {.size = sizeof(cache)};
	struct fw_query q;
	struct fw_verdict v;
	int r;

	(void)u;
	if (!ulsp_is_ask(m))
		return 0;
	q = query_of(m, &exe);
	v = fw_rules_judge(f->rules, &q);
	cache.cover = v.cover;
	cache.ttl_ms = v.ttl_ms;
	/* Nothing is known of the process: the flow is covered, for the retry only. */
	if ((v.cover == ULSP_COVER_PROCESS || v.cover == ULSP_COVER_PROCESS_FLOW) &&
	    !ulsp_tgid(m)) {
		cache.cover = ULSP_COVER_FLOW;
		cache.ttl_ms = RULES_ONCE_MS;
	}
	r = v.allow ? ulsp_allow(m, &cache) : ulsp_deny(m, v.error, &cache);
	if (f->verbose)
		log_decision(m, &v, r);
	/* -ESTALE is a policy that was just reloaded; the retry asks again. */
	if (r && r != -ESTALE && f->complained != time(NULL)) {
		f->complained = time(NULL);
		say("the verdict cache did not take a verdict: %s", strerror(-r));
	}
	return 0;
}

static void reload(void *ctx)
{
	struct firewall *f = ctx;

	if (load(f->path, &f->rules))
		say("the rules from before stay in force");
	else
		say("%zu rules from %s", f->rules->n, f->path);
}

static int run(struct firewall *f)
{
	const struct program program = {
		.name = "ulsp-firewall",
		.example = "ulsp firewall { exec \"ulsp-firewall\" \"--rules\" \"PATH\" }",
		.reload = reload,
		.ctx = f,
	};
	struct ulsp_options options = {.size = sizeof(options), .handler = on_message, .ctx = f};

	return program_run(&program, &options);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"rules", required_argument, NULL, 'r'}, {"check", required_argument, NULL, 'c'},
		{"verbose", no_argument, NULL, 'v'},	 {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},	 {0},
	};
	struct firewall f = {0};
	const char *check = NULL;
	int c, r;

	while ((c = getopt_long(argc, argv, "r:c:vhV", options, NULL)) >= 0) {
		switch (c) {
		case 'r':
			f.path = optarg;
			break;
		case 'c':
			check = optarg;
			break;
		case 'v':
			f.verbose = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("ulsp-firewall " ULSP_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (optind < argc || !f.path == !check) {
		say("give either --rules PATH or --check PATH; --help says more");
		return 2;
	}
	if (load(check ? check : f.path, &f.rules))
		return 1;
	r = check ? 0 : run(&f);
	fw_rules_free(&f.rules);
	return r ? 1 : 0;
}
