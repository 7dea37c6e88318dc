/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * System V shared memory, semaphores and message queues: an object belongs to
 * the group of the process that made it, for as long as it exists; one that is
 * in no map was made outside.  Shared memory is of kind SHM, the rest IPC.
 *
 * What is judged are the operations, not ipc_permission: that doesn't know
 * what kind of object it has, and what it denies is told as EACCES.  There is
 * one exception, receiving, whose own hook can only skip messages.  Names and
 * sizes in /proc/sysvipc are not hidden.  Attached memory stays attached when
 * a process is tagged later.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "object.bpf.h"

static __always_inline int reach_object(const struct kern_ipc_perm *perm, __u32 kind)
{
	if (!perm) /* IPC_INFO and the like: of no object */
		return 0;
	return reach(my_tag(), object_tag(perm), kind, 0);
}

/* ---- life ---- */

SEC("lsm/shm_alloc_security")
int BPF_PROG(lsm_shm_alloc, struct kern_ipc_perm *perm, int ret)
{
	if (ret)
		return ret;
	return object_own(perm);
}

SEC("lsm/sem_alloc_security")
int BPF_PROG(lsm_sem_alloc, struct kern_ipc_perm *perm, int ret)
{
	if (ret)
		return ret;
	return object_own(perm);
}

SEC("lsm/msg_queue_alloc_security")
int BPF_PROG(lsm_msg_alloc, struct kern_ipc_perm *perm, int ret)
{
	if (ret)
		return ret;
	return object_own(perm);
}

SEC("lsm/shm_free_security")
int BPF_PROG(lsm_shm_free, struct kern_ipc_perm *perm)
{
	object_disown(perm);
	return 0;
}

SEC("lsm/sem_free_security")
int BPF_PROG(lsm_sem_free, struct kern_ipc_perm *perm)
{
	object_disown(perm);
	return 0;
}

SEC("lsm/msg_queue_free_security")
int BPF_PROG(lsm_msg_free, struct kern_ipc_perm *perm)
{
	object_disown(perm);
	return 0;
}

/* ---- shared memory ---- */

SEC("lsm/shm_associate")
int BPF_PROG(lsm_shm_associate, struct kern_ipc_perm *perm, int flags, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_SHM);
}

SEC("lsm/shm_shmctl")
int BPF_PROG(lsm_shmctl, struct kern_ipc_perm *perm, int cmd, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_SHM);
}

SEC("lsm/shm_shmat")
int BPF_PROG(lsm_shmat, struct kern_ipc_perm *perm, char *address, int flags, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_SHM);
}

/* ---- semaphores ---- */

SEC("lsm/sem_associate")
int BPF_PROG(lsm_sem_associate, struct kern_ipc_perm *perm, int flags, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_IPC);
}

SEC("lsm/sem_semctl")
int BPF_PROG(lsm_semctl, struct kern_ipc_perm *perm, int cmd, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_IPC);
}

SEC("lsm/sem_semop")
int BPF_PROG(lsm_semop, struct kern_ipc_perm *perm, struct sembuf *ops, unsigned int count,
	     int alter, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_IPC);
}

/* ---- message queues ---- */

SEC("lsm/msg_queue_associate")
int BPF_PROG(lsm_msg_associate, struct kern_ipc_perm *perm, int flags, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_IPC);
}

SEC("lsm/msg_queue_msgctl")
int BPF_PROG(lsm_msgctl, struct kern_ipc_perm *perm, int cmd, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_IPC);
}

SEC("lsm/msg_queue_msgsnd")
int BPF_PROG(lsm_msgsnd, struct kern_ipc_perm *perm, struct msg_msg *msg, int flags, int ret)
{
	if (ret)
		return ret;
	return reach_object(perm, ULSP_REACH_IPC);
}

/* x86: msgrcv of 64 bits and x32, of 32 bits, and what ipc(2) of 32 bits calls it. */
enum {
	SYS_X32 = 0x40000000,
	SYS_MSGRCV = 70,
	SYS32_MSGRCV = 401,
	SYS32_IPC = 117,
	SYS32_IPC_MSGRCV = 12
};

static __always_inline int receives(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	/* A number of the other table is none of a call that gets here. */
	__u32 call = regs->orig_ax & ~SYS_X32;

	return call == SYS_MSGRCV || call == SYS32_MSGRCV ||
	       (call == SYS32_IPC && (regs->bx & 0xffff) == SYS32_IPC_MSGRCV);
}

/* A receiver is told at once, with EACCES, instead of waiting for what it never gets. */
SEC("lsm/ipc_permission")
int BPF_PROG(lsm_ipc, struct kern_ipc_perm *perm, short flag, int ret)
{
	struct task_struct *me = bpf_get_current_task_btf();

	if (ret)
		return ret;
	if (!receives(me))
		return 0;
	return reach(tag_of(me), object_tag(perm), ULSP_REACH_IPC, 0);
}

/* Who waits since before it was tagged: a sender hands it the message. */
SEC("lsm/msg_queue_msgrcv")
int BPF_PROG(lsm_msgrcv, struct kern_ipc_perm *perm, struct msg_msg *msg,
	     struct task_struct *target, long type, int mode, int ret)
{
	if (ret)
		return ret;
	if (!target || target == bpf_get_current_task_btf())
		return 0;
	return reach(tag_of(target), object_tag(perm), ULSP_REACH_IPC, target->tgid);
}
