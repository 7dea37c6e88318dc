/* SPDX-License-Identifier: GPL-2.0-only */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "hold.bpf.h"
#include "restart.bpf.h"
#include "task.bpf.h"

enum {
	FLAG_NS = 200000, /* for the flag to be seen: an interrupt of this processor sets it */
	LOOKS = 1 << 14,
	TRIES = 64, /* each that is lost was another's that wanted about the same */
};

/* A call that takes longer to come back was stopped on its way: it is judged anew. */
#define BACK_NS	   1000000000ull
#define BACK_SHIFT 26 /* steps of 67 ms: few restarts write */

/* Not the kernel's own tasks, which are in no system call: PF_IO_WORKER, PF_USER_WORKER,
 * PF_KTHREAD. */
enum { NO_CALLS = 0x00000010 | 0x00004000 | 0x00200000 };
enum { COMPAT = 0x2 }; /* TS_COMPAT of thread_info.status: other numbers */

/* 7.x; 6.18 has the other. */
extern int bpf_task_work_schedule_signal(struct task_struct *task, struct bpf_task_work *work,
					 void *map__map,
					 bpf_task_work_callback_t callback) __ksym __weak;
extern int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *work,
					      void *map__map, bpf_task_work_callback_t callback,
					      void *aux__prog) __ksym __weak;

static __always_inline unsigned long flags_of(const struct task_struct *task)
{
	return *(const volatile unsigned long *)&task->thread_info.flags;
}

/* The calls in which hooks run that wait; sendmmsg(2) would keep the number for a later one. */
static __always_inline int in_call(struct task_struct *task)
{
#ifdef __TARGET_ARCH_x86
	const struct pt_regs *regs = (void *)bpf_task_pt_regs(task);

	if (task->flags & NO_CALLS || task->thread_info.status & COMPAT)
		return 0;
	switch (BPF_CORE_READ(regs, orig_ax)) {
	case 41: /* socket */
	case 42: /* connect */
	case 44: /* sendto */
	case 46: /* sendmsg */
	case 49: /* bind */
		return 1;
	}
#endif
	return 0;
}

static int done(struct bpf_map *map, void *key, void *value)
{
	return 0;
}

static __always_inline int schedule(struct task_struct *task, struct call *c)
{
	if (bpf_task_work_schedule_signal)
		return bpf_task_work_schedule_signal(task, &c->work, &calls, done);
	if (bpf_task_work_schedule_signal_impl)
		return bpf_task_work_schedule_signal_impl(task, &c->work, &calls, done, NULL);
	return -1;
}

/* In all that is judged. */
static __always_inline int same(const struct dec_key *a, const struct dec_key *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;
	__u32 i, differs = 0;

	_Static_assert(sizeof(*a) % sizeof(*x) == 0, "whole words");
	for (i = 0; i < sizeof(*a) / sizeof(*x); i++)
		differs |= x[i] ^ y[i];
	return !differs;
}

/* A socket that is being made is another one each time. */
static __always_inline __u64 cookie_of(const struct event *ev)
{
	return ev->key.op == ULSP_OP_SOCKET ? 0 : ev->cookie;
}

static __always_inline struct call_key my_key(const struct task_struct *task)
{
	return (struct call_key){.tid = task->pid, .group = knobs.slot};
}

/* Whether the operation is the one that waits. */
static __always_inline int awaited(const struct call *c, const struct event *ev)
{
	return c->ticket && c->generation == knobs.generation && c->cookie == cookie_of(ev) &&
	       c->rule == ev->by.id && same(&c->key, &ev->key) &&
	       bpf_ktime_get_ns() < c->until_ns + BACK_NS;
}

static __always_inline int same_address(const struct restarted *r, const struct event *ev)
{
	const __u64 *a = (const __u64 *)r->to, *b = (const __u64 *)ev->to;

	return a[0] == b[0] && a[1] == b[1] && r->to_port == ev->to_port;
}

int restarted_for_other(const struct event *ev, __u64 cookie)
{
	__u32 tid = bpf_get_current_task_btf()->pid;
	const struct restarted *r = bpf_map_lookup_elem(&restarteds, &tid);

	if (!ev || !r)
		return 0;
	if (r->group == knobs.slot) {
		bpf_map_delete_elem(&restarteds, &tid);
		return 0;
	}
	return r->generation == knobs.generation && r->hook == ev->hook && r->cookie == cookie &&
	       same_address(r, ev) && bpf_ktime_get_ns() < r->until_ns + BACK_NS;
}

int restarted(const struct event *ev, __u32 cap_ns)
{
	__u32 tid = bpf_get_current_task_btf()->pid;
	struct restarted r = {.group = knobs.slot, .generation = knobs.generation};

	if (!ev)
		return 0;
	r.cookie = cookie_of(ev);
	r.until_ns = bpf_ktime_get_ns() + cap_ns;
	r.hook = ev->hook;
	r.to_port = ev->to_port;
	__builtin_memcpy(r.to, ev->to, sizeof(r.to));
	return bpf_map_update_elem(&restarteds, &tid, &r, BPF_ANY);
}

int restart_found(struct event *ev)
{
	struct call_key key = my_key(bpf_get_current_task_btf());
	struct call *c;
	int r = HELD_NOT;

	if (!ev)
		return HELD_NOT;
	c = bpf_map_lookup_elem(&calls, &key);
	if (!c)
		return HELD_NOT;
	if (awaited(c, ev)) {
		ev->ticket = c->ticket;
		ev->slot = c->slot;
		ev->deadline_ns = c->deadline_ns;
		r = hold_on(ev);
		if (r == HELD_STILL && bpf_ktime_get_ns() < c->until_ns)
			return r;
		bpf_map_delete_elem(&calls, &key);
		if (r == HELD_DECIDED)
			return r;
		ev->given_up = 1;
		return HELD_STILL;
	}
	bpf_map_delete_elem(&calls, &key);
	return HELD_NOT;
}

struct flagged {
	const struct task_struct *task;
	__u64 end_ns;
	__u32 seen;
};

static long look(__u32 n, struct flagged *f)
{
	if (flags_of(f->task) & knobs.restart_flag) {
		f->seen = 1;
		return 1;
	}
	return bpf_ktime_get_ns() >= f->end_ns;
}

/* Before the call goes back: who sees it again sees this.  Never lowered. */
static __always_inline int announce(__u64 until_ns)
{
	__u64 end_ns = (((until_ns + BACK_NS) >> BACK_SHIFT) + 1) << BACK_SHIFT, before, *at;
	__u32 zero = 0, i;

	at = bpf_map_lookup_elem(&restarting, &zero);
	for (i = 0; at && i < TRIES; i++) {
		before = *(const volatile __u64 *)at;
		if (before >= end_ns || __sync_val_compare_and_swap(at, before, end_ns) == before)
			return 1;
	}
	return 0;
}

static __always_inline int remember(const struct event *ev, const struct call_key *key,
				    __u32 cap_ns)
{
	struct call fresh = {
		.ticket = ev->ticket,
		.cookie = cookie_of(ev),
		.deadline_ns = ev->deadline_ns,
		.slot = ev->slot,
		.rule = ev->by.id,
		.generation = knobs.generation,
		.ring = ev->by.ring,
		.key = ev->key,
	};

	fresh.until_ns = bpf_ktime_get_ns() + cap_ns;
	if (fresh.until_ns > ev->deadline_ns)
		fresh.until_ns = ev->deadline_ns;
	if (!announce(fresh.until_ns))
		return -1;
	return bpf_map_update_elem(&calls, key, &fresh, BPF_ANY);
}

int restart(struct event *ev, __u32 cap_ns)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call_key key = my_key(task);
	struct flagged f = {.task = task};
	struct call *c;

	if (!ev || !knobs.restart_flag || ev->given_up || !in_call(task))
		return 0;
	c = bpf_map_lookup_elem(&calls, &key);
	if (!c && !remember(ev, &key, cap_ns))
		c = bpf_map_lookup_elem(&calls, &key);
	if (!c)
		return 0;
	if (schedule(task, c))
		return 0;
	f.end_ns = bpf_ktime_get_ns() + FLAG_NS;
	bpf_loop(LOOKS, look, &f, 0);
	if (!f.seen)
		bpf_map_delete_elem(&calls, &key);
	return f.seen;
}

/* ---- which flag it is ---- */

static long pass_time(__u32 n, __u64 *end_ns)
{
	return bpf_ktime_get_ns() >= *end_ns;
}

/* For the loader, in a process of its own: flags that are there after, and were not before. */
SEC("syscall")
int ulsp_calibrate(__u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call_key key = {.tid = task->pid, .group = ~0u};
	struct call none = {};
	unsigned long before;
	struct call *c;
	__u64 end_ns;

	*ctx = 0;
	bpf_map_update_elem(&calls, &key, &none, BPF_ANY);
	c = bpf_map_lookup_elem(&calls, &key);
	if (!c)
		return 0;
	before = flags_of(task);
	if (schedule(task, c))
		return 0;
	end_ns = bpf_ktime_get_ns() + FLAG_NS;
	bpf_loop(LOOKS, pass_time, &end_ns, 0);
	*ctx = flags_of(task) & ~before;
	return 0;
}

char _license[] SEC("license") = "GPL";
