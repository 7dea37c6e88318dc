/* SPDX-License-Identifier: GPL-2.0-only */
/* The loaded decision against the oracle and the host's, on generated groups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "../unit/genrules.h"
#include "knobs.h"
#include "programs.h"
#include "ulsp.skel.h"

/* What the verifier walks through stays far below its limit of a million. */
enum { INSNS_MAX = 300000, INSNS_MAX_ALL = 600000 };

/* A frozen map with the table. */
static int table_map(const struct pol_table *t)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RDONLY_PROG);
	uint32_t zero = 0;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "table", sizeof(zero),
				(uint32_t)(t->nwords * 4), 1, &opts);

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &zero, t->words, 0), 0);
	assert_int_equal(bpf_map_freeze(fd), 0);
	return fd;
}

/* Loads the decision alone. */
static struct ulsp_bpf *load(const struct pol_table *t, uint32_t *ret_insns)
{
	struct ulsp_bpf *skel = programs_open();
	struct bpf_prog_info info = {0};
	uint32_t bytes = sizeof(info);
	struct bpf_program *prog;
	struct bpf_map *map;
	int fd;

	assert_non_null(skel);
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, prog == skel->progs.ulsp_explain);
	bpf_object__for_each_map(map, skel->obj)
		bpf_map__set_autocreate(map, map == skel->maps.table || bpf_map__is_internal(map));
	fd = table_map(t);
	assert_int_equal(bpf_map__reuse_fd(skel->maps.table, fd), 0);
	close(fd);
	assert_int_equal(ulsp_bpf__load(skel), 0);
	assert_int_equal(
		bpf_obj_get_info_by_fd(bpf_program__fd(skel->progs.ulsp_explain), &info, &bytes),
		0);
	*ret_insns = info.verified_insns;
	return skel;
}

/* Loads every program with this table and all knobs set. */
static void load_all(const struct pol_table *t)
{
	struct ulsp_bpf *skel = programs_open();
	struct bpf_program *prog;
	int fd;

	assert_non_null(skel);
	fd = table_map(t);
	assert_int_equal(bpf_map__reuse_fd(skel->maps.table, fd), 0);
	close(fd);
	memset((void *)&skel->rodata_knobs->knobs, 0xff, sizeof(skel->rodata_knobs->knobs));
	assert_int_equal(ulsp_bpf__load(skel), 0);
	bpf_object__for_each_program(prog, skel->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t bytes = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &bytes), 0);
		print_message("%s: %u instructions verified\n", bpf_program__name(prog),
			      info.verified_insns);
		assert_in_range(info.verified_insns, 1, INSNS_MAX_ALL);
	}
	ulsp_bpf__destroy(skel);
}

static uint32_t decide(struct ulsp_bpf *skel, const struct dec_key *key)
{
	struct dec_explain ctx = {.key = *key};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.ulsp_explain), &opts),
			 0);
	return ctx.fault ? UINT32_MAX : ctx.rule;
}

static uint32_t compile_and_check(uint64_t seed, size_t rules_max, int keys)
{
	struct pol_diags diags = {0};
	struct pol_table *t = NULL;
	uint32_t insns, loaded, host, expected;
	struct ulsp_bpf *skel;
	struct gen g;

	gen_init(&g, seed, rules_max);
	assert_int_equal(pol_compile(&g.policy, &g.group, &g.env, &diags, &t), 0);
	skel = load(t, &insns);
	while (keys--) {
		struct dec_key key = gen_key(&g);

		expected = pol_oracle(&g.policy, &g.group, t, &g.env, &key);
		loaded = decide(skel, &key);
		if (dec_decide(t->words, &key, &host))
			host = UINT32_MAX;
		if (loaded != expected || host != expected) {
			gen_print_key(stderr, &key);
			fail_msg("seed %llu: rule %u loaded, %u on the host, the oracle says %u",
				 (unsigned long long)seed, loaded, host, expected);
		}
	}
	ulsp_bpf__destroy(skel);
	pol_table_free(&t);
	pol_diags_fini(&diags);
	gen_fini(&g);
	return insns;
}

static void test_generated(void **state)
{
	uint32_t insns, most = 0;
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 200; seed++) {
		insns = compile_and_check(seed, seed % 2 ? 8 : 60, 300);
		if (insns > most)
			most = insns;
	}
	print_message("at most %u instructions verified\n", most);
	assert_in_range(most, 1, INSNS_MAX);
}

/* Every part of a root, each with as many conditions as there may be. */
static void test_everything(void **state)
{
	const uint32_t connect = 1u << ULSP_OP_CONNECT, tcp = 1u << ULSP_PROTO_TCP;
	struct pol_uids uids[DEC_CHAIN_MAX - 2];
	struct pol_diags diags = {0};
	struct pol_table *t = NULL;
	uint32_t insns, i, zone;
	struct ulsp_bpf *skel;
	struct gen g;
	int k;

	(void)state;
	for (i = 0; i < DEC_CHAIN_MAX - 2; i++)
		uids[i] = (struct pol_uids){2 * i, 2 * i};
	gen_empty(&g, 1000);
	g.env.merge_max = 1;
	for (i = 0; i < 4; i++) {
		static const char *const to[] = {"", "10.0.0.0/9 fd00::1/128",
						 "10.1.0.0/24 fd00::2", "10.0.0.0/8 fd00::/64"};
		struct pol_rule *r =
			gen_rule(&g, connect, i == 1 ? UINT32_MAX >> 24 : tcp, ULSP_VERDICT_ALLOW);

		if (i)
			r->to = gen_addrs(&g, to[i]);
		if (i != 1)
			r->to_ports = gen_ports(&g, (uint16_t)(100 * i), (uint16_t)(100 * i + 200));
		r->uids = uids;
		r->nuids = DEC_CHAIN_MAX - 2;
	}
	/* narrow ones inside wide ones, of each kind of port function */
	for (zone = 0; zone < 300; zone++) {
		char text[80];
		struct pol_rule *r = gen_rule(&g, connect, tcp, ULSP_VERDICT_DENY);

		snprintf(text, sizeof(text), "10.2.%u.0/25 fd00::%x:0/112 fd00:%x::/32", zone % 256,
			 zone + 1, zone + 1);
		r->to = gen_addrs(&g, text);
		r->to_ports = gen_ports(&g, (uint16_t)zone, (uint16_t)(2 * zone));
	}
	for (i = 0; i < 60; i++) {
		struct pol_rule *r = gen_rule(&g, connect, tcp, ULSP_VERDICT_DENY);

		r->to = gen_addrs(&g, i % 2 ? "10.0.0.0/8 fd00::/16" : "10.2.0.0/16 fd00::/64");
		r->to_ports = gen_ports(&g, (uint16_t)(3000 + 2 * i), (uint16_t)(3000 + 2 * i));
	}
	for (i = 0; i < 3; i++) {
		struct pol_rule *r = gen_rule(&g, connect, tcp, ULSP_VERDICT_DENY);

		r->to = gen_addrs(&g, "192.168.0.0/16");
		r->to_ports = gen_ports(&g, (uint16_t)(3000 + 2 * i), (uint16_t)(3000 + 2 * i));
	}
	k = pol_compile(&g.policy, &g.group, &g.env, &diags, &t);
	pol_diags_print(&diags, stderr, false);
	assert_int_equal(k, 0);
	for (i = DEC_PORT; i < DEC_PARTS; i++) {
		assert_int_not_equal(t->words[DEC_ROOT(ULSP_OP_CONNECT, DEC_V4, i)], 0);
		assert_int_not_equal(t->words[DEC_ROOT(ULSP_OP_CONNECT, DEC_V6, i)], 0);
	}
	assert_int_equal(t->words[DEC_H_TESTS], DEC_CHAIN_MAX - 1);
	assert_int_equal(t->words[DEC_H_KINDS], 1 << DEC_CHAIN | 1 << DEC_NODE4 | 1 << DEC_NODE16 |
							1 << DEC_MAP | 1 << DEC_LOW);
	skel = load(t, &insns);
	for (k = 0; k < 20000; k++) {
		struct dec_key key = gen_key(&g);

		key.op = ULSP_OP_CONNECT;
		key.proto = ULSP_PROTO_TCP;
		key.uid = gen_below(&g, 2 * DEC_CHAIN_MAX);
		i = pol_oracle(&g.policy, &g.group, t, &g.env, &key);
		if (decide(skel, &key) != i) {
			gen_print_key(stderr, &key);
			fail_msg("rule %u, the oracle says %u", decide(skel, &key), i);
		}
	}
	ulsp_bpf__destroy(skel);
	print_message("%u instructions verified\n", insns);
	assert_in_range(insns, 1, INSNS_MAX);
	load_all(t);
	pol_table_free(&t);
	pol_diags_fini(&diags);
	gen_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generated),
		cmocka_unit_test(test_everything),
	};

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
