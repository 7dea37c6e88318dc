/* SPDX-License-Identifier: GPL-2.0-only */
#include "image.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bpf_log.h"
#include "cleanup.h"
#include "decide.h"
#include "image_priv.h"
#include "pins.h"
#include "programs.h"
#include "rates.h"
#include "ulsp.skel.h"

static void scope_object(struct ulsp_bpf **o)
{
	ulsp_bpf__destroy(*o);
}

char *image_group_dir(const struct instance *i, const char *group)
{
	scoped(scope_free) char *escaped = pin_escape(group);

	return escaped ? pin_path("%s/group/%s", i->pin_dir, escaped) : NULL;
}

char *image_link_dir(const struct instance *i, const char *group)
{
	scoped(scope_free) char *escaped = pin_escape(group);

	return escaped ? pin_path("%s/link/%s", i->pin_dir, escaped) : NULL;
}

struct image *image_new(struct instance *i, const char *group, uint32_t generation)
{
	scoped(scope_free) char *dir = image_group_dir(i, group);
	struct image *im = calloc(1, sizeof(*im));
	size_t h;

	if (!im)
		return NULL;
	im->table = im->rcount = im->explain = -1;
	for (h = 0; h < HOOK_COUNT; h++)
		im->prog[h] = -1;
	im->group = strdup(group);
	im->dir = dir ? pin_path("%s/%u", dir, generation) : NULL;
	if (!im->group || !im->dir)
		image_free(&im);
	return im;
}

void image_free(struct image **image)
{
	struct image *im = *image;
	size_t h;

	if (!im)
		return;
	scope_close(&im->table);
	scope_close(&im->rcount);
	scope_close(&im->explain);
	for (h = 0; h < HOOK_COUNT; h++)
		scope_close(&im->prog[h]);
	free(im->group);
	free(im->dir);
	free(im);
	*image = NULL;
}

unsigned image_needs(const struct image *im)
{
	return im->knobs.needs;
}

/* ---- loading ---- */

/* What the rules ask that programs should not look up in vain. */
static __u32 knob_flags(const struct pol_table *table)
{
	__u32 flags = 0;
	size_t n;

	if (table->needs & POL_NEED_SOCKET)
		flags |= ULSP_KNOB_SOCKET;
	if (table->needs & POL_NEED_RECVFROM)
		flags |= ULSP_KNOB_RECVFROM | ULSP_KNOB_DGRAM;
	if (table->needs & POL_NEED_BACKSTOP)
		flags |= ULSP_KNOB_RAW;
	if (table->needs & POL_NEED_LISTEN)
		flags |= ULSP_KNOB_LISTEN;
	for (n = 0; n < table->nrules; n++) {
		const struct pol_rule *rule = table->rules[n];

		if (!rule)
			continue;
		if (rule->nuids)
			flags |= ULSP_KNOB_UID;
		if (rule->nexecs)
			flags |= ULSP_KNOB_EXE;
		if (rule->verdict == ULSP_VERDICT_ASK)
			flags |= ULSP_KNOB_ASK;
		if (rule->verdict == ULSP_VERDICT_ASK && (rule->hold_ms || rule->down_hold_ms))
			flags |= ULSP_KNOB_HOLD |
				 (rule->ops & 1u << ULSP_OP_ACCEPT ? ULSP_KNOB_ARRIVE : 0);
		if (rule->limit)
			flags |= ULSP_KNOB_LIMIT;
	}
	return flags;
}

/* Filled and frozen before any program uses it: the verifier reads its header as constants. */
static int make_table(const struct pol_table *table, int *ret, struct err *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RDONLY_PROG);
	scoped(scope_close) int fd = -1;
	__u32 zero = 0;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ulsp_table", 4, (__u32)(table->nwords * 4), 1,
			    &opts);
	if (fd < 0)
		return err_set(e, -errno, "can't make a table of %zu bytes: %m", table->nwords * 4);
	if (bpf_map_update_elem(fd, &zero, table->words, BPF_ANY))
		return err_set(e, -errno, "can't fill the table: %m");
	if (bpf_map_freeze(fd))
		return err_set(e, -errno, "can't freeze the table: %m");
	*ret = TAKE_FD(fd);
	return 0;
}

static int share_maps(struct ulsp_bpf *o, struct instance *i, int table)
{
	const struct {
		struct bpf_map *map;
		int fd;
	} shared[] = {
		{o->maps.rings, i->rings},
		{o->maps.pages, i->pages},
		{o->maps.caches, i->caches},
		{o->maps.groups, i->groups},
		{o->maps.files, i->files},
		{o->maps.streams, i->streams},
		{o->maps.gcount, i->gcount},
		{o->maps.carried, i->carried},
		{o->maps.socks, i->socks},
		{o->maps.meta, i->meta},
		{o->maps.slots, i->slots},
		{o->maps.waits, i->waits},
		{o->maps.asking, i->asking},
		{o->maps.parked, i->parked},
		{o->maps.parking, i->parking},
		{o->maps.calls, i->calls},
		{o->maps.restarteds, i->restarteds},
		{o->maps.restarting, i->restarting},
		{o->maps.arrivals, i->arrivals},
		{o->maps.limits, i->limits},
		{o->maps.limits_process, i->limits_process},
		{o->maps.table, table},
	};
	size_t n;

	for (n = 0; n < sizeof(shared) / sizeof(shared[0]); n++) {
		int r = bpf_map__reuse_fd(shared[n].map, shared[n].fd);

		if (r)
			return r;
	}
	return 0;
}

static int prog_info(int fd, __u32 *ret_id)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	*ret_id = info.id;
	return 0;
}

static int keep(int fd, int *ret)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return -errno;
	*ret = copy;
	return 0;
}

static int keep_fds(struct image *im, struct ulsp_bpf *o)
{
	size_t h;
	int r;

	r = keep(bpf_map__fd(o->maps.rcount), &im->rcount);
	if (!r)
		r = keep(bpf_program__fd(o->progs.ulsp_explain), &im->explain);
	for (h = 0; !r && h < HOOK_COUNT; h++) {
		if (!(im->knobs.needs & hooks[h].needs))
			continue;
		r = keep(
			bpf_program__fd(bpf_object__find_program_by_name(o->obj, hooks[h].program)),
			&im->prog[h]);
		if (!r)
			r = prog_info(im->prog[h], &im->prog_id[h]);
	}
	return r;
}

/* Everything a later daemon needs, pinned in one step. */
static int pin_image(struct image *im, struct ulsp_bpf *o)
{
	scoped(scope_free) char *unfinished = pin_path("%s~", im->dir);
	const struct {
		const char *name;
		int fd;
	} parts[] = {
		{"table", im->table},
		{"rcount", im->rcount},
		{"explain", im->explain},
		{"knobs", bpf_map__fd(o->maps.rodata_knobs)},
	};
	size_t n, h;
	int r;

	if (!unfinished)
		return -ENOMEM;
	pin_remove(unfinished);
	r = pin_mkdirs(unfinished);
	for (n = 0; !r && n < sizeof(parts) / sizeof(parts[0]); n++) {
		scoped(scope_free) char *path = pin_path("%s/%s", unfinished, parts[n].name);

		r = path ? pin_fd(parts[n].fd, path) : -ENOMEM;
	}
	for (h = 0; !r && h < HOOK_COUNT; h++) {
		scoped(scope_free) char *path = pin_path("%s/%s", unfinished, hooks[h].name);

		if (im->prog[h] >= 0)
			r = path ? pin_fd(im->prog[h], path) : -ENOMEM;
	}
	/* One of the same generation is what an interrupted load left. */
	if (!r)
		r = pin_remove(im->dir);
	if (!r)
		r = pin_commit(unfinished, im->dir);
	if (r)
		pin_remove(unfinished);
	return r;
}

static int load_failed(struct instance *i, const char *group, int r, struct bpf_log *log,
		       struct err *e)
{
	char dir[256], path[320], cause[320];
	const char *where = "";

	if (!instance_run_dir(i->name, dir, sizeof(dir)) &&
	    !bpf_log_save(log, dir, "verifier.log", path, sizeof(path)))
		where = path;
	return err_set(e, r, "group %s: the kernel refuses the programs: %s: %s%s%s", group,
		       strerror(-r), bpf_log_cause(log, cause, sizeof(cause)),
		       *where ? "; all of it in " : "", where);
}

bool image_holds(const struct pol_table *table)
{
	return knob_flags(table) & ULSP_KNOB_HOLD;
}

int image_load(struct instance *i, const struct image_spec *spec, struct image **ret, struct err *e)
{
	scoped(image_free) struct image *im = image_new(i, spec->group, spec->generation);
	scoped(scope_object) struct ulsp_bpf *o = NULL;
	scoped(bpf_log_end) struct bpf_log log;
	struct bpf_program *prog;
	size_t h;
	int r;

	bpf_log_begin(&log);
	if (!im)
		return -ENOMEM;
	r = make_table(spec->table, &im->table, e);
	if (!r)
		r = rates_make(i, spec->slot, spec->table, e);
	if (r)
		return r;
	o = programs_open();
	if (!o)
		return err_set(e, -errno, "the programs can't be opened: %m");
	im->knobs = (struct ulsp_knobs){
		.slot = spec->slot,
		.generation = spec->generation,
		.log_rings = spec->log_rings,
		.flags = knob_flags(spec->table),
		.needs = spec->table->needs,
		.nrules = (__u32)spec->table->nrules,
		.by_exec = spec->of != NULL,
		.restart_flag = spec->restarts ? i->restart_flag : 0,
	};
	memcpy((void *)&o->rodata_knobs->knobs, &im->knobs, sizeof(im->knobs));
	r = share_maps(o, i, im->table);
	if (!r && spec->of)
		r = bpf_map__reuse_fd(o->maps.rcount, spec->of->rcount);
	else if (!r)
		r = bpf_map__set_max_entries(o->maps.rcount,
					     im->knobs.nrules ? im->knobs.nrules : 1);
	if (!r && spec->of)
		r = bpf_map__reuse_fd(o->maps.sk_exec, spec->sk_exec);
	else if (!r)
		r = bpf_map__set_autocreate(o->maps.sk_exec, false);
	if (r)
		return err_set(e, r, "group %s: the maps don't fit: %s", spec->group, strerror(-r));
	bpf_object__for_each_program(prog, o->obj)
		bpf_program__set_autoload(prog, prog == o->progs.ulsp_explain);
	for (h = 0; h < HOOK_COUNT; h++) {
		if (im->knobs.needs & hooks[h].needs)
			bpf_program__set_autoload(
				bpf_object__find_program_by_name(o->obj, hooks[h].program), true);
	}
	r = ulsp_bpf__load(o);
	if (r)
		return load_failed(i, spec->group, r, &log, e);
	r = keep_fds(im, o);
	if (r)
		return err_set(e, r, "group %s: %s", spec->group, strerror(-r));
	r = selfcheck(im, spec->table, e);
	if (r)
		return r;
	r = pin_image(im, o);
	if (r)
		return err_set(e, r, "group %s: can't pin programs: %s", spec->group, strerror(-r));
	*ret = TAKE_PTR(im);
	return 0;
}

/* ---- using ---- */

int image_decide(struct image *im, const struct dec_key *key, uint32_t *ret_rule)
{
	struct dec_explain ctx = {.key = *key};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));

	if (bpf_prog_test_run_opts(im->explain, &opts))
		return -errno;
	if (ctx.fault)
		return -EPROTO;
	*ret_rule = ctx.rule;
	return 0;
}
