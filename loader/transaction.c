// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading a policy: all of it or nothing.
 *
 * run() has the steps in their order.  Up to starting the ULSPs everything is
 * made beside what is enforced, so a failure only throws away what is new.
 * Swapping moves each group's links to its new image; from there until the
 * policy is published a failure moves them back.  After that the new policy is
 * in force, and what is left is taking down what it doesn't need.
 *
 * No instant is less filtered than both policies: cgroups are detached from
 * groups that lose them only after those that gain them are attached.
 */
#include "transaction_priv.h"

#include <stdlib.h>

static void move_diags(struct pol_diags *from, struct pol_diags *to)
{
	*to = *from;
	*from = (struct pol_diags){0};
}

static int run(struct transaction *t, const struct compiled_source *source)
{
	int r = transaction_parse(t, source);

	if (!r)
		r = transaction_make_rings(t);
	if (!r)
		r = transaction_compile(t);
	if (!r)
		r = transaction_take_slots(t);
	if (!r)
		r = transaction_find_members(t);
	if (!r)
		r = transaction_load_lsm(t);
	if (!r)
		r = transaction_load_images(t);
	if (!r)
		r = transaction_start_ulsps(t);
	if (!r)
		r = transaction_swap_groups(t);
	if (!r)
		r = transaction_attach_members(t);
	if (!r)
		r = transaction_isolate(t);
	if (!r)
		r = transaction_publish(t);
	return r;
}

int transaction_load(struct daemon *d, const struct compiled_source *source,
		     struct pol_diags *ret_diags, struct err *e)
{
	struct transaction t = {.d = d, .e = e, .old = d->now};
	int r = run(&t, source);

	*ret_diags = (struct pol_diags){0};
	if (r) {
		transaction_undo(&t);
		if (t.next)
			move_diags(&t.next->compiled->diags, ret_diags);
		else if (t.compiled)
			move_diags(&t.compiled->diags, ret_diags);
		enforced_free(&t.next);
		compiled_free(&t.compiled);
	} else {
		transaction_report_modes(&t, ret_diags);
		transaction_finish(&t);
	}
	member_list_fini(&t.members);
	free(t.rings);
	free(t.ulsp_new);
	free(t.slot_new);
	free(t.modes);
	free(t.added);
	return r;
}
