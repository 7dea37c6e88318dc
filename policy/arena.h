/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An arena: memory that is freed all at once.  A policy's parts live in one,
 * so that nothing in a policy has an owner of its own.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

struct pol_arena;

struct pol_arena *arena_new(void); /* NULL: no memory */
void arena_free(struct pol_arena **a);

/* Zeroed; NULL: no memory.  0 bytes yields a valid pointer. */
void *arena_get(struct pol_arena *a, size_t bytes);
char *arena_copy(struct pol_arena *a, const char *text, size_t bytes); /* NUL-terminated */

/*
 * A bigger copy of an array when `n` elements fill it: capacities are powers
 * of two, so none has to be kept.  NULL: no memory, `v` is still good.
 */
void *arena_grow(struct pol_arena *a, const void *v, size_t n, size_t element_bytes);

#endif
