/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An image from its pins.  Links that an interrupted swap left on another
 * generation are moved to this one, then other generations are removed.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "image_priv.h"
#include "pins.h"

static int open_part(const char *dir, const char *name, int *ret)
{
	scoped(scope_free) char *path = pin_path("%s/%s", dir, name);
	int fd = path ? pin_open(path) : -ENOMEM;

	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

static int read_knobs(const char *dir, struct ulsp_knobs *ret)
{
	scoped(scope_close) int fd = -1;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), zero = 0;
	int r = open_part(dir, "knobs", &fd);

	if (r)
		return r;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	if (info.value_size != sizeof(*ret))
		return -EPROTO;
	return bpf_map_lookup_elem(fd, &zero, ret) ? -errno : 0;
}

static int open_programs(struct image *im)
{
	struct bpf_prog_info info;
	__u32 size;
	size_t h;
	int r = 0;

	for (h = 0; !r && h < HOOK_COUNT; h++) {
		if (!(im->knobs.needs & hooks[h].needs))
			continue;
		r = open_part(im->dir, hooks[h].name, &im->prog[h]);
		info = (struct bpf_prog_info){};
		size = sizeof(info);
		if (!r && bpf_obj_get_info_by_fd(im->prog[h], &info, &size))
			r = -errno;
		im->prog_id[h] = info.id;
	}
	return r;
}

static int remove_others(struct instance *i, const char *group, uint32_t generation)
{
	scoped(scope_free) char *dir = image_group_dir(i, group);
	scoped(pin_list_free) char **names = NULL;
	size_t n;
	int r = dir ? pin_list(dir, &names) : -ENOMEM;

	for (n = 0; !r && names[n]; n++) {
		scoped(scope_free) char *path = pin_path("%s/%s", dir, names[n]);

		if (strtoul(names[n], NULL, 10) == generation)
			continue;
		r = path ? pin_remove(path) : -ENOMEM;
	}
	return r;
}

int image_adopt(struct instance *i, const char *group, uint32_t generation, struct image **ret,
		struct err *e)
{
	scoped(image_free) struct image *im = image_new(i, group, generation);
	int r;

	if (!im)
		return -ENOMEM;
	if (access(im->dir, F_OK)) {
		*ret = NULL;
		return 0;
	}
	r = read_knobs(im->dir, &im->knobs);
	if (!r)
		r = open_part(im->dir, "table", &im->table);
	if (!r)
		r = open_part(im->dir, "rcount", &im->rcount);
	if (!r)
		r = open_part(im->dir, "explain", &im->explain);
	if (!r)
		r = open_programs(im);
	if (r)
		return err_set(e, r, "group %s: its pins at %s can't be used: %s", group, im->dir,
			       strerror(-r));
	if (im->knobs.generation != generation)
		return err_set(e, -EPROTO, "group %s: %s has programs of generation %u", group,
			       im->dir, im->knobs.generation);
	r = links_move(i, im, NULL, e);
	if (r)
		return r;
	r = remove_others(i, group, generation);
	if (r)
		return err_set(e, r, "group %s: can't remove what an interrupted load left: %s",
			       group, strerror(-r));
	*ret = TAKE_PTR(im);
	return 0;
}
