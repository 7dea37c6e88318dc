/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Builders of ULSPs and groups: what their words mean, what names may
 * be, and that nothing is said twice.
 */
#include <ctype.h>
#include <string.h>

#include "parse.h"
#include "words.h"

enum {
	MAX_USER_BYTES = 32, /* as useradd(8) has it */
	MIN_RING_BYTES = 4096,
	MAX_RING_BYTES = 1 << 30,
	MAX_ULSPS = ULSP_MAX_RINGS - 1, /* ring 0 is the daemon's */
};

/* Says that something was said before; true when it was. */
static bool check_once(struct parser *p, const struct pol_loc *first, const struct pol_loc *loc,
		       const char *what)
{
	if (!first->line)
		return false;
	pol_diag_add(p->diags, POL_ERROR, loc, "'%s' is given twice: first in line %u", what,
		     first->line);
	return true;
}

/* Names of groups and ULSPs are names of files in bpffs, which has no dots. */
static bool check_name(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	if (!name->s)
		return false; /* reported */
	if (name->n == 0) {
		pol_diag_add(p->diags, POL_ERROR, loc, "an empty name");
		return false;
	}
	if (name->n >= ULSP_NAME_BYTES) {
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "the name is too long: %zu bytes, %d are allowed", name->n,
			     ULSP_NAME_BYTES - 1);
		return false;
	}
	for (size_t i = 0; i < name->n; i++) {
		unsigned char c = (unsigned char)name->s[i];

		if (isalnum(c) || c == '_' || (c == '-' && i))
			continue;
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "'%s' can't be a name: letters, digits, '_' and '-' (not first) can",
			     name->s);
		return false;
	}
	return true;
}

/* ---- ULSPs ---- */

void ulsp_begin(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	p->ulsp = (struct pol_ulsp){.loc = *loc, .spin_us = POL_SPIN_DEFAULT_US};
	p->exec_loc = p->user_loc = p->restart_loc = p->ring_loc = p->rings_loc = p->spin_loc =
		(struct pol_loc){0};
	if (check_name(p, name, loc))
		p->ulsp.name = keep_text(p, name->s, name->n);
}

void ulsp_exec(struct parser *p, const struct text *word, const struct pol_loc *loc, bool first)
{
	struct pol_ulsp *u = &p->ulsp;
	char **argv;

	if (!word->s)
		return;
	if (first) {
		if (check_once(p, &p->exec_loc, loc, "exec"))
			u->argc = 0;
		p->exec_loc = *loc;
		if (word->n == 0)
			pol_diag_add(p->diags, POL_ERROR, loc, "an empty program name");
	}
	/* One more than words, for the NULL that ends them. */
	if (u->argc)
		argv = arena_grow(p->arena, u->argv, u->argc + 1, sizeof(*argv));
	else
		argv = arena_get(p->arena, 2 * sizeof(*argv));
	if (!argv) {
		p->oom = true;
		return;
	}
	u->argv = argv;
	argv[u->argc++] = keep_text(p, word->s, word->n);
	argv[u->argc] = NULL;
}

void ulsp_user(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	bool good = name->n && name->n <= MAX_USER_BYTES;

	if (!name->s || check_once(p, &p->user_loc, loc, "user"))
		return;
	p->user_loc = *loc;
	for (size_t i = 0; i < name->n && good; i++) {
		unsigned char c = (unsigned char)name->s[i];

		good = isalpha(c) || c == '_' || (i && (isdigit(c) || c == '-' || c == '.')) ||
		       (c == '$' && i && i == name->n - 1);
	}
	if (!good)
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "'%s' can't be a user's name: a letter or '_', then letters, digits, "
			     "'_', '-' and '.' (at most %d)",
			     name->s, MAX_USER_BYTES);
	p->ulsp.user = keep_text(p, name->s, name->n);
}

static void unknown_word(struct parser *p, const struct text *word, const struct pol_loc *loc,
			 const char *const *known, size_t n)
{
	char list[160] = "";
	struct nearest guess;

	nearest_init(&guess, word->s, word->n);
	for (size_t i = 0; i < n; i++) {
		size_t at = strlen(list);

		nearest_try(&guess, known[i]);
		snprintf(list + at, sizeof(list) - at, "%s'%s'",
			 i == 0	      ? ""
			 : i == n - 1 ? " or "
				      : ", ",
			 known[i]);
	}
	if (guess.best)
		pol_diag_add(p->diags, POL_ERROR, loc, "unknown '%s': did you mean '%s'?", word->s,
			     guess.best);
	else
		pol_diag_add(p->diags, POL_ERROR, loc, "unknown '%s': it can be %s", word->s, list);
}

void ulsp_restart(struct parser *p, const struct text *word, const struct pol_loc *loc)
{
	static const char *const known[] = {
		[POL_RESTART_ALWAYS] = "always",
		[POL_RESTART_ON_FAILURE] = "on-failure",
		[POL_RESTART_NEVER] = "never",
	};

	if (!word->s || check_once(p, &p->restart_loc, loc, "restart"))
		return;
	p->restart_loc = *loc;
	for (size_t i = 0; i < 3; i++) {
		if (strcmp(word->s, known[i]) == 0) {
			p->ulsp.restart = (enum pol_restart)i;
			return;
		}
	}
	unknown_word(p, word, loc, known, 3);
}

void ulsp_ring(struct parser *p, const struct atom *size, const struct pol_loc *loc)
{
	uint64_t bytes = size->lo;

	if (check_once(p, &p->ring_loc, loc, "ring"))
		return;
	p->ring_loc = *loc;
	if (size->bad)
		return;
	if (size->lo != size->hi || bytes < MIN_RING_BYTES || bytes > MAX_RING_BYTES ||
	    (bytes & (bytes - 1)))
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "a ring's size is a power of two from 4K to 1G, as 256K or 4M");
	p->ulsp.ring_bytes = bytes;
}

void ulsp_ring_count(struct parser *p, const struct atom *number, const struct pol_loc *loc)
{
	if (check_once(p, &p->rings_loc, loc, "rings"))
		return;
	p->rings_loc = *loc;
	if (number->bad)
		return;
	if (number->lo != number->hi || !number->lo || number->lo > ULSP_RINGS_EACH) {
		pol_diag_add(p->diags, POL_ERROR, loc, "a ulsp has from 1 to %d rings",
			     ULSP_RINGS_EACH);
		return;
	}
	p->ulsp.rings = (uint32_t)number->lo;
}

void ulsp_spin(struct parser *p, const struct atom *us, const struct pol_loc *loc)
{
	if (check_once(p, &p->spin_loc, loc, "spin"))
		return;
	p->spin_loc = *loc;
	if (us->bad)
		return;
	if (us->lo > POL_SPIN_MAX_US) {
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "longer than 1ms: it is a processor's time; what waits longer sleeps");
		return;
	}
	p->ulsp.spin_us = (uint32_t)us->lo;
	p->ulsp.spin_given = true;
}

void ulsp_end(struct parser *p)
{
	struct pol_policy *policy = p->policy;
	struct pol_ulsp *v;

	if (!p->ulsp.name)
		return;
	for (size_t i = 0; i < policy->nulsps; i++) {
		if (strcmp(policy->ulsps[i].name, p->ulsp.name) != 0)
			continue;
		pol_diag_add(p->diags, POL_ERROR, &p->ulsp.loc,
			     "there is a ulsp '%s' already, at %s:%u", p->ulsp.name,
			     file_of(p, &policy->ulsps[i].loc), policy->ulsps[i].loc.line);
		return;
	}
	if (policy->nulsps == MAX_ULSPS) {
		pol_diag_add(p->diags, POL_ERROR, &p->ulsp.loc, "more than %d ulsps", MAX_ULSPS);
		return;
	}
	v = arena_grow(p->arena, policy->ulsps, policy->nulsps, sizeof(*v));
	if (!v) {
		p->oom = true;
		return;
	}
	policy->ulsps = v;
	v[policy->nulsps++] = p->ulsp;
}

/* ---- groups ---- */

void group_begin(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	p->group = (struct pol_group){
		.loc = *loc, .mode = ULSP_MODE_ENFORCE, .default_verdict = ULSP_VERDICT_DENY};
	p->mode_loc = (struct pol_loc){0};
	if (!check_name(p, name, loc))
		return;
	if (strcmp(name->s, "self") == 0 || strcmp(name->s, "none") == 0 ||
	    strcmp(name->s, "outside") == 0) {
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "'%s' has its own meaning in 'peers' and can't be a group", name->s);
		return;
	}
	p->group.name = keep_text(p, name->s, name->n);
}

/* "/a//b/" is "a/b"; false: reported. */
static bool clean_cgroup(struct parser *p, char *path, const struct pol_loc *loc)
{
	char *to = path, *rest;

	for (char *part = strtok_r(path, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
		size_t n = strlen(part);

		if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0) {
			pol_diag_add(
				p->diags, POL_ERROR, loc,
				"a cgroup's path has no '%s': it is relative to the cgroup2 root",
				part);
			return false;
		}
		if (to != path)
			*to++ = '/';
		memmove(to, part, n);
		to += n;
	}
	*to = '\0';
	if (to != path)
		return true;
	pol_diag_add(p->diags, POL_ERROR, loc,
		     "the root cgroup can't be a member: name a cgroup below it");
	return false;
}

void group_add_member(struct parser *p, bool exec, const struct text *path,
		      const struct pol_loc *loc)
{
	struct pol_group *g = &p->group;
	struct pol_member *v;
	char *copy;

	if (!path->s)
		return;
	if (path->n >= MAX_PATH_BYTES) {
		pol_diag_add(p->diags, POL_ERROR, loc, "the path is too long");
		return;
	}
	copy = keep_text(p, path->s, path->n);
	v = arena_grow(p->arena, g->members, g->nmembers, sizeof(*v));
	if (!copy || !v) {
		p->oom = true;
		return;
	}
	if (exec && copy[0] != '/') {
		pol_diag_add(p->diags, POL_ERROR, loc,
			     "an executable's path is absolute: \"/...\"");
		return;
	}
	if (!exec && !clean_cgroup(p, copy, loc))
		return;
	g->members = v;
	v[g->nmembers++] = (struct pol_member){.loc = *loc, .exec = exec, .path = copy};
}

void group_peers(struct parser *p, const struct pol_loc *loc)
{
	check_once(p, &p->group.peers_loc, loc, "peers");
	p->group.peers_loc = *loc;
}

enum { MAX_UNIX_PATH = 108 }; /* sockaddr_un.sun_path, NUL included */

bool pol_peer_is_path(const char *peer)
{
	return *peer == '/' || *peer == '@';
}

void group_peer(struct parser *p, const struct text *name, const struct pol_loc *loc)
{
	struct pol_group *g = &p->group;
	char **v, *copy;

	if (!name->s || strcmp(name->s, "none") == 0)
		return;
	for (size_t i = 0; i < g->npeers; i++) {
		if (strcmp(g->peers[i], name->s) == 0) {
			pol_diag_add(p->diags, POL_ERROR, loc, "'%s' is given twice", name->s);
			return;
		}
	}
	if (pol_peer_is_path(name->s) && name->n >= MAX_UNIX_PATH) {
		pol_diag_add(p->diags, POL_ERROR, loc, "a UNIX socket's path has at most %d bytes",
			     MAX_UNIX_PATH - 1);
		return;
	}
	copy = keep_text(p, name->s, name->n);
	v = arena_grow(p->arena, g->peers, g->npeers, sizeof(*v));
	if (!copy || !v) {
		p->oom = true;
		return;
	}
	g->peers = v;
	v[g->npeers++] = copy;
	if (strcmp(copy, "self") != 0 && strcmp(copy, "outside") != 0 && !pol_peer_is_path(copy))
		ref_add(p, &p->peer_refs, copy, loc);
}

void group_isolate(struct parser *p, const struct pol_loc *loc)
{
	check_once(p, &p->group.isolate_loc, loc, "isolate");
	p->group.isolate_loc = *loc;
}

void group_isolate_word(struct parser *p, const struct text *word, const struct pol_loc *loc)
{
	static const char *const known[] = {
#define ISOLATE(bit, word) word,
#include "isolate.def"
#undef ISOLATE
	};
	static const uint32_t bits[] = {
#define ISOLATE(bit, word) POL_ISOLATE_##bit,
#include "isolate.def"
#undef ISOLATE
	};
	enum { KNOWN = sizeof(known) / sizeof(known[0]) };

	if (!word->s)
		return;
	for (size_t i = 0; i < KNOWN; i++) {
		if (strcmp(word->s, known[i]) == 0) {
			p->group.isolate |= bits[i];
			return;
		}
	}
	unknown_word(p, word, loc, known, KNOWN);
}

void group_mode(struct parser *p, const struct text *word, const struct pol_loc *loc)
{
	static const char *const known[] = {
		[ULSP_MODE_ENFORCE] = "enforce",
		[ULSP_MODE_AUDIT] = "audit",
	};

	if (!word->s || check_once(p, &p->mode_loc, loc, "mode"))
		return;
	p->mode_loc = *loc;
	for (uint32_t i = 0; i < 2; i++) {
		if (strcmp(word->s, known[i]) == 0) {
			p->group.mode = i;
			return;
		}
	}
	unknown_word(p, word, loc, known, 2);
}

void group_degrade(struct parser *p, const struct pol_loc *loc)
{
	check_once(p, &p->group.degrade_loc, loc, "degrade");
	p->group.degrade_loc = *loc;
	p->group.degrade_allow = true;
}

void group_end(struct parser *p)
{
	struct pol_policy *policy = p->policy;
	struct pol_group *v;

	if (!p->group.name)
		return;
	for (size_t i = 0; i < policy->ngroups; i++) {
		if (strcmp(policy->groups[i].name, p->group.name) != 0)
			continue;
		pol_diag_add(p->diags, POL_ERROR, &p->group.loc,
			     "there is a group '%s' already, at %s:%u", p->group.name,
			     file_of(p, &policy->groups[i].loc), policy->groups[i].loc.line);
		return;
	}
	if (policy->ngroups == ULSP_MAX_GROUPS) {
		pol_diag_add(p->diags, POL_ERROR, &p->group.loc, "more than %d groups",
			     ULSP_MAX_GROUPS);
		return;
	}
	v = arena_grow(p->arena, policy->groups, policy->ngroups, sizeof(*v));
	if (!v) {
		p->oom = true;
		return;
	}
	policy->groups = v;
	v[policy->ngroups++] = p->group;
}
