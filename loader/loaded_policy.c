/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The loaded policy's text, pinned beside what was made of it: a daemon that
 * adopts an instance knows what it enforces.
 *
 * A frozen array of pages, a header and then the text.
 */
#include "instance.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "pins.h"

enum { PAGE = 4096 };

struct header {
	__u32 magic;
	__u32 abi;
	__u32 generation;
	__u32 reserved;
	__u64 bytes; /* of the text */
};

int instance_put_policy(struct instance *i, const char *text, uint32_t generation, struct err *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct header header = {ULSP_MAGIC, ULSP_ABI, generation, 0, strlen(text)};
	size_t pages = (sizeof(header) + header.bytes + PAGE - 1) / PAGE;
	scoped(scope_free) char *path = pin_path("%s/policy", i->pin_dir);
	scoped(scope_close) int fd = -1;
	struct ulsp_meta meta;
	__u32 zero = 0;
	char *to;
	int r;

	if (!path)
		return -ENOMEM;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ulsp_policy", 4, PAGE, (__u32)pages, &opts);
	if (fd < 0)
		return err_set(e, -errno, "can't keep the policy's text: %m");
	to = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (to == MAP_FAILED)
		return err_set(e, -errno, "can't keep the policy's text: %m");
	memcpy(to, &header, sizeof(header));
	memcpy(to + sizeof(header), text, header.bytes);
	munmap(to, pages * PAGE);
	if (bpf_map_freeze(fd))
		return err_set(e, -errno, "can't freeze the policy's text: %m");
	r = pin_replace(fd, path);
	if (r)
		return err_set(e, r, "can't pin the policy's text: %s", strerror(-r));
	if (bpf_map_lookup_elem(i->meta, &zero, &meta))
		return err_set(e, -errno, "can't read map meta: %m");
	meta.generation = generation;
	if (bpf_map_update_elem(i->meta, &zero, &meta, BPF_ANY))
		return err_set(e, -errno, "can't write map meta: %m");
	return 0;
}

int instance_get_policy(struct instance *i, char **ret_text, uint32_t *ret_generation,
			struct err *e)
{
	scoped(scope_free) char *path = pin_path("%s/policy", i->pin_dir), *text = NULL;
	scoped(scope_close) int fd = path ? pin_open(path) : -ENOMEM;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	struct header header;
	const char *from;
	size_t bytes;

	if (fd == -ENOENT)
		return err_set(e, -ENOENT, "no policy is loaded");
	if (fd < 0)
		return err_set(e, fd, "can't open %s: %s", path ? path : "", strerror(-fd));
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return err_set(e, -errno, "can't read the policy's text: %m");
	bytes = (size_t)info.max_entries * PAGE;
	if (info.value_size != PAGE)
		return err_set(e, -EPROTO, "%s is not of this program", path);
	from = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (from == MAP_FAILED)
		return err_set(e, -errno, "can't read the policy's text: %m");
	memcpy(&header, from, sizeof(header));
	if (header.magic == ULSP_MAGIC && header.abi == ULSP_ABI &&
	    header.bytes <= bytes - sizeof(header))
		text = strndup(from + sizeof(header), header.bytes);
	else
		errno = EPROTO;
	munmap((void *)from, bytes);
	if (!text)
		return err_set(e, -errno, "the policy's text can't be used: %m");
	*ret_text = TAKE_PTR(text);
	if (ret_generation)
		*ret_generation = header.generation;
	return 0;
}
