/* SPDX-License-Identifier: BSD-2-Clause */
#include "handle.h"

#include <errno.h>
#include <stdio.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "process.h"

/* Texts are made when first asked for: the caller sees an immutable message. */
static struct ulsp_message *writable(const struct ulsp_message *m)
{
	return (struct ulsp_message *)m;
}

uint64_t ulsp_seq(const struct ulsp_message *m)
{
	return m->raw.seq;
}

uint64_t ulsp_time_ns(const struct ulsp_message *m)
{
	return m->raw.time_ns + (uint64_t)m->realtime_offset;
}

const char *ulsp_group_name(const struct ulsp_message *m)
{
	return m->group;
}

const char *ulsp_operation(const struct ulsp_message *m)
{
	return ulsp_op_word(m->raw.op);
}

const char *ulsp_protocol(const struct ulsp_message *m)
{
	return ulsp_proto_word(m->raw.proto);
}

const char *ulsp_verdict_name(const struct ulsp_message *m)
{
	return ulsp_verdict_word(m->raw.verdict);
}

const char *ulsp_reason_name(const struct ulsp_message *m)
{
	return ulsp_reason_word(m->raw.reason);
}

int ulsp_error(const struct ulsp_message *m)
{
	return m->raw.error;
}

int ulsp_is_ask(const struct ulsp_message *m)
{
	return !!(m->raw.flags & ULSP_MSG_ASK);
}

int ulsp_is_audit(const struct ulsp_message *m)
{
	return !!(m->raw.flags & ULSP_MSG_AUDIT);
}

static void file_name(const struct ulsp_message *m, char name[ULSP_PATH_BYTES])
{
	name[0] = '\0';
	if (m->u->backend)
		m->u->backend->file_name(m->u, m->raw.file, m->raw.generation, name);
}

const char *ulsp_rule_text(struct ulsp_message *m)
{
	char file[ULSP_PATH_BYTES];

	if (!m->rule[0]) {
		file_name(m, file);
		ulsp_format_rule(&m->raw, file, m->rule, sizeof(m->rule));
	}
	return m->rule;
}

const char *ulsp_rule(const struct ulsp_message *m)
{
	return ulsp_rule_text(writable(m));
}

pid_t ulsp_pid(const struct ulsp_message *m)
{
	return (pid_t)m->raw.pid;
}

pid_t ulsp_tgid(const struct ulsp_message *m)
{
	return (pid_t)m->raw.tgid;
}

uint64_t ulsp_start_ns(const struct ulsp_message *m)
{
	return m->raw.start_ns;
}

uid_t ulsp_uid(const struct ulsp_message *m)
{
	return m->raw.uid;
}

gid_t ulsp_gid(const struct ulsp_message *m)
{
	return m->raw.gid;
}

const char *ulsp_comm(const struct ulsp_message *m)
{
	return m->raw.comm;
}

int ulsp_exe(const struct ulsp_message *m, char *buf, size_t bytes)
{
	if (!buf || !bytes)
		return -EINVAL;
	if (!m->raw.tgid || !m->raw.start_ns)
		return -ENODATA;
	return ulsp_process_exe((pid_t)m->raw.tgid, m->raw.start_ns, buf, bytes);
}

uint64_t ulsp_cgroup_id(const struct ulsp_message *m)
{
	return m->raw.cgroup;
}

int ulsp_cgroup(const struct ulsp_message *m, char *buf, size_t bytes)
{
	if (!buf || !bytes)
		return -EINVAL;
	return ulsp_cgroups_path(&m->u->cgroups, m->raw.cgroup, (pid_t)m->raw.tgid, buf, bytes);
}

static int fill_address(uint8_t family, const uint8_t addr[16], uint16_t port,
			struct sockaddr_storage *ret)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};

	memset(ret, 0, sizeof(*ret));
	if (family == 4) {
		memcpy(&in4.sin_addr, addr, 4);
		memcpy(ret, &in4, sizeof(in4));
	} else {
		memcpy(&in6.sin6_addr, addr, 16);
		memcpy(ret, &in6, sizeof(in6));
	}
	return 0;
}

int ulsp_remote(const struct ulsp_message *m, struct sockaddr_storage *ret)
{
	if (!ret)
		return -EINVAL;
	if (!ulsp_has_remote(&m->raw))
		return -ENODATA;
	return fill_address(m->raw.family, m->raw.remote, m->raw.remote_port, ret);
}

int ulsp_local(const struct ulsp_message *m, struct sockaddr_storage *ret)
{
	if (!ret)
		return -EINVAL;
	if (!ulsp_has_local(&m->raw))
		return -ENODATA;
	return fill_address(m->raw.family, m->raw.local, m->raw.local_port, ret);
}

const char *ulsp_remote_text(const struct ulsp_message *m)
{
	struct ulsp_message *w = writable(m);

	if (!w->remote[0])
		ulsp_format_endpoint(ulsp_has_remote(&m->raw) ? m->raw.family : 0, m->raw.remote,
				     m->raw.remote_port, w->remote);
	return w->remote;
}

const char *ulsp_local_text(const struct ulsp_message *m)
{
	struct ulsp_message *w = writable(m);

	if (!w->local[0])
		ulsp_format_endpoint(ulsp_has_local(&m->raw) ? m->raw.family : 0, m->raw.local,
				     m->raw.local_port, w->local);
	return w->local;
}

uint64_t ulsp_deadline_ns(const struct ulsp_message *m)
{
	return m->raw.deadline_ns;
}

uint32_t ulsp_cache_limit_ms(const struct ulsp_message *m)
{
	return m->raw.cache_ms;
}

pid_t ulsp_target_pid(const struct ulsp_message *m)
{
	return (pid_t)ulsp_target_tgid(&m->raw);
}

/* Of one of the two processes of a reach; after ulsp_close() its number. */
static const char *group_by(const struct ulsp_message *m, uint32_t slot, char name[ULSP_NAME_BYTES])
{
	if (!slot || slot > ULSP_MAX_GROUPS)
		return NULL;
	if (m->u->backend)
		m->u->backend->group_name(m->u, slot - 1, m->raw.generation, name);
	else
		snprintf(name, ULSP_NAME_BYTES, "#%u", slot - 1);
	return name;
}

typedef int (*formatter)(const struct ulsp_msg *m, int64_t realtime_ns, const struct ulsp_names *n,
			 char *buf, size_t bytes);

static int format_with(formatter f, const struct ulsp_message *m, char *buf, size_t bytes)
{
	/* Half of a line at most, so that ULSP_LINE_BYTES always suffice. */
	char file[ULSP_PATH_BYTES], cgroup[640];
	char actor[ULSP_NAME_BYTES], target[ULSP_NAME_BYTES];
	struct ulsp_names names = {.group = m->group, .file = file};

	if (!buf || !bytes)
		return -EINVAL;
	file_name(m, file);
	if (!file[0] && m->rule[0]) { /* kept, and the handle closed since */
		char *colon = strrchr(m->rule, ':');

		if (colon)
			memcpy(file, m->rule, (size_t)(colon - m->rule));
		file[colon ? colon - m->rule : 0] = '\0';
	}
	if (ulsp_cgroup(m, cgroup, sizeof(cgroup)) > 0)
		names.cgroup = cgroup;
	names.actor = group_by(m, ulsp_actor_slot(&m->raw), actor);
	names.target = group_by(m, ulsp_target_slot(&m->raw), target);
	return f(&m->raw, (int64_t)ulsp_time_ns(m), &names, buf, bytes);
}

int ulsp_json(const struct ulsp_message *m, char *buf, size_t bytes)
{
	return format_with(ulsp_format_json_at, m, buf, bytes);
}

int ulsp_text(const struct ulsp_message *m, char *buf, size_t bytes)
{
	return format_with(ulsp_format_text_at, m, buf, bytes);
}

int ulsp_message_keep(const struct ulsp_message *m, struct ulsp_message **ret)
{
	struct ulsp_message *copy;

	if (!m || !ret)
		return -EINVAL;
	ulsp_rule_text(writable(m)); /* file names go with the handle */
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *m;
	copy->u->refs++;
	*ret = copy;
	return 0;
}

void ulsp_message_unref(struct ulsp_message **m)
{
	struct ulsp_message *gone;

	if (!m || !*m)
		return;
	gone = *m;
	*m = NULL;
	ulsp_unref(gone->u);
	free(gone);
}
