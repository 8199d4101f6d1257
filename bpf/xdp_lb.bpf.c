// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// xdp_lb.bpf.c: the dataplane as XDP programs.
#include "maps.h"
#include "ctx_xdp.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, JUMP_MAX);
} xdp_jump SEC(".maps");

#define JUMP_TABLE xdp_jump

#include "frag.h"
#include "icmp.h"
#include "lb.h"

SEC(CTX_SECTION)
int lb_xdp(ctx_t *ctx)
{
	return lb_entry(ctx);
}

SEC(CTX_SECTION)
int lb_xdp_full(ctx_t *ctx)
{
	return lb_full(ctx);
}

SEC(CTX_SECTION)
int lb_xdp_icmp(ctx_t *ctx)
{
	return lb_icmp(ctx);
}

SEC(CTX_SECTION)
int lb_xdp_frag(ctx_t *ctx)
{
	return lb_frag(ctx);
}

SEC(CTX_SECTION)
int lb_xdp_reject(ctx_t *ctx)
{
	return lb_reject(ctx);
}

#include "sys.h"

char _license[] SEC("license") = "Dual BSD/GPL";
