/* SPDX-License-Identifier: GPL-2.0-only */
/* What tags keep apart of System V IPC: shared memory, semaphores, message queues. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_channel.h"
#include "lsm_fixture.h"

enum { KEY = 0x55aa0001 };

/* ---- System V shared memory ---- */

static int shm_make(void *arg)
{
	(void)arg;
	lsm_told->id = shmget(KEY, 4096, IPC_CREAT | IPC_EXCL | 0666);
	return lsm_told->id < 0 ? errno : 0;
}

static int shm_get(void *arg)
{
	(void)arg;
	return shmget(KEY, 0, 0) < 0 ? errno : 0;
}

static int shm_attach(void *arg)
{
	char *at = shmat(lsm_told->id, NULL, 0);

	(void)arg;
	LSM_TRY(at == (void *)-1);
	(*at)++;
	return 0;
}

static int shm_stat(void *arg)
{
	struct shmid_ds ds;

	(void)arg;
	return shmctl(lsm_told->id, IPC_STAT, &ds) ? errno : 0;
}

static int shm_remove(void *arg)
{
	(void)arg;
	return shmctl(lsm_told->id, IPC_RMID, NULL) ? errno : 0;
}

/* ---- System V semaphores ---- */

static int sem_make(void *arg)
{
	(void)arg;
	lsm_told->id = semget(KEY, 1, IPC_CREAT | IPC_EXCL | 0666);
	return lsm_told->id < 0 ? errno : 0;
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
	return semop(lsm_told->id, &up_one, 1) ? errno : 0;
}

static int sem_value(void *arg)
{
	(void)arg;
	return semctl(lsm_told->id, 0, GETVAL) < 0 ? errno : 0;
}

static int sem_remove(void *arg)
{
	(void)arg;
	return semctl(lsm_told->id, 0, IPC_RMID) ? errno : 0;
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
	return msgsnd(lsm_told->id, &m, 1, IPC_NOWAIT) ? errno : 0;
}

static int msg_make(void *arg)
{
	lsm_told->id = msgget(KEY, IPC_CREAT | IPC_EXCL | 0666);
	LSM_TRY(lsm_told->id < 0);
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
	return msgrcv(lsm_told->id, &m, 1, 0, IPC_NOWAIT) < 0 ? errno : 0;
}

static int msg_stat(void *arg)
{
	struct msqid_ds ds;

	(void)arg;
	return msgctl(lsm_told->id, IPC_STAT, &ds) ? errno : 0;
}

static int msg_remove(void *arg)
{
	(void)arg;
	return msgctl(lsm_told->id, IPC_RMID, NULL) ? errno : 0;
}

/* ---- the channels ---- */

static const struct lsm_channel channels[] = {
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
};

static int up(void **state)
{
	return lsm_up(state) || lsm_channels_up(channels, sizeof(channels) / sizeof(channels[0]));
}

/* ---- tests ---- */

/* Private objects and what is inherited over fork. */
static int use_private(void *arg)
{
	int status;
	pid_t pid;

	lsm_told->id = shmget(IPC_PRIVATE, 4096, 0600);
	LSM_TRY(lsm_told->id < 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		LSM_CHANNEL_TESTS,
		cmocka_unit_test(private_objects),
		cmocka_unit_test(lsm_channels_leave_nothing),
	};

	return cmocka_run_group_tests(tests, up, lsm_down);
}
