/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ulsp-firewall: answers `ask' rules by a rule file, and what that leaves open
 * by asking people.
 *
 * An operation that the kernel holds goes on by the answer; of one that it
 * doesn't hold, the first try was denied already, and the answer in the verdict
 * cache decides the retry.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "asking.h"
#include "drop.h"
#include "program.h"
#include "prompt_client.h"
#include "rules.h"
#include "ulsp.h"
#include "ulsp_abi.h"

struct firewall {
	const char *path;
	struct fw_rules *rules;
	struct asking asking;
	const char *socket; /* of the prompts; NULL: in the directory that ulspd gave */
	const char *socket_group;
	const char *user; /* NULL: who started it */
	bool no_socket;
	bool verbose;
	time_t complained; /* last complaint about a cache that takes nothing */
	uint64_t refused_said;
};

static const char usage[] =
	"Usage: ulsp-firewall [OPTION]... --rules PATH\n"
	"       ulsp-firewall --prompt [--socket PATH] [--json]\n"
	"       ulsp-firewall --check PATH\n"
	"Answer the operations that `ask' rules of a policy send: by a rule file, and by\n"
	"asking people.  With --rules it is started by ulspd, see `ulsp' in ulsp-policy(5).\n"
	"\n"
	"  -r, --rules PATH          the rules, see ulsp-firewall(8); SIGHUP reads them again\n"
	"  -d, --decisions PATH      keep what people decide for ever in this file\n"
	"  -s, --prompt-socket PATH  offer prompts this socket instead of the one in the run\n"
	"                            directory; `none': no prompts\n"
	"  -G, --prompt-group NAME   members of this group may answer, not only root\n"
	"  -t, --prompt-time TIME    ask so long where no operation is held (default 30s)\n"
	"  -u, --user NAME           started as root: become NAME, keep only the right to\n"
	"                            see the executables of others' processes\n"
	"  -v, --verbose             log each decision to standard error\n"
	"\n"
	"  -p, --prompt              show what waits for an answer, and take answers\n"
	"  -S, --socket PATH         of the firewall (default: the only one that runs)\n"
	"  -i, --instance NAME       of ulspd, whose firewall it is (default: system)\n"
	"  -j, --json                a JSON object a line, both ways\n"
	"\n"
	"  -c, --check PATH          only say whether the rules are right\n"
	"  -h, --help                this text\n"
	"  -V, --version             the version\n";

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
	bool gone; /* the process */
	char path[PATH_MAX];
};

/*
 * Whether the path leads to the file that the process runs: a process in a mount namespace of its
 * own gives what it runs any name there, and the name of a file that was deleted may be another's.
 */
static int check_file(const struct ulsp_message *m, const char *path)
{
	struct stat running, named;
	char link[48];

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)ulsp_tgid(m));
	if (stat(link, &running))
		return errno == ENOENT ? -ESRCH : -errno;
	if (stat(path, &named))
		return -errno;
	return running.st_dev == named.st_dev && running.st_ino == named.st_ino ? 0 : -ESTALE;
}

static const char *lookup_exe(void *ctx)
{
	struct exe_of *e = ctx;
	int r;

	if (!e->looked) {
		r = ulsp_exe(e->m, e->path, sizeof(e->path));
		if (r > 0)
			r = check_file(e->m, e->path);
		if (r)
			e->path[0] = '\0';
		e->gone = r == -ESRCH;
		e->looked = true;
	}
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
		.group = ulsp_group_name(m),
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

static void log_decision(const struct ulsp_message *m, const struct fw_verdict *v,
			 enum asking_by by, int r)
{
	static const char *const words[] = {
		[ASKING_RULES] = "",
		[ASKING_DECISION] = ", decided before",
		[ASKING_NOBODY] = ", nobody to ask",
		[ASKING_PENDING] = "",
	};
	char line[ULSP_LINE_BYTES], rule[32] = "default";

	if (v->line)
		snprintf(rule, sizeof(rule), "line %" PRIu32, v->line);
	if (ulsp_text(m, line, sizeof(line)) < 0)
		return;
	if (by == ASKING_PENDING)
		say("ask (%s): %s", rule, line);
	else
		say("%s%s%s (%s%s)%s%s: %s", v->allow ? "allow" : "deny", v->allow ? "" : " ",
		    v->allow ? "" : strerrorname_np(-v->error), rule, words[by],
		    r ? ", not taken: " : "", r ? strerror(-r) : "", line);
}

static bool once_a_second(struct firewall *f)
{
	time_t now = time(NULL);
	bool first = f->complained != now;

	f->complained = now;
	return first;
}

/* It ended, and nothing waits: an answer would be for nobody. */
static bool is_gone(struct exe_of *exe)
{
	lookup_exe(exe);
	return exe->gone && !ulsp_deadline_ns(exe->m);
}

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct firewall *f = ctx;
	struct exe_of exe = {.m = m};
	struct fw_query q;
	struct fw_verdict v;
	enum asking_by by;
	int r = 0;

	(void)u;
	if (!ulsp_is_ask(m))
		return 0;
	q = query_of(m, &exe);
	v = fw_rules_judge(f->rules, &q);
	by = ASKING_RULES;
	if (v.ask)
		by = asking_judge(&f->asking, m, &q, is_gone(&exe), &v);
	if (by != ASKING_PENDING)
		r = asking_give(m, &v);
	if (f->verbose)
		log_decision(m, &v, by, r);
	/* -ESTALE is a policy that was just reloaded; the retry asks again. */
	if (r && r != -ESTALE && r != -ETIMEDOUT && once_a_second(f))
		say("the kernel did not take a verdict: %s", strerror(-r));
	if (f->asking.refused != f->refused_said && once_a_second(f)) {
		f->refused_said = f->asking.refused;
		say("too many questions: %" PRIu64 " operations so far got what holds otherwise",
		    f->refused_said);
	}
	return 0;
}

static int load_decisions(struct firewall *f)
{
	struct decisions *d = &f->asking.decisions;
	struct fw_error e;
	int r = decisions_load(d, &e);

	if (r && e.line)
		fprintf(stderr, "%s:%" PRIu32 ":%" PRIu32 ": error: %s\n", d->path, e.line, e.col,
			e.text);
	else if (r)
		say("%s: %s", d->path, e.text[0] ? e.text : strerror(-r));
	return r;
}

static void reload(void *ctx)
{
	struct firewall *f = ctx;

	if (load(f->path, &f->rules))
		say("the rules from before stay in force");
	else
		say("%zu rules from %s", f->rules->n, f->path);
	f->asking.asks = f->rules->asks;
	if (load_decisions(f))
		say("the decisions from before stay in force");
}

static void on_prompts(void *ctx)
{
	struct firewall *f = ctx;

	prompt_server_dispatch(f->asking.server);
}

static int check_group(const struct firewall *f)
{
	if (!f->socket_group || getgrnam(f->socket_group))
		return 0;
	say("there is no group %s", f->socket_group);
	return -ENOENT;
}

/* Without one the rules decide alone; a socket that can't be made is no reason to decide nothing.
 */
static int open_socket(void *ctx, struct ulsp *u)
{
	struct firewall *f = ctx;
	const struct group *group = f->socket_group ? getgrnam(f->socket_group) : NULL;
	const char *dir = getenv("ULSP_DIR"), *path = f->socket;
	char own[PATH_MAX];
	int r;

	if (f->no_socket || (!path && !dir))
		return -1;
	if (!path) {
		snprintf(own, sizeof(own), "%s/prompt", dir);
		path = own;
	}
	f->asking.name = ulsp_name(u);
	f->asking.asks = f->rules->asks;
	f->asking.say = say;
	r = asking_open(&f->asking, path, group ? group->gr_gid : (gid_t)-1);
	if (r)
		say("no prompts: %s: %s", path, strerror(-r));
	return r ? -1 : prompt_server_fd(f->asking.server);
}

static int become_user(struct firewall *f)
{
	const char *dir = getenv("ULSP_DIR");
	const struct passwd *pw;
	int r;

	if (!f->user)
		return 0;
	pw = getpwnam(f->user);
	if (pw && dir && !geteuid() && lchown(dir, pw->pw_uid, pw->pw_gid))
		say("%s: %s", dir, strerror(errno));
	r = pw ? drop_to_user(pw->pw_uid, pw->pw_gid) : -ENOENT;
	if (r)
		say("can't become user %s: %s", f->user,
		    r == -ENOENT  ? "there is none"
		    : r == -EPERM ? "the policy must say `user root'"
				  : strerror(-r));
	return r;
}

static int run(struct firewall *f)
{
	const struct program program = {
		.name = "ulsp-firewall",
		.example = "ulsp firewall { exec \"ulsp-firewall\" \"--rules\" \"PATH\" }",
		.reload = reload,
		.extra_fd = open_socket,
		.extra = on_prompts,
		.ctx = f,
	};
	struct ulsp_options options = {.size = sizeof(options), .handler = on_message, .ctx = f};

	int r = check_group(f);

	if (!r)
		r = program_run(&program, &options);
	asking_fini(&f->asking);
	return r;
}

enum mode { MODE_NONE, MODE_RULES, MODE_CHECK, MODE_PROMPT, MODE_WRONG };

static int parse_time(const char *text, uint32_t *ret_ms)
{
	struct prompt_answer a;

	if (prompt_duration_parse(text, &a) || a.duration != PROMPT_FOR)
		return -EINVAL;
	*ret_ms = a.for_ms;
	return 0;
}

/* An option that goes with another mode is a mistake. */
static enum mode take_options(struct firewall *f, struct prompt_client_options *p,
			      const char **ret_check, int argc, char **argv)
{
	static const struct option options[] = {
		{"rules", required_argument, NULL, 'r'},
		{"decisions", required_argument, NULL, 'd'},
		{"prompt-socket", required_argument, NULL, 's'},
		{"prompt-group", required_argument, NULL, 'G'},
		{"prompt-time", required_argument, NULL, 't'},
		{"user", required_argument, NULL, 'u'},
		{"verbose", no_argument, NULL, 'v'},
		{"prompt", no_argument, NULL, 'p'},
		{"socket", required_argument, NULL, 'S'},
		{"instance", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'},
		{"check", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	bool of_rules = false, of_prompt = false, prompt = false;
	int c;

	while ((c = getopt_long(argc, argv, "r:d:s:G:t:u:vpS:i:jc:hV", options, NULL)) >= 0) {
		of_rules |= strchr("dsGtuv", c) != NULL;
		of_prompt |= strchr("Sij", c) != NULL;
		switch (c) {
		case 'r':
			f->path = optarg;
			break;
		case 'd':
			f->asking.decisions.path = optarg;
			break;
		case 's':
			f->no_socket = !strcmp(optarg, "none");
			f->socket = optarg;
			break;
		case 'G':
			f->socket_group = optarg;
			break;
		case 't':
			if (!parse_time(optarg, &f->asking.time_ms))
				break;
			say("--prompt-time: expected a time such as 30s or 2m");
			return MODE_WRONG;
		case 'u':
			f->user = optarg;
			break;
		case 'v':
			f->verbose = true;
			break;
		case 'p':
			prompt = true;
			break;
		case 'S':
			p->socket = optarg;
			break;
		case 'i':
			p->instance = optarg;
			break;
		case 'j':
			p->json = true;
			break;
		case 'c':
			*ret_check = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return MODE_NONE;
		case 'V':
			puts("ulsp-firewall " ULSP_VERSION);
			return MODE_NONE;
		default:
			return MODE_WRONG;
		}
	}
	if (optind < argc || !!f->path + !!*ret_check + prompt != 1 || (of_rules && !f->path) ||
	    (of_prompt && !prompt)) {
		say("give either --rules PATH, --prompt or --check PATH; --help says more");
		return MODE_WRONG;
	}
	return prompt ? MODE_PROMPT : f->path ? MODE_RULES : MODE_CHECK;
}

int main(int argc, char **argv)
{
	struct firewall f = {.asking.time_ms = ASKING_TIME_MS};
	struct prompt_client_options prompt = {0};
	const char *check = NULL;
	int r = 1;

	switch (take_options(&f, &prompt, &check, argc, argv)) {
	case MODE_NONE:
		return 0;
	case MODE_WRONG:
		return 2;
	case MODE_PROMPT:
		return prompt_client_run(&prompt);
	case MODE_CHECK:
		r = load(check, &f.rules);
		break;
	case MODE_RULES:
		/* First: what can be read now must be readable at each SIGHUP. */
		if (!become_user(&f) && !load(f.path, &f.rules) && !load_decisions(&f))
			r = run(&f);
		break;
	}
	fw_rules_free(&f.rules);
	return r ? 1 : 0;
}
