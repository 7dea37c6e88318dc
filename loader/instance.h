/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An instance's kernel state: the bpffs directory, the maps that all groups
 * share, and the loaded policy's text.
 *
 *   BPFFS/ulsp/NAME/meta rings pages caches groups files streams gcount carried socks policy
 *   BPFFS/ulsp/NAME/slots waits asking parked parking calls restarteds restarting arrivals
 *   BPFFS/ulsp/NAME/limits limits_process
 *   BPFFS/ulsp/NAME/monitor
 *   BPFFS/ulsp/NAME/ulsp/ULSP/{ring,ring_1...,page,cache,slots,waits}
 *   BPFFS/ulsp/NAME/group/GROUP/GENERATION/{table,rcount,explain}
 *   BPFFS/ulsp/NAME/link/GROUP/CGROUPID/HOOK
 *
 * The pins are the truth: instance_open() adopts what is there after checking
 * its ABI, or makes it.  Nothing here logs; causes come back in `err`.
 * Names of groups and ULSPs are escaped: bpffs refuses '.' in a name.
 */
#ifndef INSTANCE_H
#define INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ulsp_abi.h"

/* One line saying what failed and what to do about it. */
struct err {
	char text[512];
};
/* Formats into e (may be NULL) and returns `error` (negative errno). */
__attribute__((format(printf, 3, 4))) int err_set(struct err *e, int error, const char *format,
						  ...);

struct instance {
	char *name;
	char *pin_dir; /* BPFFS/ulsp/NAME */
	int lock_fd;   /* flock on the run directory's lock: one daemon an instance */
	int meta, rings, pages, caches, groups, files, streams, gcount, carried, socks, slots,
		waits, asking, parked, parking, calls, restarteds, restarting, arrivals, limits,
		limits_process;	       /* map fds */
	int monitor;		       /* ring 0 */
	struct ulsp_group *group;      /* mmapped, ULSP_MAX_GROUPS, writable */
	char (*file)[ULSP_PATH_BYTES]; /* mmapped, ULSP_MAX_FILES, writable */
	struct ulsp_stream *stream;    /* mmapped, read only */
	struct ulsp_asking *how;       /* mmapped, ULSP_MAX_RINGS, writable; by a ULSP's number */
	uint32_t restart_flag; /* of thread_info.flags; 0: system calls can't be restarted */
	bool adopted;	       /* pins were there before */
};

/* The run directory of an instance: $ULSP_RUN_DIR or /run/ulsp, and its name. */
int instance_run_dir(const char *name, char *buf, size_t bytes);

/* After instance_destroy(): the lock and the log, and the directory unless something else is in it.
 */
void instance_remove_run_dir(const char *name);

/* -EBUSY: another daemon runs the instance.  -EEXIST: pins of another ABI version (text says how to
 * remove them); -ENOTSUP: no bpffs. */
int instance_open(const char *name, struct instance **ret, struct err *e);
void instance_close(struct instance **i); /* fds and mappings; pins stay */
/* Detach and unpin everything of an instance, also of another ABI. */
int instance_destroy(const char *name, struct err *e);

/* A group's slot by name: found, or taken and named.  -ENOSPC. */
int instance_group_slot(struct instance *i, const char *name, uint32_t *ret, struct err *e);
void instance_group_free(struct instance *i, uint32_t slot);
int instance_file_slot(struct instance *i, const char *name, uint16_t *ret, struct err *e);

/* How large and how many a ULSP's rings are. */
struct ulsp_shape {
	uint64_t ring_bytes;
	uint32_t rings;
};

/* A ULSP's rings, page and cache: adopted from pins or made; slot 1.. in rings/pages/caches. */
struct ulsp_maps {
	uint8_t slot;
	uint32_t nrings;
	int rings[ULSP_RINGS_EACH];
	int page, cache, slots, waits;
	struct ulsp_page *mapped;
	struct ulsp_cache_set *sets; /* the cache */
};
int instance_ulsp_maps(struct instance *i, const char *ulsp, struct ulsp_shape shape,
		       struct ulsp_maps *ret, struct err *e);
/*
 * Makes anew what has another size than wanted, or what the ULSP froze; in the same
 * slot.  What waited in a ring that is replaced, or one too many, stays with who still has that.
 */
int instance_ulsp_refit(struct instance *i, const char *ulsp, struct ulsp_shape shape,
			struct ulsp_maps *m, bool *ret_made, struct err *e);
/* A new cache for another program: verdicts of the earlier one, and of what it left, are void. */
int instance_ulsp_renew(struct instance *i, const char *ulsp, struct ulsp_shape shape,
			struct ulsp_maps *m, struct err *e);
/* How long operations wait for it in their own hooks; what was counted stays. */
void instance_ulsp_spin(struct instance *i, const struct ulsp_maps *m, uint32_t spin_us);
void instance_ulsp_drop(struct instance *i, const char *ulsp, struct ulsp_maps *m);

/* The loaded policy as text with places (pol_print POL_PRINT_LINES); pinned. */
int instance_put_policy(struct instance *i, const char *text, uint32_t generation, struct err *e);
int instance_get_policy(struct instance *i, char **ret_text, uint32_t *ret_generation,
			struct err *e);

/* What earlier generations counted, by the stable id in dec_rule.counter. */
int instance_carry(struct instance *i, uint32_t rule_id, const struct ulsp_rule_count *add);
int instance_carried(struct instance *i, uint32_t rule_id, struct ulsp_rule_count *ret);

#endif
