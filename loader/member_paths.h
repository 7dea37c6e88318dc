/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Paths in `members cgroup' that repeat where the cgroup2 file system is
 * mounted: taken as they stand they would name nothing, and nothing would say so.
 */
#ifndef MEMBER_PATHS_H
#define MEMBER_PATHS_H

#include "policy.h"

/*
 * Adds an error for each, with the path that is meant.  `root`: the directory
 * that paths are below, NULL: the cgroup2 mount.  -EINVAL: there was one.
 */
int member_paths_check(const struct pol_policy *p, const char *root, struct pol_diags *diags);

#endif
