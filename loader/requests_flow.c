// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verdicts in ULSPs' caches.  A cache has tens of thousands and the daemon has
 * one thread: a request looks at one page of one cache, and `next` in the answer
 * is the `after` of the request that goes on.  The daemon keeps nothing between.
 */
#include "requests.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "explain.h"
#include "flows.h"
#include "format.h"
#include "log.h"
#include "process.h"

/* For one request: some 20 ms when every entry names another process. */
enum { PAGE_ENTRIES = 256 };

struct page {
	struct supervised *ulsp; /* whose cache it is; NULL: there are no more */
	uint32_t n;
	uint32_t next; /* set of this cache from which it goes on; ULSP_CACHE_SETS: none */
	struct found {
		struct ulsp_cached v;
		uint32_t set;
		struct ulsp_cache_entry *entry; /* of the cache */
		uint64_t state;
	} found[PAGE_ENTRIES];
};

/* What entries are judged by; rules are looked up when a group's first entry comes. */
struct view {
	const struct daemon *d;
	const struct page *page;
	uint64_t now_ns;
	const struct group *group[ULSP_MAX_GROUPS]; /* by slot */
	struct flow_rules rules[ULSP_MAX_GROUPS];
};

/* ---- a page ---- */

static struct supervised *ulsp_of_ring(const struct daemon *d, size_t ring)
{
	for (size_t i = 0; i < d->supervisor->n; i++) {
		struct supervised *p = d->supervisor->v[i];

		if (p->maps.slot == ring && !p->dropped)
			return p;
	}
	return NULL;
}

/* The first ring from there on with a ULSP that is asked for; ULSP_MAX_RINGS: none. */
static size_t next_ring(const struct daemon *d, size_t ring, const struct supervised *only)
{
	for (; ring < ULSP_MAX_RINGS; ring++) {
		const struct supervised *p = ulsp_of_ring(d, ring);

		if (p && (!only || p == only))
			break;
	}
	return ring;
}

static void read_set(struct ulsp_cache_set *sets, uint32_t at, struct page *page)
{
	for (int way = 0; way < ULSP_CACHE_WAYS; way++) {
		struct found *f = &page->found[page->n];

		f->set = at;
		f->entry = &sets[at].ways[way];
		page->n += ulsp_cache_read(f->entry, &f->v, &f->state);
	}
}

/* A place is the ring and, below it, the set of its cache. */
static int read_page(const struct request *r, const struct supervised *only, struct page *page)
{
	int64_t after = control_int(r->in, "after", 0);
	size_t ring = after < 0 ? ULSP_MAX_RINGS : (size_t)(after >> 32);

	if (ring >= ULSP_MAX_RINGS)
		return err_set(r->e, -EINVAL, "after: no such place");
	ring = next_ring(r->d, ring, only);
	page->n = 0;
	page->next = ring == (size_t)(after >> 32) ? (uint32_t)after : 0;
	page->ulsp = ring < ULSP_MAX_RINGS ? ulsp_of_ring(r->d, ring) : NULL;
	if (!page->ulsp)
		return 0;
	for (; page->next < ULSP_CACHE_SETS && page->n + ULSP_CACHE_WAYS <= PAGE_ENTRIES;
	     page->next++)
		read_set(page->ulsp->maps.sets, page->next, page);
	return 0;
}

/* Where the next request goes on; nothing when this was the end. */
static void add_next(const struct request *r, const struct supervised *only,
		     const struct page *page)
{
	bool more = page->next < ULSP_CACHE_SETS;
	uint64_t ring;

	if (!page->ulsp)
		return;
	ring = more ? page->ulsp->maps.slot : next_ring(r->d, page->ulsp->maps.slot + 1ul, only);
	if (ring < ULSP_MAX_RINGS)
		add_int(r->answer, "next", ring << 32 | (more ? page->next : 0));
}

/* ---- what entries are judged by ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void view_free(struct view **v)
{
	for (size_t i = 0; *v && i < ULSP_MAX_GROUPS; i++)
		flow_rules_fini(&(*v)->rules[i]);
	free(*v);
}

static int view_new(const struct daemon *d, const struct page *page, struct view **ret)
{
	struct view *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->d = d;
	v->page = page;
	v->now_ns = now_ns();
	for (size_t i = 0; i < d->now->n; i++)
		v->group[d->now->groups[i].slot] = &d->now->groups[i];
	*ret = v;
	return 0;
}

static const struct group *group_of(const struct view *v, const struct ulsp_cache_key *key)
{
	return key->group < ULSP_MAX_GROUPS ? v->group[key->group] : NULL;
}

static int state_of(struct view *v, size_t at, enum flow_state *ret)
{
	const struct found *f = &v->page->found[at];
	const struct supervised *p = v->page->ulsp;
	const struct group *g = group_of(v, &f->v.key);
	struct flow_facts facts = {
		.set = f->set,
		.scopes = p->maps.mapped ? p->maps.mapped->scopes : 0,
		.now_ns = v->now_ns,
	};
	int result;

	if (g && !v->rules[g->slot].v) {
		result = flow_rules_init(&v->rules[g->slot], group_table(v->d->now, g),
					 p->maps.slot);
		if (result)
			return result;
	}
	if (g) {
		facts.rules = &v->rules[g->slot];
		facts.generation = v->d->instance->group[g->slot].generation;
	}
	*ret = flow_state(&f->v, &facts);
	return 0;
}

/* ---- one verdict as JSON ---- */

static void add_or_null(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

/* What the scope leaves out is null. */
static void add_key(struct json_object *o, const struct ulsp_cache_key *key)
{
	bool flow = key->scope == ULSP_SCOPE_FLOW || key->scope == ULSP_SCOPE_PROCESS_FLOW;
	bool address = flow || key->scope == ULSP_SCOPE_DESTINATION;
	char addr[INET6_ADDRSTRLEN];
	bool alive =
		flow_of_process(key->scope) && ulsp_process_is((pid_t)key->tgid, key->start_ns);
	bool printed = address && inet_ntop(key->family == 4 ? AF_INET : AF_INET6, key->addr, addr,
					    sizeof(addr));

	add_string(o, "scope", flow_scope_word(key->scope));
	add_string(o, "op", ulsp_op_word(key->op));
	add_or_null(o, "proto", address ? ulsp_proto_word(key->proto) : NULL);
	add_or_null(o, "addr", printed ? addr : NULL);
	json_object_object_add(o, "port", flow ? json_object_new_int(key->port) : NULL);
	json_object_object_add(o, "pid", alive ? json_object_new_uint64(key->tgid) : NULL);
}

static struct json_object *flow_json(const struct view *v, size_t at, enum flow_state state)
{
	const struct ulsp_cached *said = &v->page->found[at].v;
	const struct group *g = group_of(v, &said->key);
	struct json_object *o = json_object_new_object();
	scoped(scope_free) char *place = NULL;
	uint64_t left = said->expires_ns > v->now_ns ? said->expires_ns - v->now_ns : 0;
	char error[16];
	uint32_t record;

	if (g && flow_rules_find(&v->rules[g->slot], said->key.rule, &record))
		place = explain_place(v->d->now->compiled, g->policy, record);
	add_or_null(o, "group", g ? g->policy->name : NULL);
	add_string(o, "ulsp", v->page->ulsp->name);
	add_key(o, &said->key);
	add_string(o, "verdict",
		   ulsp_verdict_word(said->error ? ULSP_VERDICT_DENY : ULSP_VERDICT_ALLOW));
	add_or_null(o, "errno", said->error ? ulsp_errno_word(said->error, error) : NULL);
	add_int(o, "left_ms", left / 1000000);
	add_or_null(o, "rule", place);
	add_or_null(o, "void", flow_state_word(state));
	return o;
}

/* ---- requests ---- */

static void page_free(struct page **p)
{
	free(*p);
}

/* The page that is asked for and the group, if one is. */
static int take(const struct request *r, struct supervised **ret_only, struct group **ret_group,
		struct page **ret)
{
	scoped(page_free) struct page *page = malloc(sizeof(*page));
	struct supervised *only = NULL;
	struct group *g = NULL;
	int result = control_string(r->in, "group") ? request_group(r, &g) : 0;

	if (!result && control_string(r->in, "ulsp"))
		result = request_ulsp(r, &only);
	if (!result && !page)
		result = -ENOMEM;
	if (!result)
		result = read_page(r, only, page);
	if (result)
		return result;
	*ret_only = only;
	*ret_group = g;
	*ret = TAKE_PTR(page);
	return 0;
}

int request_flow_list(const struct request *r)
{
	bool all = control_flag(r->in, "all");
	scoped(page_free) struct page *page = NULL;
	scoped(view_free) struct view *v = NULL;
	struct json_object *list;
	struct supervised *only;
	struct group *g;
	int result = take(r, &only, &g, &page);

	if (!result)
		result = view_new(r->d, page, &v);
	if (result)
		return result;
	list = json_object_new_array();
	json_object_object_add(r->answer, "flows", list);
	add_int(r->answer, "generation", r->d->now->generation);
	for (size_t i = 0; i < page->n; i++) {
		enum flow_state state;

		if (g && page->found[i].v.key.group != g->slot)
			continue;
		result = state_of(v, i, &state);
		if (result)
			return result;
		if (all || state == FLOW_LIVE)
			json_object_array_add(list, flow_json(v, i, state));
	}
	add_next(r, only, page);
	return 0;
}

int request_flow_flush(const struct request *r)
{
	scoped(page_free) struct page *page = NULL;
	scoped(view_free) struct view *v = NULL;
	uint64_t live = 0, voided = 0;
	struct supervised *only;
	struct group *g;
	int result = take(r, &only, &g, &page);

	if (!result)
		result = view_new(r->d, page, &v);
	if (result)
		return result;
	if (!control_int(r->in, "after", 0)) /* the first of its pages */
		log_notice("flushing verdicts%s%s%s%s", g ? " for group " : "",
			   g ? g->policy->name : "", only ? " of ulsp " : "",
			   only ? only->name : "");
	for (size_t i = 0; i < page->n; i++) {
		enum flow_state state;

		if (g && page->found[i].v.key.group != g->slot)
			continue;
		result = state_of(v, i, &state);
		if (result)
			return result;
		/* Else it is gone by itself since the page was read. */
		if (ulsp_cache_void(page->found[i].entry, page->found[i].state))
			*(state == FLOW_LIVE ? &live : &voided) += 1;
	}
	add_int(r->answer, "flushed", live);
	add_int(r->answer, "void", voided);
	add_next(r, only, page);
	return 0;
}
