/* SPDX-License-Identifier: BSD-2-Clause */
#include "decisions.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int whole_is_wrong(struct fw_error *e, const char *text)
{
	memset(e, 0, sizeof(*e));
	snprintf(e->text, sizeof(e->text), "%s", text);
	return -EINVAL;
}

/* ---- the file ---- */

static int read_all(int fd, char *text, size_t bytes)
{
	size_t n = 0;
	ssize_t got;

	while (n < bytes && (got = read(fd, text + n, bytes - n)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		n += (size_t)got;
	}
	return n < bytes ? (int)n : -EFBIG;
}

/* Its length; a file that isn't there is an empty one. */
static int read_file(const char *path, char **ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r = 0;
	struct stat st;
	char *text;

	if (fd < 0 && errno != ENOENT)
		return -errno;
	text = malloc(DECISIONS_FILE_BYTES + 1);
	if (!text) {
		r = -ENOMEM;
	} else if (fd >= 0) {
		if (fstat(fd, &st))
			r = -errno;
		else if (!S_ISREG(st.st_mode) || st.st_mode & S_IWOTH)
			r = -EPERM;
		else
			r = read_all(fd, text, DECISIONS_FILE_BYTES + 1);
	}
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		free(text);
		return r;
	}
	*ret = text;
	return r;
}

static int parse(const char *text, size_t bytes, struct fw_rules **ret, struct fw_error *e)
{
	struct fw_rules *rules;
	int r = fw_rules_parse(text, bytes, &rules, e);
	bool defaults;

	if (r)
		return r;
	defaults = rules->fallback.given;
	for (int i = 0; i < RULES_OPS; i++)
		defaults |= rules->by_op[i].given;
	if (rules->asks || defaults) {
		fw_rules_free(&rules);
		return whole_is_wrong(e,
				      "decisions are rules that allow or deny, and nothing else");
	}
	*ret = rules;
	return 0;
}

int decisions_load(struct decisions *d, struct fw_error *e)
{
	struct fw_rules *rules;
	char *text;
	int r;

	whole_is_wrong(e, "");
	if (!d->path)
		return 0;
	r = read_file(d->path, &text);
	if (r == -EPERM)
		whole_is_wrong(e, "not a regular file, or one that everybody may write");
	if (r < 0)
		return r;
	r = parse(text, (size_t)r, &rules, e);
	free(text);
	if (r)
		return r;
	fw_rules_free(&d->saved);
	d->saved = rules;
	return 0;
}

static int write_all(int fd, const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, text, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		bytes -= (size_t)n;
	}
	return 0;
}

/* The rename is on the disk when the directory is. */
static int sync_directory(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	int fd, r;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) ? -errno : 0;
	close(fd);
	return r;
}

static int replace_file(const char *path, const char *text, size_t bytes)
{
	char temp[PATH_MAX];
	int fd, r;

	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, bytes);
	if (!r && (fchmod(fd, 0644) || fsync(fd)))
		r = -errno;
	if (close(fd) && !r)
		r = -errno;
	if (!r && rename(temp, path))
		r = -errno;
	if (r)
		unlink(temp);
	else
		sync_directory(path); /* the old one or the new one is there, in any case */
	return r;
}

/* `text` has room for the line; the length then, -EFBIG. */
static int append(char *text, size_t n, const char *note, const char *line)
{
	size_t room = DECISIONS_FILE_BYTES - n;
	int more;

	more = snprintf(text + n, room, "%s# %s\n%s\n", n && text[n - 1] != '\n' ? "\n" : "", note,
			line);
	return more < 0 || (size_t)more >= room ? -EFBIG : (int)n + more;
}

int decisions_save(struct decisions *d, const struct fw_rule *rule, const char *note)
{
	char line[RULES_LINE_BYTES];
	struct fw_rules *rules;
	struct fw_error e;
	char *text;
	int r;

	if (!d->path)
		return -ENOENT;
	r = fw_rule_print(rule, line, sizeof(line));
	if (r < 0)
		return r;
	/* Anew from the file: people edit it, and what they wrote stays. */
	r = read_file(d->path, &text);
	if (r < 0)
		return r;
	r = append(text, (size_t)r, note, line);
	if (r > 0) {
		size_t bytes = (size_t)r;

		r = parse(text, bytes, &rules, &e);
		if (!r) {
			r = replace_file(d->path, text, bytes);
			if (r)
				fw_rules_free(&rules);
		}
	}
	free(text);
	if (r)
		return r;
	fw_rules_free(&d->saved);
	d->saved = rules;
	return 0;
}

/* ---- in memory ---- */

void decisions_fini(struct decisions *d)
{
	for (size_t i = 0; i < d->n; i++)
		fw_rule_fini(&d->v[i].rule);
	free(d->v);
	fw_rules_free(&d->saved);
	memset(d, 0, sizeof(*d));
}

static bool is_over(const struct decision *d, uint64_t now_ns)
{
	return d->until_ns && d->until_ns <= now_ns;
}

/* Over, or of a process that is gone.  A process of that number that is another's keeps it: rare.
 */
static bool is_void(const struct decision *d, uint64_t now_ns)
{
	return is_over(d, now_ns) || (d->tgid && kill(d->tgid, 0) && errno == ESRCH);
}

static void sweep(struct decisions *d, uint64_t now_ns)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		if (is_void(&d->v[i], now_ns))
			fw_rule_fini(&d->v[i].rule);
		else
			d->v[n++] = d->v[i];
	}
	d->n = n;
}

static int make_room(struct decisions *d, uint64_t now_ns)
{
	size_t room = d->room ? 2 * d->room : 16;
	void *grown;

	if (d->n < d->room)
		return 0;
	sweep(d, now_ns);
	if (d->n < d->room)
		return 0;
	if (d->n >= DECISIONS_MAX)
		return -ENOBUFS;
	grown = reallocarray(d->v, room, sizeof(*d->v));
	if (!grown)
		return -ENOMEM;
	d->v = grown;
	d->room = room;
	return 0;
}

int decisions_add(struct decisions *d, struct decision *one, uint64_t now_ns)
{
	int r = make_room(d, now_ns);

	if (r) {
		fw_rule_fini(&one->rule);
		return r;
	}
	d->v[d->n++] = *one;
	return 0;
}

static struct fw_verdict shortened(const struct decision *d, uint64_t now_ns)
{
	struct fw_verdict v = d->rule.verdict;
	uint64_t left_ms;

	if (!d->until_ns)
		return v;
	left_ms = (d->until_ns - now_ns + 999999) / 1000000;
	v.ttl_ms = left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX;
	return v;
}

bool decisions_find(const struct decisions *d, const struct fw_query *q, pid_t tgid,
		    uint64_t start_ns, uint64_t now_ns, struct fw_verdict *ret)
{
	for (size_t i = d->n; i--;) {
		const struct decision *one = &d->v[i];

		if (is_over(one, now_ns) ||
		    (one->tgid && (one->tgid != tgid || one->start_ns != start_ns)) ||
		    !fw_rule_is_about(&one->rule, q))
			continue;
		*ret = shortened(one, now_ns);
		return true;
	}
	for (size_t i = 0; d->saved && i < d->saved->n; i++) {
		if (!fw_rule_is_about(&d->saved->v[i], q))
			continue;
		*ret = d->saved->v[i].verdict;
		return true;
	}
	return false;
}
