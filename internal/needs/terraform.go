package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Terraform returns the path of the real terraform: the one that
// METALPOOL_TEST_TERRAFORM names, which may be OpenTofu's, else the one on the PATH,
// else the OpenTofu that `make opentofu` built. It is not built here: that takes minutes.
func Terraform(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("METALPOOL_TEST_TERRAFORM"); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			t.Fatalf("METALPOOL_TEST_TERRAFORM names no program: %v", err)
		}
		return path
	}
	if path, err := exec.LookPath("terraform"); err == nil {
		return path
	}
	path, err := exec.LookPath(filepath.Join(repository(t), "bin", "tofu"))
	if err != nil {
		Missing(t, "terraform on the PATH, METALPOOL_TEST_TERRAFORM to name one, or OpenTofu from 'make opentofu'")
	}
	return path
}
