/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of sets, and uses of names of which only the end of all files can tell. */
#include <ctype.h>
#include <string.h>

#include "parse.h"
#include "words.h"

const char *file_of(const struct parser *p, const struct pol_loc *loc)
{
	return sources_names(p->sources)[loc->file];
}

void ref_add(struct parser *p, struct refs *refs, const char *name, const struct pol_loc *loc)
{
	struct ref *v = arena_grow(p->scratch, refs->v, refs->n, sizeof(*v));

	if (!v) {
		p->oom = true;
		return;
	}
	refs->v = v;
	v[refs->n++] = (struct ref){.name = name, .loc = *loc, .group = p->group.name};
}

void define_add(struct parser *p, const struct text *name, const struct pol_loc *loc,
		const struct set_use *value)
{
	struct define *d;
	struct set *set = value->set;

	if (p->oom || !name->s)
		return;
	HASH_FIND(hh, p->defines, name->s, name->n, d);
	if (d) {
		pol_diag_add(p->diags, POL_ERROR, loc, "'$%s' is already defined at %s:%u", name->s,
			     file_of(p, &d->loc), d->loc.line);
		return;
	}
	for (size_t i = 0; i < name->n; i++) {
		if (isalnum((unsigned char)name->s[i]) || name->s[i] == '_')
			continue;
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "'%s' can't be a name of a set: letters, digits and '_' can", name->s);
		return;
	}
	if (!set) {
		pol_diag_add(p->diags, POL_ERROR, &value->loc,
			     "'any' is no set: write 'any' where "
			     "it is used");
		set = set_new(p, loc);
		if (set)
			set->bad = true;
	} else if (value->negated) {
		set = set_new(p, &value->loc);
		set_add_set(p, set, true, value->set, &value->loc);
		set_close(p, set);
	}
	d = arena_get(p->scratch, sizeof(*d));
	if (!d || !set) {
		p->oom = true;
		return;
	}
	d->name = name->s;
	d->loc = *loc;
	d->set = set;
	HASH_ADD_KEYPTR(hh, p->defines, d->name, name->n, d);
	if (!d->hh.tbl)
		p->oom = true;
}

void define_bad(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	struct set *set = set_new(p, loc);

	if (!set)
		return;
	set->bad = true;
	define_add(p, name, loc, &(struct set_use){.set = set, .loc = *loc});
}

struct set *define_find(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	struct define *d, *other, *spare;
	struct nearest guess;

	if (!name->s)
		return NULL;
	HASH_FIND(hh, p->defines, name->s, name->n, d);
	if (d)
		return d->set;
	nearest_init(&guess, name->s, name->n);
	HASH_ITER (hh, p->defines, other, spare)
		nearest_try(&guess, other->name);
	if (guess.best)
		pol_diag_add(p->diags, POL_ERROR, loc, "'$%s' is not defined: did you mean '$%s'?",
			     name->s, guess.best);
	else
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "'$%s' is not defined: a 'define %s = ...' must come before", name->s,
			     name->s);
	return NULL;
}
