/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether two policies say the same, field by field; places only when asked. */
#ifndef POLICY_SAME_H
#define POLICY_SAME_H

#include "policy.h"

/* NULL: they do; else what differs, in static memory. */
const char *policy_differs(const struct pol_policy *a, const struct pol_policy *b, bool places);

#endif
