/* SPDX-License-Identifier: BSD-2-Clause */
#include "drop.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int keep_only(unsigned int cap)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = 1u << cap, .permitted = 1u << cap}};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

int drop_to_user(uid_t uid, gid_t gid)
{
	pid_t parent = getppid();
	int death = 0, r;

	if (geteuid())
		return -EPERM;
	prctl(PR_GET_PDEATHSIG, &death);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(0, NULL) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	r = keep_only(CAP_SYS_PTRACE);
	if (r)
		return r;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))
		return -errno;
	/* A change of the user clears it. */
	if (death && prctl(PR_SET_PDEATHSIG, death))
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}
