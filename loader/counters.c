/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of rules.  An image counts by record, for its own generation; what
 * earlier generations counted is kept by the rule's stable id.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "decide.h"
#include "image_priv.h"
#include "pins.h"

int instance_carried(struct instance *i, uint32_t rule_id, struct ulsp_rule_count *ret)
{
	struct ulsp_rule_count count = {};

	if (bpf_map_lookup_elem(i->carried, &rule_id, &count) && errno != ENOENT)
		return -errno;
	*ret = count;
	return 0;
}

int instance_carry(struct instance *i, uint32_t rule_id, const struct ulsp_rule_count *add)
{
	struct ulsp_rule_count count;
	int r;

	if (!add->hits && !add->audited)
		return 0;
	r = instance_carried(i, rule_id, &count);
	if (r)
		return r;
	count.hits += add->hits;
	count.audited += add->audited;
	return bpf_map_update_elem(i->carried, &rule_id, &count, BPF_ANY) ? -errno : 0;
}

int image_counts(struct image *im, struct ulsp_rule_count *ret, size_t n)
{
	int ncpus = libbpf_num_possible_cpus(), cpu;
	scoped(scope_free) struct ulsp_rule_count *each = NULL;
	__u32 rule;

	if (ncpus < 0)
		return ncpus;
	each = calloc((size_t)ncpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	for (rule = 0; rule < n; rule++) {
		ret[rule] = (struct ulsp_rule_count){};
		if (rule >= im->knobs.nrules)
			continue;
		if (bpf_map_lookup_elem(im->rcount, &rule, each))
			return -errno;
		for (cpu = 0; cpu < ncpus; cpu++) {
			ret[rule].hits += each[cpu].hits;
			ret[rule].audited += each[cpu].audited;
		}
	}
	return 0;
}

/* The table's words as they are in the kernel: an adopted image has no other. */
static int read_table(const struct image *im, __u32 **ret)
{
	scoped(scope_free) __u32 *words = NULL;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), zero = 0;

	if (bpf_obj_get_info_by_fd(im->table, &info, &size))
		return -errno;
	if (info.value_size < DEC_MIN_WORDS * 4)
		return -EPROTO;
	words = malloc((info.value_size + 7ul) & ~7ul); /* the kernel copies multiples of 8 */
	if (!words)
		return -ENOMEM;
	if (bpf_map_lookup_elem(im->table, &zero, words))
		return -errno;
	if (words[DEC_H_MAGIC] != DEC_MAGIC || words[DEC_H_WORDS] * 4ul > info.value_size)
		return -EPROTO;
	*ret = TAKE_PTR(words);
	return 0;
}

static int carry_over(struct instance *i, struct image *im)
{
	scoped(scope_free) struct ulsp_rule_count *counts = NULL;
	scoped(scope_free) __u32 *words = NULL;
	__u32 rule;
	int r;

	counts = calloc(im->knobs.nrules + 1ul, sizeof(*counts));
	if (!counts)
		return -ENOMEM;
	r = image_counts(im, counts, im->knobs.nrules);
	if (!r)
		r = read_table(im, &words);
	for (rule = 0; !r && rule < im->knobs.nrules; rule++) {
		struct dec_rule record;

		if (dec_rule_at(words, rule, &record))
			return -EPROTO;
		r = instance_carry(i, record.counter, &counts[rule]);
	}
	return r;
}

int image_retire(struct instance *i, struct image **old, const struct pol_table *table,
		 struct err *e)
{
	struct image *im = *old;
	int r, removed;

	(void)table; /* the records are read back from the kernel */
	if (!im)
		return 0;
	/* Counters that can't be carried are no reason to keep the old programs. */
	r = carry_over(i, im);
	if (r)
		err_set(e, r, "group %s: counters of generation %u are lost: %s", im->group,
			im->knobs.generation,
			r == -E2BIG ? "too many rules were counted" : strerror(-r));
	removed = pin_remove(im->dir);
	if (removed && !r)
		r = err_set(e, removed, "can't remove %s: %s", im->dir, strerror(-removed));
	image_free(old);
	return r;
}
