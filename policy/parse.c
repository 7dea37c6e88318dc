/* SPDX-License-Identifier: GPL-2.0-only */
#include "parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy_gram.h"

static char *keep(struct parser *p, struct pol_arena *a, const char *s, size_t n)
{
	char *copy = arena_copy(a, s, n);

	p->oom |= !copy;
	return copy;
}

char *keep_text(struct parser *p, const char *s, size_t n)
{
	return keep(p, p->arena, s, n);
}

char *keep_scratch(struct parser *p, const char *s, size_t n)
{
	return keep(p, p->scratch, s, n);
}

char *scratch_room(struct parser *p, size_t bytes)
{
	char *room = arena_get(p->scratch, bytes);

	p->oom |= !room;
	return room;
}

void elem_add(struct parser *p, struct set *s, bool negated, const struct elem *e,
	      const struct pol_loc *loc)
{
	switch (e->kind) {
	case ELEM_ADDR:
		set_add_addr(p, s, negated, &e->atom, loc);
		break;
	case ELEM_NUMBERS:
		set_add_numbers(p, s, negated, &e->atom, loc);
		break;
	case ELEM_STRING:
		set_add_string(p, s, negated, e->text.s, loc);
		break;
	case ELEM_SET:
		if (e->set)
			set_add_set(p, s, negated, e->set, loc);
		else if (s)
			s->bad = true;
		break;
	case ELEM_FILE:
		set_add_file(p, s, negated, e->text.s, loc);
		break;
	}
}

/* ---- a parse ---- */

static int parser_init(struct parser *p, const struct pol_reader *reader, struct pol_diags *diags)
{
	*p = (struct parser){.reader = reader, .diags = diags};
	p->arena = arena_new();
	p->scratch = arena_new();
	p->sources = sources_new();
	if (p->arena)
		p->policy = arena_get(p->arena, sizeof(*p->policy));
	if (!p->scratch || !p->sources || !p->policy) {
		arena_free(&p->arena);
		arena_free(&p->scratch);
		sources_unref(&p->sources);
		return -ENOMEM;
	}
	p->policy->arena = p->arena;
	p->policy->sources = p->sources;
	pol_diags_use(diags, p->policy);
	return 0;
}

/* After all files: the policy, or why there is none. */
static int parser_finish(struct parser *p, size_t first_diag, size_t errors_before,
			 struct pol_policy **ret)
{
	struct pol_policy *policy = p->policy;
	int r = 0;

	if (!p->oom)
		resolve(p);
	policy->files = sources_names(p->sources);
	policy->nfiles = sources_count(p->sources);
	if (!p->oom && p->diags->errors == errors_before && ids_assign(policy) < 0)
		p->oom = true;
	diags_sort(p->diags, first_diag);
	HASH_CLEAR(hh, p->defines);
	sets_free(p);
	arena_free(&p->scratch);
	if (p->oom)
		r = -ENOMEM;
	else if (p->diags->errors > errors_before)
		r = -EINVAL;
	if (r < 0)
		pol_free(&policy);
	else
		*ret = policy;
	return r;
}

int pol_parse(const char *const *paths, size_t npaths, const struct pol_reader *reader,
	      struct pol_diags *diags, struct pol_policy **ret)
{
	size_t first = diags->n, errors = diags->errors;
	struct parser p;
	int r = parser_init(&p, reader, diags);

	if (r < 0)
		return r;
	for (size_t i = 0; i < npaths && !p.oom; i++)
		file_parse(&p, paths[i], NULL);
	return parser_finish(&p, first, errors, ret);
}

int pol_parse_text(const char *name, const char *text, size_t bytes,
		   const struct pol_reader *reader, struct pol_diags *diags,
		   struct pol_policy **ret)
{
	size_t first = diags->n, errors = diags->errors;
	struct parser p;
	int r = parser_init(&p, reader, diags);
	char *copy;

	if (r < 0)
		return r;
	copy = malloc(bytes + 1);
	if (copy) {
		memcpy(copy, text, bytes);
		copy[bytes] = '\0';
		unit_parse(&p, name, copy, bytes);
	} else {
		p.oom = true;
	}
	return parser_finish(&p, first, errors, ret);
}

void pol_free(struct pol_policy **pp)
{
	struct pol_policy *p = *pp;
	struct pol_arena *arena;

	*pp = NULL;
	if (!p)
		return;
	sources_unref(&p->sources);
	arena = p->arena; /* the policy lies in it */
	arena_free(&arena);
}

const struct pol_group *pol_find_group(const struct pol_policy *p, const char *name)
{
	for (size_t i = 0; i < p->ngroups; i++)
		if (strcmp(p->groups[i].name, name) == 0)
			return &p->groups[i];
	return NULL;
}
