// SPDX-License-Identifier: GPL-2.0-only
#include "compiled.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "probe.h"
#include "reader.h"

static void free_paths(char ***paths)
{
	for (char **p = *paths; p && *p; p++)
		free(*p);
	free(*paths);
}

/* Directories stand for the policy files in them; the list keeps its order. */
static int expand(const struct compiled_source *source, char ***ret, size_t *ret_n)
{
	scoped(free_paths) char **list = calloc(1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; list && i < source->npaths; i++) {
		scoped(free_paths) char **found = NULL;
		scoped(scope_free) char *pattern = NULL;
		struct stat st;
		size_t more = 0;
		char **grown;
		int r;

		if (stat(source->paths[i], &st) || !S_ISDIR(st.st_mode)) {
			found = calloc(2, sizeof(*found));
			if (!found || !(found[0] = strdup(source->paths[i])))
				return -ENOMEM;
		} else {
			if (asprintf(&pattern, "%s/*.ulsp", source->paths[i]) < 0)
				return -ENOMEM;
			r = reader_glob(NULL, pattern, &found);
			if (r)
				return r;
		}
		while (found[more])
			more++;
		grown = realloc(list, (n + more + 1) * sizeof(*list));
		if (!grown)
			return -ENOMEM;
		list = grown;
		for (size_t j = 0; j < more; j++)
			list[n++] = TAKE_PTR(found[j]);
		list[n] = NULL;
	}
	if (!list)
		return -ENOMEM;
	*ret = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}

/* A ULSP that is declared and has no program can't be started. */
static int check_ulsps(struct compiled *c)
{
	int r = 0;

	for (size_t i = 0; i < c->policy->nulsps; i++) {
		const struct pol_ulsp *u = &c->policy->ulsps[i];

		if (u->argv)
			continue;
		pol_diag_add(&c->diags, POL_ERROR, &u->loc,
			     "ulsp %s has no exec: a ULSP that is started by hand is not "
			     "supported by this version",
			     u->name);
		r = -EINVAL;
	}
	return r;
}

int compiled_parse(const struct compiled_source *source, struct compiled **ret)
{
	struct compiled *c = calloc(1, sizeof(*c));
	scoped(free_paths) char **paths = NULL;
	size_t n;
	int r;

	if (!c)
		return -ENOMEM;
	*ret = c;
	if (source->text) {
		r = pol_parse_text(source->name, source->text, source->text_bytes, &reader_files,
				   &c->diags, &c->policy);
	} else {
		r = expand(source, &paths, &n);
		if (r)
			return r;
		if (!n) {
			pol_diag_add(&c->diags, POL_ERROR, NULL, "no *.ulsp file in %s",
				     source->npaths ? source->paths[0] : "an empty list");
			return -EINVAL;
		}
		r = pol_parse((const char *const *)paths, n, &reader_files, &c->diags, &c->policy);
	}
	if (r)
		return r;
	c->tables = calloc(c->policy->ngroups + 1, sizeof(struct pol_table *));
	if (!c->tables)
		return -ENOMEM;
	return check_ulsps(c);
}

/* The kernel's own encoding of a device number, as programs read it from s_dev. */
static int find_exe(void *ctx, const char *path, uint32_t *ret_dev, uint64_t *ret_ino)
{
	struct stat st;

	(void)ctx;
	if (stat(path, &st))
		return -errno;
	*ret_dev = major(st.st_dev) << 20 | minor(st.st_dev);
	*ret_ino = st.st_ino;
	return 0;
}

static bool needs_lsm(const struct pol_policy *p)
{
	for (size_t i = 0; i < p->ngroups; i++)
		if (pol_needs_lsm(&p->groups[i]))
			return true;
	return false;
}

int compiled_tables(struct compiled *c, const uint8_t *rings, const uint16_t *files, bool adopting)
{
	const struct pol_policy *p = c->policy;
	uint8_t numbered[UINT8_MAX + 1];
	char why[256] = "";
	struct pol_env env = {.exe = find_exe,
			      .ring_of_ulsp = rings,
			      .file_index = files,
			      .exe_may_miss = adopting};
	int result = 0;

	if (p->nulsps >= ULSP_MAX_RINGS) {
		pol_diag_add(&c->diags, POL_ERROR, &p->ulsps[ULSP_MAX_RINGS - 1].loc,
			     "an instance has at most %d ULSPs", ULSP_MAX_RINGS - 1);
		return -E2BIG;
	}
	/* asking the kernel takes longer than compiling: only for who needs the answer */
	env.lsm = c->lsm = adopting || (needs_lsm(p) && probe_lsm_tier(why, sizeof(why)));
	env.lsm_why = why;
	for (size_t i = 0; i <= UINT8_MAX; i++)
		numbered[i] = (uint8_t)(i + 1);
	if (!rings)
		env.ring_of_ulsp = numbered;
	for (size_t i = 0; i < p->ngroups; i++) {
		int r = pol_compile(p, &p->groups[i], &env, &c->diags, &c->tables[i]);

		if (!r)
			r = pol_check_reachable(p, &p->groups[i], &c->diags);
		if (r && !result)
			result = r;
	}
	return result;
}

void compiled_free(struct compiled **cp)
{
	struct compiled *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	for (size_t i = 0; c->tables && i < c->policy->ngroups; i++)
		pol_table_free(&c->tables[i]);
	free(c->tables);
	pol_diags_fini(&c->diags);
	pol_free(&c->policy);
	free(c);
}

size_t compiled_rules(const struct compiled *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->policy->ngroups; i++)
		n += c->policy->groups[i].nrules;
	return n;
}

const struct pol_table *compiled_table(const struct compiled *c, const struct pol_group *g)
{
	return c->tables[g - c->policy->groups];
}
