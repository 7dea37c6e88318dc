/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_instance.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define FAKE_TEXT(x)  FAKE_TEXT_(x)
#define FAKE_TEXT_(x) #x

/* What the program reads and writes, in a map of its own. */
struct fake_request {
	uint64_t count; /* records to send; each has its first 8 bytes counted up */
	uint64_t sent;	/* out: taken by the ring */
	uint64_t bytes; /* of the record */
	uint8_t record[256];
};
enum { FLOOD_MAX = 1000 };

#define INSN(CODE, DST, SRC, OFF, IMM)                                                             \
	((struct bpf_insn){                                                                        \
		.code = (CODE), .dst_reg = (DST), .src_reg = (SRC), .off = (OFF), .imm = (IMM)})

/*
 * for (i = 0; i < count; i++, record.seq++)
 *	sent += !bpf_ringbuf_output(ring, record, bytes, 0);
 */
static int load_sender(int ring, int request)
{
	enum {
		COUNT = offsetof(struct fake_request, count),
		SENT = offsetof(struct fake_request, sent),
		BYTES = offsetof(struct fake_request, bytes),
		RECORD = offsetof(struct fake_request, record),
		LOOP = 6,
		END = 24,
	};
	const struct bpf_insn insns[] = {
		INSN(BPF_LD | BPF_DW | BPF_IMM, 6, BPF_PSEUDO_MAP_VALUE, 0, request),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 7, 6, COUNT, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 9, 6, BYTES, 0),
		INSN(BPF_JMP | BPF_JGT | BPF_K, 9, 0, END - 5, 256),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 8, 0, 0, 0),
		/* LOOP */
		INSN(BPF_JMP | BPF_JGE | BPF_X, 8, 7, END - 7, 0),
		INSN(BPF_JMP | BPF_JGE | BPF_K, 8, 0, END - 8, FLOOD_MAX),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 8, 0, 0, 1),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, ring),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 6, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, RECORD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 3, 9, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, RECORD, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 1, RECORD, 0),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, LOOP - 20, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, SENT, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 6, 1, SENT, 0),
		INSN(BPF_JMP | BPF_JA, 0, 0, LOOP - 24, 0),
		/* END */
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	static char log[65536];
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_SLEEPABLE);
	int fd;

	fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "fake_sender", "GPL", insns,
			   sizeof(insns) / sizeof(insns[0]), &opts);
	if (fd < 0) {
		opts.log_buf = log;
		opts.log_size = sizeof(log);
		opts.log_level = 1;
		bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "fake_sender", "GPL", insns,
			      sizeof(insns) / sizeof(insns[0]), &opts);
		fprintf(stderr, "fake sender: %s\n%s\n", strerror(-fd), log);
	}
	return fd;
}

static int run_sender(struct fake *f, const void *record, uint32_t bytes, uint64_t count)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct fake_request *r = f->request_at;

	r->count = count;
	r->sent = 0;
	r->bytes = bytes;
	memcpy(r->record, record, bytes);
	return bpf_prog_test_run_opts(f->prog, &opts);
}

static int make_array(const char *name, uint32_t value, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, value, entries, &opts);
}

static int read_only(int fd)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, opts, .open_flags = BPF_F_RDONLY);
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &bytes))
		return -errno;
	return bpf_map_get_fd_by_id_opts(info.id, &opts);
}

static void *map_at(int fd, size_t bytes)
{
	void *at = mmap(NULL, (bytes + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

int fake_open(struct fake *f, uint32_t ring_bytes)
{
	int pipe_fds[2];

	memset(f, 0, sizeof(*f));
	f->ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "fake_ring", 0, 0, ring_bytes, NULL);
	f->page = make_array("fake_page", sizeof(struct ulsp_page), 1);
	f->cache = make_array("fake_cache", sizeof(struct ulsp_cache_set), ULSP_CACHE_SETS);
	f->groups = make_array("fake_groups", sizeof(struct ulsp_group), ULSP_MAX_GROUPS);
	f->files = make_array("fake_files", ULSP_PATH_BYTES, ULSP_MAX_FILES);
	f->streams = make_array("fake_streams", sizeof(struct ulsp_stream),
				ULSP_MAX_GROUPS * ULSP_ALL_RINGS);
	f->groups_ro = read_only(f->groups);
	f->files_ro = read_only(f->files);
	f->streams_ro = read_only(f->streams);
	f->slots = make_array("fake_slots", sizeof(struct ulsp_slot), ULSP_MAX_SLOTS);
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	f->poke_read = pipe_fds[0];
	f->poke = pipe_fds[1];
	f->request = make_array("fake_request", sizeof(struct fake_request), 1);
	f->prog = load_sender(f->ring, f->request);
	for (const int *fd = &f->ring; fd <= &f->prog; fd++)
		if (*fd < 0) {
			fprintf(stderr, "fake instance: map or program %d: %s\n",
				(int)(fd - &f->ring), strerror(-*fd));
			return *fd;
		}
	f->page_at = map_at(f->page, sizeof(struct ulsp_page));
	f->request_at = map_at(f->request, sizeof(struct fake_request));
	f->group_at = map_at(f->groups, sizeof(struct ulsp_group) * ULSP_MAX_GROUPS);
	f->file_at = map_at(f->files, ULSP_PATH_BYTES * ULSP_MAX_FILES);
	f->stream_at =
		map_at(f->streams, sizeof(struct ulsp_stream) * ULSP_MAX_GROUPS * ULSP_ALL_RINGS);
	f->slot_at = map_at(f->slots, sizeof(struct ulsp_slot) * ULSP_MAX_SLOTS);
	f->cache_at = map_at(f->cache, ULSP_CACHE_BYTES);
	if (!f->request_at || !f->page_at || !f->slot_at || !f->group_at || !f->file_at ||
	    !f->stream_at || !f->cache_at)
		return -ENOMEM;
	for (int i = 0; i < 4; i++) {
		snprintf(f->group_at[i].name, ULSP_NAME_BYTES, "group%d", i);
		f->group_at[i].in_use = 1;
		f->group_at[i].generation = 7;
	}
	strcpy(f->file_at[2], "web.ulsp");
	return 0;
}

void fake_close(struct fake *f)
{
	if (f->request_at)
		munmap(f->request_at, sizeof(struct fake_request));
	if (f->page_at)
		munmap(f->page_at, sizeof(struct ulsp_page));
	if (f->group_at)
		munmap(f->group_at, sizeof(struct ulsp_group) * ULSP_MAX_GROUPS);
	if (f->file_at)
		munmap(f->file_at, ULSP_PATH_BYTES * ULSP_MAX_FILES);
	if (f->stream_at)
		munmap(f->stream_at, sizeof(struct ulsp_stream) * ULSP_MAX_GROUPS * ULSP_ALL_RINGS);
	if (f->slot_at)
		munmap(f->slot_at, sizeof(struct ulsp_slot) * ULSP_MAX_SLOTS);
	if (f->cache_at)
		munmap(f->cache_at, ULSP_CACHE_BYTES);
	for (const int *fd = &f->ring; fd <= &f->prog; fd++)
		if (*fd > 0)
			close(*fd);
	memset(f, 0, sizeof(*f));
}

static void set_environment(int ring, int page, int cache, int groups, int files, int streams,
			    int slots, int poke)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "ring=%d page=%d cache=%d groups=%d files=%d streams=%d slots=%d poke=%d", ring,
		 page, cache, groups, files, streams, slots, poke);
	setenv("ULSP_FDS", text, 1);
	snprintf(text, sizeof(text), "%d", FAKE_RING_NUMBER);
	setenv("ULSP_RING", text, 1);
	setenv("ULSP_NAME", "fake", 1);
	setenv("ULSP_ABI", FAKE_TEXT(ULSP_ABI), 1);
}

void fake_setenv(const struct fake *f)
{
	set_environment(f->ring, f->page, f->cache, f->groups_ro, f->files_ro, f->streams_ro,
			f->slots, f->poke);
}

void fake_setenv_exec(const struct fake *f)
{
	/* A duplicate is not closed by exec. */
	set_environment(dup(f->ring), dup(f->page), dup(f->cache), dup(f->groups_ro),
			dup(f->files_ro), dup(f->streams_ro), dup(f->slots), dup(f->poke));
}

static struct ulsp_stream *stream_of(struct fake *f, uint32_t group)
{
	return &f->stream_at[ULSP_STREAM(group, FAKE_RING_NUMBER)];
}

struct ulsp_msg fake_message(const struct fake *f, uint32_t group)
{
	struct timespec t;
	struct ulsp_msg m = {
		.abi = ULSP_ABI,
		.group = group,
		.generation = f->group_at[group].generation,
		.rule = 5,
		.line = 12,
		.file = 2,
		.op = ULSP_OP_CONNECT,
		.proto = ULSP_PROTO_TCP,
		.ip_proto = 6,
		.family = 4,
		.verdict = ULSP_VERDICT_ALLOW,
		.remote = {192, 0, 2, 1},
		.remote_port = 443,
		.comm = "fake",
		.slot = ULSP_NO_SLOT,
	};

	clock_gettime(CLOCK_MONOTONIC, &t);
	m.time_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return m;
}

int fake_send_raw(struct fake *f, const void *record, uint32_t bytes)
{
	int r = run_sender(f, record, bytes, 1);

	if (r)
		return r;
	return f->request_at->sent == 1 ? 0 : -ENOBUFS;
}

int fake_send(struct fake *f, struct ulsp_msg *m)
{
	struct ulsp_stream *s = stream_of(f, m->group);
	int r;

	m->seq = __atomic_add_fetch(&s->seq, 1, __ATOMIC_RELAXED);
	r = fake_send_raw(f, m, sizeof(*m));
	if (r == -ENOBUFS)
		s->lost++;
	return r;
}

void fake_lose(struct fake *f, uint32_t group, uint64_t n)
{
	__atomic_add_fetch(&stream_of(f, group)->seq, n, __ATOMIC_RELAXED);
	stream_of(f, group)->lost += n;
}

uint64_t fake_flood(struct fake *f, uint32_t group, uint64_t n)
{
	struct ulsp_msg m = fake_message(f, group);
	struct ulsp_stream *s = stream_of(f, group);
	uint64_t taken = 0;

	while (n) {
		uint64_t some = n < FLOOD_MAX ? n : FLOOD_MAX;

		m.seq = s->seq + 1;
		if (run_sender(f, &m, sizeof(m), some))
			break;
		__atomic_store_n(&s->seq, s->seq + some, __ATOMIC_RELAXED);
		s->lost += some - f->request_at->sent;
		taken += f->request_at->sent;
		n -= some;
	}
	return taken;
}

int fake_drop(void)
{
	if (setgroups(0, NULL) || setresgid(FAKE_NOBODY, FAKE_NOBODY, FAKE_NOBODY) ||
	    setresuid(FAKE_NOBODY, FAKE_NOBODY, FAKE_NOBODY) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return setuid(0) ? 0 : -EPERM;
}
