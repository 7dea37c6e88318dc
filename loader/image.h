/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A group's image: its compiled table and programs in the kernel, for one
 * generation; and the links that put it on cgroups.
 *
 * An image is loaded and checked complete before any link changes.  Swapping
 * moves each link of the group from the old image to the new with
 * bpf_link_update(2); hooks that only one of them needs are linked first or
 * cut last, so no instant is less filtered than both policies.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include "instance.h"
#include "policy.h"

struct image; /* programs, table and counters of one group and generation */

struct image_spec {
	const char *group;
	uint32_t slot; /* in the group array */
	uint32_t generation;
	const struct pol_table *table;
	uint32_t log_rings; /* bit per ring that receives messages of `log` rules */
	bool restarts;	    /* some group of the policy holds: calls may be restarted for it */
	/* For members by executable: the group's image, whose counters it shares, and their map. */
	const struct image *of;
	int sk_exec;
};

/*
 * Load programs against a frozen table.  When the verifier refuses, its log is
 * kept in a file whose name is in `e`.  Runs the loaded decision against the
 * host's on generated keys before it returns.
 */
int image_load(struct instance *i, const struct image_spec *spec, struct image **ret,
	       struct err *e);
/* What an earlier daemon left, from pins; NULL when the group has none. */
int image_adopt(struct instance *i, const char *group, uint32_t generation, struct image **ret,
		struct err *e);
void image_free(struct image **im); /* fds; pins stay */
/* Whether a rule of the table holds operations. */
bool image_holds(const struct pol_table *table);

/* Attach to a cgroup directory; all hooks or none. */
int image_attach(struct instance *i, struct image *im, int cgroup_fd, uint64_t cgroup_id,
		 struct err *e);
/* Cut and unpin the links of a cgroup. */
int image_detach(struct instance *i, const char *group, uint64_t cgroup_id, struct err *e);
/* cgroup ids that the group is attached to now, from pins; malloc'ed. */
int image_cgroups(struct instance *i, const char *group, uint64_t **ret, size_t *ret_n);
/* Move every link of the group to `new`; on failure moves back those already moved. */
int image_swap(struct instance *i, struct image *old, struct image *new, struct err *e);
/* After a swap: carry the old counters over and unpin it. */
int image_retire(struct instance *i, struct image **old, const struct pol_table *table,
		 struct err *e);

struct dec_key;
/* The loaded decision on one key: index of the rule record. */
int image_decide(struct image *im, const struct dec_key *key, uint32_t *ret_rule);
/* Live counters of rule records, summed over CPUs. */
int image_counts(struct image *im, struct ulsp_rule_count *ret, size_t n);
unsigned image_needs(const struct image *im); /* POL_NEED_* */

#endif
