// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * bench_driver.bpf.c: feeds a program under test. BPF_PROG_RUN does not restore the
 * packet between its repeats, so this does: head and headers, with the flow
 * varied, then a tail call. Also the two floor programs: empty, and parse
 * plus MAC swap.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define HEAD 64

struct drive {
	__u32 len; /* of the packet */
	__u32 random; /* 0: flows in turn, 1: at random */
	__u32 mask; /* number of flows - 1 */
	__u32 base; /* first flow */
	__u32 addr_off; /* where in the frame the client's address is */
	__u32 port_off; /* ... and its port */
	__u32 x; /* state of the generator */
	__u32 pad;
	__u64 n; /* packets so far */
	__u64 last; /* n of the last packet */
	__u64 t0; /* ns, at the first packet */
	__u64 t1; /* ns, at the last packet */
	__u8 head[HEAD];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct drive);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} under_test SEC(".maps");

SEC("xdp")
int driver(struct xdp_md *ctx)
{
	__u32 zero = 0, flow, ao, po;
	struct drive *d = bpf_map_lookup_elem(&control, &zero);
	void *data, *end;
	__u64 *to, *from, n;
	long size;
	int grown;

	if (!d)
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	size = end - data;
	barrier_var(size); /* or clang subtracts 32-bit pointers: prohibited */
	grown = (int)size - (int)d->len;
	if (grown && bpf_xdp_adjust_head(ctx, grown))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + HEAD > end)
		return XDP_ABORTED;
	to = data;
	from = (__u64 *)d->head;
#pragma unroll
	for (int i = 0; i < HEAD / 8; i++)
		to[i] = from[i];
	n = d->n++;
	if (d->random) {
		d->x = d->x * 1664525 + 1013904223;
		flow = d->x >> 7;
	} else {
		flow = n;
	}
	flow = d->base + (flow & d->mask);
	ao = d->addr_off & 31;
	po = d->port_off & 63;
	if (data + ao + 4 > end || data + po + 2 > end)
		return XDP_ABORTED;
	*(__be32 *)(data + ao) = bpf_htonl(0x0a000001 + (flow >> 14));
	*(__be16 *)(data + po) = bpf_htons(1024 + (flow & 0x3fff));
	if (n == 0)
		d->t0 = bpf_ktime_get_ns();
	if (n == d->last)
		d->t1 = bpf_ktime_get_ns();
	bpf_tail_call(ctx, &under_test, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int floor_empty(struct xdp_md *ctx __attribute__((unused)))
{
	return XDP_PASS;
}

SEC("xdp")
int floor_swap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	__u8 *tcp = (void *)(ip + 1);
	__u16 *m = data, a, b, c;

	if ((void *)(tcp + 20) > end || eth->h_proto != bpf_htons(ETH_P_IP) ||
	    *(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_TCP ||
	    (ip->frag_off & bpf_htons(0x3fff)))
		return XDP_PASS;
	a = m[0];
	b = m[1];
	c = m[2];
	m[0] = m[3];
	m[1] = m[4];
	m[2] = m[5];
	m[3] = a;
	m[4] = b;
	m[5] = c;
	return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
