/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tags keep apart of objects that processes meet at: System V and POSIX
 * IPC, shared memory, FIFOs, keys.  Each kind of channel is made by one group
 * and then tried by all.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include <cmocka.h>

#include "lsm_fixture.h"
#include "ulsp_lsm.skel.h"

#define ISOLATED                                                                                   \
	(1u << ULSP_REACH_IPC | 1u << ULSP_REACH_SHM | 1u << ULSP_REACH_FIFO | 1u << ULSP_REACH_KEY)

enum { KEY = 0x55aa0001 };

#define MQ_NAME	  "/ulsp"
#define MQ_PATH	  "/dev/mqueue/ulsp"
#define SHM_NAME  "/ulsp"
#define SHM_PATH  "/dev/shm/ulsp"
#define FIFO_PATH "/tmp/ulsp-fifo"

/* What the maker tells the others. */
static struct {
	volatile int ready;
	int id;
	int32_t key, keyring;
} * told;

static void isolate(uint32_t peers_of_a, uint32_t peers_of_b)
{
	lsm_confine(GROUP_A, ISOLATED, peers_of_a, 0);
	lsm_confine(GROUP_B, ISOLATED, peers_of_b, 0);
}

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
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	isolate(0, 0);
	return told == MAP_FAILED ? -1 : 0;
}

#define TRY(failed)                                                                                \
	do {                                                                                       \
		if (failed)                                                                        \
			return errno;                                                              \
	} while (0)

/* ---- System V shared memory ---- */

static int shm_make(void *arg)
{
	(void)arg;
	told->id = shmget(KEY, 4096, IPC_CREAT | IPC_EXCL | 0666);
	return told->id < 0 ? errno : 0;
}

static int shm_get(void *arg)
{
	(void)arg;
	return shmget(KEY, 0, 0) < 0 ? errno : 0;
}

static int shm_attach(void *arg)
{
	char *at = shmat(told->id, NULL, 0);

	(void)arg;
	TRY(at == (void *)-1);
	(*at)++;
	return 0;
}

static int shm_stat(void *arg)
{
	struct shmid_ds ds;

	(void)arg;
	return shmctl(told->id, IPC_STAT, &ds) ? errno : 0;
}

static int shm_remove(void *arg)
{
	(void)arg;
	return shmctl(told->id, IPC_RMID, NULL) ? errno : 0;
}

/* ---- System V semaphores ---- */

static int sem_make(void *arg)
{
	(void)arg;
	told->id = semget(KEY, 1, IPC_CREAT | IPC_EXCL | 0666);
	return told->id < 0 ? errno : 0;
}

static int sem_get(void *arg)
{
	(void)arg;
	return semget(KEY, 0, 0) < 0 ? errno : 0;
}

static int sem_operate(void *arg)
{
	struct sembuf up_one = {0, 1, IPC_NOWAIT};

	(void)arg;
	return semop(told->id, &up_one, 1) ? errno : 0;
}

static int sem_value(void *arg)
{
	(void)arg;
	return semctl(told->id, 0, GETVAL) < 0 ? errno : 0;
}

static int sem_remove(void *arg)
{
	(void)arg;
	return semctl(told->id, 0, IPC_RMID) ? errno : 0;
}

/* ---- System V message queues ---- */

struct message {
	long type;
	char text[1];
};

static int msg_send(void *arg)
{
	struct message m = {1, {0}};

	(void)arg;
	return msgsnd(told->id, &m, 1, IPC_NOWAIT) ? errno : 0;
}

static int msg_make(void *arg)
{
	told->id = msgget(KEY, IPC_CREAT | IPC_EXCL | 0666);
	TRY(told->id < 0);
	return msg_send(arg) || msg_send(arg);
}

static int msg_get(void *arg)
{
	(void)arg;
	return msgget(KEY, 0) < 0 ? errno : 0;
}

static int msg_receive(void *arg)
{
	struct message m;

	(void)arg;
	return msgrcv(told->id, &m, 1, 0, IPC_NOWAIT) < 0 ? errno : 0;
}

static int msg_stat(void *arg)
{
	struct msqid_ds ds;

	(void)arg;
	return msgctl(told->id, IPC_STAT, &ds) ? errno : 0;
}

static int msg_remove(void *arg)
{
	(void)arg;
	return msgctl(told->id, IPC_RMID, NULL) ? errno : 0;
}

/* ---- files: POSIX message queues and shared memory ---- */

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags);

	TRY(fd < 0);
	close(fd);
	return 0;
}

static int queue_make(void *arg)
{
	mqd_t q = mq_open(MQ_NAME, O_CREAT | O_EXCL | O_RDWR, 0666, NULL);

	(void)arg;
	TRY(q < 0);
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
	return try_open(MQ_PATH, O_RDONLY);
}

static int queue_remove(void *arg)
{
	(void)arg;
	return mq_unlink(MQ_NAME) ? errno : 0;
}

static int file_make(void *arg)
{
	int fd = shm_open(SHM_NAME, O_CREAT | O_EXCL | O_RDWR, 0666);

	(void)arg;
	TRY(fd < 0);
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
	TRY(fd < 0);
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
	return try_open(SHM_PATH, O_RDONLY);
}

static int file_open_or_make(void *arg)
{
	(void)arg;
	return shm_open(SHM_NAME, O_CREAT | O_RDWR, 0666) < 0 ? errno : 0;
}

static int file_remove(void *arg)
{
	(void)arg;
	return shm_unlink(SHM_NAME) ? errno : 0;
}

/* ---- those that live as long as a process ---- */

static int hold(void)
{
	told->ready = 1;
	alarm(100);
	pause();
	return 0;
}

static int fifo_hold(void *arg)
{
	int fd;

	(void)arg;
	if (mkfifo(FIFO_PATH, 0666) && errno != EEXIST)
		return errno;
	fd = open(FIFO_PATH, O_RDWR);
	TRY(fd < 0);
	return hold();
}

static int fifo_read(void *arg)
{
	(void)arg;
	return try_open(FIFO_PATH, O_RDONLY | O_NONBLOCK);
}

static int fifo_write(void *arg)
{
	(void)arg;
	return try_open(FIFO_PATH, O_WRONLY | O_NONBLOCK);
}

static int32_t key_add(const char *name, int32_t keyring)
{
	return (int32_t)syscall(SYS_add_key, "user", name, "secret", 6, keyring);
}

static int keyctl_error(int op, long a, long b, long c, long d)
{
	return syscall(SYS_keyctl, op, a, b, c, d) < 0 ? errno : 0;
}

enum { EVERYTHING = 0x3f3f3f3f };

static int key_hold(void *arg)
{
	(void)arg;
	told->keyring = (int32_t)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	TRY(told->keyring < 0);
	told->key = key_add("ulsp", KEY_SPEC_SESSION_KEYRING);
	TRY(told->key < 0);
	if (keyctl_error(KEYCTL_SETPERM, told->key, EVERYTHING, 0, 0) ||
	    keyctl_error(KEYCTL_SETPERM, told->keyring, EVERYTHING, 0, 0))
		return errno;
	return hold();
}

static int key_read(void *arg)
{
	char text[16];

	(void)arg;
	return keyctl_error(KEYCTL_READ, told->key, (long)text, sizeof(text), 0);
}

static int key_describe(void *arg)
{
	char text[64];

	(void)arg;
	return keyctl_error(KEYCTL_DESCRIBE, told->key, (long)text, sizeof(text), 0);
}

static int key_update(void *arg)
{
	(void)arg;
	return keyctl_error(KEYCTL_UPDATE, told->key, (long)"other", 5, 0);
}

static int key_search(void *arg)
{
	(void)arg;
	return keyctl_error(KEYCTL_SEARCH, told->keyring, (long)"user", (long)"ulsp", 0);
}

static int key_put(void *arg)
{
	(void)arg;
	return key_add("more", told->keyring) < 0 ? errno : 0;
}

static int key_link(void *arg)
{
	(void)arg;
	return keyctl_error(KEYCTL_LINK, told->key, KEY_SPEC_PROCESS_KEYRING, 0, 0);
}

/* ---- the channels ---- */

struct attempt {
	const char *name;
	int (*fn)(void *);
	int error; /* what a denial is told as */
};

static const struct channel {
	const char *name;
	int (*make)(void *), (*remove)(void *);
	int (*hold)(void *); /* instead of make: by a process that stays */
	uint32_t kind;
	bool keeps; /* removal isn't judged */
	struct attempt attempts[7];
} channels[] = {
	{"System V shared memory",
	 shm_make,
	 shm_remove,
	 NULL,
	 ULSP_REACH_SHM,
	 false,
	 {{"shmget", shm_get, EPERM}, {"shmat", shm_attach, EPERM}, {"IPC_STAT", shm_stat, EPERM}}},
	{"semaphores",
	 sem_make,
	 sem_remove,
	 NULL,
	 ULSP_REACH_IPC,
	 false,
	 {{"semget", sem_get, EPERM}, {"semop", sem_operate, EPERM}, {"GETVAL", sem_value, EPERM}}},
	{"System V message queue",
	 msg_make,
	 msg_remove,
	 NULL,
	 ULSP_REACH_IPC,
	 false,
	 {{"msgget", msg_get, EPERM},
	  {"msgsnd", msg_send, EPERM},
	  {"msgrcv", msg_receive, EACCES},
	  {"IPC_STAT", msg_stat, EPERM}}},
	{"POSIX message queue",
	 queue_make,
	 queue_remove,
	 NULL,
	 ULSP_REACH_IPC,
	 true,
	 {{"mq_open", queue_open, EPERM},
	  {"mq_open O_CREAT", queue_open_or_make, EPERM},
	  {"open", queue_open_file, EPERM}}},
	{"POSIX shared memory",
	 file_make,
	 file_remove,
	 NULL,
	 ULSP_REACH_SHM,
	 true,
	 {{"shm_open", file_open, EPERM},
	  {"shm_open O_CREAT", file_open_or_make, EPERM},
	  {"open", file_open_reading, EPERM}}},
	{"POSIX shared memory, by mknod",
	 file_make_node,
	 file_remove,
	 NULL,
	 ULSP_REACH_SHM,
	 true,
	 {{"shm_open", file_open, EPERM}}},
	{"POSIX shared memory, by O_TMPFILE",
	 file_make_late,
	 file_remove,
	 NULL,
	 ULSP_REACH_SHM,
	 true,
	 {{"shm_open", file_open, EPERM}}},
	{"FIFO",
	 NULL,
	 NULL,
	 fifo_hold,
	 ULSP_REACH_FIFO,
	 true,
	 {{"open to read", fifo_read, EPERM}, {"open to write", fifo_write, EPERM}}},
	{"key",
	 NULL,
	 NULL,
	 key_hold,
	 ULSP_REACH_KEY,
	 true,
	 {{"KEYCTL_READ", key_read, EPERM},
	  {"KEYCTL_DESCRIBE", key_describe, EPERM},
	  {"KEYCTL_UPDATE", key_update, EPERM},
	  {"KEYCTL_SEARCH", key_search, EPERM},
	  {"add_key", key_put, EPERM},
	  {"KEYCTL_LINK", key_link, EPERM}}},
};

#define FOR_EACH_CHANNEL(c)                                                                        \
	for (const struct channel *c = channels;                                                   \
	     c < channels + sizeof(channels) / sizeof(channels[0]); c++)
#define FOR_EACH_ATTEMPT(a, c) for (const struct attempt *a = (c)->attempts; a->name; a++)

static pid_t channel_open(const struct channel *c, int slot)
{
	pid_t pid;

	print_message("# %s of %d\n", c->name, slot);
	if (!c->hold) {
		lsm_expect(slot, c->make, NULL, 0);
		return 0;
	}
	told->ready = 0;
	pid = lsm_start(slot, c->hold, NULL);
	for (int i = 0; i < 1000 && !told->ready; i++)
		usleep(10000);
	assert_true(told->ready);
	return pid;
}

static void channel_close(const struct channel *c, int slot, pid_t pid)
{
	if (c->hold)
		lsm_kill(pid);
	else
		lsm_expect(slot, c->remove, NULL, 0);
	unlink(FIFO_PATH);
}

/* Counted by the group of who tries, if it has one. */
static void denied_to(const struct channel *c, int slot)
{
	uint32_t counter = slot == NOBODY ? GROUP_A : (uint32_t)slot;

	FOR_EACH_ATTEMPT(a, c)
	{
		uint64_t denied = lsm_denied(counter, c->kind);

		print_message("#   %s by %d\n", a->name, slot);
		lsm_expect(slot, a->fn, NULL, a->error);
		assert_int_equal(lsm_denied(counter, c->kind), denied + 1);
	}
	if (!c->keeps)
		lsm_expect(slot, c->remove, NULL, EPERM);
}

static void allowed_to(const struct channel *c, int slot)
{
	uint64_t denied = lsm_denied(GROUP_A, c->kind);

	FOR_EACH_ATTEMPT(a, c)
	{
		print_message("#   %s by %d\n", a->name, slot);
		lsm_expect(slot, a->fn, NULL, 0);
	}
	assert_int_equal(lsm_denied(GROUP_A, c->kind), denied);
}

/* ---- tests ---- */

static void a_members(void **state)
{
	(void)state;
	FOR_EACH_CHANNEL(c)
	{
		pid_t pid = channel_open(c, GROUP_A);

		allowed_to(c, GROUP_A);
		denied_to(c, NOBODY);
		denied_to(c, GROUP_B);
		channel_close(c, GROUP_A, pid);
	}
}

static void outsides(void **state)
{
	(void)state;
	FOR_EACH_CHANNEL(c)
	{
		pid_t pid = channel_open(c, NOBODY);

		allowed_to(c, NOBODY);
		denied_to(c, GROUP_A);
		channel_close(c, NOBODY, pid);
	}
}

static void peers_are_mutual(void **state)
{
	(void)state;
	FOR_EACH_CHANNEL(c)
	{
		pid_t pid = channel_open(c, GROUP_A);

		isolate(1 << GROUP_B, 0);
		FOR_EACH_ATTEMPT(a, c)
		lsm_expect(GROUP_B, a->fn, NULL, a->error);
		isolate(1 << GROUP_B, 1 << GROUP_A);
		allowed_to(c, GROUP_B);
		isolate(0, 0);
		channel_close(c, GROUP_A, pid);
	}
}

static void audit_lets_pass_and_counts(void **state)
{
	(void)state;
	lsm_mode(GROUP_A, ULSP_MODE_AUDIT);
	FOR_EACH_CHANNEL(c)
	{
		pid_t pid = channel_open(c, GROUP_A);

		FOR_EACH_ATTEMPT(a, c)
		{
			uint64_t denied = lsm_denied(GROUP_A, c->kind);

			print_message("#   %s\n", a->name);
			lsm_expect(NOBODY, a->fn, NULL, 0);
			assert_true(lsm_denied(GROUP_A, c->kind) > denied);
		}
		channel_close(c, GROUP_A, pid);
	}
	lsm_mode(GROUP_A, ULSP_MODE_ENFORCE);
}

/* Private objects and what is inherited over fork. */
static int use_private(void *arg)
{
	int status;
	pid_t pid;

	told->id = shmget(IPC_PRIVATE, 4096, 0600);
	TRY(told->id < 0);
	pid = fork();
	if (!pid)
		_exit(shm_attach(arg));
	waitpid(pid, &status, 0);
	return shm_remove(arg) || WEXITSTATUS(status);
}

static void private_objects(void **state)
{
	(void)state;
	lsm_expect(GROUP_A, use_private, NULL, 0);
}

/* A FIFO that nobody has open is anybody's, one by one. */
static void left_over_fifo(void **state)
{
	static const int slots[] = {GROUP_A, GROUP_B, NOBODY, GROUP_A};
	const struct channel *fifo = channels;

	(void)state;
	while (fifo->hold != fifo_hold)
		fifo++;
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		pid_t pid = channel_open(fifo, slots[i]);
		int next = slots[(i + 1) % 3];

		allowed_to(fifo, slots[i]);
		FOR_EACH_ATTEMPT(a, fifo)
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
	return try_open("/dev/fd/1", O_WRONLY) == ENOENT ? try_open("/proc/self/fd/1", O_WRONLY)
							 : try_open("/dev/fd/1", O_WRONLY);
}

/* The pipe is the test's, nobody's. */
static int reopen_inherited(void *arg)
{
	int *fds = arg;

	return dup2(fds[1], 1) < 0 ? 253 : try_open("/proc/self/fd/1", O_WRONLY);
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

/* A member's own keyrings, made when they are first used. */
static int use_own_keys(void *arg)
{
	static const int32_t rings[] = {KEY_SPEC_THREAD_KEYRING, KEY_SPEC_PROCESS_KEYRING,
					KEY_SPEC_SESSION_KEYRING};

	(void)arg;
	TRY(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0);
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		told->key = key_add("own", rings[i]);
		TRY(told->key < 0);
		TRY(key_read(arg));
		TRY(syscall(SYS_request_key, "user", "own", NULL, 0) < 0);
		TRY(keyctl_error(KEYCTL_UNLINK, told->key, rings[i], 0, 0));
	}
	return 0;
}

/* Its user's keyring is outside's, whoever needs it first. */
static int use_user_keyring(void *arg)
{
	(void)arg;
	return key_add("ours", KEY_SPEC_USER_KEYRING) < 0 ? errno : 0;
}

static int run_program(void *arg)
{
	execl("/bin/true", "true", NULL);
	(void)arg;
	return errno;
}

static void own_and_shared_keys(void **state)
{
	(void)state;
	lsm_expect(GROUP_A, use_own_keys, NULL, 0);
	lsm_expect(GROUP_A, use_user_keyring, NULL, EPERM);
	lsm_expect(NOBODY, use_user_keyring, NULL, 0);
	lsm_expect(GROUP_A, run_program, NULL, 0);
}

static unsigned count_objects(void)
{
	int fd = bpf_map__fd(lsm->maps.object_tags);
	uint64_t key, *last = NULL;
	unsigned n = 0;

	while (!bpf_map_get_next_key(fd, last, &key)) {
		last = &key;
		n++;
	}
	return n;
}

/* Keys are collected some time after their last use, System V objects after an RCU grace period. */
static void nothing_is_left(void **state)
{
	(void)state;
	for (int i = 0; i < 300 && count_objects(); i++)
		usleep(100000);
	assert_int_equal(count_objects(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_members),	       cmocka_unit_test(outsides),
		cmocka_unit_test(peers_are_mutual),    cmocka_unit_test(audit_lets_pass_and_counts),
		cmocka_unit_test(private_objects),     cmocka_unit_test(left_over_fifo),
		cmocka_unit_test(pipes_without_names), cmocka_unit_test(own_and_shared_keys),
		cmocka_unit_test(nothing_is_left),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
