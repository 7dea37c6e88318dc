/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The policy language: text to checked policy, policy to text, policy to
 * decision tables.
 *
 * A library without I/O, logging or exits: files are read through the caller's
 * struct pol_reader; what is wrong comes back as diagnostics.  A policy owns
 * everything that it points to and is immutable after pol_parse().  Functions
 * return 0 or -errno; outputs are untouched on failure.
 */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ulsp_abi.h"

/* Where text stands.  line and col from 1; line 0: no place. */
struct pol_loc {
	uint16_t file; /* index in pol_policy.files */
	uint32_t line;
	uint32_t col;
	uint32_t len; /* of the marked text, in bytes, at least 1 */
};

/* ---- diagnostics ---- */

enum pol_severity { POL_ERROR, POL_WARNING, POL_NOTE };

struct pol_diag {
	enum pol_severity severity;
	char *file; /* name as messages show it; NULL: no place */
	uint32_t line, col, len;
	char *text;	    /* one line, no newline, no "error:" */
	char *source;	    /* the line it points into, clipped, without newline, or NULL */
	uint32_t source_at; /* bytes of the line that were clipped before `source` */
	uint16_t order;	    /* of the file, for sorting */
};

struct pol_sources; /* texts and names of what was parsed; shared by policy and diagnostics */
struct pol_policy;

struct pol_diags {
	struct pol_diag *v;
	size_t n;
	size_t errors;
	size_t suppressed; /* over POL_MAX_DIAGS, counted and not kept */
	struct pol_sources *sources;
};
enum { POL_MAX_DIAGS = 100 };

/* A zeroed struct pol_diags is ready to use. */
void pol_diags_fini(struct pol_diags *d);
/*
 * Places of later pol_diag_add() calls are in this policy.  pol_parse() has
 * done it for its own diagnostics; needed only with a fresh struct pol_diags.
 */
void pol_diags_use(struct pol_diags *d, const struct pol_policy *p);
__attribute__((format(printf, 4, 5))) void pol_diag_add(struct pol_diags *d, enum pol_severity sev,
							const struct pol_loc *loc,
							const char *format, ...);
/* "file:line:col: error: text", the source line, a caret line; colour by SGR when asked. */
void pol_diags_print(const struct pol_diags *d, FILE *out, bool colour);

/* ---- the checked policy ---- */

/* An inclusive address range, network order; IPv4 in the first 4 bytes. */
struct pol_range {
	uint8_t family; /* 4, 6 */
	uint8_t lo[16], hi[16];
};
struct pol_ports {
	uint16_t lo, hi;
};
struct pol_uids {
	uint32_t lo, hi;
};

/*
 * A set of addresses; negations are already applied.  n 0 without `any`
 * matches nothing.  Rules may share one array: it is the policy's.
 */
struct pol_addrs {
	bool any;		   /* no constraint at all; ranges empty */
	const struct pol_range *v; /* sorted, disjoint, not adjacent, v4 before v6 */
	size_t n;
};
struct pol_portset {
	bool any;
	const struct pol_ports *v; /* sorted, disjoint, not adjacent */
	size_t n;
};

enum pol_fail { POL_DOWN_DENY, POL_DOWN_ALLOW, POL_DOWN_HOLD };

struct pol_rule {
	struct pol_loc loc;
	uint32_t id;  /* stable: hash of group and canonical text, never 0, unique in the policy */
	uint32_t ops; /* bit per enum ulsp_op */
	uint32_t protos; /* bit per enum ulsp_proto; "any" sets all */
	enum ulsp_verdict verdict;
	bool limit;	  /* limit RATE rule: verdict is deny when over the rate */
	bool per_process; /* limit: a bucket for each process; else one for the group */
	bool log;
	int error;	     /* positive errno, 0: not given (EPERM) */
	char *ulsp;	     /* ask, serve */
	uint32_t ulsp_index; /* in pol_policy.ulsps */
	struct pol_addrs to, from;
	struct pol_portset to_ports, from_ports;
	struct pol_uids *uids; /* sorted, disjoint; NULL: any */
	size_t nuids;
	char **execs; /* absolute paths; NULL: any */
	size_t nexecs;
	bool exec_negated;
	char **names; /* name "pattern": to one of these names */
	size_t nnames;
	uint64_t hold_ms;  /* 0: not given */
	uint64_t cache_ms; /* 0: not given */
	enum pol_fail down;
	bool down_given;
	uint64_t down_hold_ms;
	uint64_t rate_per_hour; /* limit: exact for /s, /m and /h; fits in 32 bits */
	uint32_t burst;		/* 0: not given: what the rate gives in a second, at least 1 */
};

enum {
	POL_ISOLATE_SIGNAL = 1 << 0,
	POL_ISOLATE_PTRACE = 1 << 1,
	POL_ISOLATE_UNIX = 1 << 2,
	POL_ISOLATE_IPC = 1 << 3,
	POL_ISOLATE_SHM = 1 << 4,
	POL_ISOLATE_FIFO = 1 << 5,
	POL_ISOLATE_LOOPBACK = 1 << 6,
	POL_ISOLATE_KEY = 1 << 7,
	POL_ISOLATE_PROC = 1 << 8,
	POL_ISOLATE_ALL = (1 << 9) - 1,
};

struct pol_member {
	struct pol_loc loc;
	bool exec;  /* executable path; else a cgroup path */
	char *path; /* cgroup: relative to the cgroup2 root, no leading or trailing '/', may be a
		       glob */
};

struct pol_group {
	struct pol_loc loc;
	char *name;
	struct pol_member *members;
	size_t nmembers;
	/* Group names, "self", "outside", paths of UNIX sockets ("@" for abstract ones); `peers
	 * none` is npeers 0 with a place. */
	char **peers;
	size_t npeers;
	struct pol_loc peers_loc, isolate_loc, degrade_loc;
	uint32_t isolate;
	uint32_t mode; /* ULSP_MODE_* */
	bool degrade_allow;
	struct pol_rule *rules;
	size_t nrules;
	bool default_given;
	struct pol_loc default_loc;
	enum ulsp_verdict default_verdict; /* allow or deny; deny when not given */
	bool default_log;
	int default_error;
	/* stable like rules' ids, for counters: messages of these carry no rule's id */
	uint32_t default_id, implied_id;
};

enum { POL_SPIN_DEFAULT_US = 50, POL_SPIN_MAX_US = 1000 };
enum pol_restart { POL_RESTART_ALWAYS, POL_RESTART_ON_FAILURE, POL_RESTART_NEVER };

struct pol_ulsp {
	struct pol_loc loc;
	char *name;
	char **argv; /* NULL-terminated; NULL: started by hand and adopted through the socket */
	size_t argc;
	char *user; /* NULL: nobody */
	enum pol_restart restart;
	uint64_t ring_bytes; /* each ring's: power of two, at least a page; 0: not given (1 MiB) */
	uint32_t rings;	     /* 1..8; 0: not given (1) */
	uint32_t spin_us;    /* longest wait within the operation; 0: none */
	bool spin_given;     /* else the default */
	bool asked;	     /* some rule asks or serves it; otherwise it receives `log` messages */
};

struct pol_arena;

struct pol_policy {
	char **files; /* names in the order first read; index is pol_loc.file */
	size_t nfiles;
	struct pol_ulsp *ulsps;
	size_t nulsps;
	struct pol_group *groups;
	size_t ngroups;
	struct pol_sources *sources; /* private */
	struct pol_arena *arena;     /* private: owns everything above */
};

/* How parsing reaches files.  Both calls return 0 or -errno; the library frees. */
struct pol_reader {
	void *ctx;
	/* whole file, ret_text NUL-terminated by malloc */
	int (*read)(void *ctx, const char *path, char **ret_text, size_t *ret_bytes);
	/* paths matching a glob, sorted; NULL-terminated malloc'ed array of malloc'ed names */
	int (*glob)(void *ctx, const char *pattern, char ***ret_paths);
};

/*
 * Parse `npaths` files as one policy.  Relative include and set-file names are
 * relative to the file that names them.  Returns -EINVAL with diagnostics when
 * anything is wrong; all errors of all files are reported in one run.
 */
int pol_parse(const char *const *paths, size_t npaths, const struct pol_reader *reader,
	      struct pol_diags *diags, struct pol_policy **ret);
/* The same for text in memory that calls itself `name`. */
int pol_parse_text(const char *name, const char *text, size_t bytes,
		   const struct pol_reader *reader, struct pol_diags *diags,
		   struct pol_policy **ret);
void pol_free(struct pol_policy **p);

const struct pol_group *pol_find_group(const struct pol_policy *p, const char *name);

/*
 * Text that parses to the same policy; malloc'ed.  POL_PRINT_LINES puts a
 * `#line N "file"` before each rule, group and ulsp, which the parser takes as
 * their place: how a loaded policy keeps its places across a restart of the
 * daemon.  Defines, includes and set files are expanded in place.
 */
enum { POL_PRINT_LINES = 1 << 0 };
int pol_print(const struct pol_policy *p, unsigned flags, char **ret_text);
int pol_print_group(const struct pol_policy *p, const struct pol_group *g, unsigned flags,
		    char **ret_text);
/* One rule (index nrules: the default) on one line, without newline. */
int pol_print_rule(const struct pol_group *g, size_t rule, char **ret_text);

/* ---- compiled tables ---- */

/* What the caller knows and the library may not look up. */
struct pol_env {
	void *ctx;
	/* device (kernel encoding: major << 20 | minor) and inode of an executable */
	int (*exe)(void *ctx, const char *path, uint32_t *ret_dev, uint64_t *ret_ino);
	const uint8_t *ring_of_ulsp; /* by index in pol_policy.ulsps */
	const uint16_t *file_index;  /* file array slot by index in pol_policy.files; NULL: same */
	bool lsm;		     /* BPF LSM enforces isolation, tags and socket families */
	const char *lsm_why;	     /* why not; NULL: it was not looked at */
	bool exe_may_miss; /* an executable that is gone matches nothing, with a warning: for a
			    * policy whose tables are in the kernel already */
	size_t merge_max;  /* port intervals that one part of a table may have instead of several
			    * parts; 0: what is fastest */
};

/* Which programs a group needs. */
enum {
	POL_NEED_SOCKET = 1 << 0,   /* sock_create */
	POL_NEED_BIND = 1 << 1,	    /* bind4/6, post_bind4/6 */
	POL_NEED_CONNECT = 1 << 2,  /* connect4/6 */
	POL_NEED_SENDTO = 1 << 3,   /* sendmsg4/6 */
	POL_NEED_LISTEN = 1 << 4,   /* sockops and the ingress check of SYNs */
	POL_NEED_INGRESS = 1 << 5,  /* accept, recvfrom, listen */
	POL_NEED_BACKSTOP = 1 << 6, /* egress check of what sockets hooks don't see */
	POL_NEED_RECVFROM = 1 << 7, /* ingress looks at every datagram, not only at SYNs */
	POL_NEED_HOLD = 1 << 8,	    /* egress looks at SYNs, and sockops at their end */
};

struct pol_table {
	uint32_t *words;
	size_t nwords;
	size_t nrules;		       /* rule records: the index space of counters and results */
	const struct pol_rule **rules; /* by record; NULL: default or implied */
	unsigned needs;		       /* POL_NEED_* */
};

bool pol_peer_is_path(const char *peer);
/* Whether something of the group needs BPF LSM. */
bool pol_needs_lsm(const struct pol_group *g);
/*
 * Compile a group.  Fails with -EOPNOTSUPP and a diagnostic per clause that
 * this version does not enforce, with -E2BIG when tables would pass the budget.
 */
int pol_compile(const struct pol_policy *p, const struct pol_group *g, const struct pol_env *env,
		struct pol_diags *diags, struct pol_table **ret);
void pol_table_free(struct pol_table **t);

struct dec_key;
/* The oracle: a plain walk over the rules.  Returns the index of the rule record. */
uint32_t pol_oracle(const struct pol_policy *p, const struct pol_group *g,
		    const struct pol_table *t, const struct pol_env *env,
		    const struct dec_key *key);

/* Warnings about rules that no operation can reach, each naming the rule that hides it. */
int pol_check_reachable(const struct pol_policy *p, const struct pol_group *g,
			struct pol_diags *diags);

#endif
