/* SPDX-License-Identifier: GPL-2.0-only */
#include "policy_same.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_texts(char *const *a, size_t na, char *const *b, size_t nb)
{
	if (na != nb || !a != !b)
		return false;
	for (size_t i = 0; i < na; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool same_array(const void *a, size_t na, const void *b, size_t nb, size_t bytes)
{
	return na == nb && (na == 0 || memcmp(a, b, na * bytes) == 0);
}

static bool same_addrs(const struct pol_addrs *a, const struct pol_addrs *b)
{
	return a->any == b->any && same_array(a->v, a->n, b->v, b->n, sizeof(*a->v));
}

static bool same_ports(const struct pol_portset *a, const struct pol_portset *b)
{
	return a->any == b->any && same_array(a->v, a->n, b->v, b->n, sizeof(*a->v));
}

static bool same_place(const struct pol_policy *pa, const struct pol_loc *a,
		       const struct pol_policy *pb, const struct pol_loc *b)
{
	return a->line == b->line &&
	       (!a->line || strcmp(pa->files[a->file], pb->files[b->file]) == 0);
}

static const char *rule_differs(const struct pol_rule *a, const struct pol_rule *b)
{
	if (a->id != b->id)
		return "a rule's id";
	if (a->ops != b->ops || a->protos != b->protos || a->verdict != b->verdict)
		return "a rule's verdict, operations or protocols";
	if (a->limit != b->limit || a->rate_per_hour != b->rate_per_hour || a->burst != b->burst ||
	    a->per_process != b->per_process)
		return "a rule's limit";
	if (a->log != b->log || a->error != b->error)
		return "a rule's log or errno";
	if (!same_text(a->ulsp, b->ulsp) || a->ulsp_index != b->ulsp_index)
		return "a rule's ulsp";
	if (!same_addrs(&a->to, &b->to) || !same_addrs(&a->from, &b->from))
		return "a rule's addresses";
	if (!same_ports(&a->to_ports, &b->to_ports) || !same_ports(&a->from_ports, &b->from_ports))
		return "a rule's ports";
	if (!a->uids != !b->uids ||
	    !same_array(a->uids, a->nuids, b->uids, b->nuids, sizeof(*a->uids)))
		return "a rule's uids";
	if (!same_texts(a->execs, a->nexecs, b->execs, b->nexecs) ||
	    a->exec_negated != b->exec_negated)
		return "a rule's executables";
	if (!same_texts(a->names, a->nnames, b->names, b->nnames))
		return "a rule's names";
	if (a->hold_ms != b->hold_ms || a->cache_ms != b->cache_ms || a->down != b->down ||
	    a->down_given != b->down_given || a->down_hold_ms != b->down_hold_ms)
		return "a rule's times or fail mode";
	return NULL;
}

static const char *group_differs(const struct pol_policy *pa, const struct pol_group *a,
				 const struct pol_policy *pb, const struct pol_group *b,
				 bool places)
{
	const char *what;

	if (strcmp(a->name, b->name) != 0)
		return "a group's name";
	if (a->nmembers != b->nmembers)
		return "a group's members";
	for (size_t i = 0; i < a->nmembers; i++)
		if (a->members[i].exec != b->members[i].exec ||
		    strcmp(a->members[i].path, b->members[i].path) != 0)
			return "a group's members";
	if (!same_texts(a->peers, a->npeers, b->peers, b->npeers) ||
	    !a->peers_loc.line != !b->peers_loc.line)
		return "a group's peers";
	if (a->isolate != b->isolate || a->mode != b->mode || a->degrade_allow != b->degrade_allow)
		return "a group's settings";
	if (a->default_given != b->default_given || a->default_verdict != b->default_verdict ||
	    a->default_log != b->default_log || a->default_error != b->default_error)
		return "a group's default";
	if (a->nrules != b->nrules)
		return "how many rules a group has";
	for (size_t i = 0; i < a->nrules; i++) {
		what = rule_differs(&a->rules[i], &b->rules[i]);
		if (what)
			return what;
		if (places && !same_place(pa, &a->rules[i].loc, pb, &b->rules[i].loc))
			return "a rule's place";
	}
	if (places && (!same_place(pa, &a->loc, pb, &b->loc) ||
		       !same_place(pa, &a->default_loc, pb, &b->default_loc)))
		return "a group's place";
	return NULL;
}

const char *policy_differs(const struct pol_policy *a, const struct pol_policy *b, bool places)
{
	const char *what;

	if (a->nulsps != b->nulsps || a->ngroups != b->ngroups)
		return "how many ulsps or groups there are";
	for (size_t i = 0; i < a->nulsps; i++) {
		const struct pol_ulsp *ua = &a->ulsps[i], *ub = &b->ulsps[i];

		if (strcmp(ua->name, ub->name) != 0 || !same_text(ua->user, ub->user) ||
		    !same_texts(ua->argv, ua->argc, ub->argv, ub->argc) ||
		    ua->restart != ub->restart || ua->rings != ub->rings ||
		    ua->ring_bytes != ub->ring_bytes || ua->asked != ub->asked ||
		    ua->spin_us != ub->spin_us || ua->spin_given != ub->spin_given)
			return "a ulsp";
		if (places && !same_place(a, &ua->loc, b, &ub->loc))
			return "a ulsp's place";
	}
	for (size_t i = 0; i < a->ngroups; i++) {
		what = group_differs(a, &a->groups[i], b, &b->groups[i], places);
		if (what)
			return what;
	}
	return NULL;
}
