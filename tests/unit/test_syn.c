/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets made from held SYNs: known checksums, what a sender gets for each
 * errno, and arbitrary bytes.
 */
#include "syn.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 192.0.2.1:54321 to 198.51.100.2:443, MSS 1460, all from the wire but the checksum of TCP. */
static const uint8_t syn4[] = {
	0x45, 0x00, 0x00, 0x2c, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x06, 0x00, 0x00, 192,  0,    2,
	1,    198,  51,	  100,	2,    0xd4, 0x31, 0x01, 0xbb, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00,
	0x00, 0x00, 0x60, 0x02, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4,
};
/* fd00::1 port 40000 to fd00::2 port 80, no options. */
static const uint8_t syn6[] = {
	0x60, 0,    0,	  0, 0, 20, 6, 64,   0xfd, 0,	 0,    0,    0, 0,  0,
	0,    0,    0,	  0, 0, 0,  0, 0,    1,	   0xfd, 0,    0,    0, 0,  0,
	0,    0,    0,	  0, 0, 0,  0, 0,    0,	   2,	 0x9c, 0x40, 0, 80, 0xaa,
	0xbb, 0xcc, 0xdd, 0, 0, 0,  0, 0x50, 0x02, 0x10, 0x00, 0,    0, 0,  0,
};

/* RFC 1071 as it is written down there: the sum over what has its checksum in it is 0xffff. */
static uint16_t ones(uint32_t sum, const uint8_t *p, size_t bytes)
{
	while (bytes > 1) {
		sum += (uint32_t)p[0] << 8 | p[1];
		p += 2;
		bytes -= 2;
	}
	if (bytes)
		sum += (uint32_t)p[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t transport_ones(const struct syn *s, uint8_t protocol)
{
	uint32_t pseudo = protocol + (uint32_t)(s->bytes - s->tcp);

	if (s->family == AF_INET)
		pseudo += ones(0, s->packet + 12, 8);
	else
		pseudo += ones(0, s->packet + 8, 32);
	return ones(pseudo, s->packet + s->tcp, s->bytes - s->tcp);
}

static unsigned at16(const struct syn *s, size_t at)
{
	return (unsigned)s->packet[at] << 8 | s->packet[at + 1];
}

static struct syn parsed(const uint8_t *packet, size_t bytes)
{
	struct syn s;

	assert_int_equal(syn_parse(packet, bytes, &s), 0);
	syn_complete(&s);
	return s;
}

static void known_checksums(void **state)
{
	struct syn s;

	(void)state;
	s = parsed(syn4, sizeof(syn4));
	assert_int_equal(s.family, AF_INET);
	assert_int_equal(s.bytes, sizeof(syn4));
	assert_int_equal(at16(&s, s.tcp + 16), 0x7265);
	assert_int_equal(transport_ones(&s, IPPROTO_TCP), 0xffff);
	s = parsed(syn6, sizeof(syn6));
	assert_int_equal(s.family, AF_INET6);
	assert_int_equal(at16(&s, s.tcp + 16), 0x91b4);
	assert_int_equal(transport_ones(&s, IPPROTO_TCP), 0xffff);
}

static void ends(void **state)
{
	struct sockaddr_storage to;
	struct sockaddr_in *in = (void *)&to;
	struct sockaddr_in6 *in6 = (void *)&to;
	socklen_t bytes;
	struct syn s;

	(void)state;
	s = parsed(syn4, sizeof(syn4));
	syn_peer(&s, &to, &bytes);
	assert_int_equal(bytes, sizeof(*in));
	assert_int_equal(ntohs(in->sin_port), 443);
	assert_int_equal(ntohl(in->sin_addr.s_addr), 0xc6336402);
	syn_sender(&s, &to, &bytes);
	assert_int_equal(ntohs(in->sin_port), 54321);
	assert_int_equal(ntohl(in->sin_addr.s_addr), 0xc0000201);
	s = parsed(syn6, sizeof(syn6));
	syn_peer(&s, &to, &bytes);
	assert_int_equal(bytes, sizeof(*in6));
	assert_int_equal(ntohs(in6->sin6_port), 80);
	assert_int_equal(in6->sin6_addr.s6_addr[15], 2);
	syn_sender(&s, &to, &bytes);
	assert_int_equal(ntohs(in6->sin6_port), 40000);
	assert_int_equal(in6->sin6_addr.s6_addr[15], 1);
}

/* TCP Fast Open: with data, or the beginning of it. */
static void data_stays_behind(void **state)
{
	uint8_t packet[SYN_MAX] = {0};
	struct syn s, bare = parsed(syn4, sizeof(syn4));

	(void)state;
	memcpy(packet, syn4, sizeof(syn4));
	memset(packet + sizeof(syn4), 'x', sizeof(packet) - sizeof(syn4));
	packet[2] = 5; /* of 1,3xx bytes in all */
	s = parsed(packet, sizeof(packet));
	assert_int_equal(s.bytes, sizeof(syn4));
	assert_memory_equal(s.packet, bare.packet, bare.bytes);
	memcpy(packet, syn6, sizeof(syn6));
	packet[4] = 1;
	s = parsed(packet, sizeof(packet));
	bare = parsed(syn6, sizeof(syn6));
	assert_int_equal(s.bytes, sizeof(syn6));
	assert_memory_equal(s.packet, bare.packet, bare.bytes);
}

static void no_syn(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} spoilt[] = {
		{0, 0x44}, {0, 0x4f},  {0, 0x55},  {3, 0x2b},  {6, 0x20},  {7, 1},
		{9, 17},   {33, 0x12}, {33, 0x06}, {33, 0x10}, {32, 0x40}, {32, 0x70},
	};
	uint8_t packet[sizeof(syn4)];
	struct syn s;

	(void)state;
	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		memcpy(packet, syn4, sizeof(packet));
		packet[spoilt[i].at] = spoilt[i].value;
		assert_int_equal(syn_parse(packet, sizeof(packet), &s), -EPROTO);
	}
	for (size_t n = 0; n < sizeof(syn4); n++)
		assert_int_equal(syn_parse(syn4, n, &s), -EPROTO);
	for (size_t n = 0; n < sizeof(syn6); n++)
		assert_int_equal(syn_parse(syn6, n, &s), -EPROTO);
	assert_int_equal(syn_parse(syn4, SYN_MAX + 1, &s), -EPROTO);
}

static void resets(void **state)
{
	static const struct {
		const uint8_t *packet;
		size_t bytes;
		uint32_t seq;
	} of[] = {{syn4, sizeof(syn4), 0x12345678}, {syn6, sizeof(syn6), 0xaabbccdd}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct syn s = parsed(of[i].packet, of[i].bytes), r, again;

		syn_refusal(&s, ECONNREFUSED, &r);
		assert_int_equal(r.bytes, r.tcp + sizeof(struct tcphdr));
		assert_int_equal(at16(&r, r.tcp + 12), 0x5014); /* five words, RST and ACK */
		assert_int_equal(at16(&r, r.tcp + 8), (of[i].seq + 1) >> 16);
		assert_int_equal(at16(&r, r.tcp + 10), (of[i].seq + 1) & 0xffff);
		assert_int_equal(at16(&r, r.tcp), at16(&s, s.tcp + 2));
		assert_int_equal(at16(&r, r.tcp + 2), at16(&s, s.tcp));
		assert_int_equal(transport_ones(&r, IPPROTO_TCP), 0xffff);
		/* the same, but of another connection */
		syn_again(&s, &again);
		assert_int_equal(at16(&again, r.tcp + 8), of[i].seq >> 16);
		assert_int_equal(at16(&again, r.tcp + 10), of[i].seq & 0xffff);
		assert_int_equal(at16(&again, r.tcp + 12), 0x5014);
		assert_int_equal(transport_ones(&again, IPPROTO_TCP), 0xffff);
	}
}

static void icmp_errors(void **state)
{
	static const struct {
		int error, type4, code4, gives4, type6, code6, gives6;
	} of[] = {
		{ENETUNREACH, 3, 0, ENETUNREACH, 1, 0, ENETUNREACH},
		{EHOSTUNREACH, 3, 1, EHOSTUNREACH, 1, 3, EHOSTUNREACH},
		{ENOPROTOOPT, 3, 2, ENOPROTOOPT, 1, 1, EACCES},
		{EPERM, 3, 13, EHOSTUNREACH, 1, 1, EACCES},
		{4095, 3, 13, EHOSTUNREACH, 1, 1, EACCES},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		struct syn s = parsed(syn4, sizeof(syn4)), r;
		const uint8_t *icmp;

		syn_refusal(&s, of[i].error, &r);
		icmp = r.packet + r.tcp;
		assert_int_equal(r.packet[9], IPPROTO_ICMP);
		assert_int_equal(icmp[0], of[i].type4);
		assert_int_equal(icmp[1], of[i].code4);
		assert_int_equal(r.bytes, 20 + 8 + 20 + 8);
		assert_memory_equal(icmp + 8, s.packet, 28);
		assert_int_equal(ones(0, icmp, r.bytes - r.tcp), 0xffff);
		assert_memory_equal(r.packet + 12, s.packet + 16, 4);
		assert_memory_equal(r.packet + 16, s.packet + 12, 4);
		assert_int_equal(syn_refusal_errno(AF_INET, of[i].error), of[i].gives4);

		s = parsed(syn6, sizeof(syn6));
		syn_refusal(&s, of[i].error, &r);
		icmp = r.packet + r.tcp;
		assert_int_equal(r.packet[6], IPPROTO_ICMPV6);
		assert_int_equal(icmp[0], of[i].type6);
		assert_int_equal(icmp[1], of[i].code6);
		assert_int_equal(r.bytes, 40 + 8 + sizeof(syn6));
		assert_memory_equal(icmp + 8, s.packet, sizeof(syn6));
		assert_int_equal(transport_ones(&r, IPPROTO_ICMPV6), 0xffff);
		assert_int_equal(syn_refusal_errno(AF_INET6, of[i].error), of[i].gives6);
	}
	assert_int_equal(syn_refusal_errno(AF_INET, ECONNREFUSED), ECONNREFUSED);
}

/* Whatever comes: refused, or a packet that is whole and right. */
static void check_any(const uint8_t *packet, size_t bytes)
{
	static const int errors[] = {ECONNREFUSED, ENETUNREACH, EPERM};
	uint8_t *exact = malloc(bytes ? bytes : 1); /* its end is the sanitizer's to see */
	struct sockaddr_storage to;
	socklen_t length;
	struct syn s, r;

	assert_non_null(exact);
	memcpy(exact, packet, bytes);
	if (!syn_parse(exact, bytes, &s)) {
		assert_true(s.bytes <= bytes && s.tcp + sizeof(struct tcphdr) <= s.bytes);
		syn_complete(&s);
		assert_int_equal(transport_ones(&s, IPPROTO_TCP), 0xffff);
		syn_peer(&s, &to, &length);
		syn_sender(&s, &to, &length);
		for (size_t i = 0; i < 3; i++) {
			syn_refusal(&s, errors[i], &r);
			assert_true(r.bytes <= sizeof(r.packet) && r.tcp < r.bytes);
		}
	}
	free(exact);
}

static void arbitrary_bytes(void **state)
{
	uint8_t packet[SYN_MAX + 8];
	unsigned seed = 1;

	(void)state;
	for (int n = 0; n < 200000; n++) {
		const uint8_t *from = n & 1 ? syn4 : syn6;
		size_t bytes = n & 1 ? sizeof(syn4) : sizeof(syn6), room = sizeof(packet);

		for (size_t i = 0; i < room; i++)
			packet[i] = (uint8_t)(rand_r(&seed) >> 7);
		if (n % 8) { /* nearly a SYN */
			memcpy(packet, from, bytes);
			for (int i = 0; i < n % 5; i++)
				packet[rand_r(&seed) % bytes] = (uint8_t)(rand_r(&seed) >> 7);
		}
		check_any(packet, n % 3 ? bytes + rand_r(&seed) % (SYN_MAX - bytes)
					: (size_t)rand_r(&seed) % room);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_checksums),
		cmocka_unit_test(ends),
		cmocka_unit_test(data_stays_behind),
		cmocka_unit_test(no_syn),
		cmocka_unit_test(resets),
		cmocka_unit_test(icmp_errors),
		cmocka_unit_test(arbitrary_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
