/* SPDX-License-Identifier: GPL-2.0-only */
#include "set.h"

#include <stdlib.h>
#include <string.h>

#include "parse.h"

#define NUMBER_MAX ((span_int)0xffffffff)
#define UID_MAX	   0xfffffffeu /* (uid_t)-1 is nobody's */

struct set *set_new(struct parser *p, const struct pol_loc *loc)
{
	struct set *s = calloc(1, sizeof(*s));

	if (!s) {
		p->oom = true;
		return NULL;
	}
	s->loc = *loc;
	s->next = p->sets;
	p->sets = s;
	return s;
}

void sets_free(struct parser *p)
{
	struct set *next;

	for (struct set *s = p->sets; s; s = next) {
		next = s->next;
		spans_fini(&s->v4);
		spans_fini(&s->v6);
		spans_fini(&s->numbers);
		spans_fini(&s->not4);
		spans_fini(&s->not6);
		spans_fini(&s->not_numbers);
		free(s);
	}
	p->sets = NULL;
}

static void note_kind(struct set *s, enum set_kind kind, bool negated, const struct pol_loc *loc)
{
	if (!(s->kinds & 1u << kind))
		s->kind_loc[kind] = *loc;
	s->kinds |= 1u << kind;
	if (!negated)
		s->plain |= 1u << kind;
}

static void check(struct parser *p, int r)
{
	if (r < 0)
		p->oom = true;
}

void set_add_addr(struct parser *p, struct set *s, bool negated, const struct atom *a,
		  const struct pol_loc *loc)
{
	struct spans *to;

	if (!s)
		return;
	if (a->bad) {
		s->bad = true;
		return;
	}
	note_kind(s, SET_ADDRS, negated, loc);
	if (a->addr.family == 4)
		to = negated ? &s->not4 : &s->v4;
	else
		to = negated ? &s->not6 : &s->v6;
	check(p, spans_add(to, a->addr.lo, a->addr.hi));
}

void set_add_numbers(struct parser *p, struct set *s, bool negated, const struct atom *a,
		     const struct pol_loc *loc)
{
	if (!s)
		return;
	if (a->hi > NUMBER_MAX) {
		pol_diag_add(p->diags, POL_ERROR, loc, "the number is too large");
		s->bad = true;
		return;
	}
	note_kind(s, SET_NUMBERS, negated, loc);
	if (a->hi >= s->largest) {
		s->largest = a->hi;
		s->largest_loc = *loc;
	}
	check(p, spans_add(negated ? &s->not_numbers : &s->numbers, a->lo, a->hi));
}

void set_add_string(struct parser *p, struct set *s, bool negated, const char *text,
		    const struct pol_loc *loc)
{
	const char **strings;
	struct pol_loc *locs;

	if (!s)
		return;
	note_kind(s, SET_STRINGS, negated, loc);
	if (negated) {
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "'!' stands before a whole set of strings, not inside it");
		s->bad = true;
		return;
	}
	strings = arena_grow(p->scratch, s->strings, s->nstrings, sizeof(*strings));
	locs = arena_grow(p->scratch, s->string_locs, s->nstrings, sizeof(*locs));
	if (!strings || !locs || !text) {
		p->oom = true;
		return;
	}
	s->strings = strings;
	s->string_locs = locs;
	strings[s->nstrings] = text;
	locs[s->nstrings++] = *loc;
}

void set_add_set(struct parser *p, struct set *s, bool negated, const struct set *other,
		 const struct pol_loc *loc)
{
	if (!s || !other)
		return;
	s->bad |= other->bad;
	if (other->kinds & 1u << SET_ADDRS) {
		note_kind(s, SET_ADDRS, negated, loc);
		check(p, spans_append(negated ? &s->not4 : &s->v4, &other->v4));
		check(p, spans_append(negated ? &s->not6 : &s->v6, &other->v6));
	}
	if (other->kinds & 1u << SET_NUMBERS) {
		note_kind(s, SET_NUMBERS, negated, loc);
		check(p, spans_append(negated ? &s->not_numbers : &s->numbers, &other->numbers));
		if (other->largest >= s->largest) {
			s->largest = other->largest;
			s->largest_loc = *loc;
		}
	}
	for (size_t i = 0; i < other->nstrings && !p->oom; i++)
		set_add_string(p, s, negated, other->strings[i], loc);
}

/* Apply the negated elements: plain, or everything when there is none, without them. */
static void take_away(struct parser *p, struct spans *s, struct spans *less, bool plain,
		      span_int max)
{
	spans_normalise(s);
	spans_normalise(less);
	if (!plain)
		check(p, spans_complement(s, max));
	if (less->n)
		check(p, spans_subtract(s, less));
	spans_fini(less);
}

void set_close(struct parser *p, struct set *s)
{
	if (!s || p->oom)
		return;
	if (s->kinds & 1u << SET_ADDRS) {
		bool plain = s->plain & 1u << SET_ADDRS;

		check(p, addr_normalise6(&s->not6));
		take_away(p, &s->v4, &s->not4, plain, ADDR_MAX4);
		take_away(p, &s->v6, &s->not6, plain, ADDR_MAX6);
		check(p, addr_normalise6(&s->v6));
	}
	if (s->kinds & 1u << SET_NUMBERS)
		take_away(p, &s->numbers, &s->not_numbers, s->plain & 1u << SET_NUMBERS,
			  NUMBER_MAX);
}

/* ---- use ---- */

static const char *const kind_words[SET_KINDS] = {"addresses", "numbers", "quoted strings"};

static bool check_kind(struct parser *p, const struct set_use *u, enum set_kind want,
		       const char *what)
{
	bool own = u->set->loc.file == u->loc.file && u->set->loc.line == u->loc.line &&
		   u->set->loc.col == u->loc.col;

	for (int k = 0; k < SET_KINDS; k++) {
		if (k == (int)want || !(u->set->kinds & 1u << k))
			continue;
		pol_diag_add(p->diags, POL_ERROR, own ? &u->set->kind_loc[k] : &u->loc,
			     "'%s' takes %s, not %s", what, kind_words[want], kind_words[k]);
		return false;
	}
	return !u->set->bad && !p->oom;
}

static struct pol_range *ranges_of(struct parser *p, const struct spans *v4, const struct spans *v6)
{
	struct pol_range *v = arena_get(p->arena, (v4->n + v6->n) * sizeof(*v));

	if (!v) {
		p->oom = true;
		return NULL;
	}
	for (size_t i = 0; i < v4->n; i++)
		v[i] = addr_to_range(4, &v4->v[i]);
	for (size_t i = 0; i < v6->n; i++)
		v[v4->n + i] = addr_to_range(6, &v6->v[i]);
	return v;
}

static bool negated_addrs(struct parser *p, const struct set *s, struct pol_addrs *ret)
{
	struct spans v4 = {0}, v6 = {0};

	check(p, spans_append(&v4, &s->v4));
	check(p, spans_append(&v6, &s->v6));
	if (!p->oom)
		check(p, spans_complement(&v4, ADDR_MAX4));
	if (!p->oom)
		check(p, spans_complement(&v6, ADDR_MAX6));
	if (!p->oom)
		check(p, addr_normalise6(&v6));
	if (!p->oom)
		*ret = (struct pol_addrs){.v = ranges_of(p, &v4, &v6), .n = v4.n + v6.n};
	spans_fini(&v4);
	spans_fini(&v6);
	return !p->oom;
}

bool set_addrs(struct parser *p, const struct set_use *u, const char *what, struct pol_addrs *ret)
{
	struct set *s = u->set;

	if (!s) {
		*ret = (struct pol_addrs){.any = true};
		return !p->oom;
	}
	if (!check_kind(p, u, SET_ADDRS, what))
		return false;
	if (u->negated)
		return negated_addrs(p, s, ret);
	if (!s->addrs_made) {
		s->addrs = (struct pol_addrs){.v = ranges_of(p, &s->v4, &s->v6),
					      .n = s->v4.n + s->v6.n};
		s->addrs_made = true;
	}
	*ret = s->addrs;
	return !p->oom;
}

/* The numbers of a set up to max, in *ret; the caller frees. */
static bool numbers_of(struct parser *p, const struct set_use *u, const char *what, span_int max,
		       struct spans *ret)
{
	const struct span span = {max + 1, NUMBER_MAX};
	const struct spans above = {.v = (struct span *)&span, .n = 1};
	struct set *s = u->set;
	bool own;

	if (!check_kind(p, u, SET_NUMBERS, what))
		return false;
	if (s->largest > max) {
		own = s->loc.line == u->loc.line && s->loc.col == u->loc.col;
		pol_diag_add(p->diags, POL_ERROR, own ? &s->largest_loc : &u->loc,
			     "%llu is no %s: the largest is %llu", (unsigned long long)s->largest,
			     what, (unsigned long long)max);
		return false;
	}
	check(p, spans_append(ret, &s->numbers));
	if (!p->oom && u->negated)
		check(p, spans_complement(ret, NUMBER_MAX));
	if (!p->oom)
		check(p, spans_subtract(ret, &above));
	return !p->oom;
}

bool set_ports(struct parser *p, const struct set_use *u, struct pol_portset *ret)
{
	struct spans s = {0};
	struct pol_ports *v;
	bool ok;

	if (!u->set) {
		*ret = (struct pol_portset){.any = true};
		return !p->oom;
	}
	ok = numbers_of(p, u, "port", UINT16_MAX, &s);
	if (ok) {
		v = arena_get(p->arena, s.n * sizeof(*v));
		p->oom |= !v;
		for (size_t i = 0; v && i < s.n; i++)
			v[i] = (struct pol_ports){(uint16_t)s.v[i].lo, (uint16_t)s.v[i].hi};
		*ret = (struct pol_portset){.v = v, .n = s.n};
	}
	spans_fini(&s);
	return ok && !p->oom;
}

bool set_uids(struct parser *p, const struct set_use *u, struct pol_uids **ret, size_t *ret_n)
{
	struct spans s = {0};
	struct pol_uids *v;
	bool ok;

	if (!u->set) {
		*ret = NULL;
		*ret_n = 0;
		return !p->oom;
	}
	ok = numbers_of(p, u, "uid", UID_MAX, &s);
	if (ok) {
		v = arena_get(p->arena, s.n * sizeof(*v));
		p->oom |= !v;
		for (size_t i = 0; v && i < s.n; i++)
			v[i] = (struct pol_uids){(uint32_t)s.v[i].lo, (uint32_t)s.v[i].hi};
		*ret = v;
		*ret_n = s.n;
	}
	spans_fini(&s);
	return ok && !p->oom;
}

bool set_strings(struct parser *p, const struct set_use *u, const char *what, const char ***ret,
		 size_t *ret_n)
{
	if (!u->set || !check_kind(p, u, SET_STRINGS, what))
		return false;
	*ret = u->set->strings;
	*ret_n = u->set->nstrings;
	return true;
}
