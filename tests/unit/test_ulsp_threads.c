/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ULSP's half of asking under load: ulsp/ring.c and kernel_answer() as they
 * are, against threads that do what the programs and the daemon do (see
 * tests/model).  Every question gets its own verdict, without a lost wake-up;
 * tests/unit/threads.sh has ThreadSanitizer look on.
 */
#include "../../ulsp/kernel.c"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

enum {
	ASKERS = 4,
	PLACES = 3, /* slots that they want */
	RING = 4096,
	KEPT = 2,    /* of the messages, answered later */
	LOST_S = 20, /* nothing comes for so long: it is lost */
	RECORD = 32, /* with its header, and it divides RING */
};

struct question {
	uint64_t ticket;
	uint32_t slot;
	uint32_t reserved[3];
};
_Static_assert(sizeof(struct question) + BPF_RINGBUF_HDR_SZ == RECORD, "no record wraps");

static struct ulsp_wait waits[PLACES];
static sem_t told[PLACES];
static struct kernel kernel;
static struct ulsp handle = {.impl = &kernel};
static pthread_mutex_t reserving = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *ring; /* as the kernel sees it */
static long page;
static int wake;
static unsigned int each = 20000, left = ASKERS, parked;
static const char *wrong;

static void fault(const char *what)
{
	__atomic_store_n(&wrong, what, __ATOMIC_SEQ_CST);
}

static int is_wrong(void)
{
	return __atomic_load_n(&wrong, __ATOMIC_SEQ_CST) != NULL;
}

static int error_of(uint64_t ticket)
{
	return -1 - (int)(ticket % 4000);
}

/* ---- the kernel ---- */

static void send_question(uint64_t ticket, uint32_t slot)
{
	unsigned long *consumer = (void *)ring, *producer = (void *)(ring + page), at;
	struct question *q;
	uint32_t *header;
	uint64_t one = 1;

	for (;;) {
		pthread_mutex_lock(&reserving);
		at = *producer;
		if (at + RECORD - __atomic_load_n(consumer, __ATOMIC_ACQUIRE) <= RING)
			break;
		pthread_mutex_unlock(&reserving);
		sched_yield();
	}
	header = (void *)(ring + 2 * page + (at & (RING - 1)));
	__atomic_store_n(header, sizeof(*q) | BPF_RINGBUF_BUSY_BIT, __ATOMIC_RELAXED);
	__atomic_store_n(producer, at + RECORD, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&reserving);
	q = (void *)((unsigned char *)header + BPF_RINGBUF_HDR_SZ);
	*q = (struct question){.ticket = ticket, .slot = slot};
	__atomic_exchange_n(header, sizeof(*q), __ATOMIC_SEQ_CST);
	if (__atomic_load_n(consumer, __ATOMIC_SEQ_CST) == at)
		(void)!write(wake, &one, sizeof(one));
}

static int look(uint32_t slot, uint64_t ticket)
{
	const struct ulsp_slot *s = &kernel.slots[slot];

	if (__atomic_load_n(&s->ticket, __ATOMIC_SEQ_CST) != ticket)
		return 0;
	if (s->verdict != ULSP_VERDICT_DENY || s->error != error_of(ticket) ||
	    s->generation != (uint32_t)ticket)
		fault("another question's verdict");
	return 1;
}

static void park(uint32_t slot, uint64_t ticket)
{
	struct timespec until;
	uint64_t before;

	before = __atomic_load_n(&kernel.slots[slot].parked, __ATOMIC_RELAXED);
	if (before < ticket)
		__atomic_compare_exchange_n(&kernel.slots[slot].parked, &before, ticket, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LOST_S;
	while (!look(slot, ticket) && !is_wrong())
		if (sem_timedwait(&told[slot], &until) && errno == ETIMEDOUT)
			fault("nobody told of a verdict");
}

static void *asking(void *ctx)
{
	unsigned int seed = (unsigned int)(uintptr_t)ctx;
	const uint64_t one = 1;

	for (unsigned int n = 0; n < each && !is_wrong(); n++) {
		uint32_t slot = (uint32_t)rand_r(&seed) % PLACES;
		uint64_t none = 0, taken = 1, ticket;
		int looks = rand_r(&seed) % 50;

		while (!__atomic_compare_exchange_n(&waits[slot].until_ns, &none, taken, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			none = 0;
			slot = (slot + 1) % PLACES;
			sched_yield();
		}
		ticket = __atomic_add_fetch(&waits[slot].ticket, 1, __ATOMIC_SEQ_CST);
		send_question(ticket, slot);
		while (looks-- && !look(slot, ticket))
			;
		if (!look(slot, ticket))
			park(slot, ticket);
		__atomic_store_n(&waits[slot].until_ns, 0, __ATOMIC_SEQ_CST);
	}
	if (__atomic_sub_fetch(&left, 1, __ATOMIC_SEQ_CST) == 0)
		(void)!write(wake, &one, sizeof(one));
	return NULL;
}

/* ---- the daemon ---- */

static void *telling(void *ctx)
{
	int fd = *(int *)ctx;
	struct ulsp_poke poke;

	for (; read(fd, &poke, sizeof(poke)) == sizeof(poke); parked++)
		sem_post(&told[poke.slot]);
	return NULL;
}

/* ---- the ULSP ---- */

static struct question kept[KEPT];
static unsigned int nkept;

static void answer_it(const struct question *q)
{
	struct ulsp_message m = {.u = &handle, .raw = {.slot = q->slot, .ticket = q->ticket}};
	struct ulsp_slot said = {.ticket = q->ticket,
				 .generation = (uint32_t)q->ticket,
				 .verdict = ULSP_VERDICT_DENY,
				 .error = (__s16)error_of(q->ticket)};

	if (kernel_answer(&handle, &m, &said))
		fault("an answer was refused");
	if (kernel_answer(&handle, &m, &said) != -EALREADY)
		fault("a second answer was taken");
}

static bool on_question(void *ctx, const void *record, size_t bytes)
{
	struct question q;

	(void)ctx, (void)bytes;
	memcpy(&q, record, sizeof(q));
	if (nkept < KEPT && q.ticket % 5 == 0)
		kept[nkept++] = q;
	else
		answer_it(&q);
	return true;
}

static void answering(void)
{
	struct pollfd p = {.fd = wake, .events = POLLIN};
	uint64_t count;

	while (__atomic_load_n(&left, __ATOMIC_SEQ_CST) && !is_wrong()) {
		ulsp_ring_drain(&kernel.sources[0].ring, on_question, NULL);
		while (nkept) /* the last first */
			answer_it(&kept[--nkept]);
		ulsp_ring_settle(&kernel.sources[0].ring);
		if (ulsp_ring_ready(&kernel.sources[0].ring))
			continue;
		if (poll(&p, 1, LOST_S * 500) == 0 && __atomic_load_n(&left, __ATOMIC_SEQ_CST))
			fault("a wake-up was lost");
		else
			(void)!read(wake, &count, sizeof(count));
	}
}

int main(int argc, char **argv)
{
	pthread_t askers[ASKERS], daemon;
	static __u64 taken;
	int fd, pipes[2];

	if (argc > 1)
		each = (unsigned int)atoi(argv[1]);
	page = sysconf(_SC_PAGESIZE);
	fd = memfd_create("ring", MFD_CLOEXEC);
	wake = eventfd(0, EFD_CLOEXEC);
	kernel.slots = calloc(PLACES, sizeof(*kernel.slots));
	if (fd < 0 || wake < 0 || !kernel.slots || pipe(pipes) ||
	    ftruncate(fd, 2 * page + 2 * RING))
		return 1;
	ring = mmap(NULL, (size_t)(2 * page + 2 * RING), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return 1;
	/* Not by ulsp_ring_open(): ThreadSanitizer goes by addresses, so both ends have one. */
	kernel.sources[0].ring = (struct ulsp_ring){.consumer = (void *)ring,
						    .producer = (void *)(ring + page),
						    .data = ring + 2 * page,
						    .bytes = RING,
						    .taken = &taken};
	kernel.fds[FD_POKE] = pipes[1];
	for (int i = 0; i < PLACES; i++)
		sem_init(&told[i], 0, 0);
	pthread_create(&daemon, NULL, telling, &pipes[0]);
	for (uintptr_t i = 0; i < ASKERS; i++)
		pthread_create(&askers[i], NULL, asking, (void *)(i + 1));
	answering();
	for (int i = 0; i < ASKERS; i++)
		pthread_join(askers[i], NULL);
	close(pipes[1]);
	pthread_join(daemon, NULL);
	printf("%s 1 - %u questions, each with its own verdict%s%s\n", wrong ? "not ok" : "ok",
	       ASKERS * each, wrong ? ": " : "", wrong ? wrong : "");
	printf("%s 2 - the daemon was told of some\n1..2\n", parked ? "ok" : "not ok");
	free(kernel.slots);
	return wrong || !parked;
}
