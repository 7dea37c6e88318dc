/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LSM_HOOKS_H
#define LSM_HOOKS_H
struct bpf_object;
void lsm_hooks_select(struct bpf_object *o);
#endif
