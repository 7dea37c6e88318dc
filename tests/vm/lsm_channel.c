/* SPDX-License-Identifier: GPL-2.0-only */
#include "lsm_channel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

struct lsm_told *lsm_told;

static const struct lsm_channel *channels;
static size_t channels_count;

#define FOR_EACH_CHANNEL(c)                                                                        \
	for (const struct lsm_channel *c = channels; c < channels + channels_count; c++)

static void isolate(uint32_t peers_of_a, uint32_t peers_of_b)
{
	uint32_t kinds = 0;

	FOR_EACH_CHANNEL(c)
	kinds |= 1u << c->kind;
	lsm_confine(GROUP_A, kinds, peers_of_a, 0);
	lsm_confine(GROUP_B, kinds, peers_of_b, 0);
}

int lsm_channels_up(const struct lsm_channel *list, size_t count)
{
	channels = list;
	channels_count = count;
	lsm_told = mmap(NULL, sizeof(*lsm_told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (lsm_told == MAP_FAILED)
		return -1;
	isolate(0, 0);
	return 0;
}

int lsm_try_open(const char *path, int flags)
{
	int fd = open(path, flags);

	LSM_TRY(fd < 0);
	close(fd);
	return 0;
}

/* ---- one channel ---- */

int lsm_channel_hold(void)
{
	lsm_told->ready = 1;
	alarm(100);
	pause();
	return 0;
}

pid_t lsm_channel_open(const struct lsm_channel *c, int slot)
{
	pid_t pid;

	print_message("# %s of %d\n", c->name, slot);
	if (!c->hold) {
		lsm_expect(slot, c->make, NULL, 0);
		return 0;
	}
	lsm_told->ready = 0;
	pid = lsm_start(slot, c->hold, NULL);
	for (int i = 0; i < 1000 && !lsm_told->ready; i++)
		usleep(10000);
	assert_true(lsm_told->ready);
	return pid;
}

void lsm_channel_close(const struct lsm_channel *c, int slot, pid_t pid)
{
	if (c->hold)
		lsm_kill(pid);
	if (c->remove)
		lsm_expect(slot, c->remove, NULL, 0);
}

/* Counted by the group of who tries, if it has one. */
void lsm_channel_denied(const struct lsm_channel *c, int slot)
{
	uint32_t counter = slot == NOBODY ? GROUP_A : (uint32_t)slot;

	FOR_EACH_CHANNEL_ATTEMPT(a, c)
	{
		uint64_t denied = lsm_denied(counter, c->kind);

		print_message("#   %s by %d\n", a->name, slot);
		lsm_expect(slot, a->fn, NULL, a->error);
		assert_int_equal(lsm_denied(counter, c->kind), denied + 1);
	}
	if (!c->keeps)
		lsm_expect(slot, c->remove, NULL, EPERM);
}

void lsm_channel_allowed(const struct lsm_channel *c, int slot)
{
	uint64_t denied = lsm_denied(GROUP_A, c->kind);

	FOR_EACH_CHANNEL_ATTEMPT(a, c)
	{
		print_message("#   %s by %d\n", a->name, slot);
		lsm_expect(slot, a->fn, NULL, 0);
	}
	assert_int_equal(lsm_denied(GROUP_A, c->kind), denied);
}

/* ---- tests ---- */

void lsm_channels_of_a_member(void **state)
{
	(void)state;
	FOR_EACH_CHANNEL(c)
	{
		pid_t pid = lsm_channel_open(c, GROUP_A);

		lsm_channel_allowed(c, GROUP_A);
		lsm_channel_denied(c, NOBODY);
		lsm_channel_denied(c, GROUP_B);
		lsm_channel_close(c, GROUP_A, pid);
	}
}

void lsm_channels_of_nobody(void **state)
{
	(void)state;
	FOR_EACH_CHANNEL(c)
	{
		pid_t pid = lsm_channel_open(c, NOBODY);

		lsm_channel_allowed(c, NOBODY);
		lsm_channel_denied(c, GROUP_A);
		lsm_channel_close(c, NOBODY, pid);
	}
}

void lsm_channels_of_peers(void **state)
{
	(void)state;
	FOR_EACH_CHANNEL(c)
	{
		pid_t pid = lsm_channel_open(c, GROUP_A);

		isolate(1 << GROUP_B, 0);
		FOR_EACH_CHANNEL_ATTEMPT(a, c)
		lsm_expect(GROUP_B, a->fn, NULL, a->error);
		isolate(1 << GROUP_B, 1 << GROUP_A);
		lsm_channel_allowed(c, GROUP_B);
		isolate(0, 0);
		lsm_channel_close(c, GROUP_A, pid);
	}
}

void lsm_channels_audited(void **state)
{
	(void)state;
	lsm_mode(GROUP_A, ULSP_MODE_AUDIT);
	FOR_EACH_CHANNEL(c)
	{
		pid_t pid = lsm_channel_open(c, GROUP_A);

		FOR_EACH_CHANNEL_ATTEMPT(a, c)
		{
			uint64_t denied = lsm_denied(GROUP_A, c->kind);

			print_message("#   %s\n", a->name);
			lsm_expect(NOBODY, a->fn, NULL, 0);
			assert_true(lsm_denied(GROUP_A, c->kind) > denied);
		}
		lsm_channel_close(c, GROUP_A, pid);
	}
	lsm_mode(GROUP_A, ULSP_MODE_ENFORCE);
}

/* Keys are collected some time after their last use, System V objects after an RCU grace period. */
void lsm_channels_leave_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 300 && lsm_count(lsm->maps.object_tags); i++)
		usleep(100000);
	assert_int_equal(lsm_count(lsm->maps.object_tags), 0);
}
