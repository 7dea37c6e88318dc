/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The LSM programs without a daemon: loaded, attached and told about groups by
 * the test itself.  Slots are those of the group array; a child is put into a
 * group before it runs its function.
 */
#ifndef LSM_FIXTURE_H
#define LSM_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "confine.h"

enum { NOBODY = -1, GROUP_A = 1, GROUP_B = 2 };

struct bpf_map;
struct ulsp_lsm;
extern struct ulsp_lsm *lsm;

/* cmocka group fixtures. */
int lsm_up(void **state);
int lsm_down(void **state);

/* What a group isolates (bits 1 << ULSP_REACH_*) and whom it has as peers (bits of slots). */
void lsm_confine(uint32_t slot, uint32_t kinds, uint64_t peers, uint32_t flags);
void lsm_mode(uint32_t slot, uint32_t mode);
void lsm_tag(pid_t pid, int slot);		   /* NOBODY: none */
uint64_t lsm_denied(uint32_t slot, uint32_t kind); /* the group's counter */
unsigned lsm_count(const struct bpf_map *map);	   /* its keys, of 8 bytes at most */

/*
 * Runs fn(arg) in a child of that group; its return value (0..255, or what errno it returns).
 * The child is killed after 20 s, which counts as 255.
 */
int lsm_as(int slot, int (*fn)(void *), void *arg);
/* The same, not waited for. */
pid_t lsm_start(int slot, int (*fn)(void *), void *arg);
int lsm_end(pid_t pid);	  /* waits */
void lsm_kill(pid_t pid); /* untags, kills, waits */

/* A positive error, or 0. */
#define lsm_expect(slot, fn, arg, error) assert_int_equal(lsm_as((slot), (fn), (arg)), (error))

#endif
