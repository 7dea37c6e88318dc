/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's own ways to ask a process: seccomp user notification and
 * NFQUEUE.  Both servers sleep between questions, read the address that is
 * asked about, and allow.
 */
#include "ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP /* Linux 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS	   SECCOMP_IOW(4, __u64)
#endif

/* ---- seccomp ---- */

static int notify_fd(void)
{
	struct sock_filter connects[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(connects) / sizeof(*connects), .filter = connects};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &prog);
}

static void serve_notify(int fd, bool late)
{
	struct seccomp_notif_sizes sizes;
	struct seccomp_notif_resp *said;
	struct seccomp_notif *asked;
	struct sockaddr_in to;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes))
		ask_die("seccomp");
	asked = calloc(1, sizes.seccomp_notif);
	said = calloc(1, sizes.seccomp_notif_resp);
	while (asked && said) {
		struct iovec here = {&to, sizeof(to)}, there = {NULL, sizeof(to)};

		memset(asked, 0, sizes.seccomp_notif);
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, asked)) {
			if (errno == EINTR)
				continue;
			break;
		}
		there.iov_base = (void *)(uintptr_t)asked->data.args[1];
		memset(said, 0, sizes.seccomp_notif_resp);
		said->id = asked->id;
		if (process_vm_readv((pid_t)asked->pid, &here, 1, &there, 1, 0) == sizeof(to) &&
		    to.sin_family == AF_INET &&
		    !ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &asked->id))
			said->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		else
			said->error = -EPERM;
		if (late)
			ask_late();
		ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, said);
	}
}

/*
 * The server is a process of its own, and has the listener by sharing the
 * table of descriptors: it exists before the filter, which isn't its own then.
 */
int ask_notify(int argc, char **argv)
{
	enum { NONE = -1, REFUSED = -2 };
	bool late = !strcmp(argv[0], "late"), sync = !strcmp(argv[0], "sync");
	_Atomic int *fd;
	pid_t server;
	int i, r;

	for (i = 0; i < argc && strcmp(argv[i], "--"); i++)
		;
	if (i < 2 || argc < i + 3 || strcmp(argv[i + 1], "connect"))
		return 2;
	fd = mmap(NULL, sizeof(*fd), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fd == MAP_FAILED)
		ask_die("mmap");
	*fd = NONE;
	server = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_FILES, 0, 0, 0, 0);
	if (server < 0)
		ask_die("clone");
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ask_pin(atoi(argv[1]));
		if (i > 2)
			ask_stamp_open(argv[2]);
		while (*fd == NONE)
			usleep(1000);
		if (*fd >= 0)
			serve_notify(*fd, late);
		_exit(0);
	}
	r = notify_fd();
	if (r < 0)
		ask_die("seccomp");
	if (sync && ioctl(r, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP))
		ask_die("SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP");
	*fd = r;
	r = ask_connect(argc - i - 2, argv + i + 2);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return r;
}

/* ---- NFQUEUE ---- */

struct request {
	struct nlmsghdr header;
	struct nfgenmsg about;
	struct nlattr attr;
	union {
		struct nfqnl_msg_config_cmd cmd;
		struct nfqnl_msg_config_params params;
		struct nfqnl_msg_verdict_hdr verdict;
	};
} __attribute__((packed, aligned(4)));

static void request(int fd, int what, uint16_t queue, int attr, const void *value, size_t bytes)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct request q = {
		.header = {.nlmsg_len =
				   (uint32_t)NLMSG_ALIGN(offsetof(struct request, cmd) + bytes),
			   .nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | what),
			   .nlmsg_flags = NLM_F_REQUEST},
		.about = {.nfgen_family = AF_UNSPEC,
			  .version = NFNETLINK_V0,
			  .res_id = htons(queue)},
		.attr = {.nla_len = (uint16_t)(NLA_HDRLEN + bytes), .nla_type = (uint16_t)attr},
	};

	memcpy(&q.cmd, value, bytes);
	if (sendto(fd, &q, q.header.nlmsg_len, 0, (void *)&kernel, sizeof(kernel)) < 0)
		ask_die("NFQUEUE");
}

/* What a packet is, in its attributes: its number, and whether it is IPv4. */
static bool parse_packet(const struct nlmsghdr *h, uint32_t *ret_id)
{
	const char *at = (const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const char *end = (const char *)h + h->nlmsg_len;
	bool numbered = false, v4 = false;

	while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
		const struct nlattr *a = (const void *)at;
		const void *value = at + NLA_HDRLEN;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
			break;
		if (a->nla_type == NFQA_PACKET_HDR) {
			*ret_id = ((const struct nfqnl_msg_packet_hdr *)value)->packet_id;
			numbered = true;
		} else if (a->nla_type == NFQA_PAYLOAD) {
			v4 = ((const struct iphdr *)value)->version == 4;
		}
		at += NLA_ALIGN(a->nla_len);
	}
	return numbered && v4;
}

int ask_queue(int argc, char **argv)
{
	struct nfqnl_msg_config_cmd bind_it = {.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET)};
	struct nfqnl_msg_config_params params = {.copy_range = htonl(256),
						 .copy_mode = NFQNL_COPY_PACKET};
	_Alignas(struct nlmsghdr) char in[8192];
	struct nfqnl_msg_verdict_hdr verdict = {.verdict = htonl(NF_ACCEPT)};
	bool late;
	uint16_t queue;
	int fd;

	if (argc < 3)
		return 2;
	late = !strcmp(argv[0], "late");
	queue = (uint16_t)atoi(argv[1]);
	ask_pin(atoi(argv[2]));
	if (argc > 3)
		ask_stamp_open(argv[3]);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	if (fd < 0)
		ask_die("netlink");
	request(fd, NFQNL_MSG_CONFIG, queue, NFQA_CFG_CMD, &bind_it, sizeof(bind_it));
	request(fd, NFQNL_MSG_CONFIG, queue, NFQA_CFG_PARAMS, &params, sizeof(params));
	puts("ready");
	fflush(stdout);
	for (;;) {
		ssize_t n = recv(fd, in, sizeof(in), 0);
		struct nlmsghdr *h = (void *)in;

		if (n < 0 && errno != EINTR && errno != ENOBUFS)
			ask_die("recv");
		for (; n > 0 && NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_ERROR &&
			    ((struct nlmsgerr *)NLMSG_DATA(h))->error) {
				errno = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
				ask_die("NFQUEUE");
			}
			if (h->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) ||
			    !parse_packet(h, &verdict.id))
				continue;
			if (late)
				ask_late();
			request(fd, NFQNL_MSG_VERDICT, queue, NFQA_VERDICT_HDR, &verdict,
				sizeof(verdict));
		}
	}
}
