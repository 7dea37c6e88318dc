/* SPDX-License-Identifier: BSD-2-Clause */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A descriptor of /proc/PID stays with that process: it reads ESRCH after it, whoever has its id.
 */
static int open_process(pid_t tgid)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "/proc/%d", (int)tgid);
	fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

/* Field 22 of stat: start in clock ticks since boot. */
static int read_start(int dir, unsigned long long *ret_ticks)
{
	char text[1024], *p;
	ssize_t n;
	int fd;

	fd = openat(dir, "stat", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n <= 0)
		return n ? (int)n : -ESRCH;
	text[n] = '\0';
	p = strrchr(text, ')'); /* ends the name, which may hold anything */
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	if (!p)
		return -ESRCH;
	*ret_ticks = strtoull(p, NULL, 10);
	return 0;
}

static uint64_t tick_ns(void)
{
	long hz = sysconf(_SC_CLK_TCK);

	return 1000000000u / (uint64_t)(hz > 0 ? hz : 100);
}

int ulsp_process_exe(pid_t tgid, uint64_t start_ns, char *buf, size_t bytes)
{
	unsigned long long ticks;
	ssize_t n;
	int dir, r;

	dir = open_process(tgid);
	if (dir < 0)
		return dir;
	r = read_start(dir, &ticks);
	if (!r && ticks != start_ns / tick_ns())
		r = -ESRCH;
	if (!r) {
		n = readlinkat(dir, "exe", buf, bytes);
		if (n < 0)
			r = errno == ENOENT ? -ESRCH : -errno;
		else if ((size_t)n >= bytes)
			r = -ENOSPC;
		else
			r = (int)n;
	}
	close(dir);
	if (r >= 0)
		buf[r] = '\0';
	return r;
}

bool ulsp_process_is(pid_t tgid, uint64_t start_ns)
{
	unsigned long long ticks;
	int dir = tgid > 0 ? open_process(tgid) : -ESRCH;
	bool is;

	if (dir < 0)
		return false;
	is = !read_start(dir, &ticks) && ticks == start_ns / tick_ns();
	close(dir);
	return is;
}

uint64_t ulsp_process_start_ns(pid_t tgid)
{
	unsigned long long ticks = 0;
	int dir = open_process(tgid);

	if (dir < 0)
		return 0;
	if (read_start(dir, &ticks))
		ticks = 0;
	close(dir);
	return ticks * tick_ns();
}
