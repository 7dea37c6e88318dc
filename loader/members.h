/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which cgroups a policy's `members cgroup` lines name now, and notice when
 * that changes.
 *
 * Patterns are matched level by level.  inotify watches every directory in
 * which a level is looked for, so a cgroup is noticed when it is made, however
 * much of its path exists before.  A watch is set before its directory is
 * read: what is made in between is seen twice, not missed.
 */
#ifndef MEMBERS_H
#define MEMBERS_H

#include <systemd/sd-event.h>

#include "cgroups.h"
#include "policy.h"

enum {
	MEMBERS_MAX = 1024,	    /* cgroups that are attached because they match */
	MEMBERS_MAX_WATCHES = 4096, /* directories watched */
};

struct member {
	size_t group; /* index in the policy */
	uint64_t id;
	char *path;
	const struct pol_member *by;
};
struct member_list {
	struct member *v;
	size_t n;
	/* the policy's `members cgroup' lines, in its order */
	struct member_line {
		const struct pol_member *by;
		size_t group, matched; /* cgroups, also those that another line names */
		size_t over;	       /* of these, what MEMBERS_MAX left out of `v` */
	} * lines;
	size_t nlines, over; /* in all */
};
void member_list_fini(struct member_list *l);

struct members;
/* `changed` is called from the event loop, once for any number of changes. */
int members_new(sd_event *event, const struct cgroup_root *root, void (*changed)(void *ctx),
		void *ctx, struct members **ret);
void members_free(struct members **m);

/* The cgroups that match now, in the order of the policy, at most MEMBERS_MAX. */
int members_find(struct members *m, const struct pol_policy *p, struct member_list *ret,
		 struct err *e);
/*
 * The same, and watch from now on: the directories of the patterns, and the
 * parents of `paths`.  Earlier watches that are not needed go.
 */
int members_follow(struct members *m, const struct pol_policy *p, char *const *paths, size_t npaths,
		   struct member_list *ret, struct err *e);

#endif
