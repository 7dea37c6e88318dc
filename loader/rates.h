/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The buckets of `limit` rules.  They belong to the instance and not to an
 * image: a reload keeps those of rules that stay.  Programs never make a rule's
 * bucket, so it is there before they are and goes after them.
 */
#ifndef RATES_H
#define RATES_H

#include "instance.h"

struct pol_table;

/* Those that the table needs and that aren't there yet. */
int rates_make(struct instance *i, uint32_t slot, const struct pol_table *table, struct err *e);
/* Removes those of the group that the table doesn't need; NULL: all of them. */
void rates_prune(struct instance *i, uint32_t slot, const struct pol_table *table);

#endif
