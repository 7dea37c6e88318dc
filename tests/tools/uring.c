/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One operation by io_uring: prints "ok", the errno's name, or a number that
 * is no errno.
 *
 *   uring inline|async|sqpoll connect|send tcp|udp ADDR PORT     IPv4
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../vm/lsm_uring.h"

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct iovec data = {.iov_base = "x", .iov_len = 1};
	struct msghdr msg = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &data, .msg_iovlen = 1};
	struct io_uring_sqe what = {0};
	unsigned int setup = 0, flags = 0;
	const char *name;
	int r;

	if (argc != 6)
		return 2;
	if (!strcmp(argv[1], "sqpoll"))
		setup = IORING_SETUP_SQPOLL;
	else if (!strcmp(argv[1], "async"))
		flags = IOSQE_ASYNC;
	inet_pton(AF_INET, argv[4], &to.sin_addr);
	to.sin_port = htons((uint16_t)atoi(argv[5]));
	what.fd = socket(AF_INET, strcmp(argv[3], "udp") ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (!strcmp(argv[2], "connect")) {
		what.opcode = IORING_OP_CONNECT;
		what.addr = (uintptr_t)&to;
		what.off = sizeof(to);
	} else {
		what.opcode = IORING_OP_SENDMSG;
		what.addr = (uintptr_t)&msg;
		what.len = 1;
	}
	r = uring_do(&what, setup, flags);
	name = r < 0 ? strerrorname_np(-r) : "ok";
	if (name)
		puts(name);
	else
		printf("%d\n", r);
	return 0;
}
