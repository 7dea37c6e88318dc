/* SPDX-License-Identifier: BSD-2-Clause */
/* What people decided: found again, for as long as it holds, and kept in a file. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "decisions.h"
#include "ulsp_abi.h"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_decisions-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/decisions", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	chmod(dir, 0700);
	unlink(path);
	return rmdir(dir);
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

static const char *content(void)
{
	static char text[8192];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	if (f)
		fclose(f);
	return text;
}

static size_t files(void)
{
	char pattern[128];
	glob_t g;
	size_t n;

	snprintf(pattern, sizeof(pattern), "%s/*", dir);
	n = glob(pattern, 0, NULL, &g) ? 0 : g.gl_pathc;
	if (n)
		globfree(&g);
	return n;
}

static struct fw_rule rule_to(uint8_t last, bool allow)
{
	return (struct fw_rule){
		.verdict = {.allow = allow, .error = allow ? 0 : -EACCES},
		.op = ULSP_OP_CONNECT,
		.proto = ULSP_PROTO_TCP,
		.family = 4,
		.prefix = 32,
		.addr = {192, 0, 2, last},
		.port_lo = 443,
		.port_hi = 443,
		.uid = 33,
	};
}

static const char *exe_of(void *ctx)
{
	return ctx;
}

static struct fw_query query_to(uint8_t last, const char *exe)
{
	return (struct fw_query){
		.op = ULSP_OP_CONNECT,
		.proto = ULSP_PROTO_TCP,
		.family = 4,
		.addr = {192, 0, 2, last},
		.port = 443,
		.uid = 33,
		.group = "web",
		.exe = exe ? exe_of : NULL,
		.ctx = (void *)exe,
	};
}

static void in_memory(void **state)
{
	struct decisions d = {0};
	struct decision one = {.rule = rule_to(1, true), .tgid = getpid(), .start_ns = 5};
	struct fw_query q = query_to(1, NULL), other = query_to(2, NULL);
	struct fw_verdict v;

	(void)state;
	assert_false(decisions_find(&d, &q, getpid(), 5, 100, &v));
	assert_int_equal(decisions_add(&d, &one, 100), 0);
	assert_true(decisions_find(&d, &q, getpid(), 5, 100, &v));
	assert_true(v.allow);
	assert_false(decisions_find(&d, &q, getpid(), 6, 100, &v)); /* its number again */
	assert_false(decisions_find(&d, &q, 1, 5, 100, &v));
	assert_false(decisions_find(&d, &other, getpid(), 5, 100, &v));
	/* the newest decides */
	one = (struct decision){.rule = rule_to(1, false)};
	assert_int_equal(decisions_add(&d, &one, 100), 0);
	assert_true(decisions_find(&d, &q, getpid(), 5, 100, &v));
	assert_false(v.allow);
	assert_int_equal(v.error, -EACCES);
	decisions_fini(&d);
}

static void for_a_time(void **state)
{
	struct decisions d = {0};
	struct decision one = {.rule = rule_to(1, true), .until_ns = 10000000};
	struct fw_query q = query_to(1, NULL);
	struct fw_verdict v;

	(void)state;
	assert_int_equal(decisions_add(&d, &one, 0), 0);
	assert_true(decisions_find(&d, &q, 1, 1, 0, &v));
	assert_int_equal(v.ttl_ms, 10); /* the kernel's cache ends with it */
	assert_true(decisions_find(&d, &q, 1, 1, 8000000, &v));
	assert_int_equal(v.ttl_ms, 2);
	assert_true(decisions_find(&d, &q, 1, 1, 9999999, &v));
	assert_int_equal(v.ttl_ms, 1);
	assert_false(decisions_find(&d, &q, 1, 1, 10000000, &v));
	decisions_fini(&d);
}

static void executables(void **state)
{
	struct decisions d = {0};
	struct decision one = {.rule = rule_to(1, false)};
	struct fw_query curl = query_to(1, "/usr/bin/curl"), nc = query_to(1, "/usr/bin/nc");
	struct fw_query unknown = query_to(1, NULL), db = curl;
	struct fw_verdict v;

	(void)state;
	one.rule.exe = strdup("/usr/bin/curl");
	one.rule.group = strdup("web");
	assert_int_equal(decisions_add(&d, &one, 0), 0);
	assert_true(decisions_find(&d, &curl, 1, 1, 0, &v));
	assert_false(decisions_find(&d, &nc, 1, 1, 0, &v));
	assert_false(decisions_find(&d, &unknown, 1, 1, 0, &v)); /* a denial, too */
	db.group = "db";
	assert_false(decisions_find(&d, &db, 1, 1, 0, &v));
	decisions_fini(&d);
}

static void bounded(void **state)
{
	struct decisions d = {0};
	struct decision one = {.rule = rule_to(1, true), .until_ns = 1000};

	(void)state;
	for (int i = 0; i < DECISIONS_MAX; i++)
		assert_int_equal(decisions_add(&d, &one, 0), 0);
	one.rule.exe = strdup("/bin/true"); /* is freed all the same */
	assert_int_equal(decisions_add(&d, &one, 0), -ENOBUFS);
	assert_int_equal(d.n, DECISIONS_MAX);
	one = (struct decision){.rule = rule_to(1, true)};
	assert_int_equal(decisions_add(&d, &one, 1000), 0); /* the others are over */
	assert_int_equal(d.n, 1);
	decisions_fini(&d);
}

static void saved(void **state)
{
	struct decisions d = {.path = path}, next = {.path = path};
	struct fw_query q = query_to(1, NULL), q2 = query_to(2, NULL);
	struct fw_rule rule = rule_to(1, false);
	struct fw_verdict v;
	struct fw_error e;
	struct stat st;

	(void)state;
	assert_int_equal(decisions_load(&d, &e), 0); /* no file yet */
	assert_int_equal(decisions_save(&d, &rule, "one"), 0);
	assert_true(decisions_find(&d, &q, 1, 1, 0, &v));
	assert_string_equal(content(),
			    "# one\ndeny errno EACCES connect tcp 192.0.2.1 port 443 uid 33\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* what people write meanwhile stays, without a newline at its end too */
	put("# mine\nallow connect tcp 192.0.2.2 port 443");
	rule = rule_to(3, true);
	assert_int_equal(decisions_save(&d, &rule, "two"), 0);
	assert_string_equal(content(), "# mine\nallow connect tcp 192.0.2.2 port 443\n"
				       "# two\nallow connect tcp 192.0.2.3 port 443 uid 33\n");
	assert_true(decisions_find(&d, &q2, 1, 1, 0, &v));
	assert_false(decisions_find(&d, &q, 1, 1, 0, &v));
	assert_int_equal(decisions_load(&next, &e), 0);
	assert_true(decisions_find(&next, &q2, 1, 1, 0, &v));
	assert_int_equal(files(), 1); /* nothing temporary stays */
	decisions_fini(&d);
	decisions_fini(&next);
}

static void not_saved(void **state)
{
	struct decisions d = {0};
	struct fw_rule rule = rule_to(1, true);
	struct fw_query q = query_to(2, NULL);
	char newline[] = "/bin/a\nb", missing[128];
	struct fw_verdict v;
	struct fw_error e;

	(void)state;
	assert_int_equal(decisions_save(&d, &rule, "x"), -ENOENT);
	d.path = path;
	put("allow connect tcp 192.0.2.2 port 443\n");
	assert_int_equal(decisions_load(&d, &e), 0);
	rule.exe = newline;
	assert_int_equal(decisions_save(&d, &rule, "x"), -EINVAL);
	rule.exe = NULL;
	put("allow nonsense\n"); /* somebody is at it: it isn't overwritten */
	assert_int_equal(decisions_save(&d, &rule, "x"), -EINVAL);
	assert_string_equal(content(), "allow nonsense\n");
	assert_int_equal(decisions_load(&d, &e), -EINVAL);
	assert_int_equal(e.line, 1);
	assert_int_equal(e.col, 7);
	assert_true(decisions_find(&d, &q, 1, 1, 0, &v)); /* from before */
	snprintf(missing, sizeof(missing), "%s/no/where", dir);
	d.path = missing;
	assert_int_equal(decisions_save(&d, &rule, "x"), -ENOENT);
	assert_true(decisions_find(&d, &q, 1, 1, 0, &v));
	decisions_fini(&d);
}

static void not_trusted(void **state)
{
	static const char *const texts[] = {"default allow\n", "ask connect tcp any\n",
					    "default connect deny\n"};
	struct decisions d = {.path = path};
	struct fw_error e;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		put(texts[i]);
		assert_int_equal(decisions_load(&d, &e), -EINVAL);
		assert_int_equal(e.line, 0);
		assert_non_null(strstr(e.text, "nothing else"));
	}
	put("allow connect tcp any\n");
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(decisions_load(&d, &e), -EPERM);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(decisions_load(&d, &e), 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(decisions_load(&d, &e), -EPERM); /* and doesn't wait */
	decisions_fini(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)
		TEST(in_memory), TEST(for_a_time), TEST(executables), TEST(bounded),
		TEST(saved),	 TEST(not_saved),  TEST(not_trusted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
