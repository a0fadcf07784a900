package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Terraform returns the path of the real terraform: the one that
// METALPOOL_TEST_TERRAFORM names, which may be OpenTofu's, else the one on the PATH.
func Terraform(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("METALPOOL_TEST_TERRAFORM"); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			t.Fatalf("METALPOOL_TEST_TERRAFORM names no program: %v", err)
		}
		return path
	}
	path, err := exec.LookPath("terraform")
	if err != nil {
		Missing(t, "terraform on the PATH, or METALPOOL_TEST_TERRAFORM to name it")
	}
	return path
}
