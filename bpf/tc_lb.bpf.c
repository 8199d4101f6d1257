// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// tc_lb.bpf.c: the dataplane as TC ingress programs (tcx or clsact).
#include "maps.h"
#include "ctx_tc.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, JUMP_MAX);
} tc_jump SEC(".maps");

#define JUMP_TABLE tc_jump

#include "frag.h"
#include "icmp.h"
#include "lb.h"

SEC(CTX_SECTION)
int lb_tc(ctx_t *ctx)
{
	return lb_entry(ctx);
}

SEC(CTX_SECTION)
int lb_tc_full(ctx_t *ctx)
{
	return lb_full(ctx);
}

SEC(CTX_SECTION)
int lb_tc_icmp(ctx_t *ctx)
{
	return lb_icmp(ctx);
}

SEC(CTX_SECTION)
int lb_tc_frag(ctx_t *ctx)
{
	return lb_frag(ctx);
}

SEC(CTX_SECTION)
int lb_tc_reject(ctx_t *ctx)
{
	return lb_reject(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
