// SPDX-License-Identifier: GPL-2.0-only
#include "programs.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>

#include "knobs.h"
#include "ulsp.skel.h"

/* Whether the kernel's function has a pointer to a struct as the last of `n` parameters. */
static bool ends_in_struct(const struct btf *kernel, const char *function, __u32 n)
{
	__s32 id = btf__find_by_name_kind(kernel, function, BTF_KIND_FUNC);
	const struct btf_type *t = id > 0 ? btf__type_by_id(kernel, (__u32)id) : NULL;

	t = t ? btf__type_by_id(kernel, t->type) : NULL;
	if (!t || !btf_is_func_proto(t) || btf_vlen(t) != n)
		return false;
	t = btf__type_by_id(kernel, btf_params(t)[n - 1].type);
	return t && btf_is_ptr(t) && btf_is_struct(btf__type_by_id(kernel, t->type));
}

/* 7.x has it for its own use, with another parameter there. */
static bool is_other(const char *function, __u32 n)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	bool is = kernel && ends_in_struct(kernel, function, n);

	btf__free(kernel);
	return is;
}

/*
 * libbpf refuses an object one of whose kernel functions has other parameters in this kernel, also
 * a weak one that isn't called.  By a name that no kernel has it is just missing.
 */
static void lose(const struct btf *own, const char *function)
{
	__s32 id = btf__find_by_name_kind(own, function, BTF_KIND_FUNC);
	char *name;

	if (id <= 0)
		return;
	name = (char *)btf__name_by_offset(own, btf__type_by_id(own, (__u32)id)->name_off);
	*name = 'x';
}

struct ulsp_bpf *programs_open(void)
{
	static const char function[] = "bpf_task_work_schedule_signal_impl";
	enum { PARAMETERS = 5, UNKNOWN = 2 };
	static int other = UNKNOWN; /* the kernel stays the same */
	struct ulsp_bpf *o = ulsp_bpf__open();

	if (!o)
		return NULL;
	if (other == UNKNOWN)
		other = is_other(function, PARAMETERS);
	if (other)
		lose(bpf_object__btf(o->obj), function);
	return o;
}

uint32_t programs_restart_flag(void)
{
	enum { TIMES = 8 };
	struct ulsp_bpf *o = programs_open();
	struct bpf_program *prog;
	uint64_t flags = UINT32_MAX;
	struct bpf_map *map;

	if (!o)
		return 0;
	bpf_object__for_each_program(prog, o->obj)
		bpf_program__set_autoload(prog, prog == o->progs.ulsp_calibrate);
	bpf_object__for_each_map(map,
				 o->obj) if (map != o->maps.calls && !bpf_map__is_internal(map))
		bpf_map__set_autocreate(map, false);
	if (ulsp_bpf__load(o))
		flags = 0;
	for (int i = 0; i < TIMES && flags; i++) {
		uint64_t seen = 0;
		LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &seen, .ctx_size_in = sizeof(seen));

		flags &= bpf_prog_test_run_opts(bpf_program__fd(o->progs.ulsp_calibrate), &opts)
				 ? 0
				 : seen;
	}
	ulsp_bpf__destroy(o);
	return flags & (flags - 1) ? 0 : (uint32_t)flags;
}
