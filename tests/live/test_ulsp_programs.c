/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ulsp-log and ulsp-firewall as programs: user nobody, real kernel maps, real
 * files, a full disk, rotation, a journal.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "fake_instance.h"

static struct fake fake;
static char dir[PATH_MAX], file[PATH_MAX + 8], other[PATH_MAX + 8], errors[PATH_MAX + 8];
static pid_t child;

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_ulsp_programs-XXXXXX");
	if (!mkdtemp(dir) || chown(dir, FAKE_NOBODY, FAKE_NOBODY))
		return -1;
	snprintf(file, sizeof(file), "%s/log", dir);
	snprintf(other, sizeof(other), "%s/log.1", dir);
	snprintf(errors, sizeof(errors), "%s/stderr", dir);
	child = 0;
	return fake_open(&fake, 1 << 16);
}

static int teardown(void **state)
{
	(void)state;
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	fake_close(&fake);
	unlink(file);
	unlink(other);
	unlink(errors);
	umount2(dir, MNT_DETACH);
	return rmdir(dir);
}

static bool wait_until(bool (*done)(const void *), const void *arg)
{
	for (int i = 0; i < 1000; i++) {
		if (done(arg))
			return true;
		usleep(10000);
	}
	return false;
}

static bool is_up(const void *arg)
{
	(void)arg;
	return fake.page_at->readers[0].heartbeat_ns != 0;
}

static bool is_received(const void *arg)
{
	return fake.page_at->readers[0].received >= *(const uint64_t *)arg;
}

static char *content(const char *path)
{
	static char text[4 << 20];
	FILE *f = fopen(path, "r");
	size_t n;

	text[0] = '\0';
	if (!f)
		return text;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

struct has {
	const char *path, *text;
};

static bool file_has(const void *arg)
{
	const struct has *h = arg;

	return strstr(content(h->path), h->text) != NULL;
}

static bool will_have(const char *path, const char *text)
{
	struct has h = {path, text};
	bool found = wait_until(file_has, &h);

	if (!found)
		print_error("%s is without \"%s\":\n%s\n", path, text, content(path));
	return found;
}

/* Starts a program of the build as nobody; out >= 0 becomes its standard output. */
static void start(const char *name, int out, const char *const *args)
{
	const char *build = getenv("BUILD");
	const char *argv[10] = {name};
	char path[PATH_MAX];
	int bin, err;

	snprintf(path, sizeof(path), "%s/bin/%s", build ? build : "build", name);
	for (int i = 0; i < 8 && args[i]; i++)
		argv[i + 1] = args[i];
	/* nobody may be unable to reach the build tree: execute by descriptor */
	bin = open(path, O_RDONLY | O_CLOEXEC);
	if (bin < 0)
		print_error("%s: %s\n", path, strerror(errno));
	assert_true(bin >= 0);
	fflush(NULL);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fake_setenv_exec(&fake);
		err = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		dup2(err, STDERR_FILENO);
		if (out >= 0)
			dup2(out, STDOUT_FILENO);
		if (!fake_drop())
			fexecve(bin, (char **)argv, environ);
		_exit(127);
	}
	close(bin);
}

static int ended(void)
{
	int status = -1;

	for (int i = 0; i < 1000; i++) {
		if (waitpid(child, &status, WNOHANG) == child) {
			child = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
		}
		usleep(10000);
	}
	return -1000;
}

static int stop(int sig)
{
	kill(child, sig);
	return ended();
}

static void send_one(uint16_t port)
{
	struct ulsp_msg m = fake_message(&fake, 1);

	m.remote_port = port;
	assert_int_equal(fake_send(&fake, &m), 0);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- ulsp-log ---- */

static void log_json_to_file(void **state)
{
	struct json_object *o, *v;
	uint64_t all = 3;

	(void)state;
	start("ulsp-log", -1, ARGS("--file", file));
	assert_true(wait_until(is_up, NULL));
	for (uint16_t i = 1; i <= 3; i++)
		send_one(i);
	assert_true(wait_until(is_received, &all));
	assert_true(will_have(file, "192.0.2.1:3"));
	assert_int_equal(stop(SIGTERM), 0);
	o = json_tokener_parse(content(file)); /* the first line */
	assert_non_null(o);
	assert_true(json_object_object_get_ex(o, "group", &v));
	assert_string_equal(json_object_get_string(v), "group1");
	assert_true(json_object_object_get_ex(o, "rule", &v));
	assert_string_equal(json_object_get_string(v), "web.ulsp:12");
	json_object_put(o);
	assert_string_equal(content(errors), "");
	assert_int_equal(fake.page_at->readers[0].heartbeat_ns, 0);
}

static void log_rotates(void **state)
{
	(void)state;
	start("ulsp-log", -1, ARGS("--text", "-f", file));
	assert_true(wait_until(is_up, NULL));
	send_one(1);
	assert_true(will_have(file, "192.0.2.1:1 "));
	/* logrotate without a signal */
	assert_int_equal(rename(file, other), 0);
	send_one(2);
	assert_true(will_have(file, "192.0.2.1:2 "));
	assert_null(strstr(content(other), "192.0.2.1:2 "));
	/* with one: the file is there at once, also without a message */
	assert_int_equal(rename(file, other), 0);
	kill(child, SIGHUP);
	assert_true(will_have(file, ""));
	for (int i = 0; i < 500 && access(file, F_OK); i++)
		usleep(10000);
	assert_int_equal(access(file, F_OK), 0);
	send_one(3);
	assert_true(will_have(file, "192.0.2.1:3 "));
	unlink(file);
	send_one(4);
	assert_true(will_have(file, "192.0.2.1:4 "));
	assert_int_equal(stop(SIGINT), 0);
}

static void log_says_what_was_lost(void **state)
{
	(void)state;
	start("ulsp-log", -1, ARGS("--file", file));
	assert_true(wait_until(is_up, NULL));
	send_one(1);
	fake_lose(&fake, 1, 42);
	send_one(2);
	assert_true(will_have(file, "{\"lost\":42,\"group\":\"group1\",\"total\":42,\"time\":\""));
	fake_lose(&fake, 1, 8);
	assert_true(will_have(file, "{\"lost\":8,\"group\":\"group1\",\"total\":50,\"time\":\""));
	assert_int_equal(stop(SIGTERM), 0);
}

/* What is in the ring at SIGTERM is still written. */
static void log_flushes_at_exit(void **state)
{
	char *text, *line;
	int n = 0;

	(void)state;
	start("ulsp-log", -1, ARGS("--file", file));
	assert_true(wait_until(is_up, NULL));
	kill(child, SIGSTOP);
	for (uint16_t i = 1; i <= 300; i++)
		send_one(i);
	kill(child, SIGTERM);
	kill(child, SIGCONT);
	assert_int_equal(ended(), 0);
	text = content(file);
	for (line = strchr(text, '\n'); line; line = strchr(line + 1, '\n'))
		n++;
	assert_int_equal(n, 300);
}

static void log_to_standard_output(void **state)
{
	char buf[4096];
	int fds[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	start("ulsp-log", fds[1], (const char *const[]){NULL});
	close(fds[1]);
	assert_true(wait_until(is_up, NULL));
	send_one(1);
	n = read(fds[0], buf, sizeof(buf) - 1);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_non_null(strstr(buf, "\"remote\":\"192.0.2.1:1\""));
	close(fds[0]);
	send_one(2);
	assert_int_equal(ended(), 1); /* nobody reads any more */
	assert_non_null(strstr(content(errors), "Broken pipe"));
}

/* A disk of 64 KiB: lines wait, then are dropped and counted, and all is said in the end. */
static void log_survives_a_full_disk(void **state)
{
	char filler[PATH_MAX + 16], *text, *line;
	struct ulsp_msg m = fake_message(&fake, 1);
	uint64_t sent = 0, written = 0, dropped = 0;
	int fd;

	(void)state;
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=777")) {
		print_message("no private mounts: %s\n", strerror(errno));
		skip();
	}
	snprintf(filler, sizeof(filler), "%s/filler", dir);
	fd = open(filler, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 40 << 10), 0);
	close(fd);
	/* standard error goes where there is room */
	snprintf(errors, sizeof(errors), "/tmp/test_ulsp_programs-%d", (int)getpid());
	start("ulsp-log", -1, ARGS("--file", file));
	assert_true(wait_until(is_up, NULL));
	/* more than the 1 MiB that waits */
	while (sent < 4000) {
		if (!fake_send(&fake, &m))
			sent++;
		if (sent % 200 == 0)
			wait_until(is_received, &sent);
	}
	assert_true(wait_until(is_received, &sent));
	assert_true(will_have(errors, "cannot write: No space left on device"));
	assert_int_equal(unlink(filler), 0);
	assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=8m,mode=777"), 0);
	assert_true(will_have(file, "{\"dropped\":"));
	assert_true(will_have(errors, "writing again"));
	assert_int_equal(stop(SIGTERM), 0);
	text = content(file);
	for (line = text; *line; line = strchr(line, '\n') + 1) {
		struct json_object *o = json_tokener_parse(line), *v;

		assert_non_null(o); /* no line is cut */
		if (json_object_object_get_ex(o, "seq", &v))
			written++;
		if (json_object_object_get_ex(o, "dropped", &v))
			dropped += json_object_get_uint64(v);
		json_object_put(o);
		assert_non_null(strchr(line, '\n'));
	}
	assert_true(dropped > 0);
	assert_int_equal(written + dropped, sent);
	umount2(dir, MNT_DETACH);
	unlink(errors);
}

/* A socket in the journal's place, in mounts of our own. */
static void log_to_the_journal(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
	struct ulsp_msg m = fake_message(&fake, 1);
	struct pollfd p = {.events = POLLIN};
	char buf[65536];
	ssize_t n;

	(void)state;
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=755")) {
		print_message("no private mounts: %s\n", strerror(errno));
		skip();
	}
	start("ulsp-log", -1, ARGS("--journald"));
	assert_int_equal(ended(), 1);
	assert_non_null(strstr(content(errors), "no journal at"));

	mkdir("/run/systemd", 0755);
	mkdir("/run/systemd/journal", 0755);
	p.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	chmod(a.sun_path, 0666);
	start("ulsp-log", -1, ARGS("--journald"));
	assert_true(wait_until(is_up, NULL));
	m.verdict = ULSP_VERDICT_DENY;
	m.error = -EACCES;
	memcpy(m.comm, "a\nPRIORITY=0", 13); /* a name that would add a field */
	fake_send(&fake, &m);
	assert_int_equal(poll(&p, 1, 10000), 1);
	n = recv(p.fd, buf, sizeof(buf) - 1, 0);
	assert_true(n > 0);
	for (ssize_t i = 0; i < n; i++)
		if (!buf[i])
			buf[i] = '.';
	buf[n] = '\0';
	assert_non_null(strstr(buf, "SYSLOG_IDENTIFIER=ulsp-log\n"));
	assert_non_null(strstr(buf, "PRIORITY=5\n"));
	assert_non_null(strstr(buf, "ULSP_ERRNO=EACCES\n"));
	assert_non_null(strstr(buf, "ULSP_REMOTE=192.0.2.1:443\n"));
	assert_null(strstr(buf, "ULSP_COMM=a\nPRIORITY"));
	assert_int_equal(stop(SIGTERM), 0);
	close(p.fd);
	umount2("/run", MNT_DETACH);
}

static void log_usage(void **state)
{
	(void)state;
	start("ulsp-log", -1, ARGS("--nonsense"));
	assert_int_equal(ended(), 2);
	start("ulsp-log", -1, ARGS("extra"));
	assert_int_equal(ended(), 2);
	start("ulsp-log", -1, ARGS("--journald", "--file", file));
	assert_int_equal(ended(), 2);
	start("ulsp-log", -1, ARGS("--file", "/nowhere/log"));
	assert_int_equal(ended(), 1);
	assert_non_null(strstr(content(errors), "cannot open /nowhere/log"));
	start("ulsp-log", open("/dev/null", O_WRONLY | O_CLOEXEC), ARGS("--help"));
	assert_int_equal(ended(), 0);
	start("ulsp-log", open("/dev/null", O_WRONLY | O_CLOEXEC), ARGS("--version"));
	assert_int_equal(ended(), 0);
}

/* ---- ulsp-firewall ---- */

static void put_rules(const char *text)
{
	FILE *f = fopen(file, "w");

	fputs(text, f);
	fclose(f);
}

static void ask(uint16_t port)
{
	struct ulsp_msg m = fake_message(&fake, 1);

	m.flags = ULSP_MSG_ASK;
	m.verdict = ULSP_VERDICT_DENY;
	m.error = -EPERM;
	m.reason = ULSP_REASON_ASKED;
	m.remote_port = port;
	assert_int_equal(fake_send(&fake, &m), 0);
}

struct cached {
	uint16_t port;
	struct ulsp_cached *e;
};

static bool is_cached(const void *arg)
{
	const struct cached *c = arg;
	struct ulsp_cache_key key = {.group = 1,
				     .rule = 5,
				     .op = ULSP_OP_CONNECT,
				     .proto = ULSP_PROTO_TCP,
				     .family = 4,
				     .port = c->port,
				     .addr = {192, 0, 2, 1}};

	return ulsp_cache_find(fake.cache_at, &key, c->e);
}

static struct ulsp_cached verdict_of(uint16_t port)
{
	struct ulsp_cached e = {0};
	struct cached c = {port, &e};

	ask(port);
	assert_true(wait_until(is_cached, &c));
	return e;
}

static void firewall_answers(void **state)
{
	struct ulsp_cached e;
	struct timespec t;

	(void)state;
	put_rules("allow connect tcp 192.0.2.0/24 port 443 for 30s\n"
		  "deny errno ECONNREFUSED connect tcp any port 25\n"
		  "allow connect tcp any port 80 exe /usr/bin/curl\n"
		  "default deny errno EHOSTUNREACH\n");
	start("ulsp-firewall", -1, ARGS("--verbose", "--rules", file));
	assert_true(wait_until(is_up, NULL));
	e = verdict_of(443);
	clock_gettime(CLOCK_MONOTONIC, &t);
	assert_int_equal(e.error, 0);
	assert_int_equal(e.generation, 7);
	assert_in_range(e.expires_ns / 1000000000u, t.tv_sec + 20, t.tv_sec + 31);
	e = verdict_of(25);
	assert_int_equal(e.error, -ECONNREFUSED);
	e = verdict_of(80); /* no process is known: not curl */
	assert_int_equal(e.error, -EHOSTUNREACH);
	assert_true(will_have(errors, "allow (line 1): "));
	assert_true(will_have(errors, "deny ECONNREFUSED (line 2): "));
	assert_true(will_have(errors, "deny EHOSTUNREACH (line 4): "));
	assert_int_equal(stop(SIGTERM), 0);
	assert_int_equal(fake.page_at->readers[0].verdicts, 3);
}

static void firewall_reads_its_rules_again(void **state)
{
	(void)state;
	put_rules("allow connect tcp any\n");
	start("ulsp-firewall", -1, ARGS("--rules", file));
	assert_true(wait_until(is_up, NULL));
	assert_int_equal(verdict_of(1).error, 0);
	put_rules("\nallow connect tcp nowhere\n");
	kill(child, SIGHUP);
	assert_true(will_have(errors, "log:2:19: error: expected an address"));
	assert_true(will_have(errors, "the rules from before stay in force"));
	assert_int_equal(verdict_of(2).error, 0);
	put_rules("deny connect tcp any\n");
	kill(child, SIGHUP);
	assert_true(will_have(errors, "1 rules from "));
	assert_true(verdict_of(3).error < 0);
	assert_int_equal(stop(SIGTERM), 0);
}

static void firewall_checks(void **state)
{
	(void)state;
	put_rules("allow connect tcp any port\n");
	start("ulsp-firewall", -1, ARGS("--check", file));
	assert_int_equal(ended(), 1);
	assert_non_null(strstr(content(errors), "log:1:27: error: expected a port"));
	start("ulsp-firewall", -1, ARGS("--rules", file)); /* doesn't start with them either */
	assert_int_equal(ended(), 1);
	put_rules("allow connect tcp any port 1\n");
	start("ulsp-firewall", -1, ARGS("--check", file));
	assert_int_equal(ended(), 0);
	assert_string_equal(content(errors), "");
	start("ulsp-firewall", -1, ARGS("--check", "/nowhere"));
	assert_int_equal(ended(), 1);
	start("ulsp-firewall", -1, ARGS("--check", "/dev/zero")); /* endless */
	assert_int_equal(ended(), 1);
	start("ulsp-firewall", -1, ARGS("--check", "/"));
	assert_int_equal(ended(), 1);
	start("ulsp-firewall", -1, (const char *const[]){NULL});
	assert_int_equal(ended(), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)
		TEST(log_json_to_file),	      TEST(log_rotates),
		TEST(log_says_what_was_lost), TEST(log_flushes_at_exit),
		TEST(log_to_standard_output), TEST(log_survives_a_full_disk),
		TEST(log_to_the_journal),     TEST(log_usage),
		TEST(firewall_answers),	      TEST(firewall_reads_its_rules_again),
		TEST(firewall_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
