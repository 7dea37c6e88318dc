/* SPDX-License-Identifier: BSD-2-Clause */
/* cc logger.c $(pkg-config --cflags --libs ulsp) -o logger */
/* A logger: every message as a line of JSON, every loss as a line of its own. */
#include <stdio.h>
#include <string.h>
#include <ulsp.h>

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	char line[ULSP_LINE_BYTES];
	int r = ulsp_json(m, line, sizeof(line));

	(void)u, (void)ctx;
	return r < 0 ? r : puts(line) < 0 || fflush(stdout) ? -1 : 0;
}

static void on_loss(struct ulsp *u, const char *group, uint64_t lost, uint64_t total, void *ctx)
{
	(void)u, (void)ctx;
	fprintf(stderr, "%s: %llu messages lost, %llu so far\n", group, (unsigned long long)lost,
		(unsigned long long)total);
}

int main(void)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = on_message, .loss = on_loss};
	struct ulsp *u = NULL;
	int r = ulsp_open(&o, &u);

	if (!r)
		r = ulsp_run(u);
	if (r)
		fprintf(stderr, "logger: %s\n", strerror(-r));
	ulsp_close(&u);
	return r ? 1 : 0;
}
