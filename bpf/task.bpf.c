/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The current task: what rules ask about it, sockets that it owns, messages
 * that name it.
 *
 * It is read through its BTF pointer, which every program type may do since
 * 5.11; the helpers that name the task are for fewer of them.  All of it is in
 * this object file, because libbpf's linker (1.1) takes a kernel function from
 * one object only.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "record.bpf.h"

#define PF_KTHREAD 0x00200000

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/*
 * To be read only.  Where the kernel can cast (6.2), as an untrusted pointer:
 * for each pointer that is loaded through a trusted one the verifier searches
 * all kernel types several times, which took half of the time that a group's
 * programs need to load.
 */
static __always_inline struct task_struct *current_task(void)
{
	if (bpf_rdonly_cast)
		return bpf_rdonly_cast((void *)bpf_get_current_task(),
				       bpf_core_type_id_kernel(struct task_struct));
	return bpf_get_current_task_btf();
}

/* Device and inode of the executable; 0 when the task has none. */
static __always_inline void task_exe(const struct task_struct *task, __u32 *ret_dev, __u64 *ret_ino)
{
	struct super_block *sb;
	struct mm_struct *mm;
	struct inode *inode;
	struct file *file;

	mm = task->mm;
	if (!mm)
		return;
	file = mm->exe_file;
	if (!file)
		return;
	inode = file->f_inode;
	if (!inode)
		return;
	sb = inode->i_sb;
	if (!sb)
		return;
	*ret_dev = sb->s_dev;
	*ret_ino = inode->i_ino;
}

/* CLOCK_BOOTTIME, as field 22 of /proc/PID/stat has it in clock ticks. */
static __always_inline __u64 task_start_ns(const struct task_struct *task)
{
	const struct task_struct *leader = task->group_leader;

	return leader ? leader->start_boottime : 0;
}

static __always_inline __u64 task_cgroup(const struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	struct kernfs_node *node;
	struct cgroup *cgroup;

	if (!set)
		return 0;
	cgroup = set->dfl_cgrp;
	if (!cgroup)
		return 0;
	node = cgroup->kn;
	return node ? node->id : 0;
}

/* Copied at once; lockdown in confidentiality mode refuses it. */
static __always_inline void task_comm(const struct task_struct *task, char *to)
{
	bpf_probe_read_kernel(to, ULSP_COMM_BYTES, task->comm);
}

int task_facts(struct event *ev)
{
	const struct task_struct *task = current_task();
	const struct cred *cred;

	if (!ev)
		return 0;
	cred = task->cred;
	/* A kernel thread (MPTCP's path manager) is nobody; fails closed. */
	if (task->flags & PF_KTHREAD || !cred) {
		ev->key.no_task = 1;
		return 0;
	}
	ev->key.uid = cred->uid.val;
	if (knobs.flags & ULSP_KNOB_EXE)
		task_exe(task, &ev->key.exe_dev, &ev->key.exe_ino);
	return 0;
}

int task_own(struct sock_state *s)
{
	const struct task_struct *task = current_task();
	const struct cred *cred = task->cred;

	if (!s || !cred)
		return 0;
	s->pid = task->pid;
	s->tgid = task->tgid;
	s->uid = cred->uid.val;
	s->gid = cred->gid.val;
	s->start_ns = task_start_ns(task);
	s->cgroup = task_cgroup(task);
	task_comm(task, s->comm);
	if (knobs.flags & ULSP_KNOB_EXE)
		task_exe(task, &s->exe_dev, &s->exe_ino);
	s->owned = 1;
	return 0;
}

int task_process(struct ulsp_cache_key *key)
{
	const struct task_struct *task = current_task();

	if (!key)
		return 0;
	key->tgid = task->tgid;
	key->start_ns = task_start_ns(task);
	return 0;
}

int task_limit(struct limit_process_key *key)
{
	const struct task_struct *task = current_task();

	if (!key)
		return 0;
	key->tgid = task->tgid;
	key->start_ns = task_start_ns(task);
	return 0;
}

/*
 * The scheduler's own flag has no place that all kernels tell; that the processor has got one more
 * to run is as good a sign.
 */
int task_rivals(void)
{
	const struct task_struct *task = current_task();

	if (!bpf_core_field_exists(task->se.cfs_rq))
		return 0;
	return BPF_CORE_READ(task, se.cfs_rq, rq, nr_running);
}

static __always_inline int signalled(const struct task_struct *task)
{
	__u64 mine = BPF_CORE_READ(task, pending.signal.sig[0]);
	__u64 all = BPF_CORE_READ(task, signal, shared_pending.signal.sig[0]);

	return ((mine | all) & ~BPF_CORE_READ(task, blocked.sig[0])) != 0;
}

int task_wanted(int rivals)
{
	return task_rivals() > rivals || signalled(current_task());
}

/* ---- messages ---- */

static __always_inline void put_addrs(struct ulsp_msg *m, const struct event *ev)
{
	const struct dec_key *key = &ev->key;

	switch (key->op) {
	case ULSP_OP_BIND:
	case ULSP_OP_LISTEN:
		put_addr(m->local, key->addr, key->family);
		put_addr(m->remote, key->addr2, key->family);
		m->local_port = key->port;
		m->remote_port = 0;
		break;
	case ULSP_OP_ACCEPT:
	case ULSP_OP_RECVFROM:
		put_addr(m->remote, key->addr, key->family);
		put_addr(m->local, key->addr2, key->family);
		m->local_port = key->port;
		m->remote_port = key->port2;
		break;
	default:
		put_addr(m->remote, key->addr, key->family);
		put_addr(m->local, key->addr2, key->family);
		m->remote_port = key->port;
		m->local_port = key->port2;
	}
}

static __always_inline void put_task(struct ulsp_msg *m)
{
	const struct task_struct *task = current_task();
	const struct cred *cred = task->cred;

	m->cgroup = task_cgroup(task);
	m->pid = task->pid;
	m->tgid = task->tgid;
	m->uid = cred ? cred->uid.val : 0;
	m->gid = cred ? cred->gid.val : 0;
	m->start_ns = task_start_ns(task);
	task_comm(task, m->comm);
}

/* Those that made the socket, or nobody. */
static __always_inline void put_owner(struct ulsp_msg *m, const struct event *ev,
				      const struct sock_state *owner)
{
	if (owner && owner->owned) {
		m->cgroup = owner->cgroup;
		m->pid = owner->pid;
		m->tgid = owner->tgid;
		m->uid = owner->uid;
		m->gid = owner->gid;
		m->start_ns = owner->start_ns;
		__builtin_memcpy(m->comm, owner->comm, sizeof(m->comm));
		return;
	}
	m->cgroup = ev->cgroup;
	m->pid = m->tgid = m->uid = m->gid = 0;
	m->start_ns = 0;
	__builtin_memset(m->comm, 0, sizeof(m->comm));
}

int share_of(const struct event *ev, __u32 ring)
{
	const struct ulsp_asking *how = bpf_map_lookup_elem(&asking, &ring);
	__u32 n = how ? how->rings : 1;

	if (!ev || n <= 1)
		return 0;
	return (ev->flags & ULSP_MSG_NO_TASK ? bpf_get_prandom_u32() : (__u32)current_task()->pid) %
	       n % ULSP_RINGS_EACH;
}

int record_to(const struct event *ev, const struct sock_state *owner, __u32 ring, __u32 flags)
{
	__u32 at = ULSP_STREAM(knobs.slot, ring);
	struct ulsp_stream *stream;
	struct ulsp_msg *m;
	__u64 seq;
	void *rb;

	if (!ev || ring >= ULSP_ALL_RINGS)
		return -ENOENT;
	stream = bpf_map_lookup_elem(&streams, &at);
	rb = bpf_map_lookup_elem(&rings, &ring);
	if (!stream || !rb)
		return -ENOENT;
	seq = __sync_fetch_and_add(&stream->seq, 1) + 1;
	m = bpf_ringbuf_reserve(rb, sizeof(*m), 0);
	if (!m) {
		__sync_fetch_and_add(&stream->lost, 1);
		count_reason(ULSP_REASON_LOST_FULL);
		return -ENOBUFS;
	}
	m->seq = seq;
	m->time_ns = bpf_ktime_get_ns();
	m->cookie = ev->cookie;
	m->group = knobs.slot;
	m->generation = knobs.generation;
	m->rule = ev->by.id;
	m->line = ev->by.line;
	m->file = ev->by.file;
	m->abi = ULSP_ABI;
	m->op = flags & ULSP_MSG_ASK ? asked_op(ev) : ev->key.op;
	m->proto = ev->key.proto;
	m->ip_proto = ev->ip_proto;
	m->family = ev->key.family == DEC_V4 ? 4 : 6;
	m->verdict = ev->verdict;
	m->error = ev->error;
	m->reason = ev->reason;
	m->flags = ev->flags | flags;
	put_addrs(m, ev);
	if (ev->flags & ULSP_MSG_NO_TASK)
		put_owner(m, ev, owner);
	else
		put_task(m);
	m->slot = flags & ULSP_MSG_ASK && ev->ticket ? ev->slot : ULSP_NO_SLOT;
	m->bytes = ev->bytes;
	m->cache_ms = ev->by.cache_ms;
	m->reserved = 0;
	m->ticket = flags & ULSP_MSG_ASK ? ev->ticket : 0;
	m->deadline_ns = flags & ULSP_MSG_ASK && ev->ticket ? ev->deadline_ns : 0;
	bpf_ringbuf_submit(m, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
