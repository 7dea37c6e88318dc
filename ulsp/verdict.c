/* SPDX-License-Identifier: BSD-2-Clause */
#include "verdict.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "handle.h"

_Static_assert((int)ULSP_COVER_FLOW == ULSP_SCOPE_FLOW &&
		       (int)ULSP_COVER_DESTINATION == ULSP_SCOPE_DESTINATION &&
		       (int)ULSP_COVER_PROCESS == ULSP_SCOPE_PROCESS,
	       "the public names of the scopes");

/* The address and port that the rules judge: see struct dec_key. */
static void judged(const struct ulsp_msg *m, const __u8 **ret_addr, __u16 *ret_port)
{
	switch (m->op) {
	case ULSP_OP_BIND:
	case ULSP_OP_LISTEN:
		*ret_addr = m->local;
		*ret_port = m->local_port;
		break;
	case ULSP_OP_ACCEPT:
	case ULSP_OP_RECVFROM:
		*ret_addr = m->remote;
		*ret_port = m->local_port;
		break;
	default:
		*ret_addr = m->remote;
		*ret_port = m->remote_port;
	}
}

int ulsp_cache_key_of(const struct ulsp_msg *m, enum ulsp_scope scope, struct ulsp_cache_key *ret)
{
	struct ulsp_cache_key key = {.group = (__u16)m->group, .rule = m->rule, .op = m->op};
	const __u8 *addr;
	__u16 port;

	key.scope = (__u8)scope;
	if (scope == ULSP_SCOPE_PROCESS || scope == ULSP_SCOPE_PROCESS_FLOW) {
		if (!m->tgid || !m->start_ns)
			return -EINVAL;
		key.tgid = m->tgid;
		key.start_ns = m->start_ns;
	}
	switch (scope) {
	case ULSP_SCOPE_FLOW:
	case ULSP_SCOPE_PROCESS_FLOW:
	case ULSP_SCOPE_DESTINATION:
		judged(m, &addr, &port);
		key.proto = m->proto;
		key.family = m->family;
		memcpy(key.addr, addr, m->family == 4 ? 4 : 16);
		if (scope != ULSP_SCOPE_DESTINATION)
			key.port = port;
		break;
	case ULSP_SCOPE_PROCESS:
		break;
	default:
		return -EINVAL;
	}
	*ret = key;
	return 0;
}

__u32 ulsp_cache_ttl_ms(__u32 wanted_ms, __u32 rule_ms)
{
	if (!wanted_ms)
		return rule_ms ? rule_ms : ULSP_TTL_DEFAULT_MS;
	return rule_ms && rule_ms < wanted_ms ? rule_ms : wanted_ms;
}

/* 1: somebody waits for it. */
static int is_awaited(const struct ulsp_message *m)
{
	return m->raw.ticket && m->raw.slot != ULSP_NO_SLOT;
}

/* What every verdict needs; fills in whom it is for. */
static int ready(const struct ulsp_message *m, struct ulsp_slot *said)
{
	if (!m || !ulsp_is_ask(m))
		return -EINVAL;
	if (!m->u->backend)
		return -ENOTCONN;
	said->ticket = m->raw.ticket;
	said->generation = m->raw.generation;
	return 0;
}

/* Whether the policy is still the one that asked. */
static int fresh(const struct ulsp_message *m)
{
	struct ulsp *u = m->u;
	__u32 generation;
	int r;

	r = u->backend->generation(u, m->raw.group, &generation);
	if (!r && generation != m->raw.generation)
		r = -ESTALE;
	return r;
}

/* To who waits. */
static int answer(const struct ulsp_message *m, const struct ulsp_slot *said)
{
	struct ulsp *u = m->u;

	if (!is_awaited(m))
		return -EINVAL;
	if (ulsp_now_ns(CLOCK_MONOTONIC) >= m->raw.deadline_ns)
		return -ETIMEDOUT;
	return u->backend->answer(u, m, said);
}

static int keep(const struct ulsp_message *m, enum ulsp_cover cover, __u32 ttl_ms,
		const struct ulsp_slot *said)
{
	struct ulsp_cached v = {.generation = said->generation, .error = said->error};
	int r;

	r = ulsp_cache_key_of(&m->raw, (enum ulsp_scope)cover, &v.key);
	if (r)
		return r;
	ttl_ms = ulsp_cache_ttl_ms(ttl_ms, m->raw.cache_ms);
	v.expires_ns = ulsp_now_ns(CLOCK_MONOTONIC) + (__u64)ttl_ms * 1000000u;
	return m->u->backend->put(m->u, m, &v, ttl_ms);
}

static int give(struct ulsp_message *m, enum ulsp_verdict verdict, int error,
		const struct ulsp_cache *cache)
{
	struct ulsp_slot said = {.verdict = (__u8)verdict, .error = (__s16)error};
	struct ulsp_cache wanted = {.cover = ULSP_COVER_FLOW};
	struct ulsp_cache_key key;
	int answered, r;

	if (cache) {
		r = ulsp_sized_in(&wanted, sizeof(wanted), cache,
				  offsetof(struct ulsp_cache, ttl_ms) + sizeof(wanted.ttl_ms));
		if (r)
			return r;
	}
	r = ready(m, &said);
	if (r)
		return r;
	if (wanted.cover != ULSP_COVER_ONCE) {
		/* Nobody is answered by what can't be kept as it is wanted. */
		r = ulsp_cache_key_of(&m->raw, (enum ulsp_scope)wanted.cover, &key);
		if (r)
			return r;
	}
	/*
	 * Who waits comes first, and takes no answer of another generation: to ask the kernel for
	 * the generation takes longer than all the rest.
	 */
	answered = answer(m, &said);
	r = fresh(m);
	if (!r)
		r = wanted.cover == ULSP_COVER_ONCE ? answered
						    : keep(m, wanted.cover, wanted.ttl_ms, &said);
	/* Too late for who waited is not too late for the next. */
	if (r == -ESTALE || answered == -ETIMEDOUT)
		m->u->stats.late++;
	if (!r)
		m->u->stats.verdicts++;
	return r;
}

int ulsp_allow(struct ulsp_message *m, const struct ulsp_cache *cache)
{
	return give(m, ULSP_VERDICT_ALLOW, 0, cache);
}

int ulsp_deny(struct ulsp_message *m, int error, const struct ulsp_cache *cache)
{
	if (error >= 0 || error < -4095 || (error <= -512 && error >= -530))
		return -EINVAL;
	return give(m, ULSP_VERDICT_DENY, error, cache);
}

int ulsp_rewrite(struct ulsp_message *m, const struct sockaddr *to, socklen_t bytes)
{
	struct ulsp_slot said = {.verdict = ULSP_VERDICT_REWRITE};
	const struct sockaddr_in6 *in6 = (const void *)to;
	const struct sockaddr_in *in = (const void *)to;
	int r;

	if (!to || bytes < sizeof(to->sa_family))
		return -EINVAL;
	r = ready(m, &said);
	if (r)
		return r;
	if (m->raw.op != ULSP_OP_CONNECT && m->raw.op != ULSP_OP_SENDTO)
		return -EOPNOTSUPP;
	if (to->sa_family == AF_INET && bytes >= sizeof(*in)) {
		said.family = 4;
		memcpy(said.addr, &in->sin_addr, 4);
		said.port = ntohs(in->sin_port);
	} else if (to->sa_family == AF_INET6 && bytes >= sizeof(*in6)) {
		said.family = 6;
		memcpy(said.addr, &in6->sin6_addr, 16);
		said.port = ntohs(in6->sin6_port);
	}
	if (!said.family || said.family != m->raw.family)
		return -EAFNOSUPPORT;
	if (!said.port)
		return -EINVAL;
	r = fresh(m);
	if (!r)
		r = answer(m, &said);
	if (r == -ESTALE || r == -ETIMEDOUT)
		m->u->stats.late++;
	if (!r)
		m->u->stats.verdicts++;
	return r;
}
