/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The test double: messages come from a queue, verdicts go into a list, and
 * everything between is what runs on the kernel.
 */
#include "handle.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "format.h"
#include "process.h"
#include "verdict.h"

enum { TEST_GENERATION = 1, TEST_RULE = 1, TEST_MAX = 1000000 };

struct test_entry {
	struct ulsp_msg msg;
	struct ulsp_test_verdict verdict;
};

struct test {
	int event_fd; /* readable while messages are queued */
	struct test_entry *entries;
	size_t n, next, room;
	char groups[ULSP_MAX_GROUPS][ULSP_NAME_BYTES];
	uint64_t seq[ULSP_MAX_GROUPS];
};

static const struct ulsp_backend test_backend;

int ulsp_test_open(const struct ulsp_options *options, struct ulsp **ret)
{
	struct test *t;
	struct ulsp *u;
	int r;

	if (!ret)
		return -EINVAL;
	r = ulsp_new(options, &test_backend, &u);
	if (r)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t) {
		ulsp_unref(u);
		return -ENOMEM;
	}
	u->impl = t;
	memcpy(u->name, "test", sizeof("test"));
	t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = t->event_fd < 0 ? -errno : ulsp_watch(u, t->event_fd);
	if (r) {
		test_backend.close(u);
		ulsp_unref(u);
		return r;
	}
	for (uint32_t i = 0; i < ULSP_MAX_GROUPS; i++)
		ulsp_track_start(&u->tracks[0][i], 1);
	ulsp_beat(u);
	*ret = u;
	return 0;
}

/* "192.0.2.1:443", "[2001:db8::1]:443" */
static int parse_endpoint(const char *text, uint8_t *family, uint8_t addr[16], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2], *end;
	unsigned long number;
	size_t n;

	n = colon ? (size_t)(colon - text) : 0;
	if (!n || n >= sizeof(host))
		return -EINVAL;
	number = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || number > UINT16_MAX)
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, addr) != 1)
			return -EINVAL;
		*family = 6;
	} else {
		if (inet_pton(AF_INET, host, addr) != 1)
			return -EINVAL;
		*family = 4;
	}
	*port = (uint16_t)number;
	return 0;
}

static int find_group(struct test *t, const char *name)
{
	size_t n = strlen(name);

	if (!n || n >= ULSP_NAME_BYTES)
		return -EINVAL;
	for (int i = 0; i < ULSP_MAX_GROUPS; i++) {
		if (!t->groups[i][0])
			memcpy(t->groups[i], name, n + 1);
		if (!strcmp(t->groups[i], name))
			return i;
	}
	return -ENOSPC;
}

static int fill(struct ulsp_msg *m, const struct ulsp_test_message *in)
{
	const char *op = in->operation ? in->operation : "connect";
	const char *proto = in->protocol ? in->protocol : "tcp";
	int r;

	while (m->op < ULSP_OP_COUNT && strcmp(op, ulsp_op_word(m->op)))
		m->op++;
	while (m->proto < ULSP_PROTO_COUNT && strcmp(proto, ulsp_proto_word(m->proto)))
		m->proto++;
	if (m->op == ULSP_OP_COUNT || m->proto == ULSP_PROTO_COUNT)
		return -EINVAL;
	m->ip_proto = m->proto == ULSP_PROTO_TCP    ? IPPROTO_TCP
		      : m->proto == ULSP_PROTO_UDP  ? IPPROTO_UDP
		      : m->proto == ULSP_PROTO_ICMP ? IPPROTO_ICMP
						    : 0;
	if (in->remote) {
		r = parse_endpoint(in->remote, &m->family, m->remote, &m->remote_port);
		if (r)
			return r;
	}
	if (in->local) {
		r = parse_endpoint(in->local, &m->family, m->local, &m->local_port);
		if (r)
			return r;
	}
	strncpy(m->comm, in->comm ? in->comm : "test", sizeof(m->comm) - 1);
	m->abi = ULSP_ABI;
	m->generation = TEST_GENERATION;
	m->rule = m->line = TEST_RULE;
	m->pid = m->tgid = (uint32_t)in->pid;
	m->start_ns = in->pid > 0 ? ulsp_process_start_ns(in->pid) : 0;
	if (in->pid > 0 && !m->start_ns)
		m->start_ns = 1; /* no such process: a name of its own all the same */
	m->uid = m->gid = in->uid;
	m->slot = ULSP_NO_SLOT;
	m->time_ns = ulsp_now_ns(CLOCK_MONOTONIC);
	if (in->ask && in->hold_ms) {
		m->slot = 0;
		m->ticket = 1;
		m->deadline_ns = m->time_ns + in->hold_ms * 1000000ull;
	}
	if (in->ask) {
		m->flags = ULSP_MSG_ASK;
		m->verdict = ULSP_VERDICT_DENY;
		m->reason = ULSP_REASON_ASKED;
		m->error = -EPERM;
	}
	return 0;
}

int ulsp_test_push(struct ulsp *u, const struct ulsp_test_message *m)
{
	struct ulsp_test_message in;
	struct test_entry e = {0};
	uint64_t one = 1;
	struct test *t;
	int group, r;

	if (!u || !m || u->backend != &test_backend)
		return -EINVAL;
	r = ulsp_sized_in(&in, sizeof(in), m,
			  offsetof(struct ulsp_test_message, ask) + sizeof(in.ask));
	if (r)
		return r;
	t = u->impl;
	group = find_group(t, in.group ? in.group : "test");
	if (group < 0)
		return group;
	r = fill(&e.msg, &in);
	if (r)
		return r;
	if (t->n == TEST_MAX)
		return -ENOSPC;
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 16;
		void *grown = reallocarray(t->entries, room, sizeof(*t->entries));

		if (!grown)
			return -ENOMEM;
		t->entries = grown;
		t->room = room;
	}
	t->seq[group] += in.lost + 1;
	e.msg.group = (uint32_t)group;
	e.msg.seq = t->seq[group];
	t->entries[t->n] = e;
	(void)!write(t->event_fd, &one, sizeof(one));
	return (int)t->n++;
}

int ulsp_test_verdict(const struct ulsp *u, int number, struct ulsp_test_verdict *ret)
{
	const struct test *t;

	if (!u || !ret || u->backend != &test_backend)
		return -EINVAL;
	t = u->impl;
	if (number < 0 || (size_t)number >= t->n)
		return -EINVAL;
	return ulsp_sized_out(ret, &t->entries[number].verdict, sizeof(*ret),
			      offsetof(struct ulsp_test_verdict, ttl_ms) + sizeof(ret->ttl_ms));
}

static void test_drain(struct ulsp *u)
{
	struct test *t = u->impl;
	uint64_t count;
	bool more = true;

	while (more && t->next < t->n) {
		size_t i = t->next++;
		struct ulsp_msg msg = t->entries[i].msg; /* the handler may push more */

		more = ulsp_deliver(u, 0, &msg, sizeof(msg), (int)i);
	}
	if (t->next == t->n)
		(void)!read(t->event_fd, &count, sizeof(count));
	/* Nothing comes out of order here: a gap is a loss at once. */
	if (u->options.handler)
		ulsp_settle(u);
	if (u->options.handler)
		ulsp_settle(u);
}

static int test_put(struct ulsp *u, const struct ulsp_message *m, const struct ulsp_cached *said,
		    uint32_t ttl_ms)
{
	struct test *t = u->impl;
	struct ulsp_test_verdict *v = &t->entries[m->number].verdict;

	v->given = 1;
	v->error = said->error;
	v->to[0] = '\0';
	v->cover = (enum ulsp_cover)said->key.scope;
	v->ttl_ms = ttl_ms;
	return 0;
}

static int test_answer(struct ulsp *u, const struct ulsp_message *m, const struct ulsp_slot *said)
{
	struct test *t = u->impl;
	struct ulsp_test_verdict *v = &t->entries[m->number].verdict;

	if (v->waited)
		return -EALREADY;
	v->given = v->waited = 1;
	v->error = said->error;
	v->cover = ULSP_COVER_ONCE;
	v->ttl_ms = 0;
	if (said->verdict == ULSP_VERDICT_REWRITE)
		ulsp_format_endpoint(said->family, said->addr, said->port, v->to);
	return 0;
}

static void test_beat(struct ulsp *u, bool alive)
{
	(void)u;
	(void)alive;
}

static bool test_sent(const struct ulsp *u, uint32_t ring, uint32_t group, uint64_t *ret)
{
	(void)u;
	(void)ring;
	(void)group;
	(void)ret;
	return false;
}

static bool test_empty(const struct ulsp *u, uint32_t ring)
{
	(void)u;
	(void)ring;
	return true;
}

static void test_group_name(const struct ulsp *u, uint32_t group, uint32_t generation,
			    char name[ULSP_NAME_BYTES])
{
	const struct test *t = u->impl;

	(void)generation;
	memcpy(name, t->groups[group], ULSP_NAME_BYTES);
}

static void test_file_name(const struct ulsp *u, uint16_t file, uint32_t generation,
			   char name[ULSP_PATH_BYTES])
{
	(void)u;
	(void)generation;
	(void)file;
	memcpy(name, "test.ulsp", sizeof("test.ulsp"));
}

static int test_generation(const struct ulsp *u, uint32_t group, uint32_t *ret)
{
	(void)u;
	(void)group;
	*ret = TEST_GENERATION;
	return 0;
}

static void test_close(struct ulsp *u)
{
	struct test *t = u->impl;

	if (t->event_fd >= 0)
		close(t->event_fd);
	free(t->entries);
	free(t);
	u->impl = NULL;
}

static const struct ulsp_backend test_backend = {
	.drain = test_drain,
	.put = test_put,
	.answer = test_answer,
	.beat = test_beat,
	.sent = test_sent,
	.empty = test_empty,
	.group_name = test_group_name,
	.file_name = test_file_name,
	.generation = test_generation,
	.close = test_close,
};
