/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A policy in force: its compiled form, and for each group its slot, its image
 * in the kernel and the cgroups it is on.
 */
#ifndef ENFORCED_H
#define ENFORCED_H

#include "cgroups.h"
#include "compiled.h"
#include "image.h"
#include "instance.h"
#include "members.h"

enum attach_kind {
	ATTACH_MEMBER, /* a `members` line matches it */
	ATTACH_HAND,   /* `group attach` */
	ATTACH_RUN,    /* `ulspctl run` */
};
const char *attach_kind_word(enum attach_kind kind);

struct attachment {
	uint64_t id;
	char *path;
	enum attach_kind kind;
};

struct cgroup_ids {
	uint64_t *v;
	size_t n;
};

struct group {
	const struct pol_group *policy;
	uint32_t slot;
	struct image *image;
	struct image *by_exec; /* NULL: no members by executable (by_exec.h) */
	struct attachment *v;
	size_t n;
	struct cgroup_ids left; /* members that were detached by hand: not attached again */
	struct cgroup_ids told; /* members that can't be attached: logged once */
};

struct enforced {
	struct compiled *compiled; /* NULL: no policy is loaded */
	uint32_t generation;
	uint32_t log_rings; /* bit per ring of a ULSP that no rule asks: it gets what is logged */
	struct group *groups;
	size_t n;
	char trouble[256]; /* why members are not followed as they should be; "": they are */
};

/* Groups of the compiled policy, without slots and images; takes over `compiled`. */
int enforced_new(struct compiled **compiled, uint32_t generation, struct enforced **ret);
void enforced_free(struct enforced **en); /* frees images; pins stay */

struct group *enforced_find(const struct enforced *en, const char *name);
const struct pol_table *group_table(const struct enforced *en, const struct group *g);
struct attachment *group_attachment(const struct group *g, uint64_t id);
/* Only the book; -ENOMEM. */
int group_note(struct group *g, uint64_t id, const char *path, enum attach_kind kind);
void group_forget(struct group *g, struct attachment *a);

/*
 * Put the group on a cgroup, all hooks or none, and note it.  -ENOENT: no such
 * cgroup; -EEXIST: it is on it already (*ret_id is set).
 */
int group_attach(struct group *g, struct instance *i, const struct cgroup_root *root,
		 const char *path, enum attach_kind kind, uint64_t *ret_id, struct err *e);
int group_detach(struct group *g, struct instance *i, struct attachment *a, struct err *e);
/* The same by hand: a member stays detached until a policy is loaded. */
int group_leave(struct group *g, struct instance *i, struct attachment *a, struct err *e);
/* Cut every link of a group by that name and remove its pins, whatever it is on. */
int group_unpin(struct instance *i, const char *name, struct err *e);
/* Another group that a `members` line or a user put on this very cgroup. */
const struct group *enforced_owner(const struct enforced *en, uint64_t id,
				   const struct group *other_than);

/* Cut links of cgroups that are gone; returns how many. */
size_t enforced_drop_gone(struct enforced *en, struct instance *i, const struct cgroup_root *root);
/*
 * Follow the policy's members from now on: attaches cgroups that came, drops
 * those that went or are members no more.  Logs what it does.
 */
void enforced_follow(struct enforced *en, struct instance *i, const struct cgroup_root *root,
		     struct members *m);

/*
 * What of the policy's members is not enforced now: lines that match no cgroup
 * yet (notes), cgroups that match and are not attached (warnings).
 */
void enforced_coverage(const struct enforced *en, struct members *m, struct pol_diags *ret);

/* Where `ulspctl run` puts a group's programs: ulsp/INSTANCE/GROUP. */
int run_cgroup(const struct instance *i, const char *group, char *buf, size_t bytes);

#endif
