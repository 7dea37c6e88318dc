/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does something else while a UDP operation to BAIT is held, by the same socket, 100 times:
 *
 *   detour HOW connect|sendto BAIT OTHER     ports on 127.0.0.1
 *
 * HOW: handler (a signal's, which goes on to OTHER), jump (out of such a handler, then OTHER), flip
 * (another thread makes BAIT OTHER in the memory of the call).  Says to which ports calls that
 * succeeded were meant and which peers the socket had then: "meant PORT COUNT", "peer PORT COUNT".
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { TIMES = 100, AFTER_US = 1500 };

static int s;
static bool sends;
static unsigned short bait, other;
static unsigned int meant[65536], peers[65536];
static volatile sig_atomic_t armed, jumps;
static sigjmp_buf out;
static struct sockaddr_in flipped;
static volatile bool flipping;

static struct sockaddr_in to(unsigned short port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				    .sin_port = htons(port)};
}

static void operate(const struct sockaddr_in *a, unsigned short port)
{
	struct sockaddr_in peer;
	socklen_t bytes = sizeof(peer);
	int r;

	r = sends ? (int)sendto(s, &port, sizeof(port), MSG_DONTWAIT, (const void *)a, sizeof(*a))
		  : connect(s, (const void *)a, sizeof(*a));
	if (r < 0)
		return;
	meant[port]++;
	if (!sends && !getpeername(s, (struct sockaddr *)&peer, &bytes))
		peers[ntohs(peer.sin_port)]++;
}

static void on_alarm(int sig)
{
	struct sockaddr_in a = to(other);

	(void)sig;
	if (!armed)
		return;
	armed = 0;
	if (jumps)
		siglongjmp(out, 1);
	operate(&a, other);
}

static void *flip(void *ctx)
{
	struct timespec t = {.tv_nsec = AFTER_US * 1000 / 2};

	while (flipping) {
		nanosleep(&t, NULL);
		__atomic_store_n(&flipped.sin_port, htons(other), __ATOMIC_RELAXED);
	}
	return ctx;
}

static void once(bool flips)
{
	struct itimerval soon = {.it_value = {0, AFTER_US}};
	struct sockaddr_in a = to(bait);
	pthread_t thread;

	if (flips) {
		flipped = a;
		flipping = true;
		if (pthread_create(&thread, NULL, flip, NULL))
			exit(1);
		operate(&flipped, bait);
		flipping = false;
		pthread_join(thread, NULL);
		return;
	}
	if (sigsetjmp(out, 1)) {
		a = to(other);
		operate(&a, other);
		return;
	}
	armed = 1;
	setitimer(ITIMER_REAL, &soon, NULL);
	operate(&a, bait);
	armed = 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_alarm};

	if (argc < 5)
		return 2;
	sends = !strcmp(argv[2], "sendto");
	jumps = !strcmp(argv[1], "jump");
	bait = (unsigned short)atoi(argv[3]);
	other = (unsigned short)atoi(argv[4]);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	sigaction(SIGALRM, &sa, NULL);
	for (int i = 0; i < TIMES; i++)
		once(!strcmp(argv[1], "flip"));
	for (int port = 0; port < 65536; port++) {
		if (meant[port])
			printf("meant %d %u\n", port, meant[port]);
		if (peers[port])
			printf("peer %d %u\n", port, peers[port]);
	}
	return 0;
}
