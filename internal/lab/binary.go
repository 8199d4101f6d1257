package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildKaname builds the module's own kaname, static, into a directory and
// returns its path. What the compiler says goes to standard error.
func BuildKaname(dir string) (string, error) {
	path := filepath.Join(dir, "kaname")
	build := exec.Command("go", "build", "-o", path, "github.com/kaname-lb/kaname/cmd/kaname")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build kaname: %w", err)
	}
	return path, nil
}
