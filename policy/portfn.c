/* SPDX-License-Identifier: GPL-2.0-only */
#include "portfn.h"

#include <errno.h>
#include <stdlib.h>

#include "decide.h"

void portfn_fini(struct portfn *f)
{
	sweep_fini(&f->sweep);
	intervals_fini(&f->intervals);
	free(f->sets);
}

static int interval(void *ctx, span_int end, const struct active *covering)
{
	struct portfn *f = ctx;
	const struct match *v[DEC_CHAIN_MAX + 1];
	uint32_t leaf = 0;
	size_t i, n = 0;
	int r;

	/* so many with conditions are too many for chain_leaf() */
	for (i = active_next(covering, 0); i != ACTIVE_END && n <= DEC_CHAIN_MAX;
	     i = active_next(covering, i + 1)) {
		v[n++] = f->matches[i];
		if (!f->matches[i]->rest)
			break;
	}
	r = chain_leaf(f->leaf, v, n, &leaf);
	return r < 0 ? r : intervals_add(&f->intervals, end, leaf);
}

int portfn_build(struct portfn *f, const struct match *const *v, size_t n, uint32_t *ret_leaf)
{
	bool constrained = false;
	size_t i;
	int r;

	for (i = 0; i < n && !constrained; i++)
		constrained = !v[i]->ports.all;
	if (!constrained)
		return chain_leaf(f->leaf, v, n, ret_leaf);

	if (n > f->capacity) {
		const struct sweep_set **sets = realloc(f->sets, 2 * n * sizeof(*sets));

		if (!sets)
			return -ENOMEM;
		f->sets = sets;
		f->capacity = 2 * n;
	}
	for (i = 0; i < n; i++)
		f->sets[i] = &v[i]->ports;
	f->matches = v;
	f->intervals.n = 0;
	r = sweep_run(&f->sweep, f->sets, n, MATCH_PORTS_MAX, interval, f);
	return r < 0 ? r : table_function(f->leaf->table, &f->intervals, ret_leaf);
}
