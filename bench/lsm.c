/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the LSM programs add to operations, in instructions of kernel and
 * process: with none attached, for a process of no group while another is
 * isolated, and for a member of an isolated group that reaches its own; and
 * what the programs for loopback add to that.
 *
 * For a guest whose time stamp counter counts instructions: bench/lsm.sh.
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cmocka.h>

#include "../tests/vm/lsm_fixture.h"
#include "ulsp_lsm.skel.h"

enum {
	ROUNDS = 3,
	TIMES = 51,
	TIMES_LONG = 41,
	WARM_UP = 5,
	WORTH_TELLING = 20,
	NOISE = 200,
	AIM = 200
};
enum { RESULT = 9 /* descriptor: a turn's counts */ };
enum { UNLOADED = -2 /* no group, and no program that it could be in one for */ };
#define ALL_KINDS ((1u << (ULSP_REACH_FAMILY + 1)) - 1)

static const char place[] = "/tmp/bench-lsm", path[] = "/tmp/bench-lsm/file", name[] = "bench-lsm";
static struct sockaddr_un unix_at = {.sun_family = AF_UNIX};
static struct sockaddr_in tcp_at = {.sin_family = AF_INET};
static struct sockaddr_in udp_at = {.sin_family = AF_INET};
static int unix_listener, tcp_listener, udp, zero, null, file, pair[2];
static pid_t sibling;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "lsm: %s: %s\n", what, strerror(errno));
	_exit(1);
}

/* Runs CALL, which gives -1 for an error, and is the instructions that it took. */
#define COUNT(call)                                                                                \
	({                                                                                         \
		uint64_t begin_ = __rdtsc();                                                       \
		long r_ = (call);                                                                  \
		uint64_t took_ = __rdtsc() - begin_;                                               \
                                                                                                   \
		must(r_ >= 0, #call);                                                              \
		took_;                                                                             \
	})

/* ---- operations ---- */

static uint64_t op_getpid(void)
{
	return COUNT(syscall(SYS_getppid));
}

static uint64_t op_kill(void)
{
	return COUNT(kill(sibling, 0));
}

static long run_true(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl("/bin/busybox", "true", (char *)NULL);
		_exit(1);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || status ? -1 : 0;
}

static uint64_t op_exec(void)
{
	return COUNT(run_true());
}

/* The accepting side and the ends, by a reset, are not counted. */
static uint64_t connected(int family, int listener, const void *to, socklen_t length)
{
	static const struct linger reset = {.l_onoff = 1};
	int fd = socket(family, SOCK_STREAM, 0), other;
	uint64_t took;

	must(fd >= 0, "socket");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	took = COUNT(connect(fd, to, length));
	other = accept(listener, NULL, NULL);
	must(other >= 0, "accept");
	close(fd);
	close(other);
	return took;
}

static uint64_t op_unix(void)
{
	return connected(AF_UNIX, unix_listener, &unix_at, sizeof(sa_family_t) + sizeof(name));
}

static uint64_t op_tcp(void)
{
	return connected(AF_INET, tcp_listener, &tcp_at, sizeof(tcp_at));
}

static uint64_t op_udp(void)
{
	char c = 0;
	uint64_t took = COUNT(sendto(udp, &c, 1, 0, (void *)&udp_at, sizeof(udp_at)));

	must(recv(udp, &c, 1, 0) == 1, "recv");
	return took;
}

static uint64_t op_socket(void)
{
	return COUNT(close(socket(AF_INET, SOCK_STREAM, 0)));
}

static uint64_t op_send(void)
{
	char c = 0;
	uint64_t took = COUNT(send(pair[0], &c, 1, 0));

	must(recv(pair[1], &c, 1, 0) == 1, "recv");
	return took;
}

static uint64_t op_receive(void)
{
	char c = 0;

	must(send(pair[0], &c, 1, 0) == 1, "send");
	return COUNT(recv(pair[1], &c, 1, 0));
}

static uint64_t op_open(void)
{
	return COUNT(close(open(path, O_RDONLY)));
}

static uint64_t op_open_write(void)
{
	return COUNT(close(open(path, O_WRONLY)));
}

static uint64_t op_stat(void)
{
	struct stat st;

	return COUNT(stat(path, &st));
}

static uint64_t op_read(void)
{
	char c;

	return COUNT(read(zero, &c, 1));
}

static uint64_t op_write(void)
{
	return COUNT(write(null, "", 1));
}

static uint64_t op_write_file(void)
{
	return COUNT(pwrite(file, "", 1, 0));
}

static const struct op {
	const char *name;
	uint64_t (*count)(void);
	int times;
} ops[] = {
	{"getppid (no hook)", op_getpid, TIMES},
	{"kill(child, 0)", op_kill, TIMES},
	{"fork, exec, exit, wait", op_exec, TIMES_LONG},
	{"socket(TCP), close", op_socket, TIMES},
	{"connect, UNIX stream", op_unix, TIMES},
	{"connect, TCP, loopback", op_tcp, TIMES},
	{"sendto 1 byte, UDP", op_udp, TIMES},
	{"send 1 byte, UNIX", op_send, TIMES},
	{"recv 1 byte, UNIX", op_receive, TIMES},
	{"open to read, close", op_open, TIMES},
	{"open to write, close", op_open_write, TIMES},
	{"stat", op_stat, TIMES},
	{"read 1 byte, /dev/zero", op_read, TIMES},
	{"write 1 byte, /dev/null", op_write, TIMES},
	{"write 1 byte, a file", op_write_file, TIMES},
};
enum { OPS = sizeof(ops) / sizeof(*ops) };

/* By the programs for loopback, too. */
static int is_judged(const struct op *op)
{
	return op->count == op_tcp || op->count == op_udp;
}

/* ---- one configuration's turn ---- */

typedef uint64_t counts[OPS];

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *of, size_t n)
{
	qsort(of, n, sizeof(*of), ascending);
	return of[n / 2];
}

static void prepare(void)
{
	socklen_t length = sizeof(tcp_at);

	memcpy(unix_at.sun_path + 1, name, sizeof(name) - 1);
	tcp_at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	unix_listener = socket(AF_UNIX, SOCK_STREAM, 0);
	tcp_listener = socket(AF_INET, SOCK_STREAM, 0);
	must(!bind(unix_listener, (void *)&unix_at, sizeof(sa_family_t) + sizeof(name)) &&
		     !listen(unix_listener, 8),
	     "listen on a UNIX socket");
	must(!bind(tcp_listener, (void *)&tcp_at, sizeof(tcp_at)) && !listen(tcp_listener, 8) &&
		     !getsockname(tcp_listener, (void *)&tcp_at, &length),
	     "listen on TCP");
	udp_at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	must(!bind(udp, (void *)&udp_at, sizeof(udp_at)) &&
		     !getsockname(udp, (void *)&udp_at, &length),
	     "bind UDP");
	zero = open("/dev/zero", O_RDONLY);
	null = open("/dev/null", O_WRONLY);
	file = open(path, O_RDWR | O_CREAT, 0600);
	must(zero >= 0 && null >= 0 && file >= 0, "open");
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	sibling = fork();
	if (!sibling)
		for (;;)
			pause();
}

static int measure(uint64_t *medians)
{
	uint64_t all[TIMES];

	prepare();
	for (int i = 0; i < OPS; i++) {
		for (int n = 0; n < WARM_UP; n++)
			ops[i].count();
		for (int n = 0; n < ops[i].times; n++)
			all[n] = ops[i].count();
		medians[i] = median(all, (size_t)ops[i].times);
	}
	kill(sibling, SIGKILL);
	waitpid(sibling, NULL, 0);
	return 0;
}

/*
 * Executed anew: a fork costs by what its process has mapped, and ours has the object's maps; and
 * by where it is mapped.
 */
static int measure_alone(void *arg)
{
	(void)arg;
	must(personality(ADDR_NO_RANDOMIZE) >= 0, "personality");
	execl("/proc/self/exe", "lsm", "measure", (char *)NULL);
	return errno;
}

static void take_turn(int slot, uint64_t *result)
{
	pid_t pid;

	fflush(NULL);
	pid = slot == UNLOADED ? fork() : lsm_start(slot, measure_alone, NULL);
	if (!pid)
		_exit(measure_alone(NULL));
	if (lsm_end(pid) || pread(RESULT, result, sizeof(counts), 0) != sizeof(counts)) {
		fputs("lsm: a measured process failed\n", stderr);
		exit(1);
	}
}

/* ---- reports ---- */

/* The counter is of instructions, or nothing below means anything. */
static void calibrate(void)
{
	enum { LOOPS = 1000000, EACH = 2, TRIES = 100, WAIT_US = 100000 };
	uint64_t took = UINT64_MAX;
	double clock = 0;

	/* A guest that has just come up still tests its ciphers, 7.2 for two seconds. */
	for (int try = 0; try < TRIES && took > LOOPS * EACH * 1.01; try++) {
		uint64_t loops = LOOPS;
		struct timespec a, b;

		usleep(WAIT_US);
		clock_gettime(CLOCK_MONOTONIC, &a);
		took = __rdtsc();
		__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(loops) : : "cc");
		took = __rdtsc() - took;
		clock_gettime(CLOCK_MONOTONIC, &b);
		clock = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
	}
	printf("# %d instructions: %llu by the counter, %.0f ns by the clock\n", LOOPS * EACH,
	       (unsigned long long)took, clock);
	if (took < LOOPS * EACH || took > LOOPS * EACH * 1.05) {
		fputs("lsm: the counter doesn't count instructions; run bench/lsm.sh\n", stderr);
		exit(1);
	}
}

enum config { UNHOOKED, UNTAGGED, TAGGED, UNTAGGED_JUDGED, TAGGED_JUDGED, CONFIGS };

static void table(counts (*taken)[ROUNDS], int shown, enum config untagged, enum config tagged)
{
	for (int i = 0; i < OPS; i++) {
		long m[CONFIGS], more;

		for (int c = 0; c < CONFIGS; c++) {
			uint64_t rounds[ROUNDS];

			for (int r = 0; r < shown; r++)
				rounds[r] = taken[c][r][i];
			m[c] = (long)median(rounds, (size_t)shown);
		}
		if (untagged != UNTAGGED && !is_judged(&ops[i]))
			continue;
		more = m[untagged] - m[UNHOOKED];
		printf("%-24s %10ld %10ld %+8ld %10ld %+8ld%s\n", ops[i].name, m[UNHOOKED],
		       m[untagged], more, m[tagged], m[tagged] - m[UNHOOKED],
		       more > AIM ? "  more than the aim" : "");
	}
}

static void tables(counts (*taken)[ROUNDS], int shown)
{
	printf("%-24s %10s %10s %8s %10s %8s\n", "operation", "unhooked", "untagged", "+", "tagged",
	       "+");
	table(taken, shown, UNTAGGED, TAGGED);
	puts("with the programs for loopback:");
	table(taken, shown, UNTAGGED_JUDGED, TAGGED_JUDGED);
}

/* As when a group isolates loopback: they are on the root cgroup, and see every process. */
static void judge_loopback(void)
{
	int root = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(root >= 0, "/sys/fs/cgroup");
	lsm->links.loopback_connect4 =
		bpf_program__attach_cgroup(lsm->progs.loopback_connect4, root);
	lsm->links.loopback_sendmsg4 =
		bpf_program__attach_cgroup(lsm->progs.loopback_sendmsg4, root);
	must(lsm->links.loopback_connect4 && lsm->links.loopback_sendmsg4, "attach for loopback");
	close(root);
}

/* Chance adds, never takes away. */
static void lower_of_two(counts result)
{
	counts again;

	take_turn(NOBODY, result);
	take_turn(NOBODY, again);
	for (int i = 0; i < OPS; i++)
		if (again[i] < result[i])
			result[i] = again[i];
}

/* What each program alone adds for a process of no group. */
static void by_program(void)
{
	struct bpf_program *prog;
	counts none, result;

	lower_of_two(none);
	bpf_object__for_each_program(prog, lsm->obj)
	{
		enum bpf_prog_type type = bpf_program__type(prog);
		struct bpf_link *link;

		if (!bpf_program__autoload(prog) ||
		    strstr(bpf_program__section_name(prog), "iter/") ||
		    (type != BPF_PROG_TYPE_LSM && type != BPF_PROG_TYPE_TRACING))
			continue;
		link = bpf_program__attach(prog);
		must(!!link, bpf_program__name(prog));
		lower_of_two(result);
		bpf_link__destroy(link);
		for (int i = 0; i < OPS; i++)
			if (result[i] > none[i] + WORTH_TELLING + none[i] / NOISE)
				printf("%-24s %-28s %+6ld\n", ops[i].name, bpf_program__name(prog),
				       (long)(result[i] - none[i]));
	}
}

int main(int argc, char **argv)
{
	static counts taken[CONFIGS][ROUNDS];
	int quick = argc > 1 && !strcmp(argv[1], "quick"), rounds = quick ? 1 : ROUNDS;
	struct utsname host;

	if (argc > 1 && !strcmp(argv[1], "measure")) {
		counts mine;

		measure(mine);
		return pwrite(RESULT, mine, sizeof(mine), 0) != sizeof(mine);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	must(!uname(&host) && dup2(memfd_create("result", 0), RESULT) == RESULT, "memfd_create");
	/* Files on ramfs stand for ordinary ones: tmpfs is looked at closer, for /dev/shm. */
	mkdir(place, 0700);
	must(!mount("ramfs", place, "ramfs", 0, NULL), "mount ramfs");
	printf("# Linux %s\n", host.release);
	calibrate();
	/* The first finds nothing cached, and doesn't count. */
	take_turn(UNLOADED, taken[UNHOOKED][0]);
	for (int r = 0; r < rounds; r++) {
		take_turn(UNLOADED, taken[UNHOOKED][r]);
		must(!lsm_up(NULL), "load");
		lsm_confine(GROUP_A, ALL_KINDS, 0, 0);
		take_turn(NOBODY, taken[UNTAGGED][r]);
		take_turn(GROUP_A, taken[TAGGED][r]);
		judge_loopback();
		take_turn(NOBODY, taken[UNTAGGED_JUDGED][r]);
		take_turn(GROUP_A, taken[TAGGED_JUDGED][r]);
		lsm_down(NULL);
	}
	tables(taken, rounds);
	if (quick)
		return 0;
	must(!lsm_up(NULL), "load");
	ulsp_lsm__detach(lsm);
	printf("\n%-24s %-28s %6s\n", "operation", "program alone, untagged", "+");
	by_program();
	lsm_down(NULL);
	return 0;
}
