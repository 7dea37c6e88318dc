/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library on the kernel's maps, as user nobody: what it may do and what it
 * may not, verdicts in the cache, what it refuses.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "process.h"
#include "real_ulsp.h"

static int on_ask(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct ulsp_cache process = {
		.size = sizeof(process), .cover = ULSP_COVER_PROCESS, .ttl_ms = 10000};
	struct ulsp_cache destination = {.size = sizeof(process), .cover = ULSP_COVER_DESTINATION};
	struct real_seen *s = ctx;

	(void)u;
	switch (++s->n) {
	case 1:
		return ulsp_allow(m, NULL);
	case 2:
		return ulsp_deny(m, -EHOSTUNREACH, &destination);
	case 3:
		return ulsp_allow(m, &process);
	default:
		return ulsp_message_keep(m, &s->kept);
	}
}

/* ---- what nobody may do with the descriptors ---- */

static void try_descriptors(void)
{
	struct ulsp_group group;
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info), zero = 0;
	int frozen;

	/* What the library lives on. */
	CHECK(!bpf_obj_get_info_by_fd(fake.ring, &info, &bytes));
	CHECK(!bpf_map_lookup_elem(fake.groups_ro, &zero, &group));
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fake.page, 0) != MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fake.cache, 0) != MAP_FAILED);
	/* What it must not be able to do. */
	CHECK(bpf_map_update_elem(fake.groups_ro, &zero, &group, BPF_ANY) == -EPERM);
	CHECK(bpf_map_update_elem(fake.streams_ro, &zero, &group, BPF_ANY) == -EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fake.groups_ro, 0) ==
	      MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fake.files_ro, 0) == MAP_FAILED);
	CHECK(bpf_map_create(BPF_MAP_TYPE_ARRAY, "x", 4, 4, 1, NULL) == -EPERM);
	CHECK(bpf_map_get_fd_by_id(info.id) == -EPERM);
	/* 6.1 looks for the owner's writable mapping before it looks at permissions */
	frozen = bpf_map_freeze(fake.groups_ro);
	CHECK(frozen == -EPERM || frozen == -EBUSY);
}

static void unprivileged_descriptors(void **state)
{
	char buf[8] = "?";
	FILE *f = fopen("/proc/sys/kernel/unprivileged_bpf_disabled", "r");

	(void)state;
	if (f) {
		(void)!fgets(buf, sizeof(buf), f);
		fclose(f);
	}
	if (buf[0] == '0') {
		print_message("kernel.unprivileged_bpf_disabled is 0: nothing to show\n");
		skip();
	}
	real_must_end_well(real_start(try_descriptors));
}

/* ---- messages and verdicts ---- */

static void receive(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(real_on_message, &s);
	struct ulsp_stats stats = {.size = sizeof(stats)};
	int n = 0;

	CHECK(!strcmp(ulsp_name(u), "fake"));
	while (n < 100) {
		int r = ulsp_dispatch(u, 5000);

		CHECK(r > 0);
		n += r;
	}
	CHECK(n == 100 && s.n == 100 && s.last == 100);
	CHECK(fake.page_at->readers[0].received == 100);
	CHECK(fake.page_at->pid == (uint32_t)getpid());
	CHECK(real_now_ns() - fake.page_at->readers[0].heartbeat_ns < 3000000000u);
	CHECK(!ulsp_get_stats(u, &stats) && stats.received == 100 && !stats.lost && !stats.invalid);
	ulsp_close(&u);
	CHECK(!fake.page_at->readers[0].heartbeat_ns); /* down at once, not after a while */
}

static void messages_arrive(void **state)
{
	pid_t pid;

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct ulsp_msg m = fake_message(&fake, 1);

		assert_int_equal(fake_send(&fake, &m), 0);
	}
	pid = real_start(receive);
	for (int i = 0; i < 50; i++) {
		struct ulsp_msg m = fake_message(&fake, 1);

		usleep(1000);
		assert_int_equal(fake_send(&fake, &m), 0);
	}
	real_must_end_well(pid);
	/* A second run counts on in the page. */
	assert_int_equal(fake.page_at->magic, ULSP_MAGIC);
	assert_int_equal(fake.page_at->readers[0].received, 100);
}

static int check_names(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct real_seen *s = ctx;
	char buf[ULSP_LINE_BYTES];

	s->n++;
	CHECK(!strcmp(ulsp_group_name(m), s->n == 1 ? "group1" : "#9"));
	CHECK(!strcmp(ulsp_rule(m), s->n == 1 ? "web.ulsp:12" : "?:12"));
	CHECK(ulsp_tgid(m) == getppid());
	/* Root's process is not ours to see; and with another start it isn't that process. */
	CHECK(ulsp_exe(m, buf, sizeof(buf)) == (s->n == 1 ? -EACCES : -ESRCH));
	CHECK(ulsp_json(m, buf, sizeof(buf)) > 0);
	(void)u;
	return 0;
}

static void receive_names(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(check_names, &s);

	CHECK(ulsp_dispatch(u, 5000) == 2);
	ulsp_close(&u);
}

static void names_come_from_the_maps(void **state)
{
	struct ulsp_msg m = fake_message(&fake, 1);

	(void)state;
	m.tgid = (uint32_t)getpid();
	m.start_ns = ulsp_process_start_ns(getpid());
	fake_send(&fake, &m);
	m.start_ns += 10000000;
	m.group = 9; /* nameless, and its file as well */
	m.file = 3;
	fake_send(&fake, &m);
	real_must_end_well(real_start(receive_names));
}

static void answer(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(on_ask, &s);
	struct ulsp_stats stats = {.size = sizeof(stats)};

	while (s.n < 4)
		CHECK(ulsp_dispatch(u, 5000) > 0);
	/* Meanwhile the policy was reloaded. */
	__atomic_store_n(&fake.group_at[1].generation, 8, __ATOMIC_RELEASE);
	CHECK(ulsp_allow(s.kept, NULL) == -ESTALE);
	CHECK(!ulsp_get_stats(u, &stats) && stats.verdicts == 3 && stats.late == 1);
	ulsp_close(&u);
	CHECK(ulsp_allow(s.kept, NULL) == -ENOTCONN);
	ulsp_message_unref(&s.kept);
}

static void verdicts_reach_the_cache(void **state)
{
	struct ulsp_msg m = fake_message(&fake, 1);
	struct ulsp_cache_key key = {.group = 1, .rule = 5, .op = ULSP_OP_CONNECT};
	struct ulsp_cached e;
	uint64_t before = real_now_ns(), left;

	(void)state;
	m.flags = ULSP_MSG_ASK;
	m.verdict = ULSP_VERDICT_DENY;
	m.error = -EPERM;
	m.reason = ULSP_REASON_ASKED;
	m.cache_ms = 5000;
	m.tgid = 4;
	m.start_ns = 77;
	for (int i = 0; i < 4; i++)
		fake_send(&fake, &m);
	real_must_end_well(real_start(answer));

	assert_int_equal(fake.page_at->scopes, 7);
	assert_int_equal(fake.page_at->readers[0].verdicts, 3);
	assert_int_equal(fake.page_at->readers[0].late, 1);
	key.proto = ULSP_PROTO_TCP;
	key.family = 4;
	key.port = 443;
	memcpy(key.addr, m.remote, 16);
	key.scope = ULSP_SCOPE_FLOW;
	assert_true(ulsp_cache_find(fake.cache_at, &key, &e));
	assert_int_equal(e.error, 0);
	assert_int_equal(e.generation, 7);
	left = e.expires_ns - before;
	assert_in_range(left, 4900000000u, 9000000000u); /* the rule's 5 s */
	key.scope = ULSP_SCOPE_DESTINATION;
	key.port = 0;
	assert_true(ulsp_cache_find(fake.cache_at, &key, &e));
	assert_int_equal(e.error, -EHOSTUNREACH);
	key = (struct ulsp_cache_key){.group = 1,
				      .rule = 5,
				      .op = ULSP_OP_CONNECT,
				      .scope = ULSP_SCOPE_PROCESS,
				      .tgid = 4,
				      .start_ns = 77};
	assert_true(ulsp_cache_find(fake.cache_at, &key, &e));
	left = e.expires_ns - before;
	assert_in_range(left, 4900000000u, 9000000000u); /* 10 s asked, capped */
}

/* ---- records that are no messages ---- */

static void survive_garbage(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(real_on_message, &s);
	struct ulsp_stats stats = {.size = sizeof(stats)};

	while (!s.n)
		CHECK(ulsp_dispatch(u, 5000) > 0);
	CHECK(s.n == 1);
	CHECK(!ulsp_get_stats(u, &stats) && stats.invalid == 10 && stats.received == 1);
	ulsp_close(&u);
}

static void garbage_is_dropped_and_counted(void **state)
{
	struct ulsp_msg m = fake_message(&fake, 1), bad[9];
	pid_t pid;

	(void)state;
	m.seq = 1;
	for (size_t i = 0; i < 9; i++)
		bad[i] = m;
	bad[0].abi = ULSP_ABI + 1;
	bad[1].op = ULSP_OP_COUNT;
	bad[2].proto = ULSP_PROTO_COUNT;
	bad[3].group = ULSP_MAX_GROUPS;
	bad[4].file = ULSP_MAX_FILES;
	bad[5].family = 5;
	bad[6].verdict = ULSP_VERDICT_ASK;
	bad[7].error = 1;
	bad[8].reserved = 1;
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(fake_send_raw(&fake, &bad[i], sizeof(m)), 0);
	assert_int_equal(fake_send_raw(&fake, &m, 16), 0);
	fake_send(&fake, &m);
	pid = real_start(survive_garbage);
	real_must_end_well(pid);
}

/* ---- other versions, wrong descriptors ---- */

static void refuse(void)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = real_on_message};
	struct ulsp *u = NULL;
	char text[200], abi[8];

	snprintf(abi, sizeof(abi), "%d", ULSP_ABI);
	setenv("ULSP_ABI", "99", 1);
	CHECK(ulsp_open(&o, &u) == -EPROTO);
	setenv("ULSP_ABI", abi, 1);
	/* ring and page changed places */
	snprintf(text, sizeof(text),
		 "ring=%d page=%d cache=%d groups=%d files=%d streams=%d slots=%d poke=%d",
		 fake.page, fake.ring, fake.cache, fake.groups_ro, fake.files_ro, fake.streams_ro,
		 fake.slots, fake.poke);
	setenv("ULSP_FDS", text, 1);
	CHECK(ulsp_open(&o, &u) == -EPROTO);
	/* unknown names are a later ulspd's */
	snprintf(text, sizeof(text),
		 "news=2 ring=%d page=%d cache=%d groups=%d files=%d streams=%d slots=%d poke=%d",
		 fake.ring, fake.page, fake.cache, fake.groups_ro, fake.files_ro, fake.streams_ro,
		 fake.slots, fake.poke);
	setenv("ULSP_FDS", text, 1);
	CHECK(!ulsp_open(&o, &u));
	ulsp_close(&u);
	/* the page says that it is another version's */
	fake.page_at->abi = ULSP_ABI + 1;
	CHECK(ulsp_open(&o, &u) == -EPROTO);
	fake.page_at->abi = ULSP_ABI;
	CHECK(!ulsp_open(&o, &u));
	ulsp_close(&u);
}

static void other_versions_are_refused(void **state)
{
	(void)state;
	real_must_end_well(real_start(refuse));
}

/* ---- running ---- */

static void run(void)
{
	struct real_seen s = {0};
	struct ulsp *u = real_open(real_on_message, &s);
	struct rusage ru;

	CHECK(!ulsp_run(u)); /* SIGTERM ends it */
	getrusage(RUSAGE_SELF, &ru);
	/* Idle: three heartbeats and a message cost next to nothing. */
	CHECK(ru.ru_utime.tv_sec == 0 && ru.ru_stime.tv_sec == 0);
	CHECK(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec < 200000);
	CHECK(s.n == 1);
	ulsp_close(&u);
}

static void runs_until_sigterm(void **state)
{
	struct ulsp_msg m = fake_message(&fake, 1);
	uint64_t beat;
	pid_t pid = real_start(run);

	(void)state;
	real_wait_for_heartbeat();
	beat = fake.page_at->readers[0].heartbeat_ns;
	fake_send(&fake, &m);
	usleep(2500000);
	assert_true(fake.page_at->readers[0].heartbeat_ns > beat);
	assert_true(real_now_ns() - fake.page_at->readers[0].heartbeat_ns <
		    ULSP_HEARTBEAT_STALE_NS);
	kill(pid, SIGTERM);
	real_must_end_well(pid);
	assert_int_equal(fake.page_at->readers[0].heartbeat_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(x) cmocka_unit_test_setup_teardown(x, real_setup, real_teardown)
		TEST(unprivileged_descriptors),
		TEST(messages_arrive),
		TEST(names_come_from_the_maps),
		TEST(verdicts_reach_the_cache),
		TEST(garbage_is_dropped_and_counted),
		TEST(other_versions_are_refused),
		TEST(runs_until_sigterm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
