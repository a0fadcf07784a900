//go:build linux

package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/internal/needs"
)

// chosen is the terraform, or the tofu, that the tests run.
var chosen struct {
	once         sync.Once
	program      string // as it calls itself
	major, minor int
	err          error
}

// realTerraform returns the path of the terraform that the tests run, and has the
// acceptance tests' framework run the same.
func realTerraform(t testing.TB) string {
	t.Helper()
	path := needs.Terraform(t)
	chosen.once.Do(func() { chosen.err = choose(path) })
	if chosen.err != nil {
		t.Fatal(chosen.err)
	}
	return path
}

func choose(path string) error {
	about, err := exec.CommandContext(context.Background(), path, "version").Output()
	if err != nil {
		return fmt.Errorf("%s version: %w", path, err)
	}
	if _, err := fmt.Sscanf(string(about), "%s v%d.%d", &chosen.program, &chosen.major, &chosen.minor); err != nil {
		return fmt.Errorf("%s version says %q: %w", path, about, err)
	}
	host := "registry.terraform.io"
	if chosen.program == "OpenTofu" {
		host = "registry.opentofu.org"
	}
	if err := os.Setenv("TF_ACC_PROVIDER_HOST", host); err != nil {
		return err
	}
	return os.Setenv("TF_ACC_TERRAFORM_PATH", path)
}

// knowsIdentities reports whether this terraform takes import blocks with an identity.
func knowsIdentities(t testing.TB) bool {
	t.Helper()
	realTerraform(t)
	return chosen.major > 1 || chosen.minor >= 12
}
