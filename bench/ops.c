/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nanoseconds per networking operation of this process: prints one number.
 *
 *   ops udp-connect|udp-sendto|tcp-connect COUNT hot|random [PORT]
 *
 * Destinations are in 127.0.0.0/8 with an even second and an even third byte;
 * `random` walks 65,536 of them so that tables don't stay in the CPU's caches.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DESTINATIONS = 65536 };

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static int operation(const char *op, int fd, const struct sockaddr_in *to)
{
	struct linger reset = {.l_onoff = 1};
	int r;

	if (!strcmp(op, "udp-connect"))
		return connect(fd, (const struct sockaddr *)to, sizeof(*to));
	if (!strcmp(op, "udp-sendto"))
		return sendto(fd, "x", 1, 0, (const struct sockaddr *)to, sizeof(*to)) < 0 ? -1 : 0;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	/* a reset leaves no TIME_WAIT behind */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	r = connect(fd, (const struct sockaddr *)to, sizeof(*to));
	close(fd);
	return r;
}

int main(int argc, char **argv)
{
	static uint32_t dest[DESTINATIONS];
	struct sockaddr_in to = {.sin_family = AF_INET};
	unsigned long count, failed = 0;
	uint64_t rnd = 88172645463325252ull, start;
	int fd;

	if (argc < 4) {
		fprintf(stderr,
			"usage: ops udp-connect|udp-sendto|tcp-connect COUNT hot|random [PORT]\n");
		return 2;
	}
	count = strtoul(argv[2], NULL, 10);
	to.sin_port = htons(argc > 4 ? strtoul(argv[4], NULL, 10) : 9);
	for (int i = 0; i < DESTINATIONS; i++) {
		rnd ^= rnd << 13;
		rnd ^= rnd >> 7;
		rnd ^= rnd << 17;
		dest[i] = htonl(0x7f000001u | (rnd & 0x00fefe00u) |
				(!strcmp(argv[3], "hot") ? 0 : rnd & 0xfe));
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	start = now_ns();
	for (unsigned long i = 0; i < count; i++) {
		to.sin_addr.s_addr = dest[strcmp(argv[3], "hot") ? i % DESTINATIONS : 0];
		if (operation(argv[1], fd, &to) < 0 && errno != ECONNREFUSED)
			failed++;
	}
	printf("%.1f\n", (double)(now_ns() - start) / count);
	if (failed)
		fprintf(stderr, "ops: %lu of %lu failed: %s\n", failed, count, strerror(errno));
	return failed != 0;
}
