/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets made from a SYN that was held back on its way out: the SYN itself,
 * complete, and what its sender gets when it is refused.  No I/O.
 *
 * TCP takes a reset or an ICMP error for its SYN only with the SYN's own
 * addresses, ports and sequence number (RFC 5961, RFC 5927).
 */
#ifndef SYN_H
#define SYN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { SYN_MAX = 256 };

struct syn {
	int family; /* AF_INET, AF_INET6 */
	size_t bytes;
	size_t tcp; /* where the TCP header is */
	uint8_t packet[SYN_MAX];
};

/*
 * Takes the headers of a SYN, of which `bytes` may be the beginning only.  -EPROTO: no whole
 * IPv4 or IPv6 SYN without fragments; extension headers count as none.
 */
int syn_parse(const void *packet, size_t bytes, struct syn *ret);
/* The checksum that a network device would have filled in. */
void syn_complete(struct syn *syn);

/* The peer's address and port. */
void syn_peer(const struct syn *syn, struct sockaddr_storage *ret, socklen_t *ret_bytes);
/* The sender's. */
void syn_sender(const struct syn *syn, struct sockaddr_storage *ret, socklen_t *ret_bytes);

/*
 * What makes connect(2) fail with an errno near to `error` (positive): a reset for
 * ECONNREFUSED, else an ICMP error.  To be sent to the sender.
 */
void syn_refusal(const struct syn *syn, int error, struct syn *ret);
/* The errno that connect(2) gets by that. */
int syn_refusal_errno(int family, int error);
/*
 * What makes the sender's kernel send its SYN again within some ms, if it did so only once so far:
 * a reset that answers nothing it has sent.  To be sent to the sender.
 */
void syn_again(const struct syn *syn, struct syn *ret);

#endif
