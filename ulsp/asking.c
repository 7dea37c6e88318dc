/* SPDX-License-Identifier: BSD-2-Clause */
#include "asking.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "escape.h"

enum { TELL_NS = 1000000000 };

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What waits for less is over before anybody has read the question. */
#define PEOPLE_NS 250000000ull

/* ---- verdicts ---- */

static bool is_held(const struct ulsp_message *m)
{
	return ulsp_deadline_ns(m) > now_ns();
}

int asking_give(struct ulsp_message *m, const struct fw_verdict *v)
{
	struct ulsp_cache cache = {.size = sizeof(cache), .cover = v->cover, .ttl_ms = v->ttl_ms};
	bool of_process = v->cover == ULSP_COVER_PROCESS || v->cover == ULSP_COVER_PROCESS_FLOW;

	/* Nothing is known of the process: the flow is covered, for the retry only. */
	if (of_process && !ulsp_tgid(m)) {
		cache.cover = ULSP_COVER_FLOW;
		cache.ttl_ms = RULES_ONCE_MS;
	}
	if (is_held(m) && (v->once || (of_process && !ulsp_tgid(m)))) {
		struct ulsp_cache once = {.size = sizeof(once), .cover = ULSP_COVER_ONCE};
		int r = v->allow ? ulsp_allow(m, &once) : ulsp_deny(m, v->error, &once);

		if (r != -ETIMEDOUT)
			return r;
		/* It waits no longer: for its retry. */
	}
	return v->allow ? ulsp_allow(m, &cache) : ulsp_deny(m, v->error, &cache);
}

static void give_all(struct question *q, const struct fw_verdict *v)
{
	for (size_t i = 0; i < q->n; i++)
		asking_give(q->waiters[i].m, v);
}

/* For the one operation: the next is asked about again, for there may be somebody then. */
static void make_once(struct fw_verdict *v, uint32_t retry_ms)
{
	v->ask = false;
	v->once = true;
	v->cover = ULSP_COVER_PROCESS_FLOW;
	v->ttl_ms = retry_ms;
}

/* ---- questions as they are told ---- */

static const char *user_name(uid_t uid, char *buf, size_t bytes)
{
	const struct passwd *pw = getpwuid(uid);

	return pw ? escape_name(pw->pw_name, buf, bytes) : NULL;
}

static char *question_line(const struct question *q)
{
	uint64_t until = question_until_ns(q);
	enum { PATH_ROOM = 4 * 4096 + 1 };
	char user[128], comm[80], group[300], address[INET6_ADDRSTRLEN] = "", cgroup[1024];
	char *texts = malloc(2 * PATH_ROOM), *line;
	const struct ulsp_message *m = q->waiters[0].m;
	uint64_t now = now_ns();
	struct prompt_question p = {
		.id = q->id,
		.group = escape_name(q->group ? q->group : "", group, sizeof(group)),
		.operation = fw_op_word(q->what.op),
		.protocol = fw_proto_word(q->what.proto),
		.port = q->what.port,
		.pid = q->tgid,
		.uid = q->what.uid,
		.user = user_name(q->what.uid, user, sizeof(user)),
		.comm = escape_name(ulsp_comm(m), comm, sizeof(comm)),
		.left_ms = until > now ? (int64_t)((until - now) / 1000000) : 0,
		.held = question_is_held(q),
		.waiting = (uint32_t)q->n,
		.otherwise = q->otherwise.allow,
	};

	if (!texts)
		return NULL;
	if (q->what.family)
		p.address = inet_ntop(q->what.family == 4 ? AF_INET : AF_INET6, q->what.addr,
				      address, sizeof(address));
	if (q->exe)
		p.exe = escape_name(q->exe, texts, PATH_ROOM);
	if (ulsp_cgroup(m, cgroup, sizeof(cgroup)) > 0)
		p.cgroup = escape_name(cgroup, texts + PATH_ROOM, PATH_ROOM);
	line = prompt_question_line(&p);
	free(texts);
	return line;
}

static void rearm(struct asking *a)
{
	prompt_server_arm(a->server, questions_next_ns(&a->questions));
}

/* ---- an answer ---- */

static struct fw_rule rule_of(const struct question *q, const struct prompt_answer *answer)
{
	struct fw_rule rule = {
		.verdict = {.allow = answer->allow, .cover = ULSP_COVER_PROCESS_FLOW},
		.op = q->what.op,
		.proto = answer->scope == PROMPT_ANY ? -1 : q->what.proto,
		.port_hi = UINT16_MAX,
		.uid = q->what.uid,
	};

	if (!answer->allow)
		rule.verdict.error = q->otherwise.allow ? -EPERM : q->otherwise.error;
	if (answer->scope != PROMPT_ANY && q->what.family) {
		rule.family = q->what.family;
		rule.prefix = rule.family == 4 ? 32 : 128;
		memcpy(rule.addr, q->what.addr, sizeof(rule.addr));
	}
	if (answer->scope == PROMPT_PORT)
		rule.port_lo = rule.port_hi = q->what.port;
	return rule;
}

/* Strings of its own, for a decision in memory. */
static int add_decision(struct asking *a, const struct question *q, const struct fw_rule *rule,
			const struct waiter *of, uint64_t until_ns)
{
	struct decision d = {.rule = *rule, .until_ns = until_ns};

	if (of) {
		d.tgid = ulsp_tgid(of->m);
		d.start_ns = ulsp_start_ns(of->m);
		if (!d.tgid)
			return 0;
	}
	d.rule.exe = q->exe ? strdup(q->exe) : NULL;
	d.rule.group = q->group ? strdup(q->group) : NULL;
	if ((q->exe && !d.rule.exe) || (q->group && !d.rule.group)) {
		fw_rule_fini(&d.rule);
		return -ENOMEM;
	}
	return decisions_add(&a->decisions, &d, now_ns());
}

static int save(struct asking *a, const struct question *q, const struct fw_rule *rule, uid_t by)
{
	struct fw_rule borrowed = *rule;
	char note[64], when[32];
	time_t now = time(NULL);
	struct tm tm;

	borrowed.exe = q->exe;
	borrowed.group = q->group;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	snprintf(note, sizeof(note), "%s by uid %u", when, by);
	return decisions_save(&a->decisions, &borrowed, note);
}

/* Remembers it; *v is what those that wait are told. */
static int decide(struct asking *a, struct question *q, const struct prompt_answer *answer,
		  uid_t by, struct fw_verdict *v, char why[PROMPT_WHY_BYTES])
{
	struct fw_rule rule = rule_of(q, answer);
	int r = 0;

	switch (answer->duration) {
	case PROMPT_ONCE:
		*v = rule.verdict;
		make_once(v, ASKING_RETRY_MS);
		return 0;
	case PROMPT_PROCESS:
		for (size_t i = 0; !r && i < q->n; i++)
			r = add_decision(a, q, &rule, &q->waiters[i], 0);
		break;
	case PROMPT_FOR:
		rule.verdict.ttl_ms = answer->for_ms;
		r = add_decision(a, q, &rule, NULL, now_ns() + answer->for_ms * 1000000ull);
		break;
	case PROMPT_FOREVER:
		r = save(a, q, &rule, by);
		if (!r)
			break;
		snprintf(why, PROMPT_WHY_BYTES, "not saved, it holds until a restart: %s",
			 r == -ENOENT
				 ? a->decisions.path
					   ? "the directory of the --decisions file is not there"
					   : "no --decisions file"
			 : r == -EINVAL ? "no rule can say it, or the decisions file is wrong"
					: strerror(-r));
		/* fall through */
	case PROMPT_RESTART:
		rule.verdict.ttl_ms = RULES_RESTART_MS;
		r = add_decision(a, q, &rule, NULL, 0);
		break;
	}
	*v = rule.verdict;
	if (!r)
		return 0;
	make_once(v, ASKING_RETRY_MS);
	snprintf(why, PROMPT_WHY_BYTES, "not remembered, it held for this once: %s",
		 r == -ENOBUFS ? "too many decisions" : strerror(-r));
	return 0;
}

static void end_question(struct asking *a, struct question *q, enum prompt_gone why, uid_t by)
{
	if (why == PROMPT_LATE)
		a->late++;
	else
		a->answered++;
	prompt_server_send(a->server, prompt_gone_line(q->id, why, by));
	questions_remove(&a->questions, q);
}

/* Those of its processes that a decision is about; true: nobody waits any more. */
static bool settle(struct asking *a, struct question *q)
{
	struct fw_verdict v;

	for (size_t i = 0; i < q->n;) {
		struct ulsp_message *m = q->waiters[i].m;

		if (!decisions_find(&a->decisions, &q->what, ulsp_tgid(m), ulsp_start_ns(m),
				    now_ns(), &v)) {
			i++;
			continue;
		}
		asking_give(m, &v);
		question_drop(q, i);
	}
	return !q->n;
}

/* A decision may answer other questions too. */
static void settle_others(struct asking *a, uid_t by)
{
	for (size_t i = 0; i < a->questions.n;) {
		struct question *q = a->questions.v[i];

		if (settle(a, q))
			end_question(a, q, PROMPT_DECIDED, by);
		else
			i++;
	}
}

static void log_answer(struct asking *a, const struct question *q,
		       const struct prompt_answer *answer, uid_t by, const char *why)
{
	char line[ULSP_LINE_BYTES], duration[24], exe[512] = "unknown";

	if (ulsp_text(q->waiters[0].m, line, sizeof(line)) < 0)
		line[0] = '\0';
	if (q->exe)
		escape_name(q->exe, exe, sizeof(exe));
	a->say("uid %u answers %s %s for %s (executable %s): %s%s%s%s", by,
	       answer->allow ? "allow" : "deny", prompt_duration_text(answer, duration),
	       prompt_scope_word(answer->scope), exe, line, *why ? " (" : "", why, *why ? ")" : "");
}

static const char *refusal(const struct question *q, const struct prompt_answer *answer)
{
	if (!q)
		return "no such question: answered or late";
	if (answer->scope == PROMPT_ANY && !q->exe && answer->duration != PROMPT_ONCE &&
	    answer->duration != PROMPT_PROCESS)
		return "the executable is unknown: any destination only once or for the process";
	return NULL;
}

static void on_answer(void *ctx, struct prompt_client *c, const struct prompt_answer *answer)
{
	struct asking *a = ctx;
	struct question *q = questions_find(&a->questions, answer->id);
	const char *no = refusal(q, answer);
	char why[PROMPT_WHY_BYTES] = "";
	uid_t by = prompt_client_uid(c);
	struct fw_verdict v;

	if (no) {
		prompt_client_send(c, prompt_result_line(answer->id, no));
		return;
	}
	decide(a, q, answer, by, &v, why);
	give_all(q, &v);
	log_answer(a, q, answer, by, why);
	end_question(a, q, PROMPT_ANSWERED, by);
	settle_others(a, by);
	prompt_client_send(c, prompt_result_line(answer->id, *why ? why : NULL));
	rearm(a);
}

/* ---- prompts come and go ---- */

static void on_joined(void *ctx, struct prompt_client *c)
{
	struct asking *a = ctx;

	prompt_client_send(c, prompt_hello_line(a->name, a->asks));
	for (size_t i = 0; i < a->questions.n; i++)
		prompt_client_send(c, question_line(a->questions.v[i]));
}

static void on_left(void *ctx)
{
	struct asking *a = ctx;
	struct fw_verdict v;

	while (!prompt_server_clients(a->server) && a->questions.n) {
		v = a->questions.v[0]->otherwise;
		make_once(&v, RULES_ONCE_MS);
		give_all(a->questions.v[0], &v);
		end_question(a, a->questions.v[0], PROMPT_LATE, 0);
	}
	rearm(a);
}

static void on_time(void *ctx)
{
	struct asking *a = ctx;
	uint64_t now = now_ns();
	struct fw_verdict v;
	int late;

	for (size_t i = 0; i < a->questions.n;) {
		struct question *q = a->questions.v[i];

		while ((late = question_late(q, now)) >= 0) {
			/* The kernel knows what becomes of what it held; a retry is told now. */
			v = q->otherwise;
			make_once(&v, RULES_ONCE_MS);
			if (!q->waiters[late].held)
				asking_give(q->waiters[late].m, &v);
			question_drop(q, (size_t)late);
		}
		if (q->n)
			i++;
		else
			end_question(a, q, PROMPT_LATE, 0);
	}
	rearm(a);
}

/* ---- */

int asking_open(struct asking *a, const char *path, gid_t group)
{
	const struct prompt_handlers handlers = {
		.joined = on_joined,
		.answered = on_answer,
		.left = on_left,
		.timer = on_time,
		.ctx = a,
	};

	return prompt_server_open(path, group, &handlers, &a->server);
}

void asking_fini(struct asking *a)
{
	questions_fini(&a->questions);
	prompt_server_close(&a->server);
	decisions_fini(&a->decisions);
}

static enum asking_by ask(struct asking *a, const struct ulsp_message *m, const struct fw_query *q,
			  struct fw_verdict *v)
{
	uint64_t now = now_ns(), deadline = ulsp_deadline_ns(m);
	bool held = deadline > now + PEOPLE_NS;
	struct question *question;
	int r;

	if (!a->server || !prompt_server_clients(a->server))
		return ASKING_NOBODY;
	r = questions_add(&a->questions, m, q, v, held,
			  held ? deadline : now + a->time_ms * 1000000ull, &question);
	if (r < 0) {
		a->refused++;
		return ASKING_NOBODY;
	}
	/* Told anew when it waits longer, by the same number. */
	if (question_until_ns(question) >= question->told_until_ns + TELL_NS) {
		question->told_until_ns = question_until_ns(question);
		prompt_server_send(a->server, question_line(question));
	}
	rearm(a);
	return ASKING_PENDING;
}

enum asking_by asking_judge(struct asking *a, const struct ulsp_message *m,
			    const struct fw_query *q, bool gone, struct fw_verdict *v)
{
	enum asking_by by = ASKING_NOBODY;

	if (decisions_find(&a->decisions, q, ulsp_tgid(m), ulsp_start_ns(m), now_ns(), v))
		return ASKING_DECISION;
	if (!gone)
		by = ask(a, m, q, v);
	if (by == ASKING_NOBODY)
		make_once(v, RULES_ONCE_MS);
	return by;
}
