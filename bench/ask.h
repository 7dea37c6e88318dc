/* SPDX-License-Identifier: GPL-2.0-only */
/* What the client and the servers of `ask` share. */
#ifndef BENCH_ASK_H
#define BENCH_ASK_H

#include <stdint.h>

uint64_t ask_now_ns(void);
int ask_die(const char *what); /* with errno; doesn't return */
void ask_pin(int cpu);	       /* negative: to none */
void ask_stamp_open(const char *path);
/* A millisecond, and the time after it into the stamp. */
void ask_late(void);

/* Commands: what is left of the command line; 2: it is wrong. */
int ask_connect(int argc, char **argv);
int ask_queue(int argc, char **argv);
int ask_notify(int argc, char **argv);

#endif
