/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The links that put an image on cgroups.
 *
 * A cgroup's links are pinned in one directory, which appears complete by a
 * rename: a loader that dies half-way leaves unfinished pins, which detach when
 * the next one removes them.  A link whose cgroup is gone stays pinned until it
 * is cut, and is skipped: there is nothing to filter.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "cleanup.h"
#include "image_priv.h"
#include "pins.h"
#include "probe.h"

static int link_one(int prog, int cgroup, const struct hook *h, const char *dir)
{
	scoped(scope_free) char *path = pin_path("%s/%s", dir, h->name);
	scoped(scope_close) int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = bpf_link_create(prog, cgroup, h->type, NULL);
	if (fd < 0)
		return -errno;
	return pin_fd(fd, path); /* without its pin the link goes with fd */
}

int image_attach(struct instance *i, struct image *im, int cgroup_fd, uint64_t cgroup_id,
		 struct err *e)
{
	scoped(scope_free) char *group = image_link_dir(i, im->group), *dir = NULL;
	scoped(scope_free) char *unfinished = NULL;
	size_t h;
	int r;

	dir = group ? pin_path("%s/%" PRIu64, group, cgroup_id) : NULL;
	unfinished = dir ? pin_path("%s~", dir) : NULL;
	if (!unfinished)
		return -ENOMEM;
	if (!access(dir, F_OK))
		return err_set(e, -EEXIST, "group %s is on cgroup %" PRIu64 " already", im->group,
			       cgroup_id);
	pin_remove(unfinished);
	r = pin_mkdirs(unfinished);
	if (r)
		return err_set(e, r, "can't make %s: %s", unfinished, strerror(-r));
	for (h = 0; !r && h < HOOK_COUNT; h++) {
		if (im->prog[h] < 0)
			continue;
		r = link_one(im->prog[h], cgroup_fd, &hooks[h], unfinished);
		if (r)
			err_set(e, r, "group %s: can't attach %s to cgroup %" PRIu64 ": %s%s",
				im->group, hooks[h].name, cgroup_id, strerror(-r),
				r == -EPERM ? " (another program there allows no others?)" : "");
	}
	if (!r) {
		r = pin_commit(unfinished, dir);
		if (r)
			err_set(e, r, "can't make %s: %s", dir, strerror(-r));
	}
	if (r)
		pin_remove(unfinished);
	return r;
}

int image_detach(struct instance *i, const char *group, uint64_t cgroup_id, struct err *e)
{
	scoped(scope_free) char *links = image_link_dir(i, group), *dir = NULL;
	int r;

	dir = links ? pin_path("%s/%" PRIu64, links, cgroup_id) : NULL;
	if (!dir)
		return -ENOMEM;
	if (access(dir, F_OK))
		return err_set(e, -ENOENT, "group %s is not on cgroup %" PRIu64, group, cgroup_id);
	r = pin_remove(dir);
	return r ? err_set(e, r, "can't remove %s: %s", dir, strerror(-r)) : 0;
}

int image_cgroups(struct instance *i, const char *group, uint64_t **ret, size_t *ret_n)
{
	scoped(scope_free) char *dir = image_link_dir(i, group);
	scoped(pin_list_free) char **names = NULL;
	uint64_t *ids;
	size_t n = 0;
	int r;

	if (!dir)
		return -ENOMEM;
	r = pin_list(dir, &names);
	if (r && r != -ENOENT)
		return r;
	while (names && names[n])
		n++;
	ids = calloc(n + 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	*ret = ids;
	*ret_n = n;
	while (n--)
		ids[n] = strtoull(names[n], NULL, 10);
	return 0;
}

/* ---- moving links from one image to another ---- */

/* A cgroup's directory by its id; -ESTALE when it is gone. */
static int open_cgroup(int root, uint64_t id)
{
	struct {
		struct file_handle handle;
		uint64_t id;
	} h = {.handle = {.handle_bytes = sizeof(uint64_t), .handle_type = 0xfe}, .id = id};
	int fd = open_by_handle_at(root, &h.handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool cgroup_gone(int error)
{
	return error == -ENOLINK || error == -ESTALE || error == -ENOENT || error == -ENODEV;
}

static __u32 link_prog_id(int link)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(link, &info, &size) ? 0 : info.prog_id;
}

/* What is done to one cgroup's link of one hook. */
enum step { ADD, UPDATE, CUT };

static int do_step(enum step step, const char *dir, size_t h, const struct image *im, int root,
		   struct err *e)
{
	scoped(scope_free) char *path = pin_path("%s/%s", dir, hooks[h].name);
	scoped(scope_close) int fd = path ? pin_open(path) : -ENOMEM;
	scoped(scope_close) int cgroup = -1;
	uint64_t id = strtoull(strrchr(dir, '/') + 1, NULL, 10);
	bool wanted = im->prog[h] >= 0;
	int r = 0;

	if (fd < 0 && fd != -ENOENT)
		return err_set(e, fd, "can't open %s: %s", path ? path : dir, strerror(-fd));
	switch (step) {
	case ADD:
		if (!wanted || fd >= 0)
			return 0;
		cgroup = open_cgroup(root, id);
		r = cgroup < 0 ? cgroup : link_one(im->prog[h], cgroup, &hooks[h], dir);
		break;
	case UPDATE:
		if (!wanted || fd < 0 || link_prog_id(fd) == im->prog_id[h])
			return 0;
		r = bpf_link_update(fd, im->prog[h], NULL) ? -errno : 0;
		break;
	case CUT:
		if (!wanted && fd >= 0)
			r = pin_remove(path);
		break;
	}
	if (!r || cgroup_gone(r))
		return 0;
	return err_set(e, r, "group %s: can't move %s on cgroup %" PRIu64 ": %s", im->group,
		       hooks[h].name, id, strerror(-r));
}

/* One step on all hooks of all cgroups; stops at the first failure. */
static int do_steps(enum step step, const char *links, char **names, const struct image *im,
		    int root, struct err *e)
{
	size_t n, h;
	int r = 0;

	for (n = 0; !r && names[n]; n++) {
		scoped(scope_free) char *dir = pin_path("%s/%s", links, names[n]);

		if (!dir)
			return -ENOMEM;
		for (h = 0; !r && h < HOOK_COUNT; h++)
			r = do_step(step, dir, h, im, root, e);
	}
	return r;
}

int links_move(struct instance *i, struct image *im, const struct image *back, struct err *e)
{
	scoped(scope_free) char *links = image_link_dir(i, im->group);
	scoped(pin_list_free) char **names = NULL;
	scoped(scope_close) int root = -1;
	struct err again;
	char path[256];
	int r;

	if (!links)
		return -ENOMEM;
	r = pin_list(links, &names);
	if (r)
		return r == -ENOENT ? 0 : err_set(e, r, "can't read %s: %s", links, strerror(-r));
	r = probe_cgroup2(path, sizeof(path));
	if (r)
		return err_set(e, r, "no cgroup2 mount");
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_set(e, -errno, "can't open %s: %m", path);
	/* More is filtered before anything is filtered otherwise, and less comes last. */
	r = do_steps(ADD, links, names, im, root, e);
	if (!r)
		r = do_steps(UPDATE, links, names, im, root, e);
	if (!r)
		return do_steps(CUT, links, names, im, root, e);
	if (back) { /* the same in reverse; a link that can't be moved back keeps the new image */
		do_steps(UPDATE, links, names, back, root, &again);
		do_steps(CUT, links, names, back, root, &again);
	}
	return r;
}

int image_swap(struct instance *i, struct image *old, struct image *new, struct err *e)
{
	return links_move(i, new, old, e);
}
