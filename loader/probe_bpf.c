/* SPDX-License-Identifier: GPL-2.0-only */
#include "probe_bpf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "limit.h"
#include "ulsp_abi.h"

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define CALL(helper)  INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT()	      INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

#if defined(__x86_64__)
enum { PROBE_X86 = 1 };
#else
enum { PROBE_X86 = 0 };
#endif

enum {
	LOG_BYTES = 8192,
	PAGE = 4096,
	ENOTSUPP = 524, /* the kernel's own, which has no place in errno.h */
};

/* The verifier's last complaint, without its statistics. */
static void last_words(char *log, struct probe_why *why)
{
	char *end = strstr(log, "\nprocessed "), *line;

	if (!end)
		end = log + strlen(log);
	*end = 0;
	while (end > log && end[-1] == '\n')
		*--end = 0;
	line = strrchr(log, '\n');
	snprintf(why->text, sizeof(why->text), "%s", line ? line + 1 : log);
}

static const char *errno_why(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		return "refused by the kernel: EPERM";
	case EINVAL:
		return "unknown to the kernel: EINVAL";
	case ENOTSUPP:
	case EOPNOTSUPP:
		return "not built into the kernel: EOPNOTSUPP";
	default:
		return strerror(error);
	}
}

static int load(enum bpf_prog_type type, enum bpf_attach_type attach, const struct bpf_insn *insns,
		size_t n, __u32 btf_id, int *ret_fd, struct probe_why *why)
{
	char log[LOG_BYTES] = "";
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach,
		    .attach_btf_id = btf_id);
	int fd = bpf_prog_load(type, "ulsp_probe", "GPL", insns, n, &opts);
	int error = errno;

	if (fd >= 0) {
		if (ret_fd)
			*ret_fd = fd;
		else
			close(fd);
		return 0;
	}
	/* Once more for the reason. */
	opts.log_level = 1;
	opts.log_buf = log;
	opts.log_size = sizeof(log);
	fd = bpf_prog_load(type, "ulsp_probe", "GPL", insns, n, &opts);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (strlen(log) > 1)
		last_words(log, why);
	else
		snprintf(why->text, sizeof(why->text), "%s", errno_why(error));
	return -error;
}

int probe_prog(enum bpf_prog_type type, enum bpf_attach_type attach, struct probe_why *why)
{
	const struct bpf_insn insns[] = {MOV_IMM(BPF_REG_0, 1), EXIT()};

	return load(type, attach, insns, 2, 0, NULL, why);
}

int probe_set_retval(enum bpf_prog_type type, enum bpf_attach_type attach, struct probe_why *why)
{
	const struct bpf_insn insns[] = {MOV_IMM(BPF_REG_1, -1), CALL(BPF_FUNC_set_retval),
					 CALL(BPF_FUNC_get_retval), MOV_IMM(BPF_REG_0, 0), EXIT()};

	return load(type, attach, insns, 5, 0, NULL, why);
}

int probe_kernel_types(struct probe_why *why)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	if (!btf) { /* whatever is wrong with it, libbpf's errno is ESRCH */
		snprintf(why->text, sizeof(why->text), "/sys/kernel/btf/vmlinux: %s",
			 access("/sys/kernel/btf/vmlinux", R_OK) ? strerror(errno)
								 : "no kernel types can be read");
		return -ENOENT;
	}
	id = btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT);
	btf__free(btf);
	if (id < 0)
		snprintf(why->text, sizeof(why->text), "the kernel's types have no task_struct");
	return id < 0 ? id : 0;
}

int probe_restart(struct probe_why *why)
{
	static const char *const names[] = {"bpf_task_work_schedule_signal_impl",
					    "bpf_task_work_schedule_signal"};
	struct btf *btf;
	int id = -ENOENT;

	if (!PROBE_X86) {
		snprintf(why->text, sizeof(why->text), "calls are known on x86-64 only");
		return -EOPNOTSUPP;
	}
	btf = btf__load_vmlinux_btf();
	for (size_t i = 0; btf && id < 0 && i < sizeof(names) / sizeof(names[0]); i++)
		id = btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC);
	btf__free(btf);
	if (id < 0)
		snprintf(why->text, sizeof(why->text), "the kernel has no %s", names[1]);
	return id < 0 ? -ENOENT : 0;
}

int probe_task_btf(enum bpf_prog_type type, enum bpf_attach_type attach, struct probe_why *why)
{
	const struct bpf_insn insns[] = {
		CALL(BPF_FUNC_get_current_task_btf),
		INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_0, 16, 0), MOV_IMM(BPF_REG_0, 1),
		EXIT()};

	return load(type, attach, insns, 4, 0, NULL, why);
}

int probe_syscall_prog(struct probe_why *why)
{
	const struct bpf_insn insns[] = {MOV_IMM(BPF_REG_0, 0), EXIT()};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_SLEEPABLE);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "ulsp_probe", "GPL", insns, 2, &opts);

	if (fd < 0) {
		snprintf(why->text, sizeof(why->text), "%s", errno_why(errno));
		return -errno;
	}
	close(fd);
	return 0;
}

int probe_lsm(struct probe_why *why)
{
	const struct bpf_insn insns[] = {MOV_IMM(BPF_REG_0, 0), EXIT()};
	int id = libbpf_find_vmlinux_btf_id("file_mprotect", BPF_LSM_MAC);

	if (id < 0) {
		snprintf(why->text, sizeof(why->text), "the kernel has no BPF LSM hooks");
		return id;
	}
	return load(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, insns, 2, (__u32)id, NULL, why);
}

/* ---- maps ---- */

static int made(int fd, struct probe_why *why)
{
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	snprintf(why->text, sizeof(why->text), "%s", errno_why(errno));
	return -errno;
}

int probe_ringbuf(struct probe_why *why)
{
	return made(bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ulsp_probe", 0, 0, PAGE, NULL), why);
}

static int array_of(int inner, struct probe_why *why, int *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (__u32)inner);
	int fd = inner < 0
			 ? -1
			 : bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "ulsp_probe", 4, 4, 1, &opts);

	if (fd < 0)
		return made(fd, why);
	*ret = fd;
	return 0;
}

int probe_ringbuf_array(struct probe_why *why)
{
	scoped(scope_close) int small = -1, large = -1, outer = -1;
	__u32 zero = 0;
	int r;

	small = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ulsp_probe", 0, 0, PAGE, NULL);
	r = array_of(small, why, &outer);
	if (r)
		return r;
	large = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ulsp_probe", 0, 0, 2 * PAGE, NULL);
	if (large >= 0 && !bpf_map_update_elem(outer, &zero, &large, BPF_ANY))
		return 0;
	return made(-1, why);
}

int probe_lru_array(struct probe_why *why)
{
	scoped(scope_close) int inner = -1, outer = -1;

	inner = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "ulsp_probe",
			       sizeof(struct limit_process_key), sizeof(struct limit_buckets), 64,
			       NULL);
	return array_of(inner, why, &outer);
}

int probe_mmapable(struct probe_why *why)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	scoped(scope_close) int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ulsp_probe", 4,
						    sizeof(struct ulsp_page), 1, &opts);
	void *p;

	if (fd < 0)
		return made(-1, why);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return made(-1, why);
	munmap(p, PAGE);
	return 0;
}

/* sk_storage wants types for its key and value. */
static int make_storage_btf(void)
{
	struct btf *btf = btf__new_empty();
	int r;

	if (!btf)
		return -errno;
	r = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	if (r > 0)
		r = btf__load_into_kernel(btf);
	r = r < 0 ? r : fcntl(btf__fd(btf), F_DUPFD_CLOEXEC, 3);
	btf__free(btf);
	return r;
}

int probe_sk_storage(struct probe_why *why)
{
	scoped(scope_close) int btf = make_storage_btf(), map = -1;
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC, .btf_fd = (__u32)btf,
		    .btf_key_type_id = 1, .btf_value_type_id = 1);

	if (btf < 0) {
		errno = -btf;
		return made(-1, why);
	}
	map = bpf_map_create(BPF_MAP_TYPE_SK_STORAGE, "ulsp_probe", 4, 4, 0, &opts);
	if (map < 0)
		return made(-1, why);
	{
		/* ctx is the socket in these programs (since 5.10) */
		const struct bpf_insn insns[] = {
			MOV_REG(BPF_REG_2, BPF_REG_1),
			INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map),
			INSN(0, 0, 0, 0, 0),
			MOV_IMM(BPF_REG_3, 0),
			MOV_IMM(BPF_REG_4, BPF_SK_STORAGE_GET_F_CREATE),
			CALL(BPF_FUNC_sk_storage_get),
			MOV_IMM(BPF_REG_0, 1),
			EXIT(),
		};

		return load(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, insns, 8, 0,
			    NULL, why);
	}
}

int probe_frozen_table(struct probe_why *why)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RDONLY_PROG);
	scoped(scope_close) int fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "ulsp_probe", 4, 1 << 20, 1, &opts);

	return fd < 0 || bpf_map_freeze(fd) ? made(-1, why) : 0;
}

int probe_link(int cgroup_fd, struct probe_why *why)
{
	const struct bpf_insn insns[] = {MOV_IMM(BPF_REG_0, 1), EXIT()};
	scoped(scope_close) int first = -1, second = -1, link = -1;
	int r;

	r = load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, insns, 2, 0, &first,
		 why);
	if (!r)
		r = load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, insns, 2, 0,
			 &second, why);
	if (r)
		return r;
	link = bpf_link_create(first, cgroup_fd, BPF_CGROUP_INET4_CONNECT, NULL);
	if (link < 0 || bpf_link_update(link, second, NULL))
		return made(-1, why);
	return 0;
}
