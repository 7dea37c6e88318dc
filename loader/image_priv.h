/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that make up an image share. */
#ifndef IMAGE_PRIV_H
#define IMAGE_PRIV_H

#include "hooks.h"
#include "image.h"
#include "knobs.h"

struct image {
	char *group;
	char *dir; /* BPFFS/ulsp/NAME/group/GROUP/GENERATION */
	struct ulsp_knobs knobs;
	int table, rcount, explain;
	int prog[HOOK_COUNT]; /* -1: the group doesn't need it */
	__u32 prog_id[HOOK_COUNT];
};

/* Without any fd yet. */
struct image *image_new(struct instance *i, const char *group, uint32_t generation);
/* BPFFS/ulsp/NAME/group/GROUP and .../link/GROUP; malloc'ed. */
char *image_group_dir(const struct instance *i, const char *group);
char *image_link_dir(const struct instance *i, const char *group);

/* Make every link of the group run `im`; what fails is undone and the cause told. */
int links_move(struct instance *i, struct image *im, const struct image *back, struct err *e);

/* The loaded decision against the host's: -EPROTO and the key in words when they differ. */
int selfcheck(struct image *im, const struct pol_table *table, struct err *e);

#endif
