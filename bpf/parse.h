/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * parse.h: from a frame to a struct pkt. The entry program takes only the
 * plain case (untagged, no options, no fragment) at fixed offsets; the others
 * use the general parser, which says in `kind` what the frame is.
 *
 * Lengths come from tot_len, checked against data_end, not from data_end:
 * frames are padded, and some drivers report a wrong end.
 *
 * The includer provides the context: ctx_t, ctx_data, ctx_end, ctx_pull,
 * ctx_vlan (ctx_xdp.h, ctx_tc.h).
 */
#ifndef KANAME_PARSE_H
#define KANAME_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>

#include "maps.h"
#include "stats.h"
#include "tcp.h"

#define IP_MF 0x2000
#define IP_OFFMASK 0x1fff
#define TCP_MIN 20
#define UDP_LEN 8

/* A stage's answer when the packet goes on to the next stage. */
#define CONTINUE (-100)

struct vlan_hdr {
	__be16 tci;
	__be16 proto;
};

/* The parts of TCP and UDP headers that we read. */
struct l4_hdr {
	__be16 sport;
	__be16 dport;
};

enum pkt_kind {
	PKT_FLOW = 0, /* TCP or UDP, whole or the first fragment */
	PKT_FRAGMENT, /* a later fragment */
	PKT_ICMP,
	PKT_OTHER, /* an IPv4 packet of another protocol */
};

struct pkt {
	struct flow key;
	void *data; /* the Ethernet header */
	void *end;
	struct iphdr *ip;
	void *l4;
	__u32 l3_off;
	__u32 l4_off;
	__u32 len; /* tot_len, host order */
	__u16 vlan;
	__u8 kind;
	__u8 tcp_flags;
	__u8 more_fragments;
};

/* l4_need is how much of the transport header must be there. */
AI __u32 l4_need(__u8 proto)
{
	return proto == IPPROTO_TCP ? TCP_MIN : UDP_LEN;
}

/* parse_ports fills key and flags; l4_need(proto) bytes at l4 are in bounds.
 * proto is handed in: read again, the verifier would not know its bounds. */
AI void parse_ports(struct pkt *p, __u8 proto)
{
	const struct l4_hdr *h = p->l4;

	p->key.src = p->ip->saddr;
	p->key.dst = p->ip->daddr;
	p->key.sport = h->sport;
	p->key.dport = h->dport;
	p->key.proto = proto;
	p->key.pad[0] = 0;
	p->key.pad[1] = 0;
	p->key.pad[2] = 0;
	p->tcp_flags = 0;
	if (proto == IPPROTO_TCP)
		p->tcp_flags = ((__u8 *)p->l4)[13];
}

/*
 * parse_plain takes an untagged, unfragmented TCP or UDP packet without IP
 * options. For anything that needs the general parser it returns false.
 */
AI bool parse_plain(ctx_t *ctx, struct pkt *p)
{
	void *data = ctx_data(ctx), *end = ctx_end(ctx);
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	void *l4 = ip + 1;
	__u8 l4_proto;

	if (l4 + UDP_LEN > end)
		return false;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || *(__u8 *)ip != 0x45 ||
	    (ip->frag_off & bpf_htons(IP_MF | IP_OFFMASK)) || (eth->h_dest[0] & 1))
		return false;
	if (ctx_vlan(ctx) != VLAN_NONE)
		return false;
	l4_proto = ip->protocol;
	if (l4_proto == IPPROTO_TCP) {
		if (l4 + TCP_MIN > end)
			return false;
	} else if (l4_proto != IPPROTO_UDP) {
		return false;
	}
	p->data = data;
	p->end = end;
	p->ip = ip;
	p->l4 = l4;
	p->l3_off = sizeof(*eth);
	p->l4_off = sizeof(*eth) + sizeof(*ip);
	p->len = bpf_ntohs(ip->tot_len);
	p->vlan = VLAN_NONE;
	p->kind = PKT_FLOW;
	p->more_fragments = 0;
	/* The headers are in the frame; tot_len must agree with both. */
	if (p->len < sizeof(*ip) + l4_need(l4_proto) ||
	    !ctx_has(ctx, data, end, sizeof(*eth) + p->len))
		return false;
	parse_ports(p, l4_proto);
	return true;
}

/*
 * parse_any takes every frame. CONTINUE: p is filled as far as p->kind says;
 * otherwise the verdict, with its reason counted.
 */
AI int parse_any(ctx_t *ctx, struct pkt *p)
{
	void *data, *end;
	struct ethhdr *eth;
	struct iphdr *ip;
	__be16 proto;
	__u8 l4_proto;
	__u32 l3 = sizeof(*eth), ihl, frag;

	ctx_pull(ctx, 80);
	data = ctx_data(ctx);
	end = ctx_end(ctx);
	eth = data;
	if ((void *)(eth + 1) > end) {
		count(REASON_TRUNCATED);
		return CTX_PASS;
	}
	if (eth->h_dest[0] & 1) {
		count(REASON_MULTICAST_MAC);
		return CTX_PASS;
	}
	proto = eth->h_proto;
	p->vlan = ctx_vlan(ctx);
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD)) {
		struct vlan_hdr *v = (void *)(eth + 1);

		/* A second tag, or one behind the one the NIC took off. */
		if (p->vlan != VLAN_NONE) {
			count(REASON_NOT_IPV4);
			return CTX_PASS;
		}
		if ((void *)(v + 1) > end) {
			count(REASON_TRUNCATED);
			return CTX_PASS;
		}
		p->vlan = bpf_ntohs(v->tci) & 0xfff;
		proto = v->proto;
		l3 += sizeof(*v);
	}
	if (proto != bpf_htons(ETH_P_IP)) {
		count(REASON_NOT_IPV4);
		return CTX_PASS;
	}
	ip = data + l3;
	if ((void *)(ip + 1) > end) {
		count(REASON_TRUNCATED);
		return CTX_PASS;
	}
	ihl = (*(__u8 *)ip & 0x0f) * 4;
	p->len = bpf_ntohs(ip->tot_len);
	if (*(__u8 *)ip >> 4 != 4 || ihl < sizeof(*ip) || p->len < ihl) {
		count(REASON_MALFORMED);
		return CTX_PASS;
	}
	if (!ctx_has(ctx, data, end, l3 + p->len)) {
		count(REASON_TRUNCATED);
		return CTX_PASS;
	}
	p->data = data;
	p->end = end;
	p->ip = ip;
	p->l3_off = l3;
	p->l4_off = l3 + ihl;
	p->l4 = data + p->l4_off;
	frag = bpf_ntohs(ip->frag_off);
	p->more_fragments = !!(frag & IP_MF);
	p->key.src = ip->saddr;
	p->key.dst = ip->daddr;
	p->key.sport = 0;
	p->key.dport = 0;
	l4_proto = ip->protocol;
	p->key.proto = l4_proto;
	p->key.pad[0] = 0;
	p->key.pad[1] = 0;
	p->key.pad[2] = 0;
	p->tcp_flags = 0;
	if (l4_proto == IPPROTO_ICMP) {
		p->kind = frag & (IP_OFFMASK | IP_MF) ? PKT_OTHER : PKT_ICMP;
		return CONTINUE;
	}
	if (l4_proto != IPPROTO_TCP && l4_proto != IPPROTO_UDP) {
		p->kind = PKT_OTHER;
		return CONTINUE;
	}
	if (frag & IP_OFFMASK) {
		p->kind = PKT_FRAGMENT;
		return CONTINUE;
	}
	p->kind = PKT_FLOW;
	if (p->len < ihl + l4_need(l4_proto)) {
		count(REASON_MALFORMED);
		return CTX_PASS;
	}
	if (p->l4 + UDP_LEN > end) {
		count(REASON_TRUNCATED);
		return CTX_PASS;
	}
	if (l4_proto == IPPROTO_TCP && p->l4 + TCP_MIN > end) {
		count(REASON_TRUNCATED);
		return CTX_PASS;
	}
	parse_ports(p, l4_proto);
	return CONTINUE;
}

#endif
