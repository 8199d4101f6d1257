/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* rewrite.h: change the packet and send it. */
#ifndef KANAME_REWRITE_H
#define KANAME_REWRITE_H

#include "conntrack.h"
#include "csum.h"
#include "parse.h"

/* Where a packet goes and what it is to look like there. */
struct out {
	struct l2 l2; /* destination MAC, source MAC */
	__u32 ifindex;
	__u16 vlan; /* never VLAN_KEEP */
	__u8 nat;   /* enum nat */
	__u8 reply; /* from the server to the client */
	__be32 addr; /* the new address and port of a NAT */
	__be16 port;
	__u16 pad;
	__u32 dest; /* whose packet it is, for the fragments that follow */
	__u32 service;
};

/* Offsets that went through the stack have no bounds for the verifier (6.18:
 * "offset is outside of the packet"); these masks change nothing. */
#define L3_MASK 31
#define L4_MASK 127

/* reload finds the headers again after a helper moved them. */
AI bool reload(ctx_t *ctx, struct pkt *p)
{
	p->data = ctx_data(ctx);
	p->end = ctx_end(ctx);
	p->ip = p->data + (p->l3_off & L3_MASK);
	return p->data + ETH_HLEN <= p->end && (void *)(p->ip + 1) <= p->end;
}

/* set_ip rewrites the IP header: TTL - 1, and the address of a NAT. */
AI void set_ip(struct iphdr *ip, __u8 nat, __be32 addr)
{
	__u32 sum;

	/* One less in the high byte of a word: one more in the complement. */
	sum = (__u32)ip->check + bpf_htons(0x0100);
	ip->check = sum + (sum >= 0xffff);
	ip->ttl--;
	if (nat == NAT_NONE)
		return;
	sum = csum_start(ip->check);
	if (nat == NAT_DST) {
		sum = csum_swap32(sum, ip->daddr, addr);
		ip->daddr = addr;
	} else {
		sum = csum_swap32(sum, ip->saddr, addr);
		ip->saddr = addr;
	}
	ip->check = csum_end(sum);
}

/* nat_ports rewrites the port and the transport checksum. */
AI bool nat_ports(ctx_t *ctx, struct pkt *p, const struct out *o, __u8 nat)
{
	__be32 addr = nat == NAT_DST ? p->ip->daddr : p->ip->saddr;
	__be16 port = nat == NAT_DST ? p->key.dport : p->key.sport;
	struct l4_hdr *h;

	if (ctx_l4_csum(ctx, p->l4_off, p->l4, p->key.proto, addr, o->addr, port, o->port) ||
	    !reload(ctx, p))
		return false;
	h = p->data + (p->l4_off & L4_MASK);
	if ((void *)(h + 1) > p->end)
		return false;
	if (nat == NAT_DST)
		h->dport = o->port;
	else
		h->sport = o->port;
	return true;
}

/* send_as is send for one kind of NAT, a constant. The tag is changed last but
 * for the MACs, since that moves everything. */
AI int send_as(ctx_t *ctx, struct pkt *p, const struct out *o, __u8 nat)
{
	if (nat != NAT_NONE && p->kind == PKT_FLOW && !nat_ports(ctx, p, o, nat))
		goto refused;
	set_ip(p->ip, nat, o->addr);
	if (unlikely(o->vlan != p->vlan)) {
		if (ctx_retag(ctx, p->vlan, o->vlan))
			goto refused;
		p->data = ctx_data(ctx);
		p->end = ctx_end(ctx);
		if (p->data + ETH_HLEN > p->end)
			goto refused;
	}
	l2_copy(p->data, &o->l2);
	return ctx_send(ctx, o->ifindex);
refused:
	count(REASON_REWRITE);
	return CTX_DROP;
}

/* send rewrites and transmits. */
AI int send(ctx_t *ctx, struct pkt *p, const struct out *o)
{
	if (unlikely(p->ip->ttl <= 1)) {
		count(REASON_TTL);
		return CTX_DROP;
	}
	switch (o->nat) {
	case NAT_NONE:
		return send_as(ctx, p, o, NAT_NONE);
	case NAT_DST:
		return send_as(ctx, p, o, NAT_DST);
	default:
		return send_as(ctx, p, o, NAT_SRC);
	}
}

/* out_to_dest is the way to a real server. */
AI void out_to_dest(struct out *o, const struct pkt *p, const struct dest *d, __u32 di)
{
	l2_copy(&o->l2, d->dmac);
	o->ifindex = d->ifindex;
	o->vlan = d->vlan == VLAN_KEEP ? p->vlan : d->vlan;
	o->nat = d->method == METHOD_NAT ? NAT_DST : NAT_NONE;
	o->reply = 0;
	__builtin_memcpy(&o->addr, &d->addr.b[12], 4);
	o->port = d->port;
	o->pad = 0;
	o->dest = di;
	o->service = d->service;
}

/* out_to_client is the way back of a NAT reply: as the client's last packet
 * came, so no route is looked up. */
AI void out_to_client(struct out *o, const struct conn *f, __u32 service)
{
	__u16 *to = (__u16 *)&o->l2;
	const __u16 *src = (const __u16 *)f->l2_src, *dst = (const __u16 *)f->l2_dst;

	to[0] = src[0];
	to[1] = src[1];
	to[2] = src[2];
	to[3] = dst[0];
	to[4] = dst[1];
	to[5] = dst[2];
	o->ifindex = f->ifindex;
	o->vlan = f->vlan;
	o->nat = NAT_SRC;
	o->reply = 1;
	o->addr = f->key.dst;
	o->port = f->key.dport;
	o->pad = 0;
	o->dest = f->dest;
	o->service = service;
}

#endif
