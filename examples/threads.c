/* SPDX-License-Identifier: BSD-2-Clause */
/* cc threads.c $(pkg-config --cflags --libs ulsp) -o threads */
/* A firewall that takes its time, so it has a thread for each of its `rings`: who has no name
 * (DNS, PTR) is refused. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <ulsp.h>

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	struct ulsp_cache hour = {sizeof(hour), ULSP_COVER_DESTINATION, 3600000};
	struct sockaddr_storage to;
	char name[NI_MAXHOST];

	(void)u, (void)ctx;
	if (!ulsp_is_ask(m) || ulsp_remote(m, &to))
		return 0;
	if (getnameinfo((struct sockaddr *)&to, sizeof(to), name, sizeof(name), NULL, 0,
			NI_NAMEREQD))
		ulsp_deny(m, -EHOSTUNREACH, &hour);
	else
		ulsp_allow(m, &hour);
	return 0;
}

int main(void)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = on_message};
	struct ulsp *u[8];
	int r = 0;

	for (o.ring = 1; o.ring <= ulsp_rings() && !r; o.ring++)
		r = ulsp_open(&o, &u[o.ring - 1]);
	r = r ? r : ulsp_run_threads(u, ulsp_rings());
	return r ? fprintf(stderr, "threads: %s\n", strerror(-r)), 1 : 0;
}
