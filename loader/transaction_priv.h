/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that make up a transaction share: how far it got, and its steps. */
#ifndef TRANSACTION_PRIV_H
#define TRANSACTION_PRIV_H

#include "daemon.h"

struct transaction {
	struct daemon *d;
	struct err *e;
	struct compiled *compiled;
	struct enforced *old, *next;
	struct member_list members;
	uint8_t *rings;	 /* by ULSP of the policy */
	bool *ulsp_new;	 /* made by this load, by ULSP */
	bool *slot_new;	 /* by group */
	uint32_t *modes; /* of groups that were there, before */
	size_t nulsps;	 /* that were added to the supervisor so far */
	size_t nslots;	 /* groups that have their slot so far */
	size_t nswapped; /* groups that were swapped so far */
	struct added {
		const struct member *member;
		uint64_t id;
	} * added; /* cgroups that were attached so far */
	size_t nadded;
	bool lsm_new;  /* this load made the LSM tier */
	bool isolated; /* its maps were written */
};

/* The group by that name of the policy in force; NULL: it is new. */
static inline struct group *transaction_old(const struct transaction *t, const struct group *g)
{
	return enforced_find(t->old, g->policy->name);
}

/* Beside what is enforced (transaction_next.c). */
int transaction_parse(struct transaction *t, const struct compiled_source *source);
/* Tables name rings, so the rings come first. */
int transaction_make_rings(struct transaction *t);
int transaction_compile(struct transaction *t);
int transaction_take_slots(struct transaction *t);
int transaction_find_members(struct transaction *t);
/*
 * The tier is loaded and proved before anything is swapped; its maps are written when the groups
 * have their slots and cgroups.
 */
int transaction_load_lsm(struct transaction *t);
int transaction_load_images(struct transaction *t);
int transaction_start_ulsps(struct transaction *t);

/* What takes force, and back (transaction_swap.c). */
int transaction_swap_groups(struct transaction *t);
int transaction_attach_members(struct transaction *t);
int transaction_isolate(struct transaction *t);
int transaction_publish(struct transaction *t);
/* Everything as before, last step first. */
void transaction_undo(struct transaction *t);

/* After publishing: what the new policy doesn't need goes (transaction_finish.c). */
void transaction_finish(struct transaction *t);
/* Modes set by hand that this load ended; before finishing. */
void transaction_report_modes(struct transaction *t, struct pol_diags *ret);

#endif
