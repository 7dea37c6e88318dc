/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One networking operation, as a program: prints "ok" or the errno's name.
 *
 *   try socket  PROTO          tcp udp icmp raw raw-tcp packet sctp; -6 for IPv6
 *   try connect PROTO ADDR PORT
 *   try sendto  PROTO ADDR PORT   udp icmp raw (a TCP segment by a raw socket)
 *   try bind    PROTO ADDR PORT
 *   try listen  PROTO ADDR PORT   bind, then listen
 *   try autolisten PROTO          listen without bind
 *   try serve   PROTO ADDR PORT   print the port, count until stdin ends, print the count
 *
 * Options: -s ADDR source address to bind first; -n N repeat, printing each
 * different result with its count; -u an AF_UNSPEC address; -o a source route
 * through ADDR; -4 give an IPv6 socket an IPv4 address; -w MS wait for an echo;
 * -r MS with -n: end with the first result that is not EAGAIN, MS between tries.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool force6, unspec, source_route, v4_on_v6;
static int wait_ms;
static unsigned retry_ms;
static const char *source;

static int address(const char *text, unsigned port, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = unspec ? AF_UNSPEC : AF_INET;
		in->sin_port = htons(port);
		*len = sizeof(*in);
		return AF_INET;
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = unspec ? AF_UNSPEC : AF_INET6;
		in6->sin6_port = htons(port);
		*len = sizeof(*in6);
		return AF_INET6;
	}
	fprintf(stderr, "try: not an address: %s\n", text);
	exit(2);
}

static int make_socket(const char *proto, int family)
{
	bool v6 = family == AF_INET6;

	if (!strcmp(proto, "tcp"))
		return socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!strcmp(proto, "mptcp"))
		return socket(family, SOCK_STREAM | SOCK_CLOEXEC, 262);
	if (!strcmp(proto, "udp"))
		return socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!strcmp(proto, "udplite"))
		return socket(family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE);
	if (!strcmp(proto, "ping"))
		return socket(family, SOCK_DGRAM, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	if (!strcmp(proto, "icmp"))
		return socket(family, SOCK_RAW, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	if (!strcmp(proto, "raw"))
		return socket(family, SOCK_RAW, IPPROTO_RAW);
	if (!strcmp(proto, "raw-tcp"))
		return socket(family, SOCK_RAW, IPPROTO_TCP);
	if (!strcmp(proto, "raw-253"))
		return socket(family, SOCK_RAW, 253);
	if (!strcmp(proto, "sctp"))
		return socket(family, SOCK_STREAM, IPPROTO_SCTP);
	if (!strcmp(proto, "packet"))
		return socket(AF_PACKET, SOCK_RAW, 0);
	fprintf(stderr, "try: unknown protocol: %s\n", proto);
	exit(2);
}

static int await_echo(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[512];

	if (poll(&p, 1, wait_ms) != 1)
		return -ETIMEDOUT;
	return recv(fd, buf, sizeof(buf), 0) < 0 ? -errno : 0;
}

static int try_connect(int fd, struct sockaddr_storage *ss, socklen_t len)
{
	struct timeval tv = {.tv_sec = retry_ms ? 6 : 1}; /* longer where it may be held */

	/* a dropped SYN must not hold a test for two minutes: EINPROGRESS is "no answer" */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)ss, len) < 0)
		return -errno;
	if (!wait_ms)
		return 0;
	if (send(fd, "x", 1, 0) < 0)
		return -errno;
	return await_echo(fd);
}

static int try_sendto(int fd, const char *proto, struct sockaddr_storage *ss, socklen_t len)
{
	uint8_t buf[64] = {0};
	size_t n = 1;

	if (!strcmp(proto, "ping") || !strcmp(proto, "icmp")) {
		buf[0] = ss->ss_family == AF_INET6 ? 128 : ICMP_ECHO;
		buf[4] = 1;
		/* the checksum of an echo request of otherwise zero bytes */
		if (buf[0] == ICMP_ECHO) {
			uint16_t sum = htons((uint16_t) ~((ICMP_ECHO << 8) + (1 << 8)));

			memcpy(buf + 2, &sum, 2);
		}
		n = 8;
		((struct sockaddr_in *)ss)->sin_port = 0;
	} else if (!strcmp(proto, "raw-tcp")) {
		struct tcphdr *th = (struct tcphdr *)buf;

		th->dest = ((struct sockaddr_in *)ss)->sin_port;
		th->doff = 5;
		th->syn = 1;
		n = sizeof(*th);
		((struct sockaddr_in *)ss)->sin_port = 0;
	} else if (!strcmp(proto, "raw-253")) {
		n = 16;
		((struct sockaddr_in *)ss)->sin_port = 0;
	}
	if (sendto(fd, buf, n, 0, (struct sockaddr *)ss, len) < 0)
		return -errno;
	return wait_ms ? await_echo(fd) : 0;
}

static int add_source_route(int fd, const char *through)
{
	/* loose source route: type, length, pointer, one address, end */
	uint8_t opt[8] = {131, 7, 4};

	inet_pton(AF_INET, through, opt + 3);
	return setsockopt(fd, IPPROTO_IP, IP_OPTIONS, opt, sizeof(opt)) < 0 ? -errno : 0;
}

static int attempt(const char *op, const char *proto, const char *addr, unsigned port)
{
	struct sockaddr_storage ss = {0}, src;
	socklen_t len = 0, src_len;
	int family = force6 ? AF_INET6 : AF_INET, fd, r = 0;

	if (addr)
		family = address(addr, port, &ss, &len);
	if (v4_on_v6)
		family = AF_INET6;
	fd = make_socket(proto, family);
	if (fd < 0)
		return -errno;
	if (source_route)
		r = add_source_route(fd, addr);
	if (!r && source) {
		address(source, 0, &src, &src_len);
		r = bind(fd, (struct sockaddr *)&src, src_len) < 0 ? -errno : 0;
	}
	if (r)
		;
	else if (!strcmp(op, "connect"))
		r = try_connect(fd, &ss, len);
	else if (!strcmp(op, "sendto"))
		r = try_sendto(fd, proto, &ss, len);
	else if (!strcmp(op, "bind") || !strcmp(op, "listen"))
		r = bind(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	else if (strcmp(op, "socket") && strcmp(op, "autolisten"))
		r = -ENOSYS;
	if (!r && (!strcmp(op, "listen") || !strcmp(op, "autolisten")))
		r = listen(fd, 8) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int serve(const char *proto, const char *addr, unsigned port)
{
	struct sockaddr_storage ss;
	socklen_t len;
	unsigned long count = 0;
	int one = 1, family = address(addr, port, &ss, &len), fd = make_socket(proto, family);
	bool stream = !strcmp(proto, "tcp") || !strcmp(proto, "mptcp");
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || (stream && listen(fd, 512) < 0))
		return -errno;
	len = sizeof(ss);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	printf("%u\n", ntohs(((struct sockaddr_in *)&ss)->sin_port));
	fflush(stdout);
	while (poll(p, 2, 120000) > 0) {
		char buf[2048];
		ssize_t n;

		if (p[0].revents && stream) {
			int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

			if (c >= 0) {
				count++;
				if (wait_ms && (n = recv(c, buf, sizeof(buf), 0)) > 0)
					(void)!send(c, buf, n, 0);
				close(c);
			}
		} else if (p[0].revents) {
			len = sizeof(ss);
			n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&ss, &len);
			if (n >= 0) {
				count++;
				if (wait_ms)
					sendto(fd, buf, n, 0, (struct sockaddr *)&ss, len);
			}
		} else if (p[1].revents && read(0, buf, sizeof(buf)) <= 0) {
			/* what came before the end still counts */
			if (poll(p, 1, 50) <= 0)
				break;
		}
	}
	printf("%lu\n", count);
	return 0;
}

static const char *result_name(int r)
{
	return r == 0 ? "ok" : strerrorname_np(-r);
}

int main(int argc, char **argv)
{
	unsigned long repeat = 1, counts[256] = {0};
	const char *op, *proto, *addr;
	unsigned port;
	int c, failed = 0;

	while ((c = getopt(argc, argv, "+6u4ow:s:n:r:")) != -1) {
		switch (c) {
		case '6':
			force6 = true;
			break;
		case 'u':
			unspec = true;
			break;
		case '4':
			v4_on_v6 = true;
			break;
		case 'o':
			source_route = true;
			break;
		case 'w':
			wait_ms = atoi(optarg);
			break;
		case 's':
			source = optarg;
			break;
		case 'n':
			repeat = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			retry_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: try [options] OP PROTO [ADDR PORT]\n");
		return 2;
	}
	op = argv[optind];
	proto = argv[optind + 1];
	addr = argc - optind > 2 ? argv[optind + 2] : NULL;
	port = argc - optind > 3 ? strtoul(argv[optind + 3], NULL, 10) : 0;
	if (!strcmp(op, "serve")) {
		c = serve(proto, addr, port);
		if (c < 0)
			printf("%s\n", result_name(c));
		return c < 0;
	}
	for (unsigned long i = 0; i < repeat; i++) {
		int r = -attempt(op, proto, addr, port);

		if (retry_ms && r == EAGAIN && i + 1 < repeat) {
			usleep(retry_ms * 1000);
			continue;
		}
		counts[r > 0 && r < 256 ? r : 0]++;
		if (retry_ms)
			break;
	}
	if (repeat == 1 || retry_ms) {
		for (int r = 0; r < 256; r++)
			if (counts[r])
				puts(result_name(-r)), failed = r != 0;
		return failed;
	}
	for (int r = 0; r < 256; r++)
		if (counts[r])
			printf("%s %lu\n", result_name(-r), counts[r]);
	return 0;
}
