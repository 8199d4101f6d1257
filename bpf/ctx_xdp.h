/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* ctx_xdp.h: what the shared code needs from its context, for XDP. */
#ifndef KANAME_CTX_H
#define KANAME_CTX_H

#include <stdbool.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>

#include "csum.h"
#include "maps.h"

typedef struct xdp_md ctx_t;

#define CTX_SECTION "xdp"
#define CTX_PASS XDP_PASS
#define CTX_DROP XDP_DROP

AI void *ctx_data(ctx_t *ctx)
{
	return (void *)(long)ctx->data;
}

AI void *ctx_end(ctx_t *ctx)
{
	return (void *)(long)ctx->data_end;
}

AI __u32 ctx_ifindex(ctx_t *ctx)
{
	return ctx->ingress_ifindex;
}

/* A tag that the NIC took off is invisible here: rxvlan must be off. */
AI __u16 ctx_vlan(ctx_t *ctx __attribute__((unused)))
{
	return VLAN_NONE;
}

AI void ctx_pull(ctx_t *ctx __attribute__((unused)), __u32 len __attribute__((unused)))
{
}

/* ctx_has says whether the frame is at least len bytes long. A multi-buffer
 * frame (jumbo, frags) is longer than its linear part. */
AI bool ctx_has(ctx_t *ctx, void *data, void *end, __u32 len)
{
	return len <= (__u32)(end - data) || len <= bpf_xdp_get_buff_len(ctx);
}

/* ctx_reaches says whether ctx_send can send through a device that a route
 * names. A VLAN interface cannot be sent through from here, and nothing tells
 * that it is one: only the way back is certain. */
AI bool ctx_reaches(ctx_t *ctx, __u32 ifindex)
{
	return ifindex == ctx->ingress_ifindex;
}

/* ctx_send transmits through ifindex. */
AI int ctx_send(ctx_t *ctx, __u32 ifindex)
{
	if (ifindex == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(ifindex, 0);
}

/*
 * ctx_retag changes the frame's tag from `from` to `to` (VLAN_NONE: none),
 * keeping the priority bits. After a push or pop all pointers are stale.
 */
AI int ctx_retag(ctx_t *ctx, __u16 from, __u16 to)
{
	void *data = ctx_data(ctx), *end = ctx_end(ctx);
	__u32 *w = data;
	__u32 m0, m1, m2;
	__be16 *tag;

	if (from == to)
		return 0;
	if (data + 20 > end)
		return -1;
	tag = data + 14;
	if (from != VLAN_NONE && to != VLAN_NONE) {
		*tag = (*tag & bpf_htons(0xf000)) | bpf_htons(to);
		return 0;
	}
	m0 = w[0];
	m1 = w[1];
	m2 = w[2];
	if (from != VLAN_NONE) {
		if (bpf_xdp_adjust_head(ctx, 4))
			return -1;
		data = ctx_data(ctx);
		end = ctx_end(ctx);
		if (data + 14 > end)
			return -1;
		w = data;
	} else {
		if (bpf_xdp_adjust_head(ctx, -4))
			return -1;
		data = ctx_data(ctx);
		end = ctx_end(ctx);
		if (data + 18 > end)
			return -1;
		w = data;
		*(__be16 *)(data + 12) = bpf_htons(ETH_P_8021Q);
		*(__be16 *)(data + 14) = bpf_htons(to);
	}
	w[0] = m0;
	w[1] = m1;
	w[2] = m2;
	return 0;
}

/*
 * ctx_l4_csum makes the transport checksum follow an address that changes
 * from a0 to a1 and a port from p0 to p1. In XDP the checksum is the one on
 * the wire; a sender that left it to offload must be met in TC.
 */
AI int ctx_l4_csum(ctx_t *ctx, __u32 l4_off __attribute__((unused)), void *l4, __u8 proto,
		   __be32 a0, __be32 a1, __be16 p0, __be16 p1)
{
	__u16 *check = l4 + (proto == IPPROTO_TCP ? 16 : 6);
	__u32 sum;

	/* In bounds since parsing, but the verifier (6.18) does not connect the
	 * protocol of then with the protocol of now. */
	if ((void *)(check + 1) > ctx_end(ctx))
		return -1;
	if (proto == IPPROTO_UDP && !*check)
		return 0; /* the sender computed none */
	sum = csum_start(*check);
	sum = csum_swap32(sum, a0, a1);
	sum = csum_swap16(sum, p0, p1);
	*check = csum_end(sum);
	if (proto == IPPROTO_UDP && !*check)
		*check = 0xffff;
	return 0;
}

/* The checksums of packets in XDP are what they are; see ctx_tc.h. */
AI bool ctx_partial(ctx_t *ctx __attribute__((unused)), __u32 off __attribute__((unused)))
{
	return false;
}

/*
 * ctx_make_room cuts the frame to `keep` bytes behind its link header of l3
 * bytes (14 or 18) and opens `room` bytes between the two.
 */
AI int ctx_make_room(ctx_t *ctx, __u32 l3, __u32 keep, __u32 room)
{
	__u32 was = bpf_xdp_get_buff_len(ctx), m[4];
	void *data, *end;
	__u16 tail = 0;

	if (was > l3 + keep && bpf_xdp_adjust_tail(ctx, (int)(l3 + keep) - (int)was))
		return -1;
	if (bpf_xdp_adjust_head(ctx, -(int)room))
		return -1;
	data = ctx_data(ctx);
	end = ctx_end(ctx);
	if (data + room + 18 > end)
		return -1;
	__builtin_memcpy(m, data + room, 16);
	tail = *(__u16 *)(data + room + 16);
	__builtin_memcpy(data, m, 16);
	if (l3 == 18)
		*(__u16 *)(data + 16) = tail;
	return 0;
}

#endif
