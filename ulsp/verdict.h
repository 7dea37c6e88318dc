/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a verdict looks like in a cache: the key that the deciding program will
 * look up for the next such operation, and how long the entry lives.
 */
#ifndef ULSP_VERDICT_H
#define ULSP_VERDICT_H

#include "ulsp_abi.h"

enum { ULSP_TTL_DEFAULT_MS = 60000 };

/* -EINVAL: the scope is unknown, or covers a process and the message has none. */
int ulsp_cache_key_of(const struct ulsp_msg *m, enum ulsp_scope scope, struct ulsp_cache_key *ret);
/* What is asked for (0: nothing), capped by what the rule says (0: nothing). */
__u32 ulsp_cache_ttl_ms(__u32 wanted_ms, __u32 rule_ms);

#endif
