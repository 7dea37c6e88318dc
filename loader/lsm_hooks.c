/* SPDX-License-Identifier: GPL-2.0-only */
#include "lsm_hooks.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parameters of a hook, -1: this kernel hasn't got it. */
static int hook_args(const struct btf *kernel, const char *hook)
{
	const struct btf_type *type;
	char name[128];
	int id;

	snprintf(name, sizeof(name), "bpf_lsm_%s", hook);
	id = btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC);
	if (id < 0)
		return -1;
	type = btf__type_by_id(kernel, btf__type_by_id(kernel, (__u32)id)->type);
	return type && btf_is_func_proto(type) ? btf_vlen(type) : -1;
}

static bool fits(const struct btf *kernel, const struct bpf_program *prog, const char *hook)
{
	static const char suffix[] = "_args";
	const char *name = bpf_program__name(prog), *want = strstr(name, suffix);
	int have = hook_args(kernel, hook);

	if (have < 0)
		return false;
	return !want || atoi(want + strlen(suffix)) == have;
}

void lsm_hooks_select(struct bpf_object *o)
{
	static const char lsm[] = "lsm/";
	struct btf *kernel = btf__load_vmlinux_btf();
	struct bpf_program *prog;

	if (!kernel)
		return;
	bpf_object__for_each_program(prog, o)
	{
		const char *section = bpf_program__section_name(prog);

		/* libbpf has taken off the question mark and the autoload. */
		if (!bpf_program__autoload(prog) && !strncmp(section, lsm, strlen(lsm)))
			bpf_program__set_autoload(prog, fits(kernel, prog, section + strlen(lsm)));
	}
	btf__free(kernel);
}
