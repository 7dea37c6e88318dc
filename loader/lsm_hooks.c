// SPDX-License-Identifier: GPL-2.0-only
#include "lsm_hooks.h"
void lsm_hooks_select(struct bpf_object *o)
{
	(void)o;
}
