// SPDX-License-Identifier: GPL-2.0-only
#include "programs.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>

#include "knobs.h"
#include "ulsp.skel.h"

/* The type of a function's last parameter, if it has `n`; else 0. */
static __u32 last_parameter(const struct btf *btf, const char *function, __u32 n,
			    const struct btf_param **ret)
{
	__s32 id = btf__find_by_name_kind(btf, function, BTF_KIND_FUNC);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;

	t = t ? btf__type_by_id(btf, t->type) : NULL;
	if (!t || !btf_is_func_proto(t) || btf_vlen(t) != n)
		return 0;
	*ret = &btf_params(t)[n - 1];
	return (*ret)->type;
}

/* Whether the kernel has it with a pointer to a struct there: 7.x, for its own use. */
static bool is_struct_pointer(const char *function, __u32 n)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	const struct btf_param *param;
	const struct btf_type *t;
	bool is = false;
	__u32 type;

	if (!kernel)
		return false;
	type = last_parameter(kernel, function, n, &param);
	t = type ? btf__type_by_id(kernel, type) : NULL;
	if (t && btf_is_ptr(t))
		is = btf_is_struct(btf__type_by_id(kernel, t->type));
	btf__free(kernel);
	return is;
}

/*
 * libbpf refuses an object one of whose kernel functions has other parameters in this kernel, also
 * a weak one that isn't called: the object's own idea of it is changed to the kernel's.
 */
static int fit(struct btf *own, const char *function, __u32 n)
{
	const struct btf_param *param;
	int aux, pointer;

	aux = btf__add_struct(own, "bpf_prog_aux", 0);
	pointer = aux > 0 ? btf__add_ptr(own, aux) : aux;
	if (pointer < 0)
		return pointer;
	if (last_parameter(own, function, n, &param))
		((struct btf_param *)param)->type = (__u32)pointer;
	return 0;
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
		other = is_struct_pointer(function, PARAMETERS);
	if (other && fit(bpf_object__btf(o->obj), function, PARAMETERS)) {
		ulsp_bpf__destroy(o);
		return NULL;
	}
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
