// SPDX-License-Identifier: GPL-2.0-only
/*
 * ulspctl diff: what would change if a policy was loaded.
 *
 * Groups and ULSPs are compared by name, as lines: what the printer prints for
 * a rule, and a line for each other property.  A rule's place is part of its
 * meaning (first match wins), so a line that is in both texts in another order
 * is reported as moved.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "compiled.h"
#include "ctl.h"
#include "words.h"

struct line {
	char *text, *place;
	bool kept; /* in the longest common part */
};

struct lines {
	struct line *v;
	size_t n, room;
};

static void lines_fini(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].text);
		free(l->v[i].place);
	}
	free(l->v);
}

__attribute__((format(printf, 4, 5))) static void add_line(struct lines *l,
							   const struct pol_policy *p,
							   const struct pol_loc *at,
							   const char *format, ...)
{
	struct line line = {0};
	va_list ap;

	if (l->n == l->room) {
		l->room = l->room * 2 + 64;
		l->v = reallocarray(l->v, l->room, sizeof(*l->v));
		if (!l->v)
			abort();
	}
	va_start(ap, format);
	if (vasprintf(&line.text, format, ap) < 0)
		abort();
	va_end(ap);
	if (at && at->line && asprintf(&line.place, "%s:%u", p->files[at->file], at->line) < 0)
		abort();
	l->v[l->n++] = line;
}

/* `by_hand`: the mode in force when it is not the policy's, else NULL. */
static void group_lines(const struct pol_policy *p, const struct pol_group *g, const char *by_hand,
			struct lines *l)
{
	for (size_t i = 0; i < g->nmembers; i++)
		add_line(l, p, &g->members[i].loc, "members %s \"%s\"",
			 g->members[i].exec ? "exec" : "cgroup", g->members[i].path);
	if (by_hand)
		add_line(l, p, NULL, "mode %s (set by hand)", by_hand);
	else if (g->mode == ULSP_MODE_AUDIT)
		add_line(l, p, NULL, "mode audit");
	if (g->degrade_allow)
		add_line(l, p, &g->degrade_loc, "degrade allow");
	for (size_t i = 0; i < g->npeers; i++)
		add_line(l, p, &g->peers_loc, "peers %s", g->peers[i]);
	if (g->isolate)
		add_line(l, p, &g->isolate_loc, "isolate %#x", g->isolate);
	for (size_t i = 0; i <= g->nrules; i++) {
		scoped(scope_free) char *text = NULL;

		if (pol_print_rule(g, i, &text))
			abort();
		add_line(l, p, i < g->nrules ? &g->rules[i].loc : &g->default_loc, "%s", text);
	}
}

static void ulsp_lines(const struct pol_policy *p, const struct pol_ulsp *u, struct lines *l)
{
	static const char *const restarts[] = {[POL_RESTART_ALWAYS] = "always",
					       [POL_RESTART_ON_FAILURE] = "on-failure",
					       [POL_RESTART_NEVER] = "never"};

	for (size_t i = 0; i < u->argc; i++)
		add_line(l, p, &u->loc, "%s \"%s\"", i ? "argument" : "exec", u->argv[i]);
	add_line(l, p, &u->loc, "user %s", u->user ? u->user : "nobody");
	add_line(l, p, &u->loc, "restart %s", restarts[u->restart]);
	if (u->ring_bytes)
		add_line(l, p, &u->loc, "ring %llu", (unsigned long long)u->ring_bytes);
	if (u->rings > 1)
		add_line(l, p, &u->loc, "rings %u", u->rings);
	if (u->spin_us != POL_SPIN_DEFAULT_US)
		add_line(l, p, &u->loc, "spin %uus", u->spin_us);
}

/* ---- comparing ---- */

enum { MAX_CELLS = 16 << 20 }; /* of the table; larger middles count as replaced */

/* Marks the lines of a longest common subsequence as kept. */
static void mark_kept(struct lines *a, struct lines *b)
{
	size_t start = 0, na = a->n, nb = b->n, width;
	uint32_t *t;

	while (start < na && start < nb && !strcmp(a->v[start].text, b->v[start].text)) {
		a->v[start].kept = b->v[start].kept = true;
		start++;
	}
	while (na > start && nb > start && !strcmp(a->v[na - 1].text, b->v[nb - 1].text))
		a->v[--na].kept = b->v[--nb].kept = true;
	na -= start;
	nb -= start;
	width = nb + 1;
	if (!na || !nb || na + 1 > MAX_CELLS / width)
		return;
	t = calloc((na + 1) * width, sizeof(*t));
	if (!t)
		return;
	for (size_t i = na; i-- > 0;) {
		for (size_t j = nb; j-- > 0;) {
			uint32_t down = t[(i + 1) * width + j], right = t[i * width + j + 1];

			if (!strcmp(a->v[start + i].text, b->v[start + j].text))
				t[i * width + j] = t[(i + 1) * width + j + 1] + 1;
			else
				t[i * width + j] = down > right ? down : right;
		}
	}
	for (size_t i = 0, j = 0; i < na && j < nb;) {
		if (!strcmp(a->v[start + i].text, b->v[start + j].text)) {
			a->v[start + i++].kept = true;
			b->v[start + j++].kept = true;
		} else if (t[(i + 1) * width + j] >= t[i * width + j + 1]) {
			i++;
		} else {
			j++;
		}
	}
	free(t);
}

static struct line *find_unkept(struct lines *l, const char *text)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!l->v[i].kept && !strcmp(l->v[i].text, text))
			return &l->v[i];
	}
	return NULL;
}

/* ---- the report ---- */

static void add_change(struct json_object *changes, const char *what, const struct line *line)
{
	struct json_object *o = json_object_new_object();

	ctl_add(o, "change", what);
	ctl_add(o, "text", line->text);
	ctl_add(o, "place", line->place);
	json_object_array_add(changes, o);
}

/* Appends to `report` when the two differ. */
static void compare(const char *kind, const char *name, struct lines *old, struct lines *new,
		    struct json_object *report)
{
	struct json_object *changes = json_object_new_array(), *o;
	struct line *moved;

	mark_kept(old, new);
	for (size_t i = 0; i < old->n; i++) {
		if (!old->v[i].kept && !find_unkept(new, old->v[i].text))
			add_change(changes, "removed", &old->v[i]);
	}
	for (size_t i = 0; i < new->n; i++) {
		if (new->v[i].kept)
			continue;
		moved = find_unkept(old, new->v[i].text);
		add_change(changes, moved ? "moved" : "added", &new->v[i]);
		if (moved)
			moved->kept = true;
	}
	if (!json_object_array_length(changes)) {
		json_object_put(changes);
		return;
	}
	o = json_object_new_object();
	ctl_add(o, kind, name);
	ctl_add(o, "change", !old->n ? "added" : !new->n ? "removed" : "changed");
	json_object_object_add(o, "lines", changes);
	json_object_array_add(report, o);
}

static const struct pol_ulsp *find_ulsp(const struct pol_policy *p, const char *name)
{
	for (size_t i = 0; i < p->nulsps; i++) {
		if (!strcmp(p->ulsps[i].name, name))
			return &p->ulsps[i];
	}
	return NULL;
}

/* A load sets the policy's mode: what was set by hand differs from it, or is no change. */
static void compare_group(const struct pol_policy *old, const struct pol_policy *new,
			  struct json_object *modes, const char *name, struct json_object *report)
{
	const char *live = ctl_get_string(modes, name), *by_hand = NULL;
	const struct pol_group *a = pol_find_group(old, name), *b = pol_find_group(new, name);
	scoped(lines_fini) struct lines from = {0}, to = {0};
	struct pol_group alike;

	if (a && *live && strcmp(live, mode_word(a->mode))) {
		alike = *a;
		alike.mode = a->mode == ULSP_MODE_AUDIT ? ULSP_MODE_ENFORCE : ULSP_MODE_AUDIT;
		if (b && strcmp(live, mode_word(b->mode)))
			by_hand = live;
		a = &alike;
	}
	if (a)
		group_lines(old, a, by_hand, &from);
	if (b)
		group_lines(new, b, NULL, &to);
	compare("group", name, &from, &to, report);
}

static void compare_ulsp(const struct pol_policy *old, const struct pol_policy *new,
			 const char *name, struct json_object *report)
{
	const struct pol_ulsp *a = find_ulsp(old, name), *b = find_ulsp(new, name);
	scoped(lines_fini) struct lines from = {0}, to = {0};

	if (a)
		ulsp_lines(old, a, &from);
	if (b)
		ulsp_lines(new, b, &to);
	compare("ulsp", name, &from, &to, report);
}

static struct json_object *compare_policies(const struct pol_policy *old,
					    const struct pol_policy *new, struct json_object *modes)
{
	struct json_object *report = json_object_new_array();

	for (size_t i = 0; i < new->nulsps; i++)
		compare_ulsp(old, new, new->ulsps[i].name, report);
	for (size_t i = 0; i < old->nulsps; i++) {
		if (!find_ulsp(new, old->ulsps[i].name))
			compare_ulsp(old, new, old->ulsps[i].name, report);
	}
	for (size_t i = 0; i < new->ngroups; i++)
		compare_group(old, new, modes, new->groups[i].name, report);
	for (size_t i = 0; i < old->ngroups; i++) {
		if (!pol_find_group(new, old->groups[i].name))
			compare_group(old, new, modes, old->groups[i].name, report);
	}
	return report;
}

static void print_change(const struct ctl *c, struct json_object *line)
{
	const char *change = ctl_get_string(line, "change");
	bool removed = !strcmp(change, "removed"), added = !strcmp(change, "added");
	const char *place = ctl_get_string(line, "place");

	ctl_style(c, removed ? CTL_BAD : added ? CTL_GOOD : CTL_BOLD);
	printf("%c   %s", removed ? '-' : added ? '+' : '~', ctl_get_string(line, "text"));
	ctl_style(c, CTL_PLAIN);
	ctl_style(c, CTL_DIM);
	printf("%s%s\n", *place ? "    # " : "", place);
	ctl_style(c, CTL_PLAIN);
}

static void print_report(const struct ctl *c, struct json_object *report)
{
	for (size_t i = 0; i < json_object_array_length(report); i++) {
		struct json_object *o = json_object_array_get_idx(report, i);
		struct json_object *lines = ctl_get(o, "lines");
		const char *kind = ctl_get(o, "group") ? "group" : "ulsp";
		const char *change = ctl_get_string(o, "change");

		ctl_style(c, CTL_BOLD);
		printf("%c %s %s\n",
		       !strcmp(change, "added")	    ? '+'
		       : !strcmp(change, "removed") ? '-'
						    : ' ',
		       kind, ctl_get_string(o, kind));
		ctl_style(c, CTL_PLAIN);
		for (size_t j = 0; j < json_object_array_length(lines); j++)
			print_change(c, json_object_array_get_idx(lines, j));
	}
	if (!json_object_array_length(report))
		puts("no change");
}

/* The policy that runs, from its printed text; NULL text: none is loaded. */
static int running_policy(struct ctl *c, struct compiled **ret, struct json_object **ret_modes)
{
	scoped(ctl_put) struct json_object *answer = NULL;
	scoped(compiled_free) struct compiled *running = NULL;
	struct compiled_source source = {.name = "<running>"};
	int r;

	r = ctl_call(c, ctl_request(CONTROL_POLICY), &answer);
	if (r != CTL_OK)
		return r;
	source.text = ctl_get_string(answer, "text");
	source.text_bytes = strlen(source.text);
	r = compiled_parse(&source, &running);
	if (r && !running->policy)
		return ctl_fail(c, "the running policy's text does not parse: %s", strerror(-r));
	*ret = TAKE_PTR(running);
	*ret_modes = json_object_get(ctl_get(answer, "modes"));
	return CTL_OK;
}

int cmd_diff(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {{"exit-code", no_argument, NULL, 'e'}, {0}};
	scoped(compiled_free) struct compiled *old = NULL, *new = NULL;
	scoped(ctl_put) struct json_object *modes = NULL;
	struct json_object *report;
	bool exit_code = false, different;
	int got, r;

	while ((got = ctl_getopt(c, argc, argv, "e", options)) != -1)
		exit_code = true;
	if (optind == argc)
		return ctl_usage(c, "name a policy file");
	r = ctl_compile(c, argv + optind, (size_t)(argc - optind), &new);
	if (r == CTL_OK)
		r = running_policy(c, &old, &modes);
	if (r != CTL_OK)
		return r;
	report = compare_policies(old->policy, new->policy, modes);
	different = json_object_array_length(report);
	if (c->json) {
		scoped(ctl_put) struct json_object *o = json_object_new_object();

		json_object_object_add(o, "ok", json_object_new_boolean(true));
		json_object_object_add(o, "different", json_object_new_boolean(different));
		json_object_object_add(o, "changes", report);
		ctl_print_json(o);
	} else {
		print_report(c, report);
		json_object_put(report);
	}
	return exit_code && different ? CTL_FAILED : CTL_OK;
}
