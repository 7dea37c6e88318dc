/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cgroup that a ULSP's processes have to themselves,
 * ulsp/INSTANCE/ulsp.d/ULSP: whatever they do, cgroup.kill finds all of them.
 *
 * No group is called "ulsp.d", so it is in none that `ulspctl run' makes.
 */
#ifndef ULSP_CGROUP_H
#define ULSP_CGROUP_H

#include "cgroups.h"

/* Its cgroup.procs, open for writing; -errno. */
int ulsp_cgroup_make(const struct cgroup_root *root, const char *instance, const char *ulsp);
/* Kills what is in it and returns at once. */
void ulsp_cgroup_kill(const struct cgroup_root *root, const char *instance, const char *ulsp);
/* Kills what is in it, waits for the dead, removes it.  -EBUSY: somebody is still there. */
int ulsp_cgroup_end(const struct cgroup_root *root, const char *instance, const char *ulsp);

#endif
