/* SPDX-License-Identifier: GPL-2.0-only */
#include "rates.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "decide.h"
#include "limit.h"
#include "policy.h"

static int make_of_rule(struct instance *i, uint32_t slot, const struct dec_rule *rule)
{
	const struct limit_key key = {slot, rule->id};
	const struct limit_buckets full = {0};

	if (!bpf_map_update_elem(i->limits, &key, &full, BPF_NOEXIST) || errno == EEXIST)
		return 0;
	return -errno;
}

static int make_of_processes(struct instance *i, uint32_t slot)
{
	scoped(scope_close) int fd = -1;
	__u32 id;

	if (!bpf_map_lookup_elem(i->limits_process, &slot, &id))
		return 0;
	if (errno != ENOENT)
		return -errno;
	fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "ulsp_limits", sizeof(struct limit_process_key),
			    sizeof(struct limit_buckets), LIMIT_PROCESSES_MAX, NULL);
	if (fd < 0 || bpf_map_update_elem(i->limits_process, &slot, &fd, BPF_ANY))
		return -errno;
	return 0;
}

int rates_make(struct instance *i, uint32_t slot, const struct pol_table *table, struct err *e)
{
	struct dec_rule rule;
	int r = 0;

	for (uint32_t n = 0; !r && n < table->nrules; n++) {
		if (dec_rule_at(table->words, n, &rule))
			return err_set(e, -EPROTO, "the compiled table is damaged");
		if (rule.flags & DEC_RULE_LIMIT)
			r = rule.flags & DEC_RULE_PER_PROCESS ? make_of_processes(i, slot)
							      : make_of_rule(i, slot, &rule);
	}
	if (r == -E2BIG)
		return err_set(e, r, "more than %d rules with a rate", LIMIT_RULES_MAX);
	return r ? err_set(e, r, "no buckets for rates: %s", strerror(-r)) : 0;
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void rates_prune(struct instance *i, uint32_t slot, const struct pol_table *table)
{
	size_t room = table ? table->nrules : 0, nkept = 0;
	scoped(scope_free) uint32_t *kept = calloc(room + 1, sizeof(*kept));
	struct limit_key key, next;
	bool processes = false, more;
	struct dec_rule rule;

	if (!kept) /* they are in nobody's way, and the next load tries again */
		return;
	for (uint32_t n = 0; n < room; n++) {
		if (dec_rule_at(table->words, n, &rule) || !(rule.flags & DEC_RULE_LIMIT))
			continue;
		kept[nkept++] = rule.id;
		processes |= rule.flags & DEC_RULE_PER_PROCESS;
	}
	qsort(kept, nkept, sizeof(*kept), compare_ids);
	more = !bpf_map_get_next_key(i->limits, NULL, &next);
	while (more) {
		key = next;
		more = !bpf_map_get_next_key(i->limits, &key, &next);
		if (key.slot == slot &&
		    !bsearch(&key.rule, kept, nkept, sizeof(*kept), compare_ids))
			bpf_map_delete_elem(i->limits, &key);
	}
	if (!processes)
		bpf_map_delete_elem(i->limits_process, &slot);
}
