// SPDX-License-Identifier: GPL-2.0-only
#include "requests.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "explain.h"
#include "format.h"
#include "words.h"

/* ---- groups ---- */

int group_counts(const struct daemon *d, const struct group *g, struct ulsp_group_count *ret)
{
	int cpus = libbpf_num_possible_cpus();
	scoped(scope_free) struct ulsp_group_count *v = NULL;
	struct ulsp_group_count sum = {0};

	if (cpus < 1)
		return cpus;
	v = calloc((size_t)cpus, sizeof(*v));
	if (!v)
		return -ENOMEM;
	if (bpf_map_lookup_elem(d->instance->gcount, &g->slot, v))
		return -errno;
	for (int c = 0; c < cpus; c++) {
		for (size_t op = 0; op < ULSP_OP_COUNT; op++) {
			sum.ops[op][0] += v[c].ops[op][0];
			sum.ops[op][1] += v[c].ops[op][1];
		}
		for (size_t i = 0; i < ULSP_REASON_COUNT; i++)
			sum.reasons[i] += v[c].reasons[i];
		for (size_t i = 0; i < ULSP_REACH_COUNT; i++)
			sum.reaches[i] += v[c].reaches[i];
	}
	*ret = sum;
	return 0;
}

static void add_ops(struct json_object *o, const struct ulsp_group_count *count)
{
	struct json_object *ops = json_object_new_object(), *reasons = json_object_new_object();
	struct json_object *reaches = json_object_new_object();

	for (uint8_t op = 0; op < ULSP_OP_COUNT; op++) {
		struct json_object *one = json_object_new_object();

		add_int(one, "allowed", count->ops[op][0]);
		add_int(one, "denied", count->ops[op][1]);
		json_object_object_add(ops, ulsp_op_word(op), one);
	}
	for (uint8_t i = 0; i < ULSP_REASON_COUNT; i++)
		add_int(reasons, ulsp_reason_word(i), count->reasons[i]);
	for (uint8_t i = 0; i < ULSP_REACH_COUNT; i++)
		add_int(reaches, ulsp_op_word((uint8_t)(ULSP_OP_REACH + i)), count->reaches[i]);
	json_object_object_add(o, "ops", ops);
	json_object_object_add(o, "isolation", reaches);
	json_object_object_add(o, "reasons", reasons);
}

/*
 * A rule can have several records (listen is judged by copies of bind rules):
 * one line for each rule as written, then the default and what is implied.
 */
static int add_rules(const struct request *r, const struct group *g, struct json_object *o)
{
	const struct compiled *c = r->d->now->compiled;
	const struct pol_table *t = group_table(r->d->now, g);
	size_t lines = g->policy->nrules + 2;
	scoped(scope_free) struct ulsp_rule_count *live = calloc(t->nrules + 1, sizeof(*live));
	scoped(scope_free) struct ulsp_rule_count *sum = calloc(lines, sizeof(*sum));
	scoped(scope_free) uint32_t *record = calloc(lines, sizeof(*record));
	scoped(scope_free) uint32_t *counter = calloc(lines, sizeof(*counter));
	struct json_object *list = json_object_new_array();
	struct ulsp_rule_count carried;
	int result;

	json_object_object_add(o, "rules", list);
	if (!live || !sum || !record || !counter)
		return -ENOMEM;
	result = image_counts(g->image, live, t->nrules);
	if (result)
		return result;
	memset(record, 0xff, lines * sizeof(*record));
	for (uint32_t i = 0; i < t->nrules; i++) {
		struct dec_rule rule = {0};
		size_t line;

		dec_rule_at(t->words, i, &rule);
		line = t->rules[i] ? (size_t)(t->rules[i] - g->policy->rules)
		       : rule.reason == ULSP_REASON_DEFAULT ? lines - 2
							    : lines - 1;
		sum[line].hits += live[i].hits;
		sum[line].audited += live[i].audited;
		if (record[line] != UINT32_MAX)
			continue;
		record[line] = i;
		counter[line] = rule.counter;
	}
	for (size_t i = 0; i < lines; i++) {
		struct json_object *one;
		scoped(scope_free) char *place = NULL, *text = NULL;

		if (record[i] == UINT32_MAX)
			continue;
		if (!instance_carried(r->d->instance, counter[i], &carried)) {
			sum[i].hits += carried.hits;
			sum[i].audited += carried.audited;
		}
		one = json_object_new_object();
		place = explain_place(c, g->policy, record[i]);
		text = explain_text(c, g->policy, record[i]);
		add_string(one, "rule", place);
		add_string(one, "text", text);
		add_int(one, "hits", sum[i].hits);
		add_int(one, "audited", sum[i].audited);
		json_object_array_add(list, one);
	}
	return 0;
}

static const char *ring_name(const struct daemon *d, size_t ring)
{
	if (ring == ULSP_RING_MONITOR)
		return "monitor";
	for (size_t i = 0; i < d->supervisor->n; i++) {
		if (d->supervisor->v[i]->maps.slot == ring && !d->supervisor->v[i]->dropped)
			return d->supervisor->v[i]->name;
	}
	return NULL;
}

/* What a group sent to all rings of a ULSP, or to the monitor's. */
static struct ulsp_stream stream_sum(const struct daemon *d, size_t group, size_t first)
{
	struct ulsp_stream sum = {0};

	for (size_t k = 0; k < ULSP_RINGS_EACH; k++) {
		const struct ulsp_stream *s =
			&d->instance->stream[ULSP_STREAM(group, ULSP_RING(first, k))];

		sum.seq += s->seq;
		sum.lost += s->lost;
	}
	return sum;
}

static void add_streams(const struct request *r, const struct group *g, struct json_object *o)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(o, "streams", list);
	for (size_t ring = 0; ring < ULSP_MAX_RINGS; ring++) {
		const char *name = ring_name(r->d, ring);
		struct ulsp_stream sum;
		struct json_object *one;

		if (!name)
			continue;
		sum = stream_sum(r->d, g->slot, ring);
		one = json_object_new_object();
		add_string(one, "to", name);
		add_int(one, "sent", sum.seq);
		add_int(one, "lost", sum.lost);
		json_object_array_add(list, one);
	}
}

/* ---- ULSPs ---- */

/* Of operations that wait for it. */
static void add_waits(const struct daemon *d, const struct supervised *p, struct json_object *o)
{
	const struct ulsp_asking *how = &d->instance->how[p->maps.slot];
	struct json_object *parked = json_object_new_object();
	struct parking_stats stats;

	parking_stats(d->parking, p->maps.slot, &stats);
	add_int(o, "spin_us", how->spin_ns / 1000);
	add_int(o, "spun", how->spun);
	add_int(o, "spun_answered", how->answered);
	add_int(o, "spun_success", how->success * 100u / 1024);
	add_int(o, "slots", stats.slots);
	json_object_object_add(o, "parked", parked);
	add_int(parked, "held", stats.held);
	add_int(parked, "waiting", stats.waiting);
	add_int(parked, "released", stats.released);
	add_int(parked, "refused", stats.refused);
	add_int(parked, "late", stats.late);
	add_int(parked, "failed", stats.failed);
}

/* By all who read its rings; NULL: nothing. */
static struct ulsp_reader said_by(const struct ulsp_page *page)
{
	struct ulsp_reader sum = {0};

	for (int k = 0; page && k < ULSP_RINGS_EACH; k++) {
		const struct ulsp_reader *reader = &page->readers[k];

		sum.received += reader->received;
		sum.lost += reader->lost;
		sum.verdicts += reader->verdicts;
		sum.late += reader->late;
	}
	return sum;
}

static void add_ulsp(const struct daemon *d, const struct supervised *p, struct json_object *o)
{
	static const char *const restarts[] = {[POL_RESTART_ALWAYS] = "always",
					       [POL_RESTART_ON_FAILURE] = "on-failure",
					       [POL_RESTART_NEVER] = "never"};
	uint64_t sent = 0, full = 0, received, now, age = supervised_heartbeat_age_ms(p);
	struct json_object *argv = json_object_new_array();
	struct ulsp_reader said;

	for (size_t g = 0; g < ULSP_MAX_GROUPS; g++) {
		struct ulsp_stream sum = stream_sum(d, g, p->maps.slot);

		sent += sum.seq;
		full += sum.lost;
	}
	said = said_by(p->maps.mapped);
	/* the ULSP writes its page: it can't have had more than there was */
	received = said.received < sent ? said.received : sent;
	for (size_t i = 0; p->argv[i]; i++)
		json_object_array_add(argv, json_object_new_string(p->argv[i]));
	add_string(o, "name", p->name);
	add_string(o, "state", supervised_state(p));
	add_string(o, "why", p->pid ? NULL : p->why);
	add_int(o, "pid", (uint64_t)p->pid);
	add_string(o, "user", p->user);
	json_object_object_add(o, "argv", argv);
	add_string(o, "restart", restarts[p->restart]);
	add_int(o, "restarts", p->restarts);
	add_int(o, "kills", p->kills);
	if (p->pid && !sd_event_now(p->owner->event, CLOCK_MONOTONIC, &now))
		add_int(o, "running_ms", now > p->started_us ? (now - p->started_us) / 1000 : 0);
	if (age != UINT64_MAX)
		add_int(o, "heartbeat_ms", age);
	add_int(o, "ring", p->maps.slot);
	add_int(o, "ring_bytes", p->shape.ring_bytes);
	add_int(o, "rings", p->maps.nrings);
	add_flag(o, "asked", p->asked);
	add_int(o, "sent", sent);
	add_int(o, "ring_full", full);
	add_int(o, "received", received);
	add_int(o, "lost", said.lost < sent - received ? said.lost : sent - received);
	add_int(o, "verdicts", said.verdicts);
	add_int(o, "late", said.late);
	add_waits(d, p, o);
}

static void add_ulsps(const struct request *r)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(r->answer, "ulsps", list);
	for (size_t i = 0; i < r->d->supervisor->n; i++) {
		struct json_object *o;

		if (r->d->supervisor->v[i]->dropped)
			continue;
		o = json_object_new_object();
		add_ulsp(r->d, r->d->supervisor->v[i], o);
		json_object_array_add(list, o);
	}
}

int request_ulsp(const struct request *r, struct supervised **ret)
{
	const char *name = control_string(r->in, "ulsp");
	struct supervised *p = supervisor_find(r->d->supervisor, name);
	struct nearest guess;

	if (!p) {
		nearest_init(&guess, name, strlen(name));
		for (size_t i = 0; i < r->d->supervisor->n; i++)
			nearest_try(&guess, r->d->supervisor->v[i]->name);
		return err_set(r->e, -ENOENT, "no ulsp \"%.60s\"%s%s%s", name,
			       guess.best ? ": did you mean \"" : "", guess.best ? guess.best : "",
			       guess.best ? "\"?" : "");
	}
	*ret = p;
	return 0;
}

int request_ulsp_list(const struct request *r)
{
	add_ulsps(r);
	return 0;
}

int request_ulsp_show(const struct request *r)
{
	struct supervised *p;
	struct json_object *o;
	int result = request_ulsp(r, &p);

	if (result)
		return result;
	o = json_object_new_object();
	json_object_object_add(r->answer, "ulsp", o);
	add_ulsp(r->d, p, o);
	return 0;
}

int request_ulsp_restart(const struct request *r)
{
	struct supervised *p;
	int result = request_ulsp(r, &p);

	if (!result)
		supervised_restart(p);
	return result;
}

/* ---- all ---- */

static void add_control(const struct request *r)
{
	const struct server_counts *c = server_counts(r->d->server);
	struct json_object *o = json_object_new_object();

	add_int(o, "clients", c->clients);
	add_int(o, "requests", c->requests);
	add_int(o, "malformed", c->malformed);
	add_int(o, "timed_out", c->timed_out);
	add_int(o, "refused", c->refused);
	json_object_object_add(r->answer, "control", o);
}

int request_stats(const struct request *r)
{
	struct json_object *list = json_object_new_array();
	struct group *only = NULL;
	int result = control_string(r->in, "group") ? request_group(r, &only) : 0;

	json_object_object_add(r->answer, "groups", list);
	for (size_t i = 0; !result && i < r->d->now->n; i++) {
		const struct group *g = &r->d->now->groups[i];
		struct json_object *o;
		struct ulsp_group_count count;

		if (only && g != only)
			continue;
		result = group_counts(r->d, g, &count);
		if (result)
			return err_set(r->e, result, "counters of group %s: %s", g->policy->name,
				       strerror(-result));
		o = json_object_new_object();
		json_object_array_add(list, o);
		add_string(o, "name", g->policy->name);
		add_string(o, "mode", mode_word(r->d->instance->group[g->slot].mode));
		add_ops(o, &count);
		add_streams(r, g, o);
		result = add_rules(r, g, o);
	}
	if (result)
		return result;
	add_int(r->answer, "generation", r->d->now->generation);
	add_ulsps(r);
	add_control(r);
	return 0;
}
