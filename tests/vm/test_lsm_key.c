/* SPDX-License-Identifier: GPL-2.0-only */
/* What tags keep apart of keys and keyrings. */
#include <errno.h>
#include <linux/keyctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_channel.h"
#include "lsm_fixture.h"

static int32_t key_add(const char *name, int32_t keyring)
{
	return (int32_t)syscall(SYS_add_key, "user", name, "secret", 6, keyring);
}

static int keyctl_error(int op, long a, long b, long c, long d)
{
	return syscall(SYS_keyctl, op, a, b, c, d) < 0 ? errno : 0;
}

enum { EVERYTHING = 0x3f3f3f3f };

static int key_hold(void *arg)
{
	(void)arg;
	lsm_told->keyring = (int32_t)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	LSM_TRY(lsm_told->keyring < 0);
	lsm_told->key = key_add("ulsp", KEY_SPEC_SESSION_KEYRING);
	LSM_TRY(lsm_told->key < 0);
	if (keyctl_error(KEYCTL_SETPERM, lsm_told->key, EVERYTHING, 0, 0) ||
	    keyctl_error(KEYCTL_SETPERM, lsm_told->keyring, EVERYTHING, 0, 0))
		return errno;
	return lsm_channel_hold();
}

static int key_read(void *arg)
{
	char text[16];

	(void)arg;
	return keyctl_error(KEYCTL_READ, lsm_told->key, (long)text, sizeof(text), 0);
}

static int key_describe(void *arg)
{
	char text[64];

	(void)arg;
	return keyctl_error(KEYCTL_DESCRIBE, lsm_told->key, (long)text, sizeof(text), 0);
}

static int key_update(void *arg)
{
	(void)arg;
	return keyctl_error(KEYCTL_UPDATE, lsm_told->key, (long)"other", 5, 0);
}

static int key_search(void *arg)
{
	(void)arg;
	return keyctl_error(KEYCTL_SEARCH, lsm_told->keyring, (long)"user", (long)"ulsp", 0);
}

static int key_put(void *arg)
{
	(void)arg;
	return key_add("more", lsm_told->keyring) < 0 ? errno : 0;
}

static int key_link(void *arg)
{
	(void)arg;
	return keyctl_error(KEYCTL_LINK, lsm_told->key, KEY_SPEC_PROCESS_KEYRING, 0, 0);
}

/* ---- the channels ---- */

static const struct lsm_channel channels[] = {
	{"key",
	 NULL,
	 NULL,
	 key_hold,
	 ULSP_REACH_KEY,
	 true,
	 {{"KEYCTL_READ", key_read, EPERM},
	  {"KEYCTL_DESCRIBE", key_describe, EPERM},
	  {"KEYCTL_UPDATE", key_update, EPERM},
	  {"KEYCTL_SEARCH", key_search, EPERM},
	  {"add_key", key_put, EPERM},
	  {"KEYCTL_LINK", key_link, EPERM}}},
};

static int up(void **state)
{
	return lsm_up(state) || lsm_channels_up(channels, sizeof(channels) / sizeof(channels[0]));
}

/* ---- tests ---- */

/* A member's own keyrings, made when they are first used. */
static int use_own_keys(void *arg)
{
	static const int32_t rings[] = {KEY_SPEC_THREAD_KEYRING, KEY_SPEC_PROCESS_KEYRING,
					KEY_SPEC_SESSION_KEYRING};

	(void)arg;
	LSM_TRY(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0);
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		lsm_told->key = key_add("own", rings[i]);
		LSM_TRY(lsm_told->key < 0);
		LSM_TRY(key_read(arg));
		LSM_TRY(syscall(SYS_request_key, "user", "own", NULL, 0) < 0);
		LSM_TRY(keyctl_error(KEYCTL_UNLINK, lsm_told->key, rings[i], 0, 0));
	}
	return 0;
}

/* Its user's keyring is outside's, whoever needs it first. */
static int use_user_keyring(void *arg)
{
	(void)arg;
	return key_add("ours", KEY_SPEC_USER_KEYRING) < 0 ? errno : 0;
}

static int run_program(void *arg)
{
	execl("/bin/true", "true", NULL);
	(void)arg;
	return errno;
}

static void own_and_shared_keys(void **state)
{
	(void)state;
	lsm_expect(GROUP_A, use_own_keys, NULL, 0);
	lsm_expect(GROUP_A, use_user_keyring, NULL, EPERM);
	lsm_expect(NOBODY, use_user_keyring, NULL, 0);
	lsm_expect(GROUP_A, run_program, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LSM_CHANNEL_TESTS,
		cmocka_unit_test(own_and_shared_keys),
		cmocka_unit_test(lsm_channels_leave_nothing),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
