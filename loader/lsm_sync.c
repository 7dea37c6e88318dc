// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the policy to the LSM tier's maps: what groups isolate, which cgroups
 * and executables carry which tags.  What is added is written before what is
 * no longer wanted is deleted; then what runs is tagged.
 */
#include "lsm.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "confine.h"
#include "log.h"

#define BIT(n) (1u << (n))

/* `isolate` words are the first kinds. */
_Static_assert(POL_ISOLATE_SIGNAL == BIT(ULSP_REACH_SIGNAL), "same bits");
_Static_assert(POL_ISOLATE_PROC == BIT(ULSP_REACH_PROC), "same bits");

bool lsm_needed(const struct enforced *en)
{
	/* without the tier the groups that need it degrade, or they were refused */
	if (!en->compiled || !en->compiled->lsm)
		return false;
	for (size_t n = 0; n < en->n; n++)
		if (pol_needs_lsm(en->groups[n].policy))
			return true;
	return false;
}

/* ---- a map as it should be ---- */

struct wanted {
	char *v; /* key and value, one after the other */
	size_t n, key, value;
};

static void wanted_fini(struct wanted *w)
{
	free(w->v);
}

static void *wanted_find(const struct wanted *w, const void *key)
{
	for (size_t n = 0; n < w->n; n++) {
		char *at = w->v + n * (w->key + w->value);

		if (!memcmp(at, key, w->key))
			return at + w->key;
	}
	return NULL;
}

/* The value of a key, zeroed when it is new; NULL: out of memory. */
static void *wanted_at(struct wanted *w, const void *key)
{
	void *have = wanted_find(w, key);
	char *at;

	if (have)
		return have;
	at = realloc(w->v, (w->n + 1) * (w->key + w->value));
	if (!at)
		return NULL;
	w->v = at;
	at += w->n++ * (w->key + w->value);
	memcpy(at, key, w->key);
	memset(at + w->key, 0, w->value);
	return at + w->key;
}

static int put(int map, const struct wanted *w, const char *name, struct err *e)
{
	char key[sizeof(struct ulsp_unix_path)], next[sizeof(key)]; /* the largest */
	struct wanted gone = {.key = w->key};
	int r;

	for (size_t n = 0; n < w->n; n++) {
		const char *at = w->v + n * (w->key + w->value);

		if (bpf_map_update_elem(map, at, at + w->key, BPF_ANY))
			return err_set(e, -errno, "BPF LSM: can't write %s: %m", name);
	}
	for (r = bpf_map_get_next_key(map, NULL, next); !r;
	     r = bpf_map_get_next_key(map, key, next)) {
		memcpy(key, next, sizeof(key));
		if (!wanted_find(w, key) && !wanted_at(&gone, key))
			break;
	}
	for (size_t n = 0; n < gone.n; n++)
		bpf_map_delete_elem(map, gone.v + n * gone.key);
	wanted_fini(&gone);
	return 0;
}

/* ---- tags ---- */

static int tag_add(__u64 *tag, uint32_t slot)
{
	for (int at = 0; at < ULSP_TAG_SLOTS; at++) {
		__u64 have = *tag >> (at * ULSP_TAG_BITS) & ULSP_TAG_MASK;

		if (have == slot + 1)
			return 0;
		if (have)
			continue;
		*tag |= (__u64)(slot + 1) << (at * ULSP_TAG_BITS);
		return 0;
	}
	return -E2BIG;
}

/* Is it that cgroup, or below? */
static bool below(const char *path, const char *cgroup)
{
	size_t n = strlen(cgroup);

	return !n || (!strncmp(path, cgroup, n) && (!path[n] || path[n] == '/'));
}

/* Nested groups narrow: a cgroup's tag has the groups of those above it. */
static int cgroup_tags(const struct enforced *en, struct wanted *w, struct err *e)
{
	for (size_t g = 0; g < en->n; g++)
		for (size_t a = 0; a < en->groups[g].n; a++) {
			const struct attachment *at = &en->groups[g].v[a];
			__u64 *tag = wanted_at(w, &at->id);

			if (!tag)
				return err_set(e, -ENOMEM, "out of memory");
			for (size_t o = 0; o < en->n; o++)
				for (size_t b = 0; b < en->groups[o].n; b++)
					if (below(at->path, en->groups[o].v[b].path) &&
					    tag_add(tag, en->groups[o].slot))
						return err_set(e, -E2BIG,
							       "cgroup /%s: at most %d groups nest",
							       at->path, ULSP_TAG_SLOTS);
		}
	return 0;
}

static int exec_key(const char *path, struct ulsp_exec_key *ret)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	/* the kernel's own encoding, as s_dev has it */
	*ret = (struct ulsp_exec_key){.ino = st.st_ino,
				      .dev = major(st.st_dev) << 20 | minor(st.st_dev)};
	return 0;
}

int lsm_check(const struct pol_policy *p, struct pol_diags *diags)
{
	struct ulsp_exec_key key;
	int result = 0;

	for (size_t g = 0; g < p->ngroups; g++)
		for (size_t m = 0; m < p->groups[g].nmembers; m++) {
			const struct pol_member *by = &p->groups[g].members[m];
			int r = by->exec ? exec_key(by->path, &key) : 0;

			if (!r)
				continue;
			pol_diag_add(diags, POL_ERROR, &by->loc, "%s: %s", by->path, strerror(-r));
			result = r;
		}
	return result;
}

static int exec_tags(const struct enforced *en, struct wanted *w, struct err *e)
{
	for (size_t g = 0; g < en->n; g++)
		for (size_t m = 0; m < en->groups[g].policy->nmembers; m++) {
			const struct pol_member *by = &en->groups[g].policy->members[m];
			struct ulsp_exec_key key;
			__u64 *tag;

			if (!by->exec)
				continue;
			if (exec_key(by->path, &key)) {
				log_warning("group %s: no %s: nothing is tagged by it",
					    en->groups[g].policy->name, by->path);
				continue;
			}
			tag = wanted_at(w, &key);
			if (!tag || tag_add(tag, en->groups[g].slot))
				return err_set(e, tag ? -E2BIG : -ENOMEM,
					       "%s: in more than %d groups", by->path,
					       ULSP_TAG_SLOTS);
		}
	return 0;
}

/* ---- what groups isolate ---- */

/* Families that a rule for `socket` allows, first match wins; *ret_named: those that one names. */
static uint16_t families(const struct pol_group *g, uint16_t *ret_named)
{
	uint16_t allowed = 0, named = 0;

	for (size_t n = 0; n < g->nrules; n++) {
		const struct pol_rule *rule = &g->rules[n];
		uint16_t fresh = (uint16_t)(rule->protos & ~(uint32_t)named);

		/* "any" is all of IPv4 and IPv6, which the cgroup tier judges */
		if (!(rule->ops & BIT(ULSP_OP_SOCKET)) || rule->protos == BIT(ULSP_PROTO_COUNT) - 1)
			continue;
		if (rule->verdict == ULSP_VERDICT_ALLOW ||
		    rule->limit) /* which the cgroup tier judges */
			allowed |= fresh;
		named |= fresh;
	}
	*ret_named = named;
	return allowed;
}

static int confine_of(const struct enforced *en, const struct group *g, struct instance *i,
		      uint32_t log_rings, struct ulsp_confine *c, struct err *e)
{
	const struct pol_group *p = g->policy;
	uint16_t named, slot;
	int r;

	*c = (struct ulsp_confine){
		.kinds = p->isolate | BIT(ULSP_REACH_GUARD),
		.generation = en->generation,
		.line = p->isolate_loc.line,
		.log_rings = log_rings,
	};
	c->families = families(p, &named);
	if (p->isolate)
		c->kinds |= BIT(ULSP_REACH_ESCAPE) | BIT(ULSP_REACH_FAMILY);
	if (named & (BIT(ULSP_PROTO_UNIX) | BIT(ULSP_PROTO_PACKET) | BIT(ULSP_PROTO_NETLINK)))
		c->kinds |= BIT(ULSP_REACH_FAMILY);
	if (named & BIT(ULSP_PROTO_UNIX))
		c->flags |= ULSP_CONFINE_UNIX;
	for (size_t n = 0; n < p->npeers; n++) {
		const struct group *peer = enforced_find(en, p->peers[n]);

		if (!strcmp(p->peers[n], "outside"))
			c->flags |= ULSP_CONFINE_OUTSIDE;
		else if (pol_peer_is_path(p->peers[n]))
			c->flags |= ULSP_CONFINE_PATHS;
		else if (peer)
			c->peers[peer->slot / 64] |= 1ull << (peer->slot % 64);
	}
	if (!p->isolate_loc.line)
		return 0;
	r = instance_file_slot(i, en->compiled->policy->files[p->isolate_loc.file], &slot, e);
	if (!r)
		c->file = slot;
	return r;
}

static int confinements(const struct enforced *en, struct instance *i, uint32_t log_rings,
			struct wanted *w, struct err *e)
{
	for (size_t g = 0; g < en->n; g++) {
		__u32 slot = en->groups[g].slot;
		struct ulsp_confine c;
		void *at = wanted_at(w, &slot);
		int r;

		if (!at)
			return err_set(e, -ENOMEM, "out of memory");
		r = confine_of(en, &en->groups[g], i, log_rings, &c, e);
		if (r)
			return r;
		memcpy(at, &c, sizeof(c));
	}
	return 0;
}

static int unix_paths(const struct enforced *en, struct wanted *w, struct err *e)
{
	for (size_t g = 0; g < en->n; g++) {
		const struct pol_group *p = en->groups[g].policy;

		for (size_t n = 0; n < p->npeers; n++) {
			struct ulsp_unix_path key = {.slot = en->groups[g].slot};

			if (!pol_peer_is_path(p->peers[n]))
				continue;
			snprintf(key.path, sizeof(key.path), "%s", p->peers[n]);
			if (!wanted_at(w, &key))
				return err_set(e, -ENOMEM, "out of memory");
		}
	}
	return 0;
}

static bool isolates_loopback(const struct enforced *en)
{
	for (size_t g = 0; g < en->n; g++)
		if (en->groups[g].policy->isolate & POL_ISOLATE_LOOPBACK)
			return true;
	return false;
}

/* ---- what runs ---- */

static int run_iterator(int link, struct err *e)
{
	scoped(scope_close) int fd = bpf_iter_create(link);
	char sink[64];
	ssize_t n;

	if (fd < 0)
		return err_set(e, fd, "BPF LSM: can't go through what runs: %s", strerror(-fd));
	do
		n = read(fd, sink, sizeof(sink));
	while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? err_set(e, -errno, "BPF LSM: tagging what runs: %m") : 0;
}

static uint64_t misses_of(int link)
{
	scoped(scope_close) int prog = -1;
	struct bpf_prog_info info = {};
	struct bpf_link_info of = {};
	__u32 size = sizeof(of);

	if (bpf_obj_get_info_by_fd(link, &of, &size))
		return 0;
	prog = bpf_prog_get_fd_by_id(of.prog_id);
	size = sizeof(info);
	if (prog < 0 || bpf_obj_get_info_by_fd(prog, &info, &size))
		return 0;
	return info.recursion_misses;
}

uint64_t lsm_missed(const struct lsm *l)
{
	uint64_t sum = 0;

	for (size_t n = 0; n < LSM_TRACERS; n++)
		sum += misses_of(l->tracer[n]);
	return sum;
}

/* Passes over what runs, while calls are left out meanwhile; entries that are looked at. */
enum { PASSES = 5, TGIDS = 1 << 20 };

static int tag_running(const struct lsm *l, int left, struct err *e)
{
	__u32 zero = 0, slot = (__u32)(left + 1);
	int r = 0;

	if (bpf_map_update_elem(l->map[LSM_TAGGER], &zero, &slot, BPF_ANY))
		return err_set(e, -errno, "BPF LSM: can't tell the tagger: %m");
	for (int times = 0; !r && times < PASSES; times++) {
		uint64_t missed = lsm_missed(l);

		/* tasks first: sockets get their owner's tag */
		for (size_t n = 0; !r && n < LSM_ITERATORS; n++)
			r = run_iterator(l->iterator[n], e);
		if (lsm_missed(l) == missed)
			break;
	}
	return r;
}

/* Processes whose end was missed. */
static void forget_dead(const struct lsm *l)
{
	__u32 tgid, next;
	int r = bpf_map_get_next_key(l->map[LSM_TGID_TAGS], NULL, &next);

	for (int n = 0; !r && n < TGIDS; n++) {
		tgid = next;
		r = bpf_map_get_next_key(l->map[LSM_TGID_TAGS], &tgid, &next);
		if (kill((pid_t)tgid, 0) && errno == ESRCH)
			bpf_map_delete_elem(l->map[LSM_TGID_TAGS], &tgid);
	}
}

int lsm_catch_up(struct lsm *l, struct err *e)
{
	uint64_t missed = lsm_missed(l);
	int r;

	if (missed == l->missed)
		return 0;
	r = tag_running(l, LSM_NONE_LEFT, e);
	if (r)
		return r;
	forget_dead(l);
	l->missed = missed;
	return 1;
}

int lsm_sync(struct lsm *l, struct instance *i, const struct cgroup_root *root,
	     const struct enforced *en, int left, struct err *e)
{
	scoped(wanted_fini) struct wanted paths = {.key = sizeof(struct ulsp_unix_path),
						   .value = 4};
	scoped(wanted_fini) struct wanted confine = {.key = 4,
						     .value = sizeof(struct ulsp_confine)};
	scoped(wanted_fini) struct wanted execs = {.key = sizeof(struct ulsp_exec_key), .value = 8};
	scoped(wanted_fini) struct wanted cgroups = {.key = 8, .value = 8};
	int r = confinements(en, i, en->log_rings, &confine, e);

	if (!r)
		r = exec_tags(en, &execs, e);
	if (!r)
		r = cgroup_tags(en, &cgroups, e);
	if (!r)
		r = unix_paths(en, &paths, e);
	if (!r)
		r = put(l->map[LSM_UNIX_PATHS], &paths, "unix_paths", e);
	if (!r)
		r = put(l->map[LSM_CONFINE], &confine, "confine", e);
	if (!r)
		r = put(l->map[LSM_EXEC_TAGS], &execs, "exec_tags", e);
	if (!r)
		r = put(l->map[LSM_CGROUP_TAGS], &cgroups, "cgroup_tags", e);
	if (!r)
		r = lsm_guard_objects(l, i, en, e);
	if (!r)
		r = lsm_loopback(l, i, root->fd, isolates_loopback(en), e);
	return r ? r : tag_running(l, left, e);
}
