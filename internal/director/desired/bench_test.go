package desired_test

import (
	"net/netip"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// BenchmarkCompute is the size of DESIGN §7: 10,000 virtual servers with four
// real servers each, computed again at every flip of a probe.
func BenchmarkCompute(b *testing.B) {
	cfg := &config.Config{}
	for i := range 10000 {
		vs := two(lvs.DR)
		vs.Endpoints = []config.Endpoint{{Addr: netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), Port: 80}}
		for j := range 2 {
			vs.RealServers = append(vs.RealServers, server(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j + 10)}), 80).String(), lvs.DR, 1))
		}
		cfg.VirtualServers = append(cfg.VirtualServers, vs)
	}
	for b.Loop() {
		if st := desired.Compute(cfg, nil, nil, plain); len(st.Services) != 10000 {
			b.Fatal(len(st.Services))
		}
	}
}
