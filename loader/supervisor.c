// SPDX-License-Identifier: GPL-2.0-only
#include "supervisor.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "clock.h"
#include "supervised_priv.h"

/* The same map by another descriptor that can only read. */
static int read_only(int fd)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, opts, .open_flags = BPF_F_RDONLY);
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &bytes))
		return -errno;
	return bpf_map_get_fd_by_id_opts(info.id, &opts);
}

int supervisor_new(sd_event *event, struct instance *i, const struct cgroup_root *root,
		   struct supervisor **ret, struct err *e)
{
	struct supervisor *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->event = event;
	s->instance = i;
	s->root = root;
	s->groups_fd = read_only(i->groups);
	s->files_fd = read_only(i->files);
	s->streams_fd = read_only(i->streams);
	if (s->groups_fd < 0 || s->files_fd < 0 || s->streams_fd < 0) {
		supervisor_free(&s);
		return err_set(e, -EIO, "the instance's maps can't be opened for reading");
	}
	*ret = s;
	return 0;
}

void supervisor_free(struct supervisor **sp)
{
	struct supervisor *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		s->v[i]->child = sd_event_source_disable_unref(s->v[i]->child);
		supervised_end(s->v[i]);
	}
	for (int waited = 0; waited < ULSP_STOP_MS + 1000; waited += 5) {
		size_t alive = 0;

		for (size_t i = 0; i < s->n; i++) {
			struct supervised *p = s->v[i];

			if (p->pid && waitpid(p->pid, NULL, WNOHANG) == p->pid) {
				p->pid = 0;
				supervised_clear_readers(p);
			}
			alive += p->pid != 0;
			if (p->pid && waited == ULSP_STOP_MS)
				supervised_kill(p);
		}
		if (!alive)
			break;
		clock_nap_ms(5);
	}
	for (size_t i = 0; i < s->n; i++) {
		supervised_end_rest(s->v[i]);
		ulsp_output_close(&s->v[i]->output);
		supervised_free(s->v[i]);
	}
	free(s->v);
	scope_close(&s->groups_fd);
	scope_close(&s->files_fd);
	scope_close(&s->streams_fd);
	free(s);
}

struct supervised *supervisor_find(const struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!s->v[i]->dropped && !strcmp(s->v[i]->name, name))
			return s->v[i];
	}
	return NULL;
}

int supervisor_add(struct supervisor *s, const struct pol_ulsp *u, struct supervised **ret,
		   bool *ret_new, struct err *e)
{
	struct supervised *p = supervisor_find(s, u->name), **v;
	int r;

	if (p) {
		*ret = p;
		*ret_new = false;
		return 0;
	}
	v = reallocarray(s->v, s->n + 1, sizeof(struct supervised *));
	if (v)
		s->v = v;
	p = calloc(1, sizeof(*p));
	if (!v || !p || !(p->name = strdup(u->name)) || supervised_define(p, u)) {
		if (p)
			supervised_free(p);
		return err_set(e, -ENOMEM, "out of memory");
	}
	p->owner = s;
	r = instance_ulsp_maps(s->instance, u->name, p->shape, &p->maps, e);
	if (r) {
		supervised_free(p);
		return r;
	}
	instance_ulsp_spin(s->instance, &p->maps, p->spin_us);
	s->v[s->n++] = p;
	*ret = p;
	*ret_new = true;
	return 0;
}

void supervisor_forget(struct supervisor *s, struct supervised *p)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i] != p)
			continue;
		memmove(s->v + i, s->v + i + 1, (s->n - i - 1) * sizeof(*s->v));
		s->n--;
		break;
	}
	supervised_free(p);
}

void supervisor_drop(struct supervisor *s, struct supervised *p)
{
	supervised_clear_readers(p);
	instance_ulsp_drop(s->instance, p->name, &p->maps);
	p->maps.mapped = NULL;
	p->dropped = true;
	if (!p->pid) {
		supervisor_forget(p->owner, p);
		return;
	}
	supervised_end(p);
}

static int find_index(const struct pol_policy *p, const char *name)
{
	for (size_t i = 0; i < p->nulsps; i++) {
		if (!strcmp(p->ulsps[i].name, name))
			return (int)i;
	}
	return (int)p->nulsps; /* those that are being dropped come last */
}

uint32_t supervisor_log_rings(const struct supervisor *s, const struct pol_policy *p)
{
	uint32_t rings = 0;

	for (size_t i = 0; i < p->nulsps; i++) {
		const struct supervised *one = supervisor_find(s, p->ulsps[i].name);

		if (one && !p->ulsps[i].asked)
			rings |= 1u << one->maps.slot;
	}
	return rings;
}

void supervisor_order(struct supervisor *s, const struct pol_policy *p)
{
	for (size_t i = 1; i < s->n; i++) {
		struct supervised *one = s->v[i];
		size_t at = i;

		for (; at && find_index(p, s->v[at - 1]->name) > find_index(p, one->name); at--)
			s->v[at] = s->v[at - 1];
		s->v[at] = one;
	}
}
