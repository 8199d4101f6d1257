/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * icmp.h: ICMP errors about balanced connections, to the right server or the
 * right client; and the one error that we send ourselves.
 *
 * An error quotes the packet it is about. From a client's side that packet
 * went VIP -> CIP: turned round it is the key of the forward entry. From a
 * server's side (NAT) it went CIP -> RIP: turned round, the key of the reply
 * entry.
 */
#ifndef KANAME_ICMP_H
#define KANAME_ICMP_H

#include "lb.h"

#define ICMP_LEN 8
#define ICMP_UNREACH 3
#define ICMP_QUENCH 4
#define ICMP_EXCEEDED 11
#define ICMP_PORT 3 /* code of ICMP_UNREACH */
#define ICMP_PULL 192

struct icmp_hdr {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 rest;
};

/* The quoted packet of an error. */
struct quoted {
	struct icmp_hdr *icmp;
	struct iphdr *ip;
	struct l4_hdr *l4;
};

/* quote finds the quoted packet; false: not an error, or too short. */
AI bool quote(const struct pkt *p, struct quoted *q)
{
	void *end = p->end;
	__u32 off = p->l4_off & L4_MASK, ihl;

	q->icmp = p->data + off;
	q->ip = (void *)(q->icmp + 1);
	if ((void *)(q->ip + 1) > end)
		return false;
	if (q->icmp->type != ICMP_UNREACH && q->icmp->type != ICMP_QUENCH &&
	    q->icmp->type != ICMP_EXCEEDED)
		return false;
	ihl = (*(__u8 *)q->ip & 0x0f) * 4;
	if (*(__u8 *)q->ip >> 4 != 4 || ihl < sizeof(*q->ip))
		return false;
	if (q->ip->protocol != IPPROTO_TCP && q->ip->protocol != IPPROTO_UDP)
		return false;
	if (q->ip->frag_off & bpf_htons(IP_OFFMASK))
		return false;
	q->l4 = p->data + off + sizeof(*q->icmp) + ihl;
	return (void *)(q->l4 + 1) <= end;
}

/*
 * requote rewrites the quoted packet as the receiver of the error knows it.
 * The address and the quoted IP header's checksum cancel out in the ICMP
 * checksum; the port does not. The quoted transport checksum stays, as LVS
 * leaves it: nobody may rely on it, it is often cut off.
 */
AI void requote(struct quoted *q, const struct out *o)
{
	__be32 *addr = o->reply ? &q->ip->daddr : &q->ip->saddr;
	__be16 *port = o->reply ? &q->l4->dport : &q->l4->sport;
	__u32 sum;

	sum = csum_swap32(csum_start(q->ip->check), *addr, o->addr);
	q->ip->check = csum_end(sum);
	*addr = o->addr;
	sum = csum_swap16(csum_start(q->icmp->check), *port, o->port);
	q->icmp->check = csum_end(sum);
	*port = o->port;
}

/* icmp_route finds out where an error about a connection goes. */
AI int icmp_route(const struct settings_block *st, const struct pkt *p, struct conn *e,
		  struct out *o)
{
	__u32 now = ticks(st), word = READ_ONCE(e->state), di;
	const struct dest *d;
	struct conn *f = e;

	if (word & CONN_REPLY) {
		f = forward_of((struct reply *)e);
		if (!f)
			return MISS;
	}
	di = f->dest;
	d = bpf_map_lookup_elem(&dests, &di);
	if (!d || conn_dead(f, READ_ONCE(f->state), now))
		return MISS;
	if (word & CONN_REPLY) {
		if (!f->ifindex) {
			count(REASON_CLIENT_UNRESOLVED);
			return CTX_DROP;
		}
		count_out(di, d->service, p->len);
		out_to_client(o, f, d->service);
		return SEND;
	}
	count_in(di, d->service, p->len);
	return to_dest(p, d, di, o);
}

/* lb_icmp takes an ICMP packet. What is not about a connection is not ours. */
AI int lb_icmp(ctx_t *ctx)
{
	const struct settings_block *st = settings_get();
	struct quoted q;
	struct place pl;
	struct flow k = {};
	struct conn *e;
	struct pkt p = {};
	struct out o = {};
	__u32 loc = LOC_NONE;
	int answer;

	if (!st)
		return CTX_PASS;
	ctx_pull(ctx, ICMP_PULL);
	answer = parse_any(ctx, &p);
	if (answer != CONTINUE)
		return answer;
	if (p.kind != PKT_ICMP || !quote(&p, &q)) {
		count(REASON_ICMP_UNRELATED);
		return CTX_PASS;
	}
	k.src = q.ip->daddr;
	k.dst = q.ip->saddr;
	k.sport = q.l4->dport;
	k.dport = q.l4->sport;
	k.proto = q.ip->protocol;
	flow_place(st, &k, &pl);
	e = find(&k, &pl, &loc);
	answer = e && mac_ours(st, p.data) ? icmp_route(st, &p, e, &o) : MISS;
	if (answer == MISS) {
		count(REASON_ICMP_UNRELATED);
		return CTX_PASS;
	}
	if (answer != SEND)
		return answer;
	if (o.nat != NAT_NONE)
		requote(&q, &o);
	return send(ctx, &p, &o);
}

/* sum_words adds n 16-bit words. */
AI __u32 sum_words(const __u16 *w, __u32 n)
{
	__u32 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < n; i++)
		sum += w[i];
	return sum;
}

/*
 * write_unreach fills in the 28 bytes in front of the quoted packet, of which
 * keep bytes (IP header, ports and, for TCP, the rest of its header) are left.
 * partial: the last 16 bits of the transport header's checksum will be filled
 * in on the way out, whereupon the header sums up to the complement of what
 * stands in that field now (the pseudo-header's sum).
 */
AI bool write_unreach(ctx_t *ctx, __u32 l3, __u32 keep, __u32 tcp_partial, __be32 vip, __be32 cip)
{
	void *data = ctx_data(ctx), *end = ctx_end(ctx);
	__u16 *m = data, *ip, *quoted, mac;
	__u32 sum;

	if (data + l3 + 20 + ICMP_LEN + keep > end)
		return false;
#pragma unroll
	for (int i = 0; i < 3; i++) {
		mac = m[i];
		m[i] = m[i + 3];
		m[i + 3] = mac;
	}
	ip = data + l3;
	ip[0] = bpf_htons(0x45c0); /* precedence internetwork control, as the stack */
	ip[1] = bpf_htons(20 + ICMP_LEN + keep);
	ip[2] = 0;
	ip[3] = 0;
	ip[4] = bpf_htons(64 << 8 | IPPROTO_ICMP);
	ip[5] = 0;
	*(__be32 *)(ip + 6) = vip;
	*(__be32 *)(ip + 8) = cip;
	ip[5] = csum_end(sum_words(ip, 10));
	ip[10] = bpf_htons(ICMP_UNREACH << 8 | ICMP_PORT);
	ip[11] = 0;
	ip[12] = 0;
	ip[13] = 0;
	quoted = ip + 14;
	sum = ip[10] + sum_words(quoted, 10);
	if (!tcp_partial)
		sum += sum_words(quoted + 10, (keep - 20) / 2);
	else
		sum += (__u16)~quoted[10 + (keep == 40 ? 8 : 3)];
	ip[11] = csum_end(sum);
	return true;
}

/*
 * lb_reject answers a new connection that no server can take with ICMP port
 * unreachable, as ip_vs_leave does, so that the client need not time out.
 */
AI int lb_reject(ctx_t *ctx)
{
	struct pkt p = {};
	int answer = parse_any(ctx, &p);
	__be32 vip, cip;
	bool tcp, partial;
	__u32 l3;

	if (answer != CONTINUE)
		return answer;
	/* Options are not quoted back; a later fragment gets no error. */
	if (p.kind != PKT_FLOW || p.l4_off != p.l3_off + 20)
		return CTX_DROP;
	vip = p.key.dst;
	cip = p.key.src;
	tcp = p.key.proto == IPPROTO_TCP;
	l3 = p.l3_off;
	partial = ctx_partial(ctx, p.l4_off + (tcp ? 16 : 6));
	if (l3 == ETH_HLEN) {
		if (tcp ? ctx_make_room(ctx, ETH_HLEN, 40, 28) || !write_unreach(ctx, ETH_HLEN, 40, partial, vip, cip)
			: ctx_make_room(ctx, ETH_HLEN, 28, 28) || !write_unreach(ctx, ETH_HLEN, 28, partial, vip, cip))
			goto refused;
	} else {
		if (tcp ? ctx_make_room(ctx, 18, 40, 28) || !write_unreach(ctx, 18, 40, partial, vip, cip)
			: ctx_make_room(ctx, 18, 28, 28) || !write_unreach(ctx, 18, 28, partial, vip, cip))
			goto refused;
	}
	count(REASON_REJECT_SENT);
	return ctx_send(ctx, ctx_ifindex(ctx));
refused:
	count(REASON_REWRITE);
	return CTX_DROP;
}

#endif
