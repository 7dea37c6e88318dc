/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A policy with the tables of its groups: what `check` makes to see whether it
 * can be made, `explain --policy` decides on, and the daemon loads.  Needs
 * files, no kernel and no privilege.
 */
#ifndef COMPILED_H
#define COMPILED_H

#include "policy.h"

struct compiled {
	struct pol_policy *policy;
	struct pol_table **tables; /* one a group; all NULL before compiled_tables() */
	struct pol_diags diags;
	bool lsm; /* compiled for a kernel with BPF LSM */
};

/* Where text comes from: files and directories (all *.ulsp in them, sorted), or memory. */
struct compiled_source {
	const char *const *paths;
	size_t npaths;
	const char *name; /* of the text */
	const char *text; /* NULL: the paths */
	size_t text_bytes;
};

/*
 * Parse.  *ret is made even on failure, for its diagnostics; `policy` is NULL
 * then.  -EINVAL: diagnostics say why.
 */
int compiled_parse(const struct compiled_source *source, struct compiled **ret);
/*
 * Compile every group and look for unreachable rules.  `rings` by ULSP and
 * `files` by policy file are what messages will name; NULL numbers both as
 * they come, for use without a kernel.  `adopting`: the tables are in the kernel,
 * these are for names only; an executable that is gone is then a warning.
 */
int compiled_tables(struct compiled *c, const uint8_t *rings, const uint16_t *files, bool adopting);
void compiled_free(struct compiled **c);

size_t compiled_rules(const struct compiled *c); /* as written, defaults not counted */
const struct pol_table *compiled_table(const struct compiled *c, const struct pol_group *g);

#endif
