/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as ulsp-firewall's rules: they parse, or are refused with a place
 * in the text; and what parses judges any operation the same way as asking its
 * rules one by one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"
#include "ulsp_abi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static size_t count_lines(const uint8_t *data, size_t bytes)
{
	size_t n = 1;

	for (size_t i = 0; i < bytes; i++)
		n += data[i] == '\n';
	return n;
}

/* The last byte of each address, so that rules and operations meet. */
static struct fw_query make_query(const struct fw_rule *rule, unsigned int i)
{
	struct fw_query q = {
		.op = rule->op < 0 ? (int)(i % ULSP_OP_COUNT) : rule->op,
		.proto = rule->proto < 0 ? (int)(i % ULSP_PROTO_COUNT) : rule->proto,
		.family = rule->family ? rule->family
			  : i % 2      ? 4
				       : 6,
		.port = i % 3 ? rule->port_hi : rule->port_lo,
		.uid = rule->any_uid ? i : rule->uid,
	};

	memcpy(q.addr, rule->addr, sizeof(q.addr));
	q.addr[q.family == 4 ? 3 : 15] |= (uint8_t)i;
	return q;
}

static struct fw_verdict default_of(const struct fw_rules *rules, int op)
{
	return rules->by_op[op].given ? rules->by_op[op].verdict : rules->fallback.verdict;
}

/* What is printed parses to the same. */
static void check_printing(const struct fw_rules *rules)
{
	char line[RULES_LINE_BYTES], again[RULES_LINE_BYTES];
	struct fw_rules *parsed;
	struct fw_error e;

	for (size_t i = 0; i < rules->n && i < 64; i++) {
		int n = fw_rule_print(&rules->v[i], line, sizeof(line));

		if (n < 0 && n != -EINVAL)
			fail("a rule without a line");
		if (n < 0)
			continue;
		if (fw_rules_parse(line, (size_t)n, &parsed, &e) || parsed->n != 1)
			fail("a line that is no rule");
		if (fw_rule_print(&parsed->v[0], again, sizeof(again)) != n || strcmp(line, again))
			fail("another line");
		fw_rules_free(&parsed);
	}
}

static void check_judging(const struct fw_rules *rules)
{
	for (size_t i = 0; i < rules->n && i < 64; i++) {
		struct fw_query q = make_query(&rules->v[i], (unsigned int)i);
		struct fw_verdict got = fw_rules_judge(rules, &q), want = default_of(rules, q.op);

		for (size_t j = 0; j < rules->n; j++) {
			struct fw_rules one = {
				.v = &rules->v[j],
				.n = 1,
				.fallback = {.verdict = {.line = UINT32_MAX}, .given = true},
			};

			if (fw_rules_judge(&one, &q).line == UINT32_MAX)
				continue;
			want = rules->v[j].verdict;
			break;
		}
		if (got.line != want.line || got.ask != want.ask ||
		    (!want.ask && (got.allow != want.allow || got.error != want.error)))
			fail("not the first matching rule");
		if (got.allow ? got.error : got.error >= 0 || got.error < -4095)
			fail("a verdict that the kernel would not take");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fw_rules *rules = NULL;
	struct fw_error e;
	int r = fw_rules_parse((const char *)data, bytes, &rules, &e);

	if (!r) {
		check_judging(rules);
		check_printing(rules);
		fw_rules_free(&rules);
		return 0;
	}
	if (r != -EINVAL || rules)
		fail("an error of another kind");
	if (!e.line || e.line > count_lines(data, bytes) || !e.col || e.col > bytes + 1)
		fail("an error outside of the text");
	for (const char *p = e.text; *p; p++)
		if (*p < ' ' || *p > '~')
			fail("an error that can't be printed");
	return 0;
}
