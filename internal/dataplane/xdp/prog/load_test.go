package prog_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
)

func TestLoad(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	for name, load := range map[string]func() (*ebpf.CollectionSpec, error){"xdp": prog.LoadXDP, "tc": prog.LoadTC} {
		t.Run(name, func(t *testing.T) {
			spec, err := load()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range spec.Maps {
				m.Pinning = ebpf.PinNone
			}
			coll, err := ebpf.NewCollection(spec)
			var ve *ebpf.VerifierError
			if errors.As(err, &ve) {
				s := fmt.Sprintf("%+v", ve)
				t.Fatal(s[max(0, len(s)-3500):])
			}
			if err != nil {
				t.Fatal(err)
			}
			coll.Close()
		})
	}
}
