// SPDX-License-Identifier: GPL-2.0-only
#include "syn.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

enum { HOPS = 64 };

/* ---- checksums (RFC 1071) ---- */

static uint32_t sum(uint32_t so_far, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		so_far += (uint32_t)p[i] << 8 | p[i + 1];
	if (bytes % 2)
		so_far += (uint32_t)p[bytes - 1] << 8;
	return so_far;
}

static uint16_t folded(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

/* Of what comes after the IP header, with its pseudo header. */
static uint16_t transport_sum(const struct syn *s, uint8_t protocol)
{
	size_t bytes = s->bytes - s->tcp;
	uint32_t so_far = (uint32_t)bytes + protocol;

	if (s->family == AF_INET)
		so_far = sum(so_far, s->packet + offsetof(struct iphdr, saddr), 8);
	else
		so_far = sum(so_far, s->packet + offsetof(struct ip6_hdr, ip6_src), 32);
	return folded(sum(so_far, s->packet + s->tcp, bytes));
}

/* ---- the SYN ---- */

static struct tcphdr *tcp_of(struct syn *s)
{
	return (void *)(s->packet + s->tcp);
}

static int parse_ip(struct syn *s)
{
	const struct iphdr *ip4 = (void *)s->packet;
	const struct ip6_hdr *ip6 = (void *)s->packet;

	if (s->bytes >= sizeof(*ip4) && ip4->version == 4) {
		s->family = AF_INET;
		s->tcp = ip4->ihl * 4u;
		if (s->tcp < sizeof(*ip4) || ip4->protocol != IPPROTO_TCP ||
		    ntohs(ip4->frag_off) & (IP_MF | IP_OFFMASK) || ntohs(ip4->tot_len) < s->bytes)
			return -EPROTO;
		return 0;
	}
	if (s->bytes >= sizeof(*ip6) && ip4->version == 6) {
		s->family = AF_INET6;
		s->tcp = sizeof(*ip6);
		if (ip6->ip6_nxt != IPPROTO_TCP || ntohs(ip6->ip6_plen) + s->tcp < s->bytes)
			return -EPROTO;
		return 0;
	}
	return -EPROTO;
}

/*
 * What a TCP Fast Open SYN carries stays behind: its sender takes the data for lost and sends it
 * again, and has no use for a peer that has it.
 */
static void without_data(struct syn *s)
{
	struct iphdr *ip4 = (void *)s->packet;
	struct ip6_hdr *ip6 = (void *)s->packet;

	s->bytes = s->tcp + tcp_of(s)->doff * 4u;
	if (s->family == AF_INET)
		ip4->tot_len = htons((uint16_t)s->bytes); /* the kernel sums it up */
	else
		ip6->ip6_plen = htons((uint16_t)(s->bytes - s->tcp));
}

int syn_parse(const void *packet, size_t bytes, struct syn *ret)
{
	struct syn s = {.bytes = bytes};
	const struct tcphdr *tcp;

	if (!bytes || bytes > sizeof(s.packet))
		return -EPROTO;
	memcpy(s.packet, packet, bytes);
	if (parse_ip(&s) || s.tcp + sizeof(*tcp) > bytes)
		return -EPROTO;
	tcp = tcp_of(&s);
	if (!tcp->syn || tcp->ack || tcp->rst || tcp->doff * 4u < sizeof(*tcp) ||
	    s.tcp + tcp->doff * 4u > bytes)
		return -EPROTO;
	without_data(&s);
	*ret = s;
	return 0;
}

void syn_complete(struct syn *s)
{
	tcp_of(s)->check = 0;
	tcp_of(s)->check = transport_sum(s, IPPROTO_TCP);
}

static void end_of(const struct syn *s, bool peer, struct sockaddr_storage *ret, socklen_t *bytes)
{
	const struct tcphdr *tcp = (const void *)(s->packet + s->tcp);
	struct sockaddr_in6 *in6 = (void *)ret;
	struct sockaddr_in *in = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (s->family == AF_INET) {
		const struct iphdr *ip = (const void *)s->packet;

		in->sin_family = AF_INET;
		in->sin_port = peer ? tcp->dest : tcp->source;
		in->sin_addr.s_addr = peer ? ip->daddr : ip->saddr;
		*bytes = sizeof(*in);
	} else {
		const struct ip6_hdr *ip = (const void *)s->packet;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = peer ? tcp->dest : tcp->source;
		in6->sin6_addr = peer ? ip->ip6_dst : ip->ip6_src;
		*bytes = sizeof(*in6);
	}
}

void syn_peer(const struct syn *s, struct sockaddr_storage *ret, socklen_t *ret_bytes)
{
	end_of(s, true, ret, ret_bytes);
}

void syn_sender(const struct syn *s, struct sockaddr_storage *ret, socklen_t *ret_bytes)
{
	end_of(s, false, ret, ret_bytes);
}

/* ---- refusals ---- */

/* An IP header from the SYN's peer back to its sender. */
static void answer_ip(const struct syn *syn, uint8_t protocol, size_t payload, struct syn *to)
{
	memset(to, 0, sizeof(*to));
	to->family = syn->family;
	if (syn->family == AF_INET) {
		const struct iphdr *was = (const void *)syn->packet;
		struct iphdr *ip = (void *)to->packet;

		to->tcp = sizeof(*ip);
		ip->version = 4;
		ip->ihl = 5;
		ip->ttl = HOPS;
		ip->protocol = protocol;
		ip->saddr = was->daddr;
		ip->daddr = was->saddr;
		ip->tot_len = htons((uint16_t)(to->tcp + payload)); /* the kernel sums it up */
	} else {
		const struct ip6_hdr *was = (const void *)syn->packet;
		struct ip6_hdr *ip = (void *)to->packet;

		to->tcp = sizeof(*ip);
		ip->ip6_flow = htonl(6u << 28);
		ip->ip6_nxt = protocol;
		ip->ip6_hlim = HOPS;
		ip->ip6_src = was->ip6_dst;
		ip->ip6_dst = was->ip6_src;
		ip->ip6_plen = htons((uint16_t)payload);
	}
	to->bytes = to->tcp + payload;
}

static void reset(const struct syn *syn, uint32_t acked, struct syn *to)
{
	const struct tcphdr *was = (const void *)(syn->packet + syn->tcp);
	struct tcphdr *tcp;

	answer_ip(syn, IPPROTO_TCP, sizeof(*tcp), to);
	tcp = tcp_of(to);
	tcp->source = was->dest;
	tcp->dest = was->source;
	tcp->ack_seq = htonl(ntohl(was->seq) + acked);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->rst = tcp->ack = 1;
	syn_complete(to);
}

struct refusal {
	int error;
	uint8_t type, code;
	int gives;
};

/* The last is for every other errno. */
static const struct refusal refusals4[] = {
	{ENETUNREACH, ICMP_DEST_UNREACH, ICMP_NET_UNREACH, ENETUNREACH},
	{EHOSTUNREACH, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, EHOSTUNREACH},
	{ENOPROTOOPT, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, ENOPROTOOPT},
	{0, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, EHOSTUNREACH},
};
static const struct refusal refusals6[] = {
	{ENETUNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, ENETUNREACH},
	{EHOSTUNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR, EHOSTUNREACH},
	{0, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, EACCES},
};

static const struct refusal *refusal_for(int family, int error)
{
	const struct refusal *r = family == AF_INET ? refusals4 : refusals6;

	while (r->error && r->error != error)
		r++;
	return r;
}

/* RFC 792: the IP header and 8 bytes; RFC 4443: as much as there is. */
static void unreachable(const struct syn *syn, const struct refusal *how, struct syn *to)
{
	size_t quoted = syn->family == AF_INET ? syn->tcp + 8 : syn->bytes;
	struct icmphdr *icmp;

	if (quoted > SYN_MAX - sizeof(struct ip6_hdr) - sizeof(*icmp))
		quoted = syn->tcp + 8;
	answer_ip(syn, syn->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6,
		  sizeof(*icmp) + quoted, to);
	icmp = (void *)(to->packet + to->tcp);
	icmp->type = how->type;
	icmp->code = how->code;
	memcpy(icmp + 1, syn->packet, quoted);
	if (syn->family == AF_INET)
		icmp->checksum = folded(sum(0, icmp, sizeof(*icmp) + quoted));
	else
		icmp->checksum = transport_sum(to, IPPROTO_ICMPV6);
}

void syn_refusal(const struct syn *syn, int error, struct syn *ret)
{
	if (error == ECONNREFUSED)
		reset(syn, 1, ret);
	else
		unreachable(syn, refusal_for(syn->family, error), ret);
}

/*
 * Linux 5.6 takes one that doesn't acknowledge the SYN for a late one of an earlier connection,
 * drops it and sets the SYN's first retransmission to two jiffies from then
 * (tcp_rcv_synsent_state_process()); before, it is dropped only.  As a reset nothing answers it.
 */
void syn_again(const struct syn *syn, struct syn *ret)
{
	reset(syn, 0, ret);
}

int syn_refusal_errno(int family, int error)
{
	return error == ECONNREFUSED ? ECONNREFUSED : refusal_for(family, error)->gives;
}
