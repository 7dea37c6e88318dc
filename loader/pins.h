/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names in bpffs: the tree of an instance's pins.
 *
 * bpffs refuses '.' in names, and a name that ends in '~' is ours for what is
 * being made: it is renamed when complete, and whoever opens the tree next
 * removes what was left.
 */
#ifndef PINS_H
#define PINS_H

#include <stdbool.h>
#include <stddef.h>

/* A path by format; malloc'ed, NULL when out of memory. */
__attribute__((format(printf, 1, 2))) char *pin_path(const char *format, ...);
/* A group's or ULSP's name as one component; malloc'ed. */
char *pin_escape(const char *name);

int pin_mkdirs(const char *path); /* and parents, 0700; existing ones are fine */
int pin_remove(const char *path); /* a pin or a tree; absent is fine.  Links are detached */
int pin_fd(int fd, const char *path);
/* Pins in place of what is there, in one step. */
int pin_replace(int fd, const char *path);
int pin_open(const char *path); /* fd; -ENOENT */
/* Also in one step: a directory made at TO~ becomes TO. */
int pin_commit(const char *from, const char *to);

/* Names in a directory, sorted, without unfinished ones; *ret ends in NULL. */
int pin_list(const char *dir, char ***ret);
void pin_list_free(char ***names); /* for scoped() */
/* Removes unfinished names below a directory. */
int pin_sweep(const char *dir);

#endif
