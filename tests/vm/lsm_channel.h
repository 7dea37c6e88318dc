/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Channels: objects that one group makes and all others then try.  A test
 * program has a list of them; the tests here go through it.
 */
#ifndef LSM_CHANNEL_H
#define LSM_CHANNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct lsm_channel_attempt {
	const char *name;
	int (*fn)(void *);
	int error; /* what a denial is told as */
};

struct lsm_channel {
	const char *name;
	int (*make)(void *), (*remove)(void *);
	int (*hold)(void *); /* instead of make: by a process that stays; its object goes with it */
	uint32_t kind;
	bool keeps; /* removal isn't judged */
	struct lsm_channel_attempt attempts[7];
};

#define FOR_EACH_CHANNEL_ATTEMPT(a, c)                                                             \
	for (const struct lsm_channel_attempt *a = (c)->attempts; a->name; a++)

/* What the maker tells the others. */
struct lsm_told {
	volatile int ready;
	int id;
	int32_t key, keyring;
};
extern struct lsm_told *lsm_told;

/* After lsm_up(): the list that the tests go through; both groups isolate its kinds. */
int lsm_channels_up(const struct lsm_channel *list, size_t count);

/* The process that holds it, or 0. */
pid_t lsm_channel_open(const struct lsm_channel *c, int slot);
void lsm_channel_close(const struct lsm_channel *c, int slot, pid_t pid);
void lsm_channel_denied(const struct lsm_channel *c, int slot);
void lsm_channel_allowed(const struct lsm_channel *c, int slot);
int lsm_channel_hold(void); /* the end of a hold() */

/* cmocka tests */
void lsm_channels_of_a_member(void **state);
void lsm_channels_of_nobody(void **state);
void lsm_channels_of_peers(void **state);
void lsm_channels_audited(void **state);
void lsm_channels_leave_nothing(void **state); /* the last, where objects are tagged by a map */
#define LSM_CHANNEL_TESTS                                                                          \
	cmocka_unit_test(lsm_channels_of_a_member), cmocka_unit_test(lsm_channels_of_nobody),      \
		cmocka_unit_test(lsm_channels_of_peers), cmocka_unit_test(lsm_channels_audited)

#define LSM_TRY(failed)                                                                            \
	do {                                                                                       \
		if (failed)                                                                        \
			return errno;                                                              \
	} while (0)
int lsm_try_open(const char *path, int flags);

#endif
