/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ULSP that answers past its library.  The last digit of the port that is
 * asked about says how:
 *
 *   0 as it should be     1 another ticket    2 what is no verdict
 *   3 what is no errno    4 another policy's  5 in another slot
 *   6 another address     7 as it should be, but told only of other rings and slots
 *
 *   liar             no more than that
 *   liar flood       tells of all rings and slots all the time, and fills its other slots and its
 * cache liar garbage     spoils its pipe to the daemon: its size, its mode, what is in it liar fill
 * when asked first fills its cache, with 50,000 verdicts, twice
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handle.h"
#include "ulsp_abi.h"

enum { ROUNDS = 200, FILL = 50000 };

static struct ulsp_slot *slots;
static struct ulsp_cache_set *cache;
static bool fills; /* until it has */
static int poke_fd;
static uint32_t ring;
static unsigned seed = 1;

static int fd_of(const char *what)
{
	const char *fds = getenv("ULSP_FDS"), *at = fds ? strstr(fds, what) : NULL;

	return at ? atoi(at + strlen(what)) : -1;
}

static void write_slot(uint32_t at, const struct ulsp_slot *said)
{
	struct ulsp_slot *s = &slots[at % ULSP_MAX_SLOTS];

	s->generation = said->generation;
	s->verdict = said->verdict;
	s->family = said->family;
	s->error = said->error;
	s->port = said->port;
	memcpy(s->addr, said->addr, sizeof(s->addr));
	__atomic_store_n(&s->ticket, said->ticket, __ATOMIC_SEQ_CST);
}

static void poke(uint32_t of, uint32_t slot)
{
	struct ulsp_poke p = {of, slot};

	(void)!write(poke_fd, &p, sizeof(p));
}

static void answer(const struct ulsp_msg *m)
{
	struct ulsp_slot said = {
		.ticket = m->ticket,
		.generation = m->generation,
		.verdict = ULSP_VERDICT_ALLOW,
	};
	uint32_t slot = m->slot, told = m->slot, of = ring;

	switch (m->remote_port % 10) {
	case 1:
		said.ticket++;
		break;
	case 2:
		said.verdict = 77;
		break;
	case 3:
		said.verdict = ULSP_VERDICT_DENY;
		said.error = ECONNREFUSED;
		break;
	case 4:
		said.generation++;
		break;
	case 5:
		slot++;
		break;
	case 6:
		usleep(20000); /* it is parked by now */
		said.verdict = ULSP_VERDICT_REWRITE;
		said.family = 4;
		said.port = 7401;
		memcpy(said.addr, m->remote, sizeof(said.addr));
		break;
	case 7:
		usleep(20000);
		told++;
		of++;
		break;
	}
	write_slot(slot, &said);
	poke(of, told);
	poke(0xffffffff, 0xffffffff);
}

static void fill(struct ulsp *u, const struct ulsp_message *message)
{
	const struct ulsp_msg *m = &message->raw;
	struct ulsp_cached v = {
		.key = {.rule = m->rule,
			.group = (uint16_t)m->group,
			.op = m->op,
			.proto = m->proto,
			.family = 4,
			.scope = ULSP_SCOPE_FLOW},
		.generation = m->generation,
		.expires_ns = ulsp_now_ns(CLOCK_MONOTONIC) + 600000000000,
	};
	uint32_t addr;

	for (uint32_t i = 0; i < 2 * FILL; i++) {
		addr = htonl(i);
		memcpy(v.key.addr, &addr, sizeof(addr));
		v.key.port = (uint16_t)(1 + i % FILL);
		if (u->backend->put(u, message, &v, 0))
			exit(1);
	}
	fprintf(stderr, "filled\n");
	fills = false;
}

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	(void)ctx;
	if (!ulsp_is_ask(m))
		return 0;
	if (fills)
		fill(u, m);
	else
		answer(&m->raw);
	return 0;
}

/* Whatever it is: no operation's key. */
static void spoil(uint32_t at)
{
	struct ulsp_cache_entry *e = &cache[at % ULSP_CACHE_SETS].ways[at >> 8 & 3];

	for (size_t i = 0; i < sizeof(*e) / sizeof(uint64_t); i++)
		((volatile uint64_t *)e)[i] = (uint64_t)rand_r(&seed) << 33 | at;
}

static void flood(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct ulsp_slot said = {
			.ticket = (uint64_t)rand_r(&seed) % 64,
			.generation = (uint32_t)rand_r(&seed) % 4,
			.verdict = (uint8_t)rand_r(&seed),
			.error = (int16_t)rand_r(&seed),
		};

		poke((uint32_t)rand_r(&seed) % (ULSP_MAX_RINGS + 1),
		     (uint32_t)rand_r(&seed) % (ULSP_MAX_SLOTS + 1));
		/* Those beyond the first; a true verdict for a ticket to come would be its own. */
		said.verdict |= 0x80;
		write_slot((uint32_t)rand_r(&seed), &said);
		spoil((uint32_t)rand_r(&seed));
	}
}

static void garbage(void)
{
	char bytes[7] = "garbage";

	fcntl(poke_fd, F_SETPIPE_SZ, 4096);
	fcntl(poke_fd, F_SETFL, 0);
	(void)!write(poke_fd, bytes, 1 + (size_t)rand_r(&seed) % sizeof(bytes));
}

int main(int argc, char **argv)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = on_message};
	const char *how = argc > 1 ? argv[1] : "";
	struct ulsp *u = NULL;
	int r;

	signal(SIGPIPE, SIG_IGN);
	poke_fd = fd_of("poke=");
	slots = mmap(NULL, ULSP_MAX_SLOTS * sizeof(*slots), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd_of("slots="), 0);
	cache = mmap(NULL, ULSP_CACHE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd_of("cache="),
		     0);
	fills = !strcmp(how, "fill");
	if (slots == MAP_FAILED || cache == MAP_FAILED || poke_fd < 0)
		return 1;
	poke_fd = fcntl(poke_fd, F_DUPFD_CLOEXEC, 100);
	ring = (uint32_t)atoi(getenv("ULSP_RING"));
	r = ulsp_open(&o, &u);
	while (!r || r == -EINTR) {
		r = ulsp_dispatch(u, *how ? 1 : 1000);
		if (r > 0)
			r = 0;
		if (!strcmp(how, "flood"))
			flood();
		else if (!strcmp(how, "garbage"))
			garbage();
	}
	ulsp_close(&u);
	return r == -ECANCELED ? 0 : 1;
}
