/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instance's maps without a daemon or hooks: real kernel maps, and a program
 * that puts given messages into the ring.  A child drops to nobody and gets
 * what ulspd would pass.  Needs root.
 */
#ifndef FAKE_INSTANCE_H
#define FAKE_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache.h"

enum { FAKE_RING_NUMBER = 3, FAKE_NOBODY = 65534 };

struct fake {
	int ring, page, cache, groups, files, streams;
	int groups_ro, files_ro, streams_ro; /* what a ULSP is passed */
	int slots, poke_read, poke;
	int request, prog;
	struct fake_request *request_at;
	struct ulsp_page *page_at;
	struct ulsp_slot *slot_at;
	struct ulsp_cache_set *cache_at;
	struct ulsp_group *group_at;
	char (*file_at)[ULSP_PATH_BYTES];
	struct ulsp_stream *stream_at;
};

/* 0, or -errno with a line on standard error. */
int fake_open(struct fake *f, uint32_t ring_bytes);
void fake_close(struct fake *f);
/* The environment that ulspd gives. */
void fake_setenv(const struct fake *f);
/* The same for a program: the descriptors survive exec. */
void fake_setenv_exec(const struct fake *f);

/* A message of a group, the next in its stream; change what matters. */
struct ulsp_msg fake_message(const struct fake *f, uint32_t group);
/* Into the ring, numbered anew; -ENOBUFS: it is full, and that is counted. */
int fake_send(struct fake *f, struct ulsp_msg *m);
/* Any bytes, up to 256. */
int fake_send_raw(struct fake *f, const void *record, uint32_t bytes);
/* Numbers that never arrive. */
void fake_lose(struct fake *f, uint32_t group, uint64_t n);
/* `n` messages as fast as the kernel can; returns how many the ring took. */
uint64_t fake_flood(struct fake *f, uint32_t group, uint64_t n);

/* In a child: no ids, no groups, no capabilities, no way back. */
int fake_drop(void);

#endif
