/* SPDX-License-Identifier: GPL-2.0-only */
#include "lsm_attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lsm_fixture.h"

int lsm_error(long r)
{
	return r < 0 ? errno : 0;
}

int lsm_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return errno;
	r = lsm_error(write(fd, text, strlen(text)));
	close(fd);
	return r;
}

struct outcome {
	int result;
	uint64_t denied; /* how often it was counted */
};

static struct outcome run(int slot, const struct lsm_attempt *a, uint32_t kind,
			  void (*prepare)(void))
{
	uint64_t before = lsm_denied(GROUP_A, kind);
	struct outcome o;

	prepare();
	o.result = lsm_as(slot, a->fn, NULL);
	o.denied = lsm_denied(GROUP_A, kind) - before;
	return o;
}

void lsm_attempts(const struct lsm_attempt *list, size_t count, uint32_t kind,
		  void (*prepare)(void))
{
	int failed = 0;

	for (const struct lsm_attempt *a = list; a < list + count; a++) {
		struct outcome outside = run(NOBODY, a, kind, prepare),
			       inside = run(GROUP_A, a, kind, prepare), audited;

		lsm_mode(GROUP_A, ULSP_MODE_AUDIT);
		audited = run(GROUP_A, a, kind, prepare);
		lsm_mode(GROUP_A, ULSP_MODE_ENFORCE);
		if (outside.result == a->outside && !outside.denied && inside.result == EPERM &&
		    inside.denied && audited.result == a->outside && audited.denied)
			continue;
		failed++;
		print_message("# %s: outside %d, inside %d (counted %d), audited %d (counted %d)\n",
			      a->name, outside.result, inside.result, (int)inside.denied,
			      audited.result, (int)audited.denied);
	}
	assert_int_equal(failed, 0);
}
