/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tags keep apart of objects that are files: POSIX message queues and
 * shared memory, FIFOs; and of pipes, that have no name.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cmocka.h>

#include "lsm_channel.h"
#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

#define MQ_NAME	  "/ulsp"
#define MQ_PATH	  "/dev/mqueue/ulsp"
#define SHM_NAME  "/ulsp"
#define SHM_PATH  "/dev/shm/ulsp"
#define FIFO_PATH "/tmp/ulsp-fifo"

/* ---- POSIX message queues and shared memory ---- */

static int queue_make(void *arg)
{
	mqd_t q = mq_open(MQ_NAME, O_CREAT | O_EXCL | O_RDWR, 0666, NULL);

	(void)arg;
	LSM_TRY(q < 0);
	return 0;
}

static int queue_open(void *arg)
{
	(void)arg;
	return mq_open(MQ_NAME, O_RDWR) < 0 ? errno : 0;
}

static int queue_open_or_make(void *arg)
{
	(void)arg;
	return mq_open(MQ_NAME, O_CREAT | O_RDWR, 0666, NULL) < 0 ? errno : 0;
}

static int queue_open_file(void *arg)
{
	(void)arg;
	return lsm_try_open(MQ_PATH, O_RDONLY);
}

static int queue_chmod(void *arg)
{
	(void)arg;
	return chmod(MQ_PATH, 0666) ? errno : 0;
}

static int queue_remove(void *arg)
{
	(void)arg;
	return unlink(MQ_PATH) ? errno : 0; /* mq_unlink(3) tells EPERM as EACCES */
}

static int file_make(void *arg)
{
	int fd = shm_open(SHM_NAME, O_CREAT | O_EXCL | O_RDWR, 0666);

	(void)arg;
	LSM_TRY(fd < 0);
	return ftruncate(fd, 4096) ? errno : 0;
}

static int file_make_node(void *arg)
{
	(void)arg;
	return mknod(SHM_PATH, S_IFREG | 0666, 0) ? errno : 0;
}

/* Without a name first. */
static int file_make_late(void *arg)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0666);

	(void)arg;
	LSM_TRY(fd < 0);
	return linkat(fd, "", AT_FDCWD, SHM_PATH, AT_EMPTY_PATH) ? errno : 0;
}

static int file_open(void *arg)
{
	(void)arg;
	return shm_open(SHM_NAME, O_RDWR, 0) < 0 ? errno : 0;
}

static int file_open_reading(void *arg)
{
	(void)arg;
	return lsm_try_open(SHM_PATH, O_RDONLY);
}

static int file_open_or_make(void *arg)
{
	(void)arg;
	return shm_open(SHM_NAME, O_CREAT | O_RDWR, 0666) < 0 ? errno : 0;
}

static int file_truncate(void *arg)
{
	(void)arg;
	return truncate(SHM_PATH, 4096) ? errno : 0;
}

static int file_chmod(void *arg)
{
	(void)arg;
	return chmod(SHM_PATH, 0666) ? errno : 0;
}

static int file_rename(void *arg)
{
	(void)arg;
	LSM_TRY(rename(SHM_PATH, SHM_PATH "2"));
	return rename(SHM_PATH "2", SHM_PATH) ? errno : 0;
}

static int file_replace(void *arg)
{
	int fd = open(SHM_PATH "3", O_CREAT | O_RDWR, 0666), r;

	(void)arg;
	LSM_TRY(fd < 0);
	close(fd);
	if (!rename(SHM_PATH "3", SHM_PATH))
		return 0;
	r = errno;
	unlink(SHM_PATH "3");
	return r;
}

static int file_remove(void *arg)
{
	(void)arg;
	return unlink(SHM_PATH) ? errno : 0; /* as does shm_unlink(3) */
}

/* ---- FIFOs ---- */

static int fifo_hold(void *arg)
{
	int fd;

	(void)arg;
	if (mkfifo(FIFO_PATH, 0666) && errno != EEXIST)
		return errno;
	fd = open(FIFO_PATH, O_RDWR);
	LSM_TRY(fd < 0);
	return lsm_channel_hold();
}

static int fifo_read(void *arg)
{
	(void)arg;
	return lsm_try_open(FIFO_PATH, O_RDONLY | O_NONBLOCK);
}

static int fifo_write(void *arg)
{
	(void)arg;
	return lsm_try_open(FIFO_PATH, O_WRONLY | O_NONBLOCK);
}

static int fifo_remove(void *arg)
{
	(void)arg;
	return unlink(FIFO_PATH) ? errno : 0;
}

/* ---- the channels ---- */

static const struct lsm_channel channels[] = {
	{"POSIX message queue",
	 queue_make,
	 queue_remove,
	 NULL,
	 ULSP_REACH_IPC,
	 false,
	 {{"mq_open", queue_open, EPERM},
	  {"mq_open O_CREAT", queue_open_or_make, EPERM},
	  {"open", queue_open_file, EPERM},
	  {"chmod", queue_chmod, EPERM}}},
	{"POSIX shared memory",
	 file_make,
	 file_remove,
	 NULL,
	 ULSP_REACH_SHM,
	 false,
	 {{"shm_open", file_open, EPERM},
	  {"shm_open O_CREAT", file_open_or_make, EPERM},
	  {"open", file_open_reading, EPERM},
	  {"truncate", file_truncate, EPERM},
	  {"chmod", file_chmod, EPERM},
	  {"rename", file_rename, EPERM}}},
	{"POSIX shared memory, by mknod",
	 file_make_node,
	 file_remove,
	 NULL,
	 ULSP_REACH_SHM,
	 false,
	 {{"shm_open", file_open, EPERM}}},
	{"POSIX shared memory, by O_TMPFILE",
	 file_make_late,
	 file_remove,
	 NULL,
	 ULSP_REACH_SHM,
	 false,
	 {{"shm_open", file_open, EPERM}}},
	{"FIFO",
	 NULL,
	 fifo_remove,
	 fifo_hold,
	 ULSP_REACH_FIFO,
	 true,
	 {{"open to read", fifo_read, EPERM}, {"open to write", fifo_write, EPERM}}},
};

static int up(void **state)
{
	uint32_t dev, one = 1;
	struct stat st;

	mkdir("/dev/mqueue", 0755);
	mkdir("/dev/shm", 01777);
	if (mount("mqueue", "/dev/mqueue", "mqueue", 0, NULL) && errno != EBUSY)
		return -1;
	if (mount("shm", "/dev/shm", "tmpfs", 0, NULL) || stat("/dev/shm", &st) || lsm_up(state))
		return -1;
	dev = major(st.st_dev) << 20 | minor(st.st_dev); /* as the kernel has it */
	if (bpf_map_update_elem(bpf_map__fd(lsm->maps.shm_devs), &dev, &one, BPF_ANY))
		return -1;
	return lsm_channels_up(channels, sizeof(channels) / sizeof(channels[0]));
}

/* ---- tests ---- */

/* Renamed over, a file would be gone like a removed one. */
static void files_are_not_replaced(void **state)
{
	(void)state;
	lsm_expect(GROUP_A, file_make, NULL, 0);
	lsm_expect(NOBODY, file_replace, NULL, EPERM);
	lsm_expect(GROUP_B, file_replace, NULL, EPERM);
	lsm_expect(GROUP_A, file_open, NULL, 0);
	lsm_expect(GROUP_A, file_replace, NULL, 0);
	lsm_expect(GROUP_A, file_remove, NULL, 0);
}

/* A FIFO that nobody has open is anybody's, one by one. */
static void left_over_fifo(void **state)
{
	static const int slots[] = {GROUP_A, GROUP_B, NOBODY, GROUP_A};
	const struct lsm_channel *fifo = channels;

	(void)state;
	while (fifo->hold != fifo_hold)
		fifo++;
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		pid_t pid = lsm_channel_open(fifo, slots[i]);
		int next = slots[(i + 1) % 3];

		lsm_channel_allowed(fifo, slots[i]);
		FOR_EACH_CHANNEL_ATTEMPT(a, fifo)
		lsm_expect(next, a->fn, NULL, a->error);
		lsm_kill(pid);
	}
	unlink(FIFO_PATH);
}

static int reopen_pipe(void *arg)
{
	int fds[2];

	(void)arg;
	if (pipe(fds) || dup2(fds[1], 1) < 0)
		return 253;
	return lsm_try_open("/dev/fd/1", O_WRONLY) == ENOENT
		       ? lsm_try_open("/proc/self/fd/1", O_WRONLY)
		       : lsm_try_open("/dev/fd/1", O_WRONLY);
}

/* The pipe is the test's, nobody's. */
static int reopen_inherited(void *arg)
{
	int *fds = arg;

	return dup2(fds[1], 1) < 0 ? 253 : lsm_try_open("/proc/self/fd/1", O_WRONLY);
}

static void pipes_without_names(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	lsm_expect(GROUP_A, reopen_pipe, NULL, 0);
	lsm_expect(GROUP_A, reopen_inherited, fds, 0);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LSM_CHANNEL_TESTS,
		cmocka_unit_test(files_are_not_replaced),
		cmocka_unit_test(left_over_fifo),
		cmocka_unit_test(pipes_without_names),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
