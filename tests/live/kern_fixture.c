/* SPDX-License-Identifier: GPL-2.0-only */
#include "kern_fixture.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe.h"

uint32_t kern_log_rings;

static int exe(void *ctx, const char *path, uint32_t *ret_dev, uint64_t *ret_ino)
{
	struct stat st;

	(void)ctx;
	if (stat(path, &st))
		return -errno;
	*ret_dev = major(st.st_dev) << 20 | minor(st.st_dev);
	*ret_ino = st.st_ino;
	return 0;
}

/* ---- the instance ---- */

int kern_netns(void **state)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd;

	(void)state;
	if (unshare(CLONE_NEWNET)) {
		perror("unshare");
		return -1;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr))
		return -1;
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		return -1;
	close(fd);
	/* ping sockets for everybody */
	fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	if (fd >= 0 && write(fd, "0 65534", 7) < 0)
		perror("ping_group_range");
	close(fd);
	return 0;
}

static uint64_t id_of(int fd)
{
	struct {
		struct file_handle h;
		uint64_t id;
	} handle = {.h.handle_bytes = sizeof(uint64_t)};
	int mount;

	assert_return_code(name_to_handle_at(fd, "", &handle.h, &mount, AT_EMPTY_PATH), errno);
	return handle.id;
}

int kern_setup(void **state)
{
	static int number;
	struct kern *k = calloc(1, sizeof(*k));
	char root[128];
	struct err e = {};
	int r;

	if (!k || probe_cgroup2(root, sizeof(root)))
		return -1;
	*state = k;
	k->cgroup_fd = -1;
	snprintf(k->name, sizeof(k->name), "test%d-%d", (int)getpid(), number++);
	snprintf(k->run_dir, sizeof(k->run_dir), "/tmp/ulsp-test-%d", (int)getpid());
	setenv("ULSP_RUN_DIR", k->run_dir, 1);
	snprintf(k->cgroup, sizeof(k->cgroup), "%s/ulsp-%s", root, k->name);
	if (mkdir(k->cgroup, 0755)) {
		perror(k->cgroup);
		return -1;
	}
	k->cgroup_fd = open(k->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	k->cgroup_id = id_of(k->cgroup_fd);
	r = instance_open(k->name, &k->instance, &e);
	if (r) {
		print_error("instance_open: %s\n", e.text);
		return -1;
	}
	return 0;
}

int kern_teardown(void **state)
{
	struct kern *k = *state;
	char path[512];
	struct err e;

	if (!k)
		return 0;
	image_free(&k->image);
	pol_table_free(&k->table);
	pol_free(&k->policy);
	instance_close(&k->instance);
	if (instance_destroy(k->name, &e))
		print_error("instance_destroy: %s\n", e.text);
	if (k->cgroup_fd >= 0)
		close(k->cgroup_fd);
	rmdir(k->cgroup);
	snprintf(path, sizeof(path), "%s/%s/lock", k->run_dir, k->name);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%s/verifier.log", k->run_dir, k->name);
	unlink(path); /* of a test that failed */
	snprintf(path, sizeof(path), "%s/%s", k->run_dir, k->name);
	rmdir(path);
	rmdir(k->run_dir);
	free(k);
	*state = NULL;
	return 0;
}

static void compile(const char *text, struct pol_policy **policy, struct pol_table **table)
{
	static const uint8_t rings[] = {1, 2, 3, 4, 5, 6, 7, 8};
	static const uint16_t files[] = {0, 1, 2, 3};
	const struct pol_env env = {.exe = exe, .ring_of_ulsp = rings, .file_index = files};
	struct pol_diags diags = {};
	int r;

	r = pol_parse_text("test", text, strlen(text), NULL, &diags, policy);
	if (!r)
		r = pol_compile(*policy, pol_find_group(*policy, "g"), &env, &diags, table);
	if (r)
		pol_diags_print(&diags, stderr, false);
	assert_int_equal(r, 0);
	pol_diags_fini(&diags);
}

/* The caller keeps what was loaded before until its links have moved. */
static struct image *load(struct kern *k, const char *text, struct pol_policy **policy,
			  struct pol_table **table)
{
	struct image *im = NULL;
	struct err e = {};

	compile(text, policy, table);
	assert_int_equal(instance_group_slot(k->instance, "g", &k->slot, &e), 0);
	struct image_spec spec = {.group = "g",
				  .slot = k->slot,
				  .generation = ++k->generation,
				  .table = *table,
				  .log_rings = kern_log_rings};
	if (image_load(k->instance, &spec, &im, &e))
		fail_msg("image_load: %s", e.text);
	return im;
}

struct image *kern_load(struct kern *k, const char *text)
{
	struct pol_policy *policy = NULL;
	struct pol_table *table = NULL;
	struct image *im = load(k, text, &policy, &table);

	pol_table_free(&k->table);
	pol_free(&k->policy);
	k->table = table;
	k->policy = policy;
	return im;
}

void kern_policy(struct kern *k, const char *text)
{
	struct image *im = kern_load(k, text), *old = k->image;
	struct err e = {};
	int r;

	r = old ? image_swap(k->instance, old, im, &e)
		: image_attach(k->instance, im, k->cgroup_fd, k->cgroup_id, &e);
	if (!r && old)
		r = image_retire(k->instance, &old, k->table, &e);
	if (r)
		fail_msg("attach or swap: %s", e.text);
	k->image = im;
}

/* ---- processes ---- */

static void join(const struct kern *k)
{
	char path[300], pid[16];
	int fd, n = snprintf(pid, sizeof(pid), "%d", (int)getpid());

	snprintf(path, sizeof(path), "%s/cgroup.procs", k->cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, pid, (size_t)n) != n)
		_exit(125);
	close(fd);
}

static int in_child(const struct kern *k, int (*try)(void *ctx), void *ctx)
{
	int pipefd[2], result = -ECHILD, status;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		alarm(600); /* never a test that hangs; emulation is slow */
		if (k)
			join(k);
		result = try(ctx);
		if (write(pipefd[1], &result, sizeof(result)) < 0)
			_exit(124);
		_exit(0);
	}
	close(pipefd[1]);
	if (read(pipefd[0], &result, sizeof(result)) != sizeof(result))
		result = -ECHILD;
	close(pipefd[0]);
	waitpid(pid, &status, 0);
	return result;
}

int kern_try(struct kern *k, int (*try)(void *ctx), void *ctx)
{
	return in_child(k, try, ctx);
}

int kern_outside(int (*try)(void *ctx), void *ctx)
{
	return in_child(NULL, try, ctx);
}

/* ---- operations ---- */

socklen_t kern_addr(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *in = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		inet_pton(AF_INET6, text, &in6->sin6_addr);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	inet_pton(AF_INET, text, &in->sin_addr);
	return sizeof(*in);
}

static int op_open(const struct op *op)
{
	int family = op->family ? op->family : strchr(op->addr, ':') ? AF_INET6 : AF_INET;
	int fd, one = 1;

	if (op->uid && setresuid(op->uid, op->uid, op->uid))
		return -errno;
	fd = socket(family, op->type | SOCK_CLOEXEC, op->protocol);
	if (fd < 0)
		return -errno;
	if (op->v6only && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		return -errno;
	if (op->bind) {
		struct sockaddr_storage ss;
		socklen_t len = kern_addr(op->bind, 0, &ss);

		if (bind(fd, (void *)&ss, len))
			return -errno;
	}
	return fd;
}

int op_socket(void *ctx)
{
	int fd = op_open(ctx);

	return fd < 0 ? fd : 0;
}

int op_connect(void *ctx)
{
	const struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int fd = op_open(op);

	if (fd < 0)
		return fd;
	if (connect(fd, (void *)&ss, len) && errno != ECONNREFUSED)
		return -errno;
	return 0;
}

int op_sendto(void *ctx)
{
	const struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	/* an echo request, for ping and raw sockets */
	const unsigned char ping[8] = {strchr(op->addr, ':') ? 128 : 8, 0, 0xf7, 0xff};
	int fd = op_open(op);

	if (fd < 0)
		return fd;
	return sendto(fd, ping, sizeof(ping), 0, (void *)&ss, len) < 0 ? -errno : 0;
}

int op_connect_send(void *ctx)
{
	const struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int fd = op_open(op);

	if (fd < 0)
		return fd;
	if (connect(fd, (void *)&ss, len))
		return -errno;
	return send(fd, "x", 1, 0) < 0 && errno != ECONNREFUSED ? -errno : 0;
}

int op_bind(void *ctx)
{
	const struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int fd = op_open(op);

	if (fd < 0)
		return fd;
	return bind(fd, (void *)&ss, len) ? -errno : 0;
}

int op_listen(void *ctx)
{
	const struct op *op = ctx;
	struct sockaddr_storage ss;
	socklen_t len = kern_addr(op->addr, op->port, &ss);
	int fd = op_open(op);

	if (fd < 0)
		return fd;
	if (bind(fd, (void *)&ss, len) || listen(fd, 8))
		return -errno;
	return 0;
}

/* ---- what came of it ---- */

struct ulsp_group_count kern_counts(struct kern *k)
{
	int ncpus = libbpf_num_possible_cpus(), cpu;
	struct ulsp_group_count sum = {}, *each = calloc((size_t)ncpus, sizeof(*each));
	size_t n;

	assert_return_code(bpf_map_lookup_elem(k->instance->gcount, &k->slot, each), errno);
	for (cpu = 0; cpu < ncpus; cpu++)
		for (n = 0; n < sizeof(sum) / sizeof(uint64_t); n++)
			((uint64_t *)&sum)[n] += ((uint64_t *)&each[cpu])[n];
	free(each);
	return sum;
}

uint64_t kern_reason(struct kern *k, enum ulsp_reason reason)
{
	return kern_counts(k).reasons[reason];
}

struct taken {
	struct ulsp_msg *to;
	size_t n, max;
};

static int take(void *ctx, void *data, size_t bytes)
{
	struct taken *t = ctx;

	assert_true(bytes >= sizeof(struct ulsp_msg));
	if (t->n < t->max)
		memcpy(&t->to[t->n++], data, sizeof(*t->to));
	return 0;
}

size_t kern_messages(int ring, struct ulsp_msg *ret, size_t max)
{
	struct taken t = {ret, 0, max};
	struct ring_buffer *rb = ring_buffer__new(ring, take, &t, NULL);

	assert_non_null(rb);
	ring_buffer__consume(rb);
	ring_buffer__free(rb);
	return t.n;
}

struct ulsp_rule_count kern_rule(struct kern *k, uint32_t line)
{
	struct ulsp_rule_count counts[64], sum = {};
	size_t n;

	assert_true(k->table->nrules <= 64);
	assert_int_equal(image_counts(k->image, counts, k->table->nrules), 0);
	for (n = 0; n < k->table->nrules; n++) {
		if ((k->table->rules[n] ? k->table->rules[n]->loc.line : 0) != line)
			continue;
		sum.hits += counts[n].hits;
		sum.audited += counts[n].audited;
	}
	return sum;
}
