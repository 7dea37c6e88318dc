/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a packet's headers say: ends, protocol, ports, and whether it is source
 * routed.  Bytes are copied, not read in place: nothing that a header says is
 * trusted to be in the linear part.
 */
#ifndef PACKET_BPF_H
#define PACKET_BPF_H

#include "record.bpf.h"

enum {
	IPV4_OPTIONS_MAX = 40, /* bytes, by the header length field */
	IPV4_OPT_END = 0,
	IPV4_OPT_NOP = 1,
	IPV4_OPT_LSRR = 131,
	IPV4_OPT_SSRR = 137,
	/* Each kind appears once but for destination options; RFC 8200 lets hosts stop. */
	IPV6_HEADERS_MAX = 8,
	IPV6_HOPOPTS = 0,
	IPV6_ROUTING = 43,
	IPV6_FRAGMENT = 44,
	IPV6_AUTH = 51,
	IPV6_DSTOPTS = 60,
	IPV6_MOBILITY = 135,
	TCP_SYN = 0x02,
	TCP_ACK = 0x10,
};

struct packet {
	__u8 family; /* DEC_V4, DEC_V6 */
	__u8 proto;  /* of the transport header; IPv6: the last that could be walked to */
	__u8 source_route;
	__u8 fragment; /* no port: a later fragment, or a header that isn't all there */
	__u8 tcp_flags;
	__u8 done; /* a walk came to its end */
	__u8 reserved[2];
	__u32 src[4], dst[4]; /* host-order words */
	__u16 sport, dport;
	__u32 at; /* of the transport header */
};

enum { PACKET_BAD = -1 };

/* What a walk over options or headers carries; bpf_loop() (5.17) has it verified once. */
struct packet_walk {
	struct __sk_buff *skb;
	struct packet *p;
	__u32 at;
	__u32 end;
};

/* One IPv4 option; 1: the walk ends.  What can't be read counts as a source route. */
static long packet_v4_option(__u32 n, struct packet_walk *w)
{
	__u8 option[2] = {};

	if (w->at >= w->end) {
		w->p->source_route = 0;
		return 1;
	}
	if (bpf_skb_load_bytes(w->skb, w->at, option, 1))
		return 1;
	if (option[0] == IPV4_OPT_END) {
		w->p->source_route = 0;
		return 1;
	}
	if (option[0] == IPV4_OPT_LSRR || option[0] == IPV4_OPT_SSRR)
		return 1;
	if (option[0] == IPV4_OPT_NOP) {
		w->at++;
		return 0;
	}
	if (bpf_skb_load_bytes(w->skb, w->at, option, 2) || option[1] < 2)
		return 1;
	w->at += option[1];
	return 0;
}

static __always_inline int packet_v4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;
	__u32 header;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return PACKET_BAD;
	header = (*(__u8 *)&ip & 0xf) * 4;
	if (header < sizeof(ip))
		return PACKET_BAD;
	p->family = DEC_V4;
	p->proto = ip.protocol;
	addr_v4(p->src, ip.saddr);
	addr_v4(p->dst, ip.daddr);
	p->fragment = !!(bpf_ntohs(ip.frag_off) & 0x1fff);
	p->at = header;
	if (header > sizeof(ip)) {
		struct packet_walk w = {skb, p, sizeof(ip), header};

		p->source_route = 1; /* until the walk comes to its end */
		bpf_loop(IPV4_OPTIONS_MAX + 1, packet_v4_option, &w, 0);
	}
	return 0;
}

/* One IPv6 header before the transport header; 1: the walk ends. */
static long packet_v6_header(__u32 n, struct packet_walk *w)
{
	struct packet *p = w->p;
	__u8 h[4] = {}, kind = p->proto; /* next header, length, and what follows */

	if (kind != IPV6_HOPOPTS && kind != IPV6_ROUTING && kind != IPV6_FRAGMENT &&
	    kind != IPV6_AUTH && kind != IPV6_DSTOPTS && kind != IPV6_MOBILITY) {
		p->done = 1;
		return 1;
	}
	if (bpf_skb_load_bytes(w->skb, w->at, h, sizeof(h)))
		return 1;
	p->proto = h[0];
	/*
	 * Of any type, and with no segment left too: for segment routing the kernel
	 * sends to segment[segments_left], whatever address was given and judged.
	 */
	if (kind == IPV6_ROUTING)
		p->source_route = 1;
	if (kind == IPV6_FRAGMENT) {
		w->at += 8;
		return h[2] | (h[3] & 0xf8) ? 1 : 0; /* the offset's 13 bits: no port follows */
	}
	w->at += kind == IPV6_AUTH ? (h[1] + 2) * 4 : (h[1] + 1) * 8;
	return 0;
}

static __always_inline int packet_v6(struct __sk_buff *skb, struct packet *p)
{
	struct packet_walk w = {skb, p, sizeof(struct ipv6hdr), 0};
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return PACKET_BAD;
	p->family = DEC_V6;
	addr_v6(p->src, ip.saddr.in6_u.u6_addr32[0], ip.saddr.in6_u.u6_addr32[1],
		ip.saddr.in6_u.u6_addr32[2], ip.saddr.in6_u.u6_addr32[3]);
	addr_v6(p->dst, ip.daddr.in6_u.u6_addr32[0], ip.daddr.in6_u.u6_addr32[1],
		ip.daddr.in6_u.u6_addr32[2], ip.daddr.in6_u.u6_addr32[3]);
	p->proto = ip.nexthdr;
	bpf_loop(IPV6_HEADERS_MAX + 1, packet_v6_header, &w, 0);
	p->at = w.at;
	p->fragment = !p->done; /* also with more headers than anyone needs */
	return 0;
}

static __always_inline void packet_ports(struct __sk_buff *skb, struct packet *p)
{
	__be16 ports[2];

	switch (p->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		break;
	default:
		return;
	}
	if (p->fragment)
		return;
	if (bpf_skb_load_bytes(skb, p->at, ports, sizeof(ports))) {
		p->fragment = 1;
		return;
	}
	p->sport = bpf_ntohs(ports[0]);
	p->dport = bpf_ntohs(ports[1]);
	if (p->proto == IPPROTO_TCP)
		bpf_skb_load_bytes(skb, p->at + 13, &p->tcp_flags, 1);
}

/* What packet_read() returns beside the TCP flags. */
enum {
	PACKET_TCP_FLAGS = 0xff,
	PACKET_SOURCE_ROUTE = 1 << 8,
	PACKET_FRAGMENT = 1 << 9, /* without a readable port: it is 0 */
};

/*
 * The packet's ends, ports and protocol in ev->key, as the operation has them:
 * for one that comes `in` the other end is the source.  PACKET_BAD when there
 * is no IP header.
 */
GLOBAL int packet_read(struct __sk_buff *skb, struct event *ev, int in)
{
	struct packet p = {};
	int error;

	if (!ev)
		return PACKET_BAD;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		error = packet_v4(skb, &p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		error = packet_v6(skb, &p);
	else
		return PACKET_BAD;
	if (error)
		return PACKET_BAD;
	packet_ports(skb, &p);
	ev->key.family = p.family;
	ev->ip_proto = p.proto;
	ev->key.port = p.dport;
	ev->key.port2 = p.sport;
	__builtin_memcpy(ev->key.addr, in ? p.src : p.dst, sizeof(ev->key.addr));
	__builtin_memcpy(ev->key.addr2, in ? p.dst : p.src, sizeof(ev->key.addr2));
	ev->bytes = skb->len - p.at;
	return p.tcp_flags | (p.source_route ? PACKET_SOURCE_ROUTE : 0) |
	       (p.fragment ? PACKET_FRAGMENT : 0);
}

#endif
