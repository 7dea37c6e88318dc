/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's side of a handle: what kernel_open.c opens and kernel.c works with. */
#ifndef ULSP_KERNEL_H
#define ULSP_KERNEL_H

#include "handle.h"
#include "ring.h"

enum { FD_PAGE, FD_CACHE, FD_GROUPS, FD_FILES, FD_STREAMS, FD_SLOTS, FD_RING, MAPS };
enum { FD_POKE = MAPS, FDS }; /* a pipe to the daemon */

struct pause {
	bool warm;	     /* the last drain took something */
	bool asked;	     /* and somebody was answered */
	bool poked;	     /* by way of the daemon, which may need this processor */
	unsigned int credit; /* waits that may fail before they are held off */
	unsigned int held;   /* waits held off since */
};

/* One of the rings that the handle reads. */
struct source {
	int fd;
	uint32_t k; /* which of the ULSP's it is */
	struct ulsp_ring ring;
	struct ulsp_reader *reader; /* in the page; NULL: not the handle's yet */
	struct ulsp *u;
	uint32_t at; /* in `sources` */
};

struct kernel {
	int fds[FDS]; /* FD_RING: none, see sources */
	uint32_t entries[MAPS];
	uint32_t first; /* number of the ULSP's first ring */
	struct source sources[ULSP_RINGS_EACH];
	uint32_t n, turn;
	struct pause pause;
	struct ulsp_page *page;
	struct ulsp_slot *slots;
	struct ulsp_cache_set *cache;
	/* Names as the messages of a generation have them: a slot is given anew only by a reload.
	 */
	struct {
		uint32_t generation; /* 0: not looked up */
		char name[ULSP_NAME_BYTES];
	} groups[ULSP_MAX_GROUPS];
	struct {
		uint32_t generation;
		char name[ULSP_PATH_BYTES];
	} files[ULSP_MAX_FILES];
	/* What earlier runs of this ULSP left in the page: it counts on. */
	struct ulsp_stats before;
};

extern const struct ulsp_backend ulsp_kernel_backend;

/* Also what was opened by half. */
void ulsp_kernel_close(struct ulsp *u);

#endif
