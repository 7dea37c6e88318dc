/* SPDX-License-Identifier: BSD-2-Clause */
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/bpf.h>

int ulsp_ring_open(struct ulsp_ring *r, int fd, uint32_t bytes, __u64 *taken)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *own, *theirs;

	own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (own == MAP_FAILED)
		return -errno;
	theirs = mmap(NULL, page + 2 * (size_t)bytes, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (theirs == MAP_FAILED) {
		int error = -errno;

		munmap(own, page);
		return error;
	}
	r->consumer = own;
	r->producer = theirs;
	r->data = (const unsigned char *)theirs + page;
	r->bytes = bytes;
	r->at = *r->consumer;
	r->taken = taken;
	if (*taken > r->at && *taken <= __atomic_load_n(r->producer, __ATOMIC_ACQUIRE))
		r->at = *taken;
	ulsp_ring_settle(r);
	return 0;
}

void ulsp_ring_close(struct ulsp_ring *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!r->data)
		return;
	ulsp_ring_settle(r);
	munmap(r->consumer, page);
	munmap((void *)(uintptr_t)r->producer, page + 2 * (size_t)r->bytes);
	memset(r, 0, sizeof(*r));
}

/* The header of the next record, as long as it is committed; else 0. */
static uint32_t committed(const struct ulsp_ring *r)
{
	const uint32_t *header = (const void *)(r->data + (r->at & (r->bytes - 1)));
	uint32_t h;

	if (__atomic_load_n(r->producer, __ATOMIC_ACQUIRE) == r->at)
		return 0;
	h = __atomic_load_n(header, __ATOMIC_ACQUIRE);
	return h & BPF_RINGBUF_BUSY_BIT ? 0 : h;
}

bool ulsp_ring_ready(const struct ulsp_ring *r)
{
	return committed(r);
}

bool ulsp_ring_empty(const struct ulsp_ring *r)
{
	return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE) == r->at;
}

unsigned int ulsp_ring_drain(struct ulsp_ring *r, ulsp_ring_take take, void *ctx)
{
	/* Room given back before the end of a long batch: a quarter of the ring. */
	unsigned long mostly = r->bytes / 4, given = *r->consumer, last = r->at;
	unsigned int n = 0;
	bool more = true;
	uint32_t h;

	while (more && (h = committed(r))) {
		uint32_t bytes = h & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (!(h & BPF_RINGBUF_DISCARD_BIT)) {
			more = take(ctx, r->data + (r->at & (r->bytes - 1)) + BPF_RINGBUF_HDR_SZ,
				    bytes);
			n++;
		}
		last = r->at;
		r->at += (bytes + BPF_RINGBUF_HDR_SZ + 7ul) & ~7ul;
		*r->taken = r->at;
		if (last - given > mostly) {
			__atomic_store_n(r->consumer, last, __ATOMIC_RELEASE);
			given = last;
		}
	}
	if (last != r->at)
		__atomic_store_n(r->consumer, last, __ATOMIC_RELEASE);
	return n;
}

/*
 * What is committed after the fence sees the position and wakes, and what was committed before it
 * is seen by a look after this: tests/model/wakeup.pml.
 */
void ulsp_ring_settle(struct ulsp_ring *r)
{
	if (*r->consumer == r->at)
		return;
	__atomic_store_n(r->consumer, r->at, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
