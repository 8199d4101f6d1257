/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * hop.h: the way to the client of a NAT connection that another director
 * announced, when its server speaks before the client has sent a packet here.
 */
#ifndef KANAME_HOP_H
#define KANAME_HOP_H

#include "conntrack.h"

#define FAMILY_IPV4 2

/* client_ask tells user space that a way is needed. Lost when nobody listens:
 * the server sends again. */
AI void client_ask(const struct conn *f)
{
	struct ask *a = bpf_ringbuf_reserve(&asks, sizeof(*a), 0);

	if (!a)
		return;
	a->key = f->key;
	bpf_ringbuf_submit(a, 0);
}

/*
 * client_hop enters into f the way that the kernel's routes know. The kernel
 * answers only where it forwards itself (ip_forward of the interface that the
 * packet came by) and has the neighbour; user space can do without.
 */
AI bool client_hop(ctx_t *ctx, struct conn *f)
{
	struct bpf_fib_lookup way = {
		.family = FAMILY_IPV4,
		.l4_protocol = f->key.proto,
		.ipv4_src = f->key.dst,
		.ipv4_dst = f->key.src,
		.ifindex = ctx_ifindex(ctx),
	};

	if (bpf_fib_lookup(ctx, &way, sizeof(way), 0) != BPF_FIB_LKUP_RET_SUCCESS ||
	    !ctx_reaches(ctx, way.ifindex)) {
		client_ask(f);
		count(REASON_CLIENT_UNRESOLVED);
		return false;
	}
	__builtin_memcpy(f->l2_src, way.dmac, sizeof(f->l2_src));
	__builtin_memcpy(f->l2_dst, way.smac, sizeof(f->l2_dst));
	f->vlan = VLAN_NONE;
	WRITE_ONCE(f->ifindex, way.ifindex);
	return true;
}

#endif
