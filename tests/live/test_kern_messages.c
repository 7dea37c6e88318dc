/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages: what they say, their numbers, their loss; and asking: the verdict
 * cache, its generations and expiry, and every way in which a ULSP can be down.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache.h"
#include "kern_fixture.h"

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static struct ulsp_stream *stream(struct kern *k, uint32_t ring)
{
	return &k->instance->stream[ULSP_STREAM(k->slot, ring)];
}

/* ---- what a message says ---- */

static void says_all(void **state)
{
	struct op op4 = OP(SOCK_STREAM, 0, "127.0.0.2", 82, .bind = "127.0.0.7", .uid = 1234);
	struct op op6 = OP(SOCK_DGRAM, 0, "::1", 83);
	struct op mapped = OP(SOCK_DGRAM, 0, "::ffff:127.0.0.3", 84);
	struct op bound = OP(SOCK_STREAM, 0, "::1", 8085);
	struct kern *k = *state;
	struct ulsp_msg m[8];
	uint64_t since = now_ns(CLOCK_MONOTONIC), boot = now_ns(CLOCK_BOOTTIME);
	static const uint8_t loopback6[16] = {[15] = 1};

	kern_policy(k, "group g {\ndeny connect tcp to 127.0.0.2 errno ECONNREFUSED\n"
		       "default allow\n}\n");
	kern_try(k, op_connect, &op4);
	assert_int_equal(kern_messages(k->instance->monitor, m, 8), 0); /* nobody watches */
	k->instance->group[k->slot].watch = 1;
	kern_try(k, op_connect, &op4);
	kern_try(k, op_connect_send, &op6);
	kern_try(k, op_sendto, &mapped);
	kern_try(k, op_bind, &bound);
	/* the bind to port 0 of op4 is a message of its own */
	assert_int_equal(kern_messages(k->instance->monitor, m, 8), 5);

	assert_int_equal(m[0].op, ULSP_OP_BIND);
	assert_true(m[0].local_port > 0);
	assert_int_equal(m[0].seq, 1);

	assert_int_equal(m[1].seq, 2);
	assert_in_range(m[1].time_ns, since, now_ns(CLOCK_MONOTONIC));
	assert_in_range(m[1].start_ns, boot, now_ns(CLOCK_BOOTTIME));
	assert_true(m[1].cookie != 0);
	assert_int_equal(m[1].cgroup, k->cgroup_id);
	assert_int_equal(m[1].group, k->slot);
	assert_int_equal(m[1].generation, k->generation);
	assert_true(m[1].rule != 0);
	assert_int_equal(m[1].line, 2);
	assert_int_equal(m[1].abi, ULSP_ABI);
	assert_int_equal(m[1].op, ULSP_OP_CONNECT);
	assert_int_equal(m[1].proto, ULSP_PROTO_TCP);
	assert_int_equal(m[1].ip_proto, IPPROTO_TCP);
	assert_int_equal(m[1].family, 4);
	assert_int_equal(m[1].verdict, ULSP_VERDICT_DENY);
	assert_int_equal(m[1].error, -ECONNREFUSED);
	assert_int_equal(m[1].reason, ULSP_REASON_RULE);
	assert_int_equal(m[1].flags, 0);
	assert_int_equal(m[1].remote_port, 82);
	assert_int_equal(m[1].local_port, m[0].local_port);
	assert_memory_equal(m[1].remote, "\x7f\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(m[1].local, "\x7f\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_true(m[1].tgid != 0 && m[1].pid == m[1].tgid);
	assert_int_equal(m[1].uid, 1234);
	assert_string_equal(m[1].comm, "test_kern_messa");
	assert_int_equal(m[1].slot, ULSP_NO_SLOT);

	assert_int_equal(m[2].family, 6);
	assert_int_equal(m[2].verdict, ULSP_VERDICT_ALLOW);
	assert_int_equal(m[2].reason, ULSP_REASON_DEFAULT);
	assert_int_equal(m[2].rule, 0);
	assert_memory_equal(m[2].remote, loopback6, 16);

	assert_int_equal(m[3].op, ULSP_OP_SENDTO);
	assert_int_equal(m[3].family, 4);
	assert_int_equal(m[3].flags, ULSP_MSG_MAPPED);
	assert_memory_equal(m[3].remote, "\x7f\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0", 16);

	assert_int_equal(m[4].op, ULSP_OP_BIND);
	assert_int_equal(m[4].local_port, 8085);
	assert_memory_equal(m[4].local, loopback6, 16);
	assert_int_equal(m[4].seq, 5);
}

/* `log` goes to every logger's ring, and to the monitor only while it watches. */
static void log_rings(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.2", 82),
		  quiet = OP(SOCK_STREAM, 0, "127.0.0.3", 82);
	struct ulsp_maps a = {}, b = {};
	struct kern *k = *state;
	struct ulsp_msg m[8];
	struct err e;

	assert_int_equal(
		instance_ulsp_maps(k->instance, "a.log", (struct ulsp_shape){4096, 1}, &a, &e), 0);
	assert_int_equal(instance_ulsp_maps(k->instance, "b", (struct ulsp_shape){0, 1}, &b, &e),
			 0);
	assert_true(a.slot != b.slot);
	kern_log_rings = 1u << a.slot | 1u << b.slot;
	kern_policy(k, "group g {\nallow connect tcp to 127.0.0.2 log\ndefault allow\n}\n");
	kern_log_rings = 0;
	kern_try(k, op_connect, &op);
	kern_try(k, op_connect, &quiet);
	assert_int_equal(kern_messages(a.rings[0], m, 8), 1);
	assert_int_equal(m[0].flags, ULSP_MSG_LOG);
	assert_int_equal(kern_messages(b.rings[0], m, 8), 1);
	assert_int_equal(kern_messages(k->instance->monitor, m, 8), 0);
	k->instance->group[k->slot].watch = 1;
	k->instance->group[k->slot].mode = ULSP_MODE_AUDIT;
	kern_try(k, op_connect, &op);
	assert_int_equal(kern_messages(a.rings[0], m, 8), 1);
	assert_int_equal(m[0].seq, 2);
	assert_int_equal(m[0].flags, ULSP_MSG_LOG | ULSP_MSG_AUDIT);
	assert_int_equal(kern_messages(k->instance->monitor, m, 8), 1);
	instance_ulsp_drop(k->instance, "a.log", &a);
	instance_ulsp_drop(k->instance, "b", &b);
	kern_try(k, op_connect, &op); /* to rings that are gone: nothing is lost */
	assert_int_equal(kern_reason(k, ULSP_REASON_LOST_FULL), 0);
}

/* A port that the kernel chose is not the default's business. */
static void log_ephemeral(void **state)
{
	struct op chosen = OP(SOCK_STREAM, 0, "127.0.0.1", 0), both = OP(SOCK_STREAM, 0, "::", 0),
		  rule = OP(SOCK_DGRAM, 0, "127.0.0.1", 0),
		  denied = OP(SOCK_STREAM, 0, "127.0.0.1", 8099);
	struct ulsp_maps log = {};
	struct kern *k = *state;
	struct ulsp_msg m[8];
	struct err e;

	assert_int_equal(
		instance_ulsp_maps(k->instance, "log", (struct ulsp_shape){0, 1}, &log, &e), 0);
	kern_log_rings = 1u << log.slot;
	kern_policy(k, "group g {\nallow bind udp log\ndefault deny log\n}\n");
	assert_int_equal(kern_try(k, op_bind, &chosen), 0);
	assert_int_equal(kern_try(k, op_bind, &both), 0);
	assert_int_equal(kern_messages(log.rings[0], m, 8), 0);
	assert_int_equal(kern_try(k, op_bind, &rule), 0);
	assert_int_equal(kern_messages(log.rings[0], m, 8), 1);
	assert_int_equal(m[0].reason, ULSP_REASON_RULE);
	assert_int_equal(kern_try(k, op_bind, &denied), -EPERM);
	assert_int_equal(kern_messages(log.rings[0], m, 8), 1);
	assert_int_equal(m[0].reason, ULSP_REASON_DEFAULT);
	kern_policy(k, "group g {\ndefault allow log\n}\n");
	kern_log_rings = 0;
	assert_int_equal(kern_try(k, op_bind, &chosen), 0);
	assert_int_equal(kern_messages(log.rings[0], m, 8), 0);
	assert_int_equal(kern_try(k, op_bind, &denied), 0);
	assert_int_equal(kern_messages(log.rings[0], m, 8), 1);
	instance_ulsp_drop(k->instance, "log", &log);
}

enum { FLOOD = 200 };

static int flood(void *ctx)
{
	struct sockaddr_storage ss;
	socklen_t len = kern_addr("127.0.0.1", 9, &ss);
	int i, fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (i = 0; i < FLOOD; i++)
		if (sendto(fd, "x", 1, 0, (void *)&ss, len) < 0)
			return -errno;
	return *(int *)ctx;
}

/* A full ring: what is lost is counted, and the numbers prove it. */
static void ring_full(void **state)
{
	struct ulsp_msg m[FLOOD];
	struct ulsp_maps log = {};
	struct kern *k = *state;
	int zero = 0;
	struct err e;
	size_t n, i;

	assert_int_equal(
		instance_ulsp_maps(k->instance, "log", (struct ulsp_shape){4096, 1}, &log, &e), 0);
	kern_log_rings = 1u << log.slot;
	kern_policy(k, "group g {\nallow sendto udp log\ndefault allow\n}\n");
	kern_log_rings = 0;
	assert_int_equal(kern_try(k, flood, &zero), 0);
	n = kern_messages(log.rings[0], m, FLOOD);
	assert_in_range(n, 20, 30); /* 160 bytes each in 4096 */
	for (i = 0; i < n; i++)
		assert_int_equal(m[i].seq, i + 1);
	assert_int_equal(stream(k, log.slot)->seq, FLOOD);
	assert_int_equal(stream(k, log.slot)->lost, FLOOD - n);
	assert_int_equal(kern_reason(k, ULSP_REASON_LOST_FULL), FLOOD - n);
	assert_int_equal(kern_try(k, flood, &zero), 0);
	assert_int_equal(kern_messages(log.rings[0], m, 1), 1);
	assert_int_equal(m[0].seq, FLOOD + 1); /* the gap */
	instance_ulsp_drop(k->instance, "log", &log);
}

/* ---- asking ---- */

static const char asking[] = "ulsp fw { exec \"/bin/true\" }\n"
			     "group g {\n"
			     "ask fw connect tcp to 127.0.0.0/8 errno EACCES cache 5s\n"
			     "ask fw connect tcp to ::1 errno EACCES down allow\n"
			     "default allow\n}\n";

static void give(const struct ulsp_maps *fw, const struct ulsp_msg *m, enum ulsp_scope scope,
		 int error, int64_t ttl_ns, uint32_t generation)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	struct ulsp_cached v = {.expires_ns = now + (uint64_t)ttl_ns,
				.generation = generation,
				.error = (int16_t)error};
	struct ulsp_cache_key key = {
		.group = (uint16_t)m->group, .rule = m->rule, .op = m->op, .scope = (uint8_t)scope};

	if (scope != ULSP_SCOPE_PROCESS) {
		key.proto = m->proto;
		key.family = m->family;
		memcpy(key.addr, m->op == ULSP_OP_BIND ? m->local : m->remote, 16);
	}
	if (scope == ULSP_SCOPE_PROCESS || scope == ULSP_SCOPE_PROCESS_FLOW) {
		key.tgid = m->tgid;
		key.start_ns = m->start_ns;
	}
	if (scope == ULSP_SCOPE_FLOW || scope == ULSP_SCOPE_PROCESS_FLOW)
		key.port = m->op == ULSP_OP_BIND ? m->local_port : m->remote_port;
	v.key = key;
	assert_int_equal(ulsp_cache_put(fw->sets, &v, now), 0);
}

static void ask_cache(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.2", 82),
		  port = OP(SOCK_STREAM, 0, "127.0.0.2", 83);
	struct ulsp_maps fw = {};
	struct kern *k = *state;
	struct ulsp_msg m[8];
	struct err e;

	assert_int_equal(instance_ulsp_maps(k->instance, "fw", (struct ulsp_shape){0, 1}, &fw, &e),
			 0);
	assert_int_equal(fw.slot, 1); /* as the fixture compiles */
	kern_policy(k, asking);
	fw.mapped->readers[0].heartbeat_ns = now_ns(CLOCK_MONOTONIC);
	fw.mapped->scopes = 7;

	/* the first is denied with the rule's errno, and asked */
	assert_int_equal(kern_try(k, op_connect, &op), -EACCES);
	assert_int_equal(kern_messages(fw.rings[0], m, 8), 1);
	assert_int_equal(m[0].flags, ULSP_MSG_ASK);
	assert_int_equal(m[0].reason, ULSP_REASON_ASKED);
	assert_int_equal(m[0].error, -EACCES);
	assert_int_equal(m[0].cache_ms, 5000);
	assert_int_equal(kern_reason(k, ULSP_REASON_ASKED), 1);

	/* a flow's verdict: the port counts */
	give(&fw, m, ULSP_SCOPE_FLOW, 0, 5000000000, k->generation);
	assert_int_equal(kern_try(k, op_connect, &op), 0);
	assert_int_equal(kern_try(k, op_connect, &port), -EACCES);
	assert_int_equal(kern_reason(k, ULSP_REASON_CACHED), 1);
	assert_int_equal(kern_messages(fw.rings[0], m, 8), 1);

	/* a destination's: it doesn't; the flow's goes before it */
	give(&fw, m, ULSP_SCOPE_DESTINATION, -EHOSTUNREACH, 5000000000, k->generation);
	assert_int_equal(kern_try(k, op_connect, &port), -EHOSTUNREACH);
	assert_int_equal(kern_try(k, op_connect, &op), 0);

	/* void: expired (by more than a tick), another generation, no verdict, no errno */
	give(&fw, m, ULSP_SCOPE_DESTINATION, 0, -20000000, k->generation);
	assert_int_equal(kern_try(k, op_connect, &port), -EACCES);
	give(&fw, m, ULSP_SCOPE_DESTINATION, 0, 5000000000, k->generation - 1);
	assert_int_equal(kern_try(k, op_connect, &port), -EACCES);
	give(&fw, m, ULSP_SCOPE_DESTINATION, -4096, 5000000000, k->generation);
	assert_int_equal(kern_try(k, op_connect, &port), -EACCES);
	give(&fw, m, ULSP_SCOPE_DESTINATION, 7, 5000000000, k->generation);
	assert_int_equal(kern_try(k, op_connect, &port), -EACCES);

	/* scopes that the page doesn't name aren't looked up */
	give(&fw, m, ULSP_SCOPE_DESTINATION, 0, 5000000000, k->generation);
	fw.mapped->scopes = 1 << ULSP_SCOPE_FLOW;
	assert_int_equal(kern_try(k, op_connect, &port), -EACCES);
	fw.mapped->scopes = 7;
	assert_int_equal(kern_try(k, op_connect, &port), 0);

	/* a reload voids all */
	kern_policy(k, asking);
	assert_int_equal(kern_try(k, op_connect, &op), -EACCES);
	assert_int_equal(kern_try(k, op_connect, &port), -EACCES);
	instance_ulsp_drop(k->instance, "fw", &fw);
}

struct twice {
	struct ulsp_maps *fw;
	uint32_t generation;
};

/* In the member: asks, answers itself for its process, and tries another address. */
static int ask_for_process(void *ctx)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.2", 82),
		  other = OP(SOCK_STREAM, 0, "127.9.9.9", 7);
	struct twice *t = ctx;
	struct ulsp_msg m[1];

	if (op_connect(&op) != -EACCES || kern_messages(t->fw->rings[0], m, 1) != 1)
		return -ENOMSG;
	/* first for this flow of it, which says nothing about another */
	give(t->fw, m, ULSP_SCOPE_PROCESS_FLOW, 0, 5000000000, t->generation);
	if (op_connect(&op) != 0 || op_connect(&other) != -EACCES)
		return -ENOTUNIQ;
	/* the narrower goes before the wider */
	give(t->fw, m, ULSP_SCOPE_FLOW, -EHOSTUNREACH, 5000000000, t->generation);
	if (op_connect(&op) != 0)
		return -EXDEV;
	give(t->fw, m, ULSP_SCOPE_PROCESS, 0, 5000000000, t->generation);
	return op_connect(&other);
}

static void ask_process(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.2", 82);
	struct ulsp_maps fw = {};
	struct kern *k = *state;
	struct twice t = {&fw, 0};
	struct err e;

	assert_int_equal(instance_ulsp_maps(k->instance, "fw", (struct ulsp_shape){0, 1}, &fw, &e),
			 0);
	kern_policy(k, asking);
	t.generation = k->generation;
	fw.mapped->readers[0].heartbeat_ns = now_ns(CLOCK_MONOTONIC);
	fw.mapped->scopes = (1 << ULSP_SCOPE_COUNT) - 1;
	assert_int_equal(kern_try(k, ask_for_process, &t), 0);
	assert_int_equal(kern_try(k, op_connect, &op), -EHOSTUNREACH); /* another process */
	instance_ulsp_drop(k->instance, "fw", &fw);
}

/* In the member: listens, and connects to itself; a dropped SYN is -EINPROGRESS. */
static int serve_itself(void *ctx)
{
	const struct timeval patience = {.tv_usec = 300000};
	struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int server = socket(ss.ss_family, SOCK_STREAM, 0),
	    client = socket(ss.ss_family, SOCK_STREAM, 0);

	if (op->port && bind(server, (void *)&ss, len))
		return -errno;
	if (listen(server, 8) || getsockname(server, (void *)&ss, &len))
		return -errno;
	kern_addr(op->addr, ntohs(((struct sockaddr_in *)&ss)->sin_port), &ss);
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return connect(client, (void *)&ss, len) ? -errno : 0;
}

/* Listening is judged by the rules for bind: the bind's verdict answers for it. */
static void ask_bind_then_listen(void **state)
{
	struct op op = OP(SOCK_STREAM, 0, "127.0.0.1", 8090),
		  chosen = OP(SOCK_STREAM, 0, "127.0.0.1", 0);
	struct ulsp_maps fw = {};
	struct kern *k = *state;
	struct ulsp_msg m[8];
	struct err e;

	assert_int_equal(instance_ulsp_maps(k->instance, "fw", (struct ulsp_shape){0, 1}, &fw, &e),
			 0);
	kern_policy(k, "ulsp fw { exec \"/bin/true\" }\ngroup g {\n"
		       "ask fw bind tcp errno EACCES\ndefault allow\n}\n");
	fw.mapped->readers[0].heartbeat_ns = now_ns(CLOCK_MONOTONIC);
	fw.mapped->scopes = 7;
	assert_int_equal(kern_outside(serve_itself, &op), 0);
	assert_int_equal(kern_try(k, serve_itself, &op), -EACCES);
	assert_int_equal(kern_messages(fw.rings[0], m, 8), 1);
	assert_int_equal(m[0].op, ULSP_OP_BIND);
	give(&fw, m, ULSP_SCOPE_FLOW, 0, 5000000000, k->generation);
	assert_int_equal(kern_try(k, serve_itself, &op), 0);
	assert_int_equal(kern_messages(fw.rings[0], m, 8), 0); /* nobody was asked again */
	assert_int_equal(kern_reason(k, ULSP_REASON_ASKED), 1);

	/* who listens without a bind asks for the bind that the kernel makes for it */
	assert_int_equal(kern_try(k, serve_itself, &chosen), -EINPROGRESS);
	assert_true(kern_messages(fw.rings[0], m, 8) > 0);
	assert_int_equal(m[0].op, ULSP_OP_BIND);
	assert_int_equal(m[0].flags & ULSP_MSG_ASK, ULSP_MSG_ASK);
	assert_true(m[0].local_port > 0);
	instance_ulsp_drop(k->instance, "fw", &fw);
}

static void ask_down(void **state)
{
	struct op op4 = OP(SOCK_STREAM, 0, "127.0.0.2", 82), op6 = OP(SOCK_STREAM, 0, "::1", 82);
	struct ulsp_msg m[64];
	struct ulsp_maps fw = {};
	struct kern *k = *state;
	struct err e;
	int i;

	/* nobody has the ring */
	kern_policy(k, asking);
	assert_int_equal(kern_try(k, op_connect, &op4), -EACCES);
	assert_int_equal(kern_try(k, op_connect, &op6), 0);
	assert_int_equal(kern_reason(k, ULSP_REASON_ULSP_DOWN), 2);
	/* no heartbeat, then an old one */
	assert_int_equal(
		instance_ulsp_maps(k->instance, "fw", (struct ulsp_shape){4096, 1}, &fw, &e), 0);
	assert_int_equal(kern_try(k, op_connect, &op4), -EACCES);
	assert_int_equal(kern_try(k, op_connect, &op6), 0);
	fw.mapped->readers[0].heartbeat_ns =
		now_ns(CLOCK_MONOTONIC) - ULSP_HEARTBEAT_STALE_NS - 1000000;
	assert_int_equal(kern_try(k, op_connect, &op4), -EACCES);
	assert_int_equal(kern_try(k, op_connect, &op6), 0);
	assert_int_equal(kern_reason(k, ULSP_REASON_ULSP_DOWN), 6);
	/* one from the future, that would never be old */
	fw.mapped->readers[0].heartbeat_ns = now_ns(CLOCK_MONOTONIC) + 60000000000ull;
	assert_int_equal(kern_try(k, op_connect, &op4), -EACCES);
	fw.mapped->readers[0].heartbeat_ns = UINT64_MAX;
	assert_int_equal(kern_try(k, op_connect, &op6), 0);
	assert_int_equal(kern_reason(k, ULSP_REASON_ULSP_DOWN), 8);
	assert_int_equal(kern_messages(fw.rings[0], m, 64), 0);
	/* the ring is full */
	fw.mapped->readers[0].heartbeat_ns = now_ns(CLOCK_MONOTONIC);
	for (i = 0; i < 40; i++)
		assert_int_equal(kern_try(k, op_connect, &op4), -EACCES);
	assert_true(kern_reason(k, ULSP_REASON_RING_FULL) > 0);
	assert_int_equal(kern_reason(k, ULSP_REASON_RING_FULL),
			 kern_reason(k, ULSP_REASON_LOST_FULL));
	assert_int_equal(kern_try(k, op_connect, &op6), 0);
	assert_int_equal(kern_reason(k, ULSP_REASON_ASKED) + kern_reason(k, ULSP_REASON_RING_FULL),
			 41);
	/* audit asks, and lets through */
	k->instance->group[k->slot].mode = ULSP_MODE_AUDIT;
	assert_int_equal(kern_try(k, op_connect, &op4), 0);
	instance_ulsp_drop(k->instance, "fw", &fw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(says_all, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(log_rings, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(log_ephemeral, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(ring_full, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(ask_cache, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(ask_process, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(ask_bind_then_listen, kern_setup, kern_teardown),
		cmocka_unit_test_setup_teardown(ask_down, kern_setup, kern_teardown),
	};

	return cmocka_run_group_tests(tests, kern_netns, NULL);
}
