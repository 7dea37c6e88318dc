/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What only the whole policy shows: names used before what they name, members
 * of two groups, groups without a default.
 */
#include <fnmatch.h>
#include <string.h>

#include "parse.h"
#include "words.h"

/* Globs are compared with every other path: past this many pairs they aren't. */
enum { MAX_GLOB_PAIRS = 1 << 20 };

static int ulsp_find(const struct pol_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->nulsps; i++)
		if (strcmp(policy->ulsps[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void resolve_ulsps(struct parser *p)
{
	struct pol_policy *policy = p->policy;
	struct nearest guess;
	int at;

	for (size_t i = 0; i < p->ulsp_refs.n; i++) {
		const struct ref *ref = &p->ulsp_refs.v[i];

		if (ulsp_find(policy, ref->name) >= 0)
			continue;
		nearest_init(&guess, ref->name, strlen(ref->name));
		for (size_t j = 0; j < policy->nulsps; j++)
			nearest_try(&guess, policy->ulsps[j].name);
		if (guess.best)
			pol_diag_add(p->diags, POL_ERROR, &ref->loc,
				     "there is no ulsp '%s': did you mean '%s'?", ref->name,
				     guess.best);
		else
			pol_diag_add(p->diags, POL_ERROR, &ref->loc,
				     "there is no ulsp '%s': a 'ulsp %s { ... }' is missing",
				     ref->name, ref->name);
	}
	for (size_t i = 0; i < policy->ngroups; i++) {
		struct pol_group *g = &policy->groups[i];

		for (size_t j = 0; j < g->nrules; j++) {
			if (!g->rules[j].ulsp)
				continue;
			at = ulsp_find(policy, g->rules[j].ulsp);
			if (at < 0)
				continue;
			g->rules[j].ulsp_index = (uint32_t)at;
			policy->ulsps[at].asked = true;
		}
	}
}

static void resolve_peers(struct parser *p)
{
	for (size_t i = 0; i < p->peer_refs.n; i++) {
		const struct ref *ref = &p->peer_refs.v[i];
		struct nearest guess;

		if (pol_find_group(p->policy, ref->name))
			continue;
		nearest_init(&guess, ref->name, strlen(ref->name));
		for (size_t j = 0; j < p->policy->ngroups; j++)
			nearest_try(&guess, p->policy->groups[j].name);
		pol_diag_add(p->diags, POL_ERROR, &ref->loc, "there is no group '%s'%s%s%s",
			     ref->name, guess.best ? ": did you mean '" : "",
			     guess.best ? guess.best : "", guess.best ? "'?" : "");
	}
}

/* ---- members ---- */

struct member_ref {
	const struct pol_member *member;
	const struct pol_group *group;
	char *key; /* kind and path */
	UT_hash_handle hh;
};

static bool is_glob(const struct pol_member *m)
{
	return !m->exec && strpbrk(m->path, "*?[");
}

static void check_duplicates(struct parser *p, struct member_ref *refs, size_t n)
{
	struct member_ref *by_key = NULL, *other;

	for (size_t i = 0; i < n && !p->oom; i++) {
		struct member_ref *ref = &refs[i];
		const struct pol_member *m = ref->member;
		size_t bytes = strlen(m->path);

		ref->key = scratch_room(p, bytes + 2);
		if (!ref->key)
			break;
		ref->key[0] = m->exec ? 'x' : 'c';
		memcpy(ref->key + 1, m->path, bytes);
		HASH_FIND(hh, by_key, ref->key, bytes + 1, other);
		if (!other) {
			HASH_ADD_KEYPTR(hh, by_key, ref->key, bytes + 1, ref);
			p->oom |= !ref->hh.tbl;
		} else if (other->group == ref->group) {
			pol_diag_add(p->diags, POL_ERROR, &m->loc, "\"%s\" is given twice",
				     m->path);
		} else {
			pol_diag_add(p->diags, POL_ERROR, &m->loc,
				     "\"%s\" is a member of group '%s' already, at %s:%u", m->path,
				     other->group->name, file_of(p, &other->member->loc),
				     other->member->loc.line);
		}
	}
	HASH_CLEAR(hh, by_key);
}

static void check_globs(struct parser *p, const struct member_ref *refs, size_t n)
{
	size_t globs = 0;

	for (size_t i = 0; i < n; i++)
		globs += is_glob(refs[i].member);
	if (globs * n > MAX_GLOB_PAIRS)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct pol_member *glob = refs[i].member;

		for (size_t j = 0; is_glob(glob) && j < n; j++) {
			const struct pol_member *m = refs[j].member;

			if (refs[j].group == refs[i].group || m->exec || is_glob(m) ||
			    fnmatch(glob->path, m->path, FNM_PATHNAME) != 0)
				continue;
			pol_diag_add(
				p->diags, POL_WARNING, &glob->loc,
				"\"%s\" covers \"%s\", a member of group '%s': what is in both "
				"must satisfy both",
				glob->path, m->path, refs[j].group->name);
		}
	}
}

static void check_members(struct parser *p)
{
	const struct pol_policy *policy = p->policy;
	struct member_ref *refs;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < policy->ngroups; i++)
		n += policy->groups[i].nmembers;
	refs = arena_get(p->scratch, n * sizeof(*refs));
	if (!refs) {
		p->oom = true;
		return;
	}
	for (size_t i = 0; i < policy->ngroups; i++) {
		const struct pol_group *g = &policy->groups[i];

		for (size_t j = 0; j < g->nmembers; j++, at++) {
			refs[at].member = &g->members[j];
			refs[at].group = g;
		}
	}
	check_duplicates(p, refs, n);
	check_globs(p, refs, n);
}

void resolve(struct parser *p)
{
	const struct pol_policy *policy = p->policy;

	resolve_ulsps(p);
	resolve_peers(p);
	check_members(p);
	if (p->diags->errors) /* a default may be among what wasn't understood */
		return;
	for (size_t i = 0; i < policy->ngroups; i++)
		if (!policy->groups[i].default_given)
			pol_diag_add(p->diags, POL_WARNING, &policy->groups[i].loc,
				     "group '%s' has no default, so it denies: say 'default deny' "
				     "or 'default allow'",
				     policy->groups[i].name);
}
