/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libulsp: receive a group's networking operations as messages and answer them.
 *
 * A ULSP is started by ulspd, which passes it the descriptors of its ring,
 * page and verdict cache; it needs no privilege.  All calls return 0 (or a
 * count) or a negative errno, log nothing and, but for ulsp_run_threads(),
 * start no threads.  A handle and its messages belong to one thread at a time.
 */
#ifndef ULSP_H
#define ULSP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define ULSP_VERSION_MAJOR 0
#define ULSP_VERSION_MINOR 1

struct ulsp;	     /* a connection to the kernel side; from ulsp_open() */
struct ulsp_message; /* one operation; valid in its handler, or until ulsp_message_unref() */

/* Called for each message, in ulsp_dispatch().  A negative return ends the dispatch with it. */
typedef int (*ulsp_handler)(struct ulsp *u, struct ulsp_message *m, void *ctx);

/*
 * Called when messages of a group were lost: `lost` since the last call, `total` since ulsp_open().
 * A gap counts when it is still there a second later, so that messages may come out of order.
 */
typedef void (*ulsp_loss_handler)(struct ulsp *u, const char *group, uint64_t lost, uint64_t total,
				  void *ctx);

/* Zero it, set size = sizeof, fill what is wanted.  Fields are only ever added. */
struct ulsp_options {
	size_t size;
	ulsp_handler handler; /* required */
	void *ctx;
	ulsp_loss_handler loss; /* NULL: losses are only in ulsp_get_stats() */
	unsigned int ring;	/* only that one of ulsp_rings(), from 1; 0: all */
};

/*
 * Open the ring that ulspd passed to this process (environment ULSP_FDS).
 * -ENOTCONN: not started by ulspd.  -EPROTO: another ABI version, or descriptors that are not
 * what they should be.  -EINVAL: no handler, no such ring, or an environment that makes no sense.
 * -EBUSY: another handle of this process reads the ring.
 */
int ulsp_open(const struct ulsp_options *options, struct ulsp **ret);
void ulsp_close(struct ulsp **u); /* NULL-safe; sets *u to NULL */

/* Pollable for reading; readable each second too, for the heartbeat. */
int ulsp_fd(const struct ulsp *u);
/*
 * Wait up to timeout_ms (-1: for ever) for messages and handle what is there, at most 1024;
 * returns how many.  -EINTR: a signal came.  -ECANCELED: ulsp_stop() was called.
 * Call it at least each second, or when ulsp_fd() is readable: it keeps the heartbeat, and a ULSP
 * without one is taken for down after 5 s.
 */
int ulsp_dispatch(struct ulsp *u, int timeout_ms);
/* Dispatch until ulsp_stop(), SIGTERM or SIGINT; 0 then.  Both signals are blocked meanwhile. */
int ulsp_run(struct ulsp *u);
void ulsp_stop(struct ulsp *u); /* async-signal-safe */

/*
 * Several threads: `rings` in the policy gives a ULSP up to 8.  Each thread of the groups has its
 * operations in one of them, so they keep their order.  A handle may read all, or each one of
 * them, on a thread of its own.
 */
unsigned int ulsp_rings(void); /* those that ulspd passed to this process; 0: not started by it */
/*
 * ulsp_run() of n handles: the first in this thread, each other in one that is made and joined
 * here.  The first that ends, ends all; 0, or the first error.  Handlers of two handles run at the
 * same time.  -EAGAIN: a thread can't be made.
 */
int ulsp_run_threads(struct ulsp *const *handles, unsigned int n);

struct ulsp_stats {
	size_t size;
	uint64_t received; /* messages handled */
	uint64_t lost;	   /* by sequence number: sent and never received */
	uint64_t verdicts;
	uint64_t late;	  /* verdicts refused because of deadline or generation */
	uint64_t invalid; /* records in the ring that were no message: dropped */
};
int ulsp_get_stats(const struct ulsp *u, struct ulsp_stats *ret);
const char *ulsp_name(const struct ulsp *u); /* as in the policy */

/* ---- what a message says; strings and pointers live as long as the message ---- */

uint64_t ulsp_seq(const struct ulsp_message *m);     /* per group and ring, from 1 */
uint64_t ulsp_time_ns(const struct ulsp_message *m); /* CLOCK_REALTIME */
const char *ulsp_group_name(const struct ulsp_message *m);
const char *ulsp_operation(const struct ulsp_message *m);    /* "connect" */
const char *ulsp_protocol(const struct ulsp_message *m);     /* "tcp" */
const char *ulsp_verdict_name(const struct ulsp_message *m); /* "allow", "deny" */
const char *ulsp_reason_name(const struct ulsp_message *m);  /* "rule", "default", ... */
int ulsp_error(const struct ulsp_message *m);		     /* negative errno of a denial, or 0 */
int ulsp_is_ask(const struct ulsp_message *m);		     /* 1: a verdict is wanted */
int ulsp_is_audit(const struct ulsp_message *m);	     /* 1: recorded, not enforced */
/* "file:line" of the deciding rule, "default", "implied", or "none": no rule was consulted. */
const char *ulsp_rule(const struct ulsp_message *m);
/*
 * Isolation's messages (operation "signal", "ptrace", "unix", ...; always denials) have no protocol
 * and addresses: the process that was to be reached; 0: none, or not known.
 */
pid_t ulsp_target_pid(const struct ulsp_message *m);
pid_t ulsp_pid(const struct ulsp_message *m);  /* thread */
pid_t ulsp_tgid(const struct ulsp_message *m); /* process; 0: unknown */
/* When the process started; with its tgid it names the process for good.  0: unknown. */
uint64_t ulsp_start_ns(const struct ulsp_message *m);
uid_t ulsp_uid(const struct ulsp_message *m);
gid_t ulsp_gid(const struct ulsp_message *m);
const char *ulsp_comm(const struct ulsp_message *m);
/*
 * Path of the executable, looked up in /proc now; returns its length.  -ESRCH: the process is gone
 * or is another by now.  -ENODATA: the message has no process.  -EACCES: a process of another user,
 * which the kernel shows to nobody without CAP_SYS_PTRACE.
 */
int ulsp_exe(const struct ulsp_message *m, char *buf, size_t bytes);
uint64_t ulsp_cgroup_id(const struct ulsp_message *m);
/*
 * Path below the cgroup2 root as a policy and `ulspctl monitor` have it: without
 * leading slash ("a/b.service"; the root itself: "/").  Returns its length.
 */
int ulsp_cgroup(const struct ulsp_message *m, char *buf, size_t bytes);
/* Fills sockaddr_in or sockaddr_in6; -ENODATA when the operation has no such address. */
int ulsp_remote(const struct ulsp_message *m, struct sockaddr_storage *ret);
int ulsp_local(const struct ulsp_message *m, struct sockaddr_storage *ret);
/* "192.0.2.1:443", "[2001:db8::1]:443", "-" */
const char *ulsp_remote_text(const struct ulsp_message *m);
const char *ulsp_local_text(const struct ulsp_message *m);
uint64_t ulsp_deadline_ns(const struct ulsp_message *m);    /* CLOCK_MONOTONIC; 0: none waits */
uint32_t ulsp_cache_limit_ms(const struct ulsp_message *m); /* rule's `cache`; 0: not said */
/*
 * One JSON object, or one line of text, without newline; as `ulspctl monitor` prints them.
 * Return the length; -ENOSPC: more than `bytes` (ULSP_LINE_BYTES always suffice).
 */
#define ULSP_LINE_BYTES 8192
int ulsp_json(const struct ulsp_message *m, char *buf, size_t bytes);
int ulsp_text(const struct ulsp_message *m, char *buf, size_t bytes);

/* Keep a message after its handler returns (a copy), also after ulsp_close(), and give it back. */
int ulsp_message_keep(const struct ulsp_message *m, struct ulsp_message **ret);
void ulsp_message_unref(struct ulsp_message **m);

/* ---- verdicts: in the handler or later, on a message that asks ---- */

enum ulsp_cover {
	ULSP_COVER_FLOW,	 /* operation, protocol, address and port; of every process */
	ULSP_COVER_DESTINATION,	 /* operation, protocol and address; every port */
	ULSP_COVER_PROCESS,	 /* operation of this process; every address */
	ULSP_COVER_PROCESS_FLOW, /* the flow, of this process */
	ULSP_COVER_ONCE,	 /* this operation, which waits for it; nothing is kept */
};

struct ulsp_cache {
	size_t size;
	enum ulsp_cover cover; /* what the verdict is good for */
	uint32_t ttl_ms;       /* how long; 0: as long as the rule lets it, else 60 s */
};

/*
 * Answers who waits for it (ulsp_deadline_ns() != 0), and keeps the verdict for operations like it.
 * cache NULL: this flow, as long as the rule lets it.  -EINVAL: error is not a
 * negative errno that a process may see (-512 to -530 are the kernel's own), the message asks
 * nothing, it has no process to cover, or ULSP_COVER_ONCE and nobody waits.  -ETIMEDOUT:
 * ULSP_COVER_ONCE, and the deadline is over: the rule's fail mode has decided.  -EALREADY:
 * ULSP_COVER_ONCE, and it was answered before.  (Any other cover is kept all the same, for the next
 * try.) -ESTALE: the policy has been reloaded since; the verdict would be void. -ENOTCONN: after
 * ulsp_close().  -E2BIG, -ENOMEM, -EBUSY: the kernel's cache did not take it.
 */
int ulsp_allow(struct ulsp_message *m, const struct ulsp_cache *cache);
int ulsp_deny(struct ulsp_message *m, int error, const struct ulsp_cache *cache);
/*
 * Allows the operation with another address and port, for this time only: connect and sendto, by
 * the message's own family.  -EAFNOSUPPORT: another family.  -EOPNOTSUPP: another operation, or it
 * came too late: the SYN is on its way already (answer it otherwise, then).  -ETIMEDOUT, -EALREADY,
 * -EINVAL, -ESTALE, -ENOTCONN as above.
 */
int ulsp_rewrite(struct ulsp_message *m, const struct sockaddr *to, socklen_t bytes);

/* ---- test double: a ULSP without kernel, daemon or root ---- */

struct ulsp_test_message {
	size_t size;
	/* NULL: "test", "connect", "tcp", "test" */
	const char *group, *operation, *protocol, *comm;
	const char *remote, *local; /* "192.0.2.1:443"; NULL: none */
	pid_t pid;
	uid_t uid;
	int ask;
	uint64_t lost;	  /* messages of this group that got lost before this one */
	uint32_t hold_ms; /* with ask: the operation waits so long for its verdict */
};
struct ulsp_test_verdict {
	size_t size;
	int given; /* 0: none yet */
	int error; /* 0: allowed */
	enum ulsp_cover cover;
	uint32_t ttl_ms; /* as the cache would have it */
	int waited;	 /* 1: it came to who waited, in time */
	char to[64];	 /* "192.0.2.1:443" of a rewrite; else "" */
};
/* A handle without a kernel; everything above works on it. */
int ulsp_test_open(const struct ulsp_options *options, struct ulsp **ret);
/* Queue a message for the next dispatch; returns its number, from 0. */
int ulsp_test_push(struct ulsp *u, const struct ulsp_test_message *m);
int ulsp_test_verdict(const struct ulsp *u, int number, struct ulsp_test_verdict *ret);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
