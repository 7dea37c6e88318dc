/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a member that runs as root could do to leave its group, or to act
 * around its policy, its cgroup apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
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
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "lsm_attempts.h"
#include "lsm_fixture.h"

/* Opened before anybody is a member. */
static struct {
	int core_pattern, memory;
} earlier;

static void nothing(void)
{
}

static int up(void **state)
{
	int r = lsm_up(state);

	if (r)
		return r;
	lsm_confine(GROUP_A, 1u << ULSP_REACH_ESCAPE, 0, 0);
	mkdir("/tmp/pts", 0755);
	mkdir("/tmp/mounted", 0755);
	mkdir("/tmp/moved", 0755);
	mkdir("/tmp/pstore", 0755);
	if (mount("none", "/tmp/pts", "devpts", 0, "ptmxmode=0666") ||
	    mount("none", "/tmp/moved", "tmpfs", 0, NULL) ||
	    mount("none", "/tmp/pstore", "pstore", 0, NULL) ||
	    mknod("/tmp/memory", S_IFCHR | 0600, makedev(1, 1)))
		return -1;
	earlier.core_pattern = open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC);
	earlier.memory = open("/tmp/memory", O_RDWR | O_CLOEXEC);
	/* Debian's 3 asks for CAP_PERFMON before it asks anybody else. */
	return earlier.core_pattern < 0 || earlier.memory < 0 ||
	       lsm_write_file("/proc/sys/kernel/perf_event_paranoid", "2");
}

/* ---- namespaces, mounts ---- */

static int enter(void *arg)
{
	int fd = open("/proc/1/ns/uts", O_RDONLY);

	(void)arg;
	return fd < 0 ? 253 : lsm_error(setns(fd, 0));
}

static int enter_by_pidfd(void *arg)
{
	int fd = (int)syscall(SYS_pidfd_open, getppid(), 0);

	(void)arg;
	return fd < 0 ? 253 : lsm_error(setns(fd, CLONE_NEWNET | CLONE_NEWUTS));
}

static int leave(void *arg)
{
	return lsm_error(unshare((int)(intptr_t)arg));
}

static int leave_user_unprivileged(void *arg)
{
	(void)arg;
	if (setresuid(65534, 65534, 65534))
		return 253;
	return lsm_error(unshare(CLONE_NEWUSER | CLONE_NEWNET));
}

static int clone_namespace(void *arg)
{
	(void)arg;
	return lsm_child(syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
}

static int clone3_namespace(void *arg)
{
	(void)arg;
	return lsm_clone3(CLONE_NEWNET, 0);
}

static int mount_new(void *arg)
{
	int r;

	(void)arg;
	r = lsm_error(mount("none", "/tmp/mounted", "tmpfs", 0, NULL));
	if (!r)
		umount("/tmp/mounted");
	return r;
}

static int mount_over(void *arg)
{
	int r;

	(void)arg;
	r = lsm_error(mount("/tmp/moved", "/tmp/mounted", NULL, MS_BIND, NULL));
	if (!r)
		umount("/tmp/mounted");
	return r;
}

static int remount(void *arg)
{
	(void)arg;
	return lsm_error(mount(NULL, "/tmp/moved", NULL, MS_REMOUNT, NULL));
}

static int unmount(void *arg)
{
	(void)arg;
	return lsm_error(umount("/tmp/moved")) == EPERM
		       ? EPERM
		       : lsm_error(mount("none", "/tmp/moved", "tmpfs", 0, NULL));
}

static int open_filesystem(void *arg)
{
	(void)arg;
	return lsm_error(syscall(SYS_fsopen, "tmpfs", 0));
}

static int clone_tree(void *arg)
{
	(void)arg;
	return lsm_error(syscall(SYS_open_tree, AT_FDCWD, "/tmp/moved", 1 /* OPEN_TREE_CLONE */));
}

/* ---- the kernel ---- */

static int name_host(void *arg)
{
	(void)arg;
	return lsm_error(sethostname("guest", 5));
}

static int swap(void *arg)
{
	(void)arg;
	return lsm_error(syscall(SYS_swapon, "/tmp/nothing", 0));
}

static int remove_module(void *arg)
{
	(void)arg;
	return lsm_error(syscall(SYS_delete_module, "nothing", O_NONBLOCK));
}

static int disable_cad(void *arg)
{
	(void)arg;
	return lsm_error(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
}

static int load_kexec(void *arg)
{
	(void)arg;
	return lsm_error(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

static int open_memory(void *arg)
{
	(void)arg;
	return lsm_error(open("/tmp/memory", O_RDONLY));
}

static int write_memory(void *arg)
{
	(void)arg;
	return lsm_error(pwrite(earlier.memory, "", 1, 1ll << 46));
}

static int make_map(void *arg)
{
	(void)arg;
	return lsm_error(bpf_map_create(BPF_MAP_TYPE_ARRAY, "m", 4, 4, 1, NULL));
}

static int count_cycles(void *arg)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_TASK_CLOCK,
				       .exclude_kernel = 1};

	(void)arg;
	return lsm_error(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int force_buffer(void *arg)
{
	int bytes = 4096;

	(void)arg;
	return lsm_error(setsockopt(socket(AF_INET, SOCK_DGRAM, 0), SOL_SOCKET, SO_RCVBUFFORCE,
				    &bytes, sizeof(bytes)));
}

static int raise_interface(void *arg)
{
	struct ifreq req = {.ifr_name = "lo"};

	(void)arg;
	req.ifr_flags = IFF_UP;
	return lsm_error(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &req));
}

static int type(void *arg)
{
	int master = open("/tmp/pts/ptmx", O_RDWR | O_NOCTTY), zero = 0, slave;

	(void)arg;
	if (master < 0 || ioctl(master, TIOCSPTLCK, &zero))
		return 253;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	return slave < 0 ? 252 : lsm_error(ioctl(slave, TIOCSTI, "x"));
}

static int write_core_pattern(void *arg)
{
	(void)arg;
	return lsm_write_file("/proc/sys/kernel/core_pattern", "core\n");
}

static int write_earlier_core_pattern(void *arg)
{
	(void)arg;
	return lsm_error(write(earlier.core_pattern, "core\n", 5));
}

static int open_to_write(void *arg)
{
	return lsm_error(open(arg, O_WRONLY));
}

static int score_other(void *arg)
{
	char path[64];

	(void)arg;
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", getppid());
	return lsm_write_file(path, "0");
}

/* Of those below /sys that have a filesystem of their own, the one that mounts anywhere. */
static int change_pstore(void *arg)
{
	(void)arg;
	return lsm_error(chmod("/tmp/pstore", 0750));
}

#ifdef __x86_64__
static int port_access(void *arg)
{
	(void)arg;
	return lsm_error(syscall(SYS_iopl, 3));
}

/* unshare(CLONE_NEWNS) by its number in 32 bits. */
static int leave_in_32_bits(void *arg)
{
	long r;

	(void)arg;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(310L), "b"((long)CLONE_NEWNS) : "memory");
	return r < 0 ? (int)-r : 0;
}
#endif

static const struct lsm_attempt attempts[] = {
	{"setns", enter, 0, NULL},
	{"setns of a pidfd", enter_by_pidfd, 0, NULL},
	{"unshare of mounts", leave, 0, (void *)CLONE_NEWNS},
	{"unshare of the network", leave, 0, (void *)CLONE_NEWNET},
	{"unshare of cgroups", leave, 0, (void *)CLONE_NEWCGROUP},
	{"unshare of users", leave, 0, (void *)CLONE_NEWUSER},
	{"unshare of users, not root", leave_user_unprivileged, 0, NULL},
#ifdef __x86_64__
	{"unshare in 32 bits", leave_in_32_bits, 0, NULL},
	{"iopl", port_access, 0, NULL},
#endif
	{"clone with a namespace", clone_namespace, 0, NULL},
	{"clone3 with a namespace", clone3_namespace, 0, NULL},
	{"mount", mount_new, 0, NULL},
	{"bind mount", mount_over, 0, NULL},
	{"remount", remount, 0, NULL},
	{"umount", unmount, 0, NULL},
	{"fsopen", open_filesystem, 0, NULL},
	{"open_tree", clone_tree, 0, NULL},
	{"sethostname", name_host, 0, NULL},
	{"swapon", swap, ENOENT, NULL},
	{"delete_module", remove_module, ENOENT, NULL},
	{"reboot", disable_cad, 0, NULL},
	{"kexec_load", load_kexec, 0, NULL},
	{"/dev/mem", open_memory, 0, NULL},
	{"/dev/mem, opened earlier", write_memory, EFAULT, NULL},
	{"bpf", make_map, 0, NULL},
	{"perf_event_open", count_cycles, 0, NULL},
	{"SO_RCVBUFFORCE", force_buffer, 0, NULL},
	{"an interface", raise_interface, 0, NULL},
	{"a terminal's input", type, 0, NULL},
	{"core_pattern", write_core_pattern, 0, NULL},
	{"core_pattern, opened earlier", write_earlier_core_pattern, 0, NULL},
	{"sysrq-trigger", open_to_write, 0, "/proc/sysrq-trigger"},
	{"modprobe", open_to_write, 0, "/proc/sys/kernel/modprobe"},
	{"another's oom_score_adj", score_other, 0, NULL},
	{"sysfs", open_to_write, 0, "/sys/kernel/mm/transparent_hugepage/enabled"},
	{"pstore", change_pstore, 0, NULL},
};

int main(void)
{
	return lsm_escapes(attempts, sizeof(attempts) / sizeof(attempts[0]), nothing, up);
}
