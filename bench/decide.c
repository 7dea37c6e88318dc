/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A decision's cost: decide [ROUNDS].  Nanoseconds above a program that only
 * fetches its key, medians of rounds in which all take turns; on one
 * destination (hot) and on 65,536 (random).  Beside it an LPM trie, where the
 * rules are addresses only, and what compiling and loading take.  The programs
 * are in decide.bpf.o beside the executable.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "decide.h"
#include "policy.h"

enum { KEYS = 1 << 16, REPEAT = 1 << 20, ROUNDS_MAX = 101 };
#ifndef TABLE_FLAGS
#define TABLE_FLAGS 0
#endif

struct bench_key {
	uint32_t addr[4];
	uint16_t port;
	uint8_t proto;
	uint8_t reserved;
};
struct lpm_key {
	uint32_t bits;
	uint8_t addr[16];
};

static uint64_t state = 1;

static uint64_t rnd(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what)
{
	fprintf(stderr, "decide: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- policies ---- */

struct prefix {
	uint8_t lo[16];
	unsigned bits;
};

struct text {
	char *v;
	size_t n;
	FILE *f;
};

static void random_prefix(struct prefix *p, int family)
{
	static const unsigned bits4[] = {24, 24, 24, 24, 22, 20, 28, 32},
			      bits6[] = {48, 64, 56, 64};
	unsigned i;

	for (i = 0; i < 16; i++)
		p->lo[i] = (uint8_t)rnd();
	if (family == DEC_V6)
		p->lo[0] = 0x20;
	p->bits = family == DEC_V4 ? bits4[rnd() % 8] : bits6[rnd() % 4];
	for (i = p->bits; i < 128; i++)
		p->lo[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static void print_prefix(FILE *f, const struct prefix *p, int family)
{
	const uint8_t *a = p->lo;
	unsigned i;

	if (family == DEC_V4) {
		fprintf(f, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
	} else {
		for (i = 0; i < 16; i += 2)
			fprintf(f, "%s%x", i ? ":" : "", a[i] << 8 | a[i + 1]);
	}
	fprintf(f, "/%u", p->bits);
}

static char *policy(const struct prefix *p, size_t n, int family, int mixed)
{
	static const char *const protos[] = {"tcp", "udp", "any"};
	char *text = NULL;
	size_t bytes, i;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		die("policy");
	if (!mixed)
		fprintf(f, "define s = {\n");
	else
		fprintf(f, "group g {\n");
	for (i = 0; i < n; i++) {
		if (!mixed) {
			print_prefix(f, &p[i], family);
			fprintf(f, "%s\n", i + 1 < n ? "," : "");
			continue;
		}
		fprintf(f, "%s connect %s to ", rnd() % 2 ? "allow" : "deny", protos[rnd() % 3]);
		print_prefix(f, &p[i], family);
		if (rnd() % 4)
			fprintf(f, " port %u-%u", (unsigned)(i % 60000) + 1,
				(unsigned)(i % 60000) + 1 + (unsigned)(rnd() % 50));
		fprintf(f, "\n");
	}
	fprintf(f, mixed ? "default deny\n}\n"
			 : "}\ngroup g {\ndeny connect any to $s\ndefault allow\n}\n");
	fclose(f);
	return text;
}

/* ---- programs ---- */

static double run(int fd)
{
	static char packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = REPEAT);

	if (bpf_prog_test_run_opts(fd, &opts) || opts.retval)
		die("run");
	return opts.duration;
}

static int by_value(const void *va, const void *vb)
{
	double a = *(const double *)va, b = *(const double *)vb;

	return a < b ? -1 : a > b;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return v[n / 2];
}

/* The program that keeps to `keys` destinations, with a frozen table. */
static struct bpf_object *open_object(const char *path, const struct pol_table *t, size_t prefixes,
				      uint32_t keys)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RDONLY_PROG | TABLE_FLAGS);
	struct bpf_object *o = bpf_object__open(path);
	struct bpf_map *map;
	uint32_t zero = 0, mask = keys - 1;
	const void *rodata;
	size_t bytes;
	int fd;

	if (!o)
		die(path);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "table", 4, (uint32_t)t->nwords * 4, 1, &opts);
	if (fd < 0 || bpf_map_update_elem(fd, &zero, t->words, 0) || bpf_map_freeze(fd))
		die("table");
	map = bpf_object__find_map_by_name(o, "table");
	if (!map || bpf_map__reuse_fd(map, fd))
		die("table");
	close(fd);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(o, "lpm"), (uint32_t)prefixes + 1);
	map = bpf_object__find_map_by_name(o, ".rodata");
	rodata = map ? bpf_map__initial_value(map, &bytes) : NULL;
	if (!rodata || bytes != sizeof(mask) || bpf_map__set_initial_value(map, &mask, bytes))
		die("rodata");
	if (bpf_object__load(o))
		die("load");
	return o;
}

static int map_fd(struct bpf_object *o, const char *name)
{
	return bpf_map__fd(bpf_object__find_map_by_name(o, name));
}

static void fill(struct bpf_object *o, const struct prefix *p, size_t n, int family, int lpm)
{
	uint32_t one = 1, i;
	size_t j;

	for (i = 0; i < KEYS; i++) {
		struct bench_key key = {.port = (uint16_t)rnd(), .proto = rnd() % 2};
		const struct prefix *from = &p[rnd() % n];
		uint8_t addr[16];

		for (j = 0; j < 16; j++)
			addr[j] = from->lo[j];
		for (j = from->bits; j < 128; j++)
			addr[j / 8] |= (uint8_t)(rnd() % 2 << (7 - j % 8));
		if (i % 4 == 3) { /* most likely in no prefix */
			addr[1] = (uint8_t)rnd();
			addr[2] = (uint8_t)rnd();
		}
		if (family == DEC_V4)
			memset(addr + 4, 0, 12);
		for (j = 0; j < 4; j++)
			key.addr[j] = (uint32_t)addr[4 * j] << 24 |
				      (uint32_t)addr[4 * j + 1] << 16 |
				      (uint32_t)addr[4 * j + 2] << 8 | addr[4 * j + 3];
		if (bpf_map_update_elem(map_fd(o, "keys"), &i, &key, 0))
			die("keys");
	}
	for (j = 0; lpm && j < n; j++) {
		struct lpm_key key = {.bits = p[j].bits};

		memcpy(key.addr, p[j].lo, 16);
		if (bpf_map_update_elem(map_fd(o, "lpm"), &key, &one, 0))
			die("lpm");
	}
}

static uint32_t verified(struct bpf_object *o, const char *name)
{
	struct bpf_prog_info info = {0};
	uint32_t bytes = sizeof(info);

	bpf_obj_get_info_by_fd(bpf_program__fd(bpf_object__find_program_by_name(o, name)), &info,
			       &bytes);
	return info.verified_insns;
}

/* ---- cases ---- */

struct one_case {
	const char *name;
	size_t n;
	int family, mixed;
};

static void measure(const char *path, const struct one_case *c, int rounds)
{
	static double at[2][3][ROUNDS_MAX];
	const char *progs[3] = {"empty", c->family == DEC_V4 ? "table4" : "table6",
				c->family == DEC_V4 ? "lpm4" : "lpm6"};
	double compile_ms, parse_ms, load_ms = 0, m[2][3];
	struct prefix *p = calloc(c->n, sizeof(*p));
	struct bpf_object *o[2];
	struct pol_policy *pol = NULL;
	struct pol_diags diags = {0};
	struct pol_env env = {0};
	struct pol_table *t = NULL;
	int heat, i, r, kinds = c->mixed ? 2 : 3;
	char *text;
	size_t j;

	for (j = 0; j < c->n; j++)
		random_prefix(&p[j], c->family);
	text = policy(p, c->n, c->family, c->mixed);
	parse_ms = now_ms();
	r = pol_parse_text("bench", text, strlen(text), NULL, &diags, &pol);
	parse_ms = now_ms() - parse_ms;
	compile_ms = now_ms();
	if (!r)
		r = pol_compile(pol, &pol->groups[0], &env, &diags, &t);
	compile_ms = now_ms() - compile_ms;
	if (r) {
		pol_diags_print(&diags, stderr, false);
		exit(1);
	}
	for (heat = 0; heat < 2; heat++) {
		load_ms = now_ms();
		o[heat] = open_object(path, t, c->n, heat ? KEYS : 1);
		load_ms = now_ms() - load_ms;
		fill(o[heat], p, c->n, c->family, !c->mixed);
	}
	for (r = 0; r < rounds; r++)
		for (heat = 0; heat < 2; heat++)
			for (i = 0; i < kinds; i++)
				at[heat][i][r] = run(bpf_program__fd(
					bpf_object__find_program_by_name(o[heat], progs[i])));
	for (heat = 0; heat < 2; heat++)
		for (i = 0; i < kinds; i++)
			m[heat][i] = median(at[heat][i], rounds);
	printf("%-22s %8.0f %8.0f ", c->name, m[0][1] - m[0][0], m[1][1] - m[1][0]);
	if (c->mixed)
		printf("%8s %8s ", "-", "-");
	else
		printf("%8.0f %8.0f ", m[0][2] - m[0][0], m[1][2] - m[1][0]);
	printf("%6.0f %6.0f %8.1f %8.1f %8.1f %9zu %7u\n", m[0][0], m[1][0], parse_ms, compile_ms,
	       load_ms, t->nwords * 4, verified(o[0], progs[1]));
	bpf_object__close(o[0]);
	bpf_object__close(o[1]);
	pol_table_free(&t);
	pol_free(&pol);
	pol_diags_fini(&diags);
	free(text);
	free(p);
}

int main(int argc, char **argv)
{
	static const struct one_case cases[] = {
		{"1 IPv4 prefix", 1, DEC_V4, 0},
		{"100 IPv4 prefixes", 100, DEC_V4, 0},
		{"10k IPv4 prefixes", 10000, DEC_V4, 0},
		{"100k IPv4 prefixes", 100000, DEC_V4, 0},
		{"10k IPv6 prefixes", 10000, DEC_V6, 0},
		{"100k IPv6 prefixes", 100000, DEC_V6, 0},
		{"1k mixed rules", 1000, DEC_V4, 1},
		{"10k mixed rules", 10000, DEC_V4, 1},
		{"100k mixed rules", 100000, DEC_V4, 1},
		{"10k mixed rules, IPv6", 10000, DEC_V6, 1},
	};
	int rounds = argc > 1 ? atoi(argv[1]) : 11;
	char path[4096];
	size_t i;

	if (argc > 2 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: decide [ROUNDS]\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s.bpf.o", argv[0]);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	printf("ns above empty         %17s %17s %13s %26s %9s %7s\n", "table", "LPM trie", "empty",
	       "ms", "", "insns");
	printf("%-22s %8s %8s %8s %8s %6s %6s %8s %8s %8s %9s %7s\n", "", "hot", "random", "hot",
	       "random", "hot", "random", "parse", "compile", "load", "bytes", "verified");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		measure(path, &cases[i], rounds);
	return 0;
}
