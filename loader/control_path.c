// SPDX-License-Identifier: GPL-2.0-only
#include "control.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "instance.h"

int control_path(const char *instance, char *buf, size_t bytes)
{
	char dir[PATH_MAX];
	int r = instance_run_dir(instance, dir, sizeof(dir));
	int n;

	if (r)
		return r;
	n = snprintf(buf, bytes, "%s/control", dir);
	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}
