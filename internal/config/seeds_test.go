package config_test

import (
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/configio"
	"github.com/kaname-lb/kaname/internal/finding"
)

func TestX(t *testing.T) {
	for _, n := range []string{"000", "002", "003", "004"} {
		_, _, fs := config.Load(configio.OS{}, "testdata/seeds/"+n+".conf", config.Options{})
		t.Log(n)
		for _, f := range fs {
			t.Log("\n" + finding.Render(f))
		}
	}
}
