/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policies as text.  There is one way to print a policy, whatever way it was
 * written: sets are expanded, merged and sorted, clauses have one order.
 */
#include "print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "utf8.h"
#include "words.h"

#define BIT(n) (1u << (n))

static void print_string(FILE *out, const char *s)
{
	size_t bytes = strlen(s), n;

	fputc('"', out);
	for (; bytes; s += n, bytes -= n) {
		n = utf8_printable(s, bytes);
		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if (n)
			fwrite(s, n, 1, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*s);
		n = n ? n : 1;
	}
	fputc('"', out);
}

static void print_name(FILE *out, const char *name)
{
	if (word_is_plain_name(name))
		fputs(name, out);
	else
		print_string(out, name);
}

static void print_addrs(FILE *out, const struct pol_addrs *a, bool sets)
{
	char text[ADDR_TEXT_BYTES];

	if (a->any) {
		fputs("any", out);
	} else if (!sets) {
		fputs("$", out);
	} else if (a->n == 1) {
		addr_print(&a->v[0], text);
		fputs(text, out);
	} else {
		fputc('{', out);
		for (size_t i = 0; i < a->n; i++) {
			addr_print(&a->v[i], text);
			fputs(i ? ", " : " ", out);
			fputs(text, out);
		}
		fputs(" }", out);
	}
}

static void print_number_range(FILE *out, uint32_t lo, uint32_t hi)
{
	if (lo == hi)
		fprintf(out, "%u", lo);
	else
		fprintf(out, "%u-%u", lo, hi);
}

static void print_ports(FILE *out, const struct pol_portset *s)
{
	if (s->n == 1) {
		print_number_range(out, s->v[0].lo, s->v[0].hi);
		return;
	}
	fputc('{', out);
	for (size_t i = 0; i < s->n; i++) {
		fputs(i ? ", " : " ", out);
		print_number_range(out, s->v[i].lo, s->v[i].hi);
	}
	fputs(" }", out);
}

static void print_uids(FILE *out, const struct pol_rule *r)
{
	if (r->nuids != 1)
		fputc('{', out);
	for (size_t i = 0; i < r->nuids; i++) {
		if (r->nuids != 1)
			fputs(i ? ", " : " ", out);
		print_number_range(out, r->uids[i].lo, r->uids[i].hi);
	}
	if (r->nuids != 1)
		fputs(" }", out);
}

static void print_strings(FILE *out, char *const *v, size_t n)
{
	if (n == 1) {
		print_string(out, v[0]);
		return;
	}
	fputc('{', out);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : " ", out);
		print_string(out, v[i]);
	}
	fputs(" }", out);
}

static void print_duration(FILE *out, uint64_t ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}};
	size_t i = 0;

	while (ms % units[i].ms)
		i++;
	fprintf(out, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
}

static void print_errno(FILE *out, int error)
{
	const char *name = strerrorname_np(error);

	if (name)
		fprintf(out, " errno %s", name);
	else
		fprintf(out, " errno %d", error);
}

static void print_rate(FILE *out, const struct pol_rule *r)
{
	uint64_t rate = r->rate_per_hour;

	if (rate % 3600 == 0)
		fprintf(out, "limit %llu/s", (unsigned long long)rate / 3600);
	else if (rate % 60 == 0)
		fprintf(out, "limit %llu/m", (unsigned long long)rate / 60);
	else
		fprintf(out, "limit %llu/h", (unsigned long long)rate);
	if (r->burst)
		fprintf(out, " burst %u", r->burst);
	if (r->per_process)
		fputs(" per process", out);
}

static const char *verdict_word(enum ulsp_verdict verdict)
{
	static const char *const word[ULSP_VERDICT_COUNT] = {
#define VERDICT(n, NAME, w, text) [n] = w,
#include "verdicts.def"
#undef VERDICT
	};

	return word[verdict];
}

/* What it is about: verdict, operations, protocols. */
static void print_head(FILE *out, const struct pol_rule *r)
{
	const char *before = " ";

	if (r->limit)
		print_rate(out, r);
	else
		fputs(verdict_word(r->verdict), out);
	if (r->ulsp) {
		fputc(' ', out);
		print_name(out, r->ulsp);
	}
	if (r->ops == BIT(ULSP_OP_COUNT) - 1) {
		fputs(" any", out);
	} else {
		for (int op = 0; op < ULSP_OP_COUNT; op++) {
			if (!(r->ops & BIT(op)))
				continue;
			fprintf(out, "%s%s", before, op_word(op));
			before = ", ";
		}
	}
	if (r->protos == BIT(ULSP_PROTO_COUNT) - 1) {
		fputs(" any", out);
		return;
	}
	before = " ";
	for (int proto = 0; proto < ULSP_PROTO_COUNT; proto++) {
		if (!(r->protos & BIT(proto)) || !proto_word(proto))
			continue;
		fprintf(out, "%s%s", before, proto_word(proto));
		before = ", ";
	}
}

void print_rule(FILE *out, const struct pol_rule *r, bool sets)
{
	const uint32_t outgoing = BIT(ULSP_OP_CONNECT) | BIT(ULSP_OP_SENDTO);

	print_head(out, r);
	if (r->names) {
		fputs(" to name ", out);
		print_strings(out, r->names, r->nnames);
	} else if (!r->to.any || (!r->to_ports.any && !(r->ops & ~outgoing))) {
		fputs(" to ", out);
		print_addrs(out, &r->to, sets);
	}
	if (!r->to_ports.any) {
		fputs(" port ", out);
		print_ports(out, &r->to_ports);
	}
	if (!r->from.any || !r->from_ports.any) {
		fputs(" from ", out);
		print_addrs(out, &r->from, sets);
	}
	if (!r->from_ports.any) {
		fputs(" port ", out);
		print_ports(out, &r->from_ports);
	}
	if (r->uids) {
		fputs(" uid ", out);
		print_uids(out, r);
	}
	if (r->execs) {
		fputs(r->exec_negated ? " exec !" : " exec ", out);
		print_strings(out, r->execs, r->nexecs);
	}
	if (r->error)
		print_errno(out, r->error);
	if (r->log)
		fputs(" log", out);
	if (r->hold_ms) {
		fputs(" hold ", out);
		print_duration(out, r->hold_ms);
	}
	if (r->down_given) {
		fprintf(out, " down %s",
			r->down == POL_DOWN_DENY    ? "deny"
			: r->down == POL_DOWN_ALLOW ? "allow"
						    : "hold ");
		if (r->down == POL_DOWN_HOLD)
			print_duration(out, r->down_hold_ms);
	}
	if (r->cache_ms) {
		fputs(" cache ", out);
		print_duration(out, r->cache_ms);
	}
}

static void print_default(FILE *out, const struct pol_group *g)
{
	fprintf(out, "default %s", verdict_word(g->default_verdict));
	if (g->default_error)
		print_errno(out, g->default_error);
	if (g->default_log)
		fputs(" log", out);
}

/* ---- blocks ---- */

static void print_place(FILE *out, const struct pol_policy *p, const struct pol_loc *loc,
			unsigned flags)
{
	if (!(flags & POL_PRINT_LINES) || !loc->line || loc->file >= p->nfiles)
		return;
	fprintf(out, "#line %u ", loc->line);
	print_string(out, p->files[loc->file]);
	fputc('\n', out);
}

static void print_ulsp(FILE *out, const struct pol_policy *p, const struct pol_ulsp *u,
		       unsigned flags)
{
	static const char *const restart[] = {
		[POL_RESTART_ALWAYS] = "always",
		[POL_RESTART_ON_FAILURE] = "on-failure",
		[POL_RESTART_NEVER] = "never",
	};
	uint64_t bytes = u->ring_bytes;

	print_place(out, p, &u->loc, flags);
	fputs("ulsp ", out);
	print_name(out, u->name);
	fputs(" {\n", out);
	if (u->argc) {
		fputs("\texec", out);
		for (size_t i = 0; i < u->argc; i++) {
			fputc(' ', out);
			print_string(out, u->argv[i]);
		}
		fputc('\n', out);
	}
	if (u->user) {
		fputs("\tuser ", out);
		print_name(out, u->user);
		fputc('\n', out);
	}
	fprintf(out, "\trestart %s\n", restart[u->restart]);
	if (bytes && bytes % (1 << 20) == 0)
		fprintf(out, "\tring %lluM\n", (unsigned long long)bytes >> 20);
	else if (bytes)
		fprintf(out, "\tring %lluK\n", (unsigned long long)bytes >> 10);
	if (u->rings)
		fprintf(out, "\trings %u\n", u->rings);
	if (u->spin_given)
		fprintf(out, "\tspin %uus\n", u->spin_us);
	fputs("}\n", out);
}

static void print_isolate(FILE *out, uint32_t isolate)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} words[] = {
#define ISOLATE(bit, word) {POL_ISOLATE_##bit, word},
#include "isolate.def"
#undef ISOLATE
	};
	const char *before = "";

	fputs("\tisolate ", out);
	if (isolate == POL_ISOLATE_ALL) {
		fputs("all\n", out);
		return;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].bit == POL_ISOLATE_ALL || !(isolate & words[i].bit))
			continue;
		fprintf(out, "%s%s", before, words[i].word);
		before = ", ";
	}
	fputc('\n', out);
}

static void print_group(FILE *out, const struct pol_policy *p, const struct pol_group *g,
			unsigned flags)
{
	print_place(out, p, &g->loc, flags);
	fputs("group ", out);
	print_name(out, g->name);
	fputs(" {\n", out);
	for (size_t i = 0; i < g->nmembers; i++) {
		fprintf(out, "\tmembers %s ", g->members[i].exec ? "exec" : "cgroup");
		print_string(out, g->members[i].path);
		fputc('\n', out);
	}
	if (g->peers_loc.line) {
		fputs("\tpeers ", out);
		for (size_t i = 0; i < g->npeers; i++) {
			fputs(i ? ", " : "", out);
			print_name(out, g->peers[i]);
		}
		fputs(g->npeers ? "\n" : "none\n", out);
	}
	if (g->isolate)
		print_isolate(out, g->isolate);
	fprintf(out, "\tmode %s\n", mode_word(g->mode));
	if (g->degrade_allow)
		fputs("\tdegrade allow\n", out);
	for (size_t i = 0; i < g->nrules; i++) {
		print_place(out, p, &g->rules[i].loc, flags);
		fputc('\t', out);
		print_rule(out, &g->rules[i], true);
		fputc('\n', out);
	}
	if (g->default_given) {
		print_place(out, p, &g->default_loc, flags);
		fputc('\t', out);
		print_default(out, g);
		fputc('\n', out);
	}
	fputs("}\n", out);
}

/* ---- to memory ---- */

struct memory {
	FILE *out;
	char *text;
	size_t bytes;
};

static int memory_open(struct memory *m)
{
	*m = (struct memory){0};
	m->out = open_memstream(&m->text, &m->bytes);
	return m->out ? 0 : -ENOMEM;
}

static int memory_close(struct memory *m, char **ret_text)
{
	bool failed = ferror(m->out);

	if (fclose(m->out) != 0 || failed) {
		free(m->text);
		return -ENOMEM;
	}
	*ret_text = m->text;
	return 0;
}

int pol_print(const struct pol_policy *p, unsigned flags, char **ret_text)
{
	struct memory m;
	const char *before = "";
	int r = memory_open(&m);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p->nulsps; i++) {
		fputs(before, m.out);
		print_ulsp(m.out, p, &p->ulsps[i], flags);
		before = "\n";
	}
	for (size_t i = 0; i < p->ngroups; i++) {
		fputs(before, m.out);
		print_group(m.out, p, &p->groups[i], flags);
		before = "\n";
	}
	return memory_close(&m, ret_text);
}

int pol_print_group(const struct pol_policy *p, const struct pol_group *g, unsigned flags,
		    char **ret_text)
{
	struct memory m;
	int r = memory_open(&m);

	if (r < 0)
		return r;
	print_group(m.out, p, g, flags);
	return memory_close(&m, ret_text);
}

int pol_print_rule(const struct pol_group *g, size_t rule, char **ret_text)
{
	struct memory m;
	int r = rule > g->nrules ? -EINVAL : memory_open(&m);

	if (r < 0)
		return r;
	if (rule < g->nrules)
		print_rule(m.out, &g->rules[rule], true);
	else
		print_default(m.out, g);
	return memory_close(&m, ret_text);
}
