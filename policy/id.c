/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stable rule ids: what a rule says in which group decides its id, not where it
 * stands.  Counters and caches are keyed by it and survive edits of other
 * rules.  Equal rules of a group are told apart by their order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "print.h"

/* FNV-1a, 64 bits. */
#define FNV_OFFSET 0xcbf29ce484222325ull
#define FNV_PRIME  0x100000001b3ull

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * FNV_PRIME;
	return h;
}

static uint64_t hash_addrs(uint64_t h, const struct pol_addrs *a)
{
	for (size_t i = 0; i < a->n; i++) {
		size_t bytes = a->v[i].family == 4 ? 4 : 16;

		h = hash_bytes(h, &a->v[i].family, 1);
		h = hash_bytes(h, a->v[i].lo, bytes);
		h = hash_bytes(h, a->v[i].hi, bytes);
	}
	return h;
}

/* Sets are hashed as they are: printing a million prefixes to hash them is slow. */
static int hash_rule(const char *group, const struct pol_rule *r, uint64_t *ret)
{
	uint64_t h = hash_bytes(FNV_OFFSET, group, strlen(group) + 1);
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return -ENOMEM;
	print_rule(out, r, false);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	h = hash_bytes(h, text, bytes);
	h = hash_addrs(h, &r->to);
	h = hash_bytes(h, "", 1);
	h = hash_addrs(h, &r->from);
	free(text);
	*ret = h;
	return 0;
}

struct seen {
	uint64_t key; /* hash of a rule, or an id */
	uint32_t times;
	UT_hash_handle hh;
};

static struct seen *seen_get(struct seen **all, uint64_t key)
{
	struct seen *s;

	HASH_FIND(hh, *all, &key, sizeof(key), s);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->key = key;
	HASH_ADD(hh, *all, key, sizeof(key), s);
	if (!s->hh.tbl) {
		free(s);
		return NULL;
	}
	return s;
}

static void seen_free(struct seen **all)
{
	struct seen *s, *spare;

	HASH_ITER (hh, *all, s, spare) {
		HASH_DEL(*all, s);
		free(s);
	}
}

/* An id that no rule before has; 0 is taken by "no rule". */
static int id_new(struct seen **ids, uint64_t h, uint32_t *ret)
{
	for (uint32_t salt = 0;; salt++) {
		uint64_t salted = hash_bytes(h, &salt, sizeof(salt));
		uint32_t id = (uint32_t)(salted ^ salted >> 32);
		struct seen *s = id ? seen_get(ids, id) : NULL;

		if (id && !s)
			return -ENOMEM;
		if (!id || s->times++)
			continue;
		*ret = id;
		return 0;
	}
}

/* One for the default as it reads and one for what it doesn't cover. */
static int assign_default(struct seen **ids, struct pol_group *g)
{
	uint64_t h = hash_bytes(FNV_OFFSET, g->name, strlen(g->name) + 1);
	char *text = NULL;
	int r = pol_print_rule(g, g->nrules, &text);

	if (r < 0)
		return r;
	r = id_new(ids, hash_bytes(h, text, strlen(text)), &g->default_id);
	free(text);
	return r < 0 ? r : id_new(ids, hash_bytes(h, "implied", 7), &g->implied_id);
}

int ids_assign(struct pol_policy *policy)
{
	struct seen *rules = NULL, *ids = NULL, *s;
	uint64_t h = 0;
	int r = 0;

	for (size_t i = 0; i < policy->ngroups && r == 0; i++) {
		struct pol_group *g = &policy->groups[i];

		for (size_t j = 0; j < g->nrules && r == 0; j++) {
			r = hash_rule(g->name, &g->rules[j], &h);
			s = r == 0 ? seen_get(&rules, h) : NULL;
			if (!s) {
				r = -ENOMEM;
				break;
			}
			h = hash_bytes(h, &s->times, sizeof(s->times));
			s->times++;
			r = id_new(&ids, h, &g->rules[j].id);
		}
	}
	/* after all rules, whose ids must not depend on them */
	for (size_t i = 0; i < policy->ngroups && r == 0; i++)
		r = assign_default(&ids, &policy->groups[i]);
	seen_free(&rules);
	seen_free(&ids);
	return r;
}
