/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ULSP that answers as it is told, by the port that is asked about:
 *
 *   answerer PORT=ANSWER[@MS]...     0: any other port; MS: later
 *
 * ANSWER: allow, deny:ERRNO (a number), keep (allow, and the flow for a minute),
 * to:ADDRESS:PORT (IPv4), nothing, twice (allow, then deny), die (SIGKILL).
 * Says each on stderr, with the time by CLOCK_MONOTONIC in ns.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ulsp.h"

enum { MAX_RULES = 64, MAX_LATER = 20000 };

static struct rule {
	unsigned port;
	const char *answer;
	unsigned ms;
} rules[MAX_RULES];
static int nrules;

/* In the order of their time, which is the order of arrival for one MS. */
static struct later {
	struct ulsp_message *m;
	const struct rule *rule;
	uint64_t at_ns;
} laters[MAX_LATER];
static int nlater;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static const struct rule *find(const struct ulsp_message *m)
{
	struct sockaddr_storage a;
	const struct rule *any = NULL;
	unsigned port = 0;

	if (!ulsp_remote(m, &a) && strcmp(ulsp_operation(m), "accept"))
		port = ntohs(((struct sockaddr_in *)&a)->sin_port);
	else if (!ulsp_local(m, &a))
		port = ntohs(((struct sockaddr_in *)&a)->sin_port);
	for (int i = 0; i < nrules; i++) {
		if (rules[i].port == port)
			return &rules[i];
		if (!rules[i].port)
			any = &rules[i];
	}
	return any;
}

static void answer(struct ulsp_message *m, const struct rule *rule)
{
	struct ulsp_cache once = {.size = sizeof(once), .cover = ULSP_COVER_ONCE};
	struct ulsp_cache flow = {.size = sizeof(flow), .cover = ULSP_COVER_FLOW, .ttl_ms = 60000};
	const char *what = rule->answer;
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint64_t then = now_ns();
	unsigned port;
	char host[32];
	int r = 0;

	if (!strcmp(what, "allow"))
		r = ulsp_allow(m, &once);
	else if (!strcmp(what, "keep"))
		r = ulsp_allow(m, &flow);
	else if (!strncmp(what, "deny:", 5))
		r = ulsp_deny(m, -atoi(what + 5), &once);
	else if (sscanf(what, "to:%31[0-9.]:%u", host, &port) == 2) {
		inet_pton(AF_INET, host, &to.sin_addr);
		to.sin_port = htons((uint16_t)port);
		r = ulsp_rewrite(m, (struct sockaddr *)&to, sizeof(to));
	} else if (!strcmp(what, "twice")) {
		r = ulsp_allow(m, &once);
		if (!r && ulsp_deny(m, -EPERM, &once) != -EALREADY)
			fprintf(stderr, "answered twice\n");
	} else if (!strcmp(what, "die")) {
		kill(getpid(), SIGKILL);
	}
	fprintf(stderr, "%s %s %s: %s: %s at %llu\n", ulsp_operation(m), ulsp_remote_text(m),
		ulsp_comm(m), what, strerror(-r), (unsigned long long)then);
}

static int on_message(struct ulsp *u, struct ulsp_message *m, void *ctx)
{
	const struct rule *rule;

	(void)u, (void)ctx;
	if (!ulsp_is_ask(m))
		return 0;
	rule = find(m);
	if (!rule)
		return 0;
	if (!rule->ms) {
		answer(m, rule);
		return 0;
	}
	if (nlater < MAX_LATER && !ulsp_message_keep(m, &laters[nlater].m)) {
		laters[nlater].rule = rule;
		laters[nlater++].at_ns = now_ns() + rule->ms * 1000000ull;
	}
	return 0;
}

static void answer_due(void)
{
	int left = 0;

	for (int i = 0; i < nlater; i++) {
		if (laters[i].at_ns > now_ns()) {
			laters[left++] = laters[i];
			continue;
		}
		answer(laters[i].m, laters[i].rule);
		ulsp_message_unref(&laters[i].m);
	}
	nlater = left;
}

int main(int argc, char **argv)
{
	struct ulsp_options o = {.size = sizeof(o), .handler = on_message};
	struct ulsp *u = NULL;
	int r;

	for (int i = 1; i < argc && nrules < MAX_RULES; i++) {
		char *equals = strchr(argv[i], '='), *at;

		if (!equals)
			return 2;
		*equals = 0;
		at = strchr(equals + 1, '@');
		if (at)
			*at = 0;
		rules[nrules].port = (unsigned)atoi(argv[i]);
		rules[nrules].answer = equals + 1;
		rules[nrules++].ms = at ? (unsigned)atoi(at + 1) : 0;
	}
	r = ulsp_open(&o, &u);
	while (!r || r == -EINTR) {
		r = ulsp_dispatch(u, nlater ? 1 : 1000);
		if (r > 0)
			r = 0;
		answer_due();
	}
	ulsp_close(&u);
	return r == -ECANCELED ? 0 : 1;
}
