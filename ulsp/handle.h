/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a handle and of a message.
 *
 * A handle is what the caller holds plus what its kept messages hold: it is
 * freed with the last of them, but ulsp_close() ends all that touches the
 * kernel at once.  Where messages come from and verdicts go is a backend: the
 * kernel's maps, or the test double.
 */
#ifndef ULSP_HANDLE_H
#define ULSP_HANDLE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cache.h"
#include "cgroup.h"
#include "track.h"
#include "ulsp.h"
#include "ulsp_abi.h"

/* What a handler may take at a time before the dispatch returns. */
enum { ULSP_BATCH = 1024 };

struct ulsp_backend {
	/* Hand what is there to ulsp_deliver() until that says stop. */
	void (*drain)(struct ulsp *u);
	/* Before a sleep: wait a moment where that pays; true: messages are there.  NULL: never. */
	bool (*linger)(struct ulsp *u);
	/* The descriptor is readable only while messages are there.  NULL: always so. */
	void (*settle)(struct ulsp *u);
	int (*put)(struct ulsp *u, const struct ulsp_message *m, const struct ulsp_cached *v,
		   uint32_t ttl_ms);
	/* To who waits for it.  -EALREADY: it has one; -EOPNOTSUPP: too late to be rewritten. */
	int (*answer)(struct ulsp *u, const struct ulsp_message *m, const struct ulsp_slot *said);
	/* Each second, and at close with alive == false. */
	void (*beat)(struct ulsp *u, bool alive);
	/* The sender's counter of a group, by the handle's ring; false: it can't be read. */
	bool (*sent)(const struct ulsp *u, uint32_t ring, uint32_t group, uint64_t *ret);
	bool (*empty)(const struct ulsp *u, uint32_t ring);
	/* Names as of a generation; that of now where it is another's. */
	void (*group_name)(const struct ulsp *u, uint32_t group, uint32_t generation,
			   char name[ULSP_NAME_BYTES]);
	void (*file_name)(const struct ulsp *u, uint16_t file, uint32_t generation,
			  char name[ULSP_PATH_BYTES]);
	int (*generation)(const struct ulsp *u, uint32_t group, uint32_t *ret);
	void (*close)(struct ulsp *u);
};

struct ulsp {
	unsigned int refs;
	const struct ulsp_backend *backend; /* NULL: closed */
	void *impl;			    /* the backend's */
	struct ulsp_options options;
	char name[ULSP_NAME_BYTES];
	int epoll_fd, timer_fd, stop_fd;
	bool dispatching;
	bool stopping; /* atomic: ulsp_stop() is called in signal handlers */

	struct ulsp_stats stats;
	uint64_t beat_ns;	 /* last heartbeat, CLOCK_MONOTONIC */
	int64_t realtime_offset; /* what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC */
	uint32_t nrings;
	struct ulsp_track tracks[ULSP_RINGS_EACH][ULSP_MAX_GROUPS];
	struct ulsp_cgroups cgroups;

	uint64_t looked_ns; /* at the other sources, CLOCK_MONOTONIC_COARSE */

	/* Of the dispatch that is under way. */
	int count;
	int error; /* what the handler ended it with */
};

struct ulsp_message {
	struct ulsp *u;
	struct ulsp_msg raw;
	int64_t realtime_offset;
	int number; /* of the test double */
	char group[ULSP_NAME_BYTES];
	/* Made when first asked for; "": not yet. */
	char rule[ULSP_PATH_BYTES + 16];
	char remote[64], local[64];
};

/* A handle with its event sources, refs 1, not yet beating; ulsp_fail() undoes it. */
int ulsp_new(const struct ulsp_options *options, const struct ulsp_backend *backend,
	     struct ulsp **ret);
int ulsp_watch(struct ulsp *u, int fd); /* readable: the backend has messages */
void ulsp_beat(struct ulsp *u);
void ulsp_settle(struct ulsp *u);
void ulsp_unref(struct ulsp *u);

/* One record of a ring: checked, counted, handled.  false: take no more now. */
bool ulsp_deliver(struct ulsp *u, uint32_t ring, const void *record, size_t bytes, int number);
/* What ulsp_stop() said is over: the handle can run again. */
void ulsp_unstop(struct ulsp *u);

const char *ulsp_rule_text(struct ulsp_message *m);
uint64_t ulsp_now_ns(clockid_t clock);

/* Copies of structs that carry their size: what the caller knows, the rest zero. */
int ulsp_sized_in(void *to, size_t to_bytes, const void *from, size_t least);
int ulsp_sized_out(void *to, const void *from, size_t from_bytes, size_t least);

#endif
