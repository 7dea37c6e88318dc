/* SPDX-License-Identifier: GPL-2.0-only */
#include "lsm_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int uring_do(const struct io_uring_sqe *what, unsigned int setup_flags, unsigned int sqe_flags)
{
	struct io_uring_params p = {.flags = setup_flags, .sq_thread_idle = 2000};
	unsigned int enter = IORING_ENTER_GETEVENTS, *tail;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char *sq, *cq;
	int fd, r, id = 0;

	fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (fd < 0)
		return -253;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned int),
		  PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED, fd, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)sqe == MAP_FAILED)
		return -252;
	if (sqe_flags & URING_PERSONALITY) {
		id = (int)syscall(SYS_io_uring_register, fd, IORING_REGISTER_PERSONALITY, NULL, 0);
		if (id < 0)
			return -251;
	}
	*sqe = *what;
	sqe->flags = (uint8_t)sqe_flags;
	sqe->personality = (uint16_t)id;
	((unsigned int *)(sq + p.sq_off.array))[0] = 0;
	tail = (unsigned int *)(sq + p.sq_off.tail);
	__atomic_store_n(tail, 1, __ATOMIC_RELEASE);
	if (setup_flags & IORING_SETUP_SQPOLL)
		enter |= IORING_ENTER_SQ_WAKEUP;
	if (syscall(SYS_io_uring_enter, fd, 1, 1, enter, NULL, 0) < 0)
		return -250;
	if (__atomic_load_n((unsigned int *)(cq + p.cq_off.tail), __ATOMIC_ACQUIRE) != 1)
		return -249;
	cqe = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	r = cqe->res;
	close(fd);
	return r;
}

int uring_open(const char *path, int flags, unsigned int setup_flags, unsigned int sqe_flags)
{
	struct io_uring_sqe what = {
		.opcode = IORING_OP_OPENAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)path,
		.open_flags = (uint32_t)flags,
		.len = 0600,
	};
	int r = uring_do(&what, setup_flags, sqe_flags);

	if (r < 0)
		return r;
	close(r);
	return 0;
}
