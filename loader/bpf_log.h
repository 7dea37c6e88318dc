/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What libbpf says while an operation runs, so that a failure's cause reaches
 * `err` and a refused program's verifier log a file.  One capture a thread;
 * without one libbpf is silent.
 */
#ifndef BPF_LOG_H
#define BPF_LOG_H

#include <stddef.h>

struct instance;
struct err;

struct bpf_log {
	char *text;
	size_t n;
};

void bpf_log_begin(struct bpf_log *log);
void bpf_log_end(struct bpf_log *log); /* for scoped(); frees */
/* The first complaint that isn't the verifier's log, one line, or "". */
const char *bpf_log_cause(struct bpf_log *log, char *buf, size_t bytes);
/* Keeps all of it in DIR/NAME; 0 or -errno. */
int bpf_log_save(const struct bpf_log *log, const char *dir, const char *name, char *ret_path,
		 size_t bytes);

#endif
