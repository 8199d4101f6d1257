/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* ctx_tc.h: what the shared code needs from its context, for TC ingress. */
#ifndef KANAME_CTX_H
#define KANAME_CTX_H

#include <stdbool.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>

#include "csum.h"
#include "maps.h"

typedef struct __sk_buff ctx_t;

#define CTX_SECTION "tcx/ingress"
/* -1 is TCX_NEXT, and in clsact direct action "go on": to the stack, unless a
 * later program has an opinion. */
#define CTX_PASS TC_ACT_UNSPEC
#define CTX_DROP TC_ACT_SHOT

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
	return ctx->ifindex;
}

/* The kernel has moved the outer tag out of the frame by now. */
AI __u16 ctx_vlan(ctx_t *ctx)
{
	return ctx->vlan_present ? ctx->vlan_tci & 0xfff : VLAN_NONE;
}

/* ctx_pull makes the headers linear, where the driver put them in pages. */
AI void ctx_pull(ctx_t *ctx, __u32 len)
{
	if (ctx_data(ctx) + len > ctx_end(ctx))
		bpf_skb_pull_data(ctx, len < ctx->len ? len : ctx->len);
}

/* ctx_has says whether the frame is at least len bytes long, linear or not. */
AI bool ctx_has(ctx_t *ctx, void *data __attribute__((unused)), void *end __attribute__((unused)),
		__u32 len)
{
	return len <= ctx->len;
}

/* ctx_reaches says whether ctx_send can send through a device that a route
 * names, a VLAN interface among them. */
AI bool ctx_reaches(ctx_t *ctx __attribute__((unused)), __u32 ifindex __attribute__((unused)))
{
	return true;
}

AI int ctx_send(ctx_t *ctx __attribute__((unused)), __u32 ifindex)
{
	return bpf_redirect(ifindex, 0);
}

AI int ctx_retag(ctx_t *ctx, __u16 from, __u16 to)
{
	__u16 pcp = ctx->vlan_present ? ctx->vlan_tci & 0xf000 : 0;

	if (from == to)
		return 0;
	if (from != VLAN_NONE && bpf_skb_vlan_pop(ctx))
		return -1;
	if (to != VLAN_NONE && bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), to | pcp))
		return -1;
	return 0;
}

/*
 * ctx_l4_csum: the helpers know whether the checksum is complete, or the
 * sender left it to offload and only the pseudo-header is summed up.
 */
AI int ctx_l4_csum(ctx_t *ctx, __u32 l4_off, void *l4 __attribute__((unused)), __u8 proto,
		   __be32 a0, __be32 a1, __be16 p0, __be16 p1)
{
	__u32 off = l4_off + (proto == IPPROTO_TCP ? 16 : 6);
	__u64 flags = proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	if (bpf_l4_csum_replace(ctx, off, a0, a1, flags | BPF_F_PSEUDO_HDR | sizeof(a0)))
		return -1;
	return bpf_l4_csum_replace(ctx, off, p0, p1, flags | sizeof(p0)) ? -1 : 0;
}

/*
 * ctx_partial says whether the sender left the transport checksum, at off, to
 * offload. Nothing tells it, but bpf_l4_csum_replace without BPF_F_PSEUDO_HDR
 * does not touch such a checksum.
 */
AI bool ctx_partial(ctx_t *ctx, __u32 off)
{
	__u16 before = 0, after = 0;

	if (bpf_skb_load_bytes(ctx, off, &before, 2) ||
	    bpf_l4_csum_replace(ctx, off, 0, bpf_htons(0x1234), 2) ||
	    bpf_skb_load_bytes(ctx, off, &after, 2))
		return false;
	if (before == after)
		return true;
	bpf_l4_csum_replace(ctx, off, bpf_htons(0x1234), 0, 2);
	return false;
}

AI int ctx_make_room(ctx_t *ctx, __u32 l3, __u32 keep, __u32 room)
{
	if (l3 != ETH_HLEN)
		return -1; /* a tag inside the frame: the kernel took none off */
	if (ctx->len > l3 + keep && bpf_skb_change_tail(ctx, l3 + keep, 0))
		return -1;
	return bpf_skb_adjust_room(ctx, room, BPF_ADJ_ROOM_MAC, 0) ? -1 : 0;
}

#endif
