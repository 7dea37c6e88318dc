/* SPDX-License-Identifier: BSD-2-Clause */
/* cc firewall.c $(pkg-config --cflags --libs ulsp) -o firewall */
/* A firewall: HTTPS may go anywhere, for a minute each; all else is refused. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <ulsp.h>

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct ulsp_cache minute = {.size = sizeof(minute), .ttl_ms = 60000};
	struct sockaddr_storage to;

	(void)u, (void)ctx;
	if (!ulsp_is_ask(m))
		return 0;
	if (!ulsp_remote(m, &to) && ((struct sockaddr_in *)&to)->sin_port == htons(443))
		ulsp_allow(m, &minute);
	else
		ulsp_deny(m, -ECONNREFUSED, &minute);
	return 0;
}

int main(void)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = on_message};
	struct ulsp *u = NULL;
	int r = ulsp_open(&o, &u);

	if (!r)
		r = ulsp_run(u);
	ulsp_close(&u);
	return r ? fprintf(stderr, "firewall: %s\n", strerror(-r)), 1 : 0;
}
