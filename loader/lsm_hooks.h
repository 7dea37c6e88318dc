/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which optional LSM programs this kernel can run.
 *
 * Hooks come and go, and their parameters change.  A program that reads one
 * parameter too many passes the verifier and reads rubbish, so the kernel's
 * types are asked, not its version.  A program in SEC("?lsm/HOOK") is loaded
 * when the kernel has HOOK; one whose name ends in _argsN only when HOOK has
 * N parameters.
 */
#ifndef LSM_HOOKS_H
#define LSM_HOOKS_H

struct bpf_object;

/*
 * Sets autoload of the object's optional programs; before it is loaded.  What
 * is switched off by other reasons (costs) is to be switched off afterwards.
 * Without the kernel's types all stay off.
 */
void lsm_hooks_select(struct bpf_object *o);

#endif
