/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REFUSE_H
#define REFUSE_H

#include "policy.h"

/*
 * A diagnostic for every clause of the group that this version or this kernel
 * does not enforce: 0, or -EOPNOTSUPP when one of them is an error.
 */
int refuse_unsupported(const struct pol_group *g, const struct pol_env *env,
		       struct pol_diags *diags);

#endif
