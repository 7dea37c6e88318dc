/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A group's second image, for the network of members by executable.
 *
 * `members exec` names processes wherever they are, so this image is on the
 * cgroup2 root; its programs leave every socket that the LSM tier has not
 * marked as one of theirs.  Its pins are those of a group NAME+exec, a name
 * that no policy can give; it counts in the group's own image.
 */
#ifndef BY_EXEC_H
#define BY_EXEC_H

#include "enforced.h"

bool by_exec_wanted(const struct pol_group *p);
/* Beside the group's image, which is loaded: `spec` is what that was loaded with. */
int by_exec_load(struct group *g, struct instance *i, const struct image_spec *spec, int sk_exec,
		 struct err *e);
/* From what `old` has (NULL: a new group) to what `g` has; what `old` alone has stays. */
int by_exec_swap(struct group *g, const struct group *old, struct instance *i,
		 const struct cgroup_root *root, struct err *e);
/* The image of an earlier generation, or one that isn't wanted any more. */
void by_exec_drop(struct group *g, struct instance *i, bool last);
int by_exec_adopt(struct group *g, struct instance *i, uint32_t generation, struct err *e);
/* Pins of a group by that name. */
int by_exec_unpin(struct instance *i, const char *group, struct err *e);

#endif
