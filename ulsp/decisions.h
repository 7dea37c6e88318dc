/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What people decided: rules that hold for a process, for a time, until the
 * firewall is started again, or for ever.  The last kind is in a file that is a
 * rule file itself; it is written anew beside the old one and renamed over it,
 * so that it is whole whatever happens.
 */
#ifndef ULSP_DECISIONS_H
#define ULSP_DECISIONS_H

#include "rules.h"

enum { DECISIONS_MAX = 4096, DECISIONS_FILE_BYTES = 4 << 20 };

struct decision {
	struct fw_rule rule;
	pid_t tgid; /* 0: of every process */
	uint64_t start_ns;
	uint64_t until_ns; /* CLOCK_MONOTONIC; 0: until the end */
};

struct decisions {
	const char *path; /* NULL: none is for ever */
	struct decision *v;
	size_t n, room;
	struct fw_rules *saved;
};

/*
 * Reads the file, which need not be there.  -EINVAL: it is wrong, and e says where (line 0: as a
 * whole); -EPERM: others may write it; what was read before stays.
 */
int decisions_load(struct decisions *d, struct fw_error *e);
void decisions_fini(struct decisions *d);
/* The newest one about it; false: none.  */
bool decisions_find(const struct decisions *d, const struct fw_query *q, pid_t tgid,
		    uint64_t start_ns, uint64_t now_ns, struct fw_verdict *ret);
/* Takes the rule's strings, also when it fails.  -ENOBUFS: there are too many. */
int decisions_add(struct decisions *d, struct decision *one, uint64_t now_ns);
/*
 * For ever: adds a line to the file and takes it from there.  `note` becomes a comment.
 * -ENOENT: there is no file; -EINVAL: no line can say that, or the file is wrong; -errno.
 */
int decisions_save(struct decisions *d, const struct fw_rule *rule, const char *note);

#endif
