/* SPDX-License-Identifier: GPL-2.0-only */
#include "probe.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "probe_bpf.h"

/* One row: tries, returns 0 or -errno, and says why not and what to do. */
struct probe {
	const char *id, *tier, *what;
	bool required;
	int (*try)(struct probe_why *why);
	const char *fix; /* when it fails and the probe itself gives none */
};

__attribute__((format(printf, 3, 4))) static int missing(struct probe_why *why, int error,
							 const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why->text, sizeof(why->text), format, ap);
	va_end(ap);
	return error;
}

/* ---- base ---- */

/* Effective capabilities, by /proc: no other library is needed for one number. */
static unsigned long long capabilities(void)
{
	scoped(scope_fclose) FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	}
	return caps;
}

static int try_privilege(struct probe_why *why)
{
	static const struct {
		int bit;
		const char *name;
	} wanted[] = {
		{21, "CAP_SYS_ADMIN"}, /* bpffs, cgroups by id; includes CAP_BPF and CAP_PERFMON */
		{12, "CAP_NET_ADMIN"}, /* cgroup programs */
	};
	unsigned long long caps = capabilities();
	size_t n;

	for (n = 0; n < sizeof(wanted) / sizeof(wanted[0]); n++) {
		if (!(caps & 1ull << wanted[n].bit))
			return missing(why, -EPERM, "no %s", wanted[n].name);
	}
	return 0;
}

static int try_bpffs(struct probe_why *why)
{
	char path[256];
	int r = probe_bpffs(path, sizeof(path));

	return r ? missing(why, r, "none is mounted and mounting failed: %s", strerror(-r)) : 0;
}

static int try_cgroup2(struct probe_why *why)
{
	char path[256];
	int r = probe_cgroup2(path, sizeof(path));

	return r ? missing(why, r, "no cgroup2 file system is mounted") : 0;
}

static int try_memory(struct probe_why *why)
{
	int r = probe_mmapable(why);

	if (!r)
		r = probe_frozen_table(why);
	if (!r)
		r = probe_lru_array(why);
	return r;
}

static int try_rings(struct probe_why *why)
{
	int r = probe_ringbuf(why);

	return r ? r : probe_ringbuf_array(why);
}

/* ---- cgroup ---- */

static int try_both(enum bpf_prog_type type, enum bpf_attach_type v4, enum bpf_attach_type v6,
		    struct probe_why *why)
{
	int r = probe_prog(type, v4, why);

	return r ? r : probe_prog(type, v6, why);
}

static int try_connect(struct probe_why *why)
{
	return try_both(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT,
			BPF_CGROUP_INET6_CONNECT, why);
}

static int try_sendto(struct probe_why *why)
{
	return try_both(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG,
			BPF_CGROUP_UDP6_SENDMSG, why);
}

static int try_bind(struct probe_why *why)
{
	int r = try_both(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND,
			 BPF_CGROUP_INET6_BIND, why);

	return r ? r
		 : try_both(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND,
			    BPF_CGROUP_INET6_POST_BIND, why);
}

static int try_socket(struct probe_why *why)
{
	return probe_prog(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, why);
}

static int try_listen(struct probe_why *why)
{
	return probe_prog(BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, why);
}

static int try_skb(struct probe_why *why)
{
	return try_both(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS,
			why);
}

static int try_errno(struct probe_why *why)
{
	int r = probe_set_retval(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, why);

	return r ? r
		 : probe_set_retval(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, why);
}

static int try_task(struct probe_why *why)
{
	return probe_task_btf(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, why);
}

/* Of a socket that there can't be: ENOENT where the kernel would end one. */
static int try_destroy(struct probe_why *why)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 diag;
	} ask = {
		.header = {.nlmsg_len = sizeof(ask),
			   .nlmsg_type = SOCK_DESTROY,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.diag = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP},
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256];
	} said = {};
	scoped(scope_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0 || recv(fd, &said, sizeof(said), 0) < 0)
		return missing(why, -errno, "sock_diag(7): %s", strerror(errno));
	if (said.header.nlmsg_type != NLMSG_ERROR || said.error.error != -ENOENT)
		return missing(why, -EOPNOTSUPP, "the kernel ends no sockets for others");
	return 0;
}

/* A cgroup of our own: nothing that runs is touched. */
static int try_link(struct probe_why *why)
{
	scoped(scope_close) int fd = -1;
	char root[256], path[320];
	int r = probe_cgroup2(root, sizeof(root));

	if (r)
		return missing(why, r, "no cgroup2 file system is mounted");
	snprintf(path, sizeof(path), "%s/ulsp-probe-%d", root, (int)getpid());
	if (mkdir(path, 0755))
		return missing(why, -errno, "can't make a cgroup below %s: %s", root,
			       strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? missing(why, -errno, "can't open %s: %s", path, strerror(errno))
		   : probe_link(fd, why);
	rmdir(path);
	return r;
}

/* ---- lsm ---- */

/* Programs load and attach without it, and enforce nothing. */
static int lsm_in_list(struct probe_why *why)
{
	scoped(scope_fclose) FILE *f = fopen("/sys/kernel/security/lsm", "re");
	char list[256] = "", *save, *word;

	if (!f || !fgets(list, sizeof(list), f))
		return missing(why, -ENOENT,
			       "/sys/kernel/security/lsm can't be read: mount securityfs to see");
	list[strcspn(list, "\n")] = 0;
	for (word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (!strcmp(word, "bpf"))
			return 0;
	}
	return missing(why, -ENOENT,
		       "bpf is not in /sys/kernel/security/lsm: add it to lsm= on the kernel's "
		       "command line");
}

static int try_lsm(struct probe_why *why)
{
	int r = probe_lsm(why);

	return r ? r : lsm_in_list(why);
}

bool probe_lsm_tier(char *why, size_t bytes)
{
	struct probe_why cause = {0};
	/* without privilege only the list can be looked at */
	int r = geteuid() ? lsm_in_list(&cause) : try_lsm(&cause);

	snprintf(why, bytes, "%s", r ? cause.text : "");
	return !r;
}

static const char fix_kernel[] = "needs Linux 6.1 or later";
static const char fix_root[] = "run as root";

static const struct probe probes[] = {
	{"privilege", "base", "load programs, open cgroups, mount bpffs", true, try_privilege,
	 fix_root},
	{"btf", "base", "kernel types, to read tasks on any kernel", true, probe_kernel_types,
	 "needs CONFIG_DEBUG_INFO_BTF, and a libbpf that knows the kernel's kinds of types"},
	{"bpffs", "base", "pins: enforcement outlives the daemon", true, try_bpffs,
	 "as root: mount -t bpf bpf /sys/fs/bpf"},
	{"cgroup2", "base", "groups of processes", true, try_cgroup2,
	 "as root: mount -t cgroup2 cgroup2 /sys/fs/cgroup"},
	{"maps", "base", "tables, pages, verdict caches", true, try_memory, fix_kernel},
	{"ringbuf", "base", "messages", true, try_rings, fix_kernel},
	{"explain", "base", "run the loaded decision on a key", true, probe_syscall_prog,
	 fix_kernel},
	{"cgroup-link", "cgroup", "attach to a cgroup, swap without a gap", true, try_link,
	 fix_kernel},
	{"cgroup-connect", "cgroup", "judge connect(2)", true, try_connect, fix_kernel},
	{"cgroup-sendto", "cgroup", "judge sendto(2) with an address", true, try_sendto,
	 fix_kernel},
	{"cgroup-bind", "cgroup", "judge bind(2), also to port 0", true, try_bind, fix_kernel},
	{"cgroup-socket", "cgroup", "judge socket(2)", true, try_socket, fix_kernel},
	{"cgroup-listen", "cgroup", "judge listen(2)", true, try_listen, fix_kernel},
	{"cgroup-skb", "cgroup", "judge accept, recvfrom and raw packets", true, try_skb,
	 fix_kernel},
	{"set-retval", "cgroup", "fail an operation with the rule's errno", true, try_errno,
	 fix_kernel},
	{"task-btf", "cgroup", "name the process of an operation", true, try_task, fix_kernel},
	{"sk-storage", "cgroup", "state of a socket", true, probe_sk_storage, fix_kernel},
	{"held-calls", "cgroup", "hold operations other than TCP connections for a verdict", false,
	 probe_restart, "needs Linux 6.18 or later; elsewhere they wait no longer than `spin`"},
	{"sock-destroy", "cgroup", "end refused connections on bound devices, and outsiders'",
	 false, try_destroy, "needs CONFIG_INET_DIAG_DESTROY"},
	{"lsm", "lsm", "isolation, members by executable, UNIX sockets", false, try_lsm,
	 "needs CONFIG_BPF_LSM and bpf in lsm="},
};

int probe_all(struct probe_row **ret, size_t *ret_n)
{
	enum { NPROBES = sizeof(probes) / sizeof(probes[0]) };
	struct probe_row *rows = calloc(NPROBES, sizeof(*rows));
	libbpf_print_fn_t print;
	size_t n;

	if (!rows)
		return -ENOMEM;
	print = libbpf_set_print(NULL); /* the rows say what failed */
	for (n = 0; n < NPROBES; n++) {
		const struct probe *p = &probes[n];
		struct probe_why why = {};

		rows[n] = (struct probe_row){
			.id = p->id, .tier = p->tier, .what = p->what, .required = p->required};
		rows[n].ok = p->try(&why) == 0;
		if (!rows[n].ok)
			snprintf(rows[n].why, sizeof(rows[n].why), "%s; %s",
				 *why.text ? why.text : "failed", p->fix);
	}
	libbpf_set_print(print);
	*ret = rows;
	*ret_n = NPROBES;
	return 0;
}
