package needs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Ramdisk returns the path of the boot ISO: the one that METALPOOL_RAMDISK names,
// else bin/ramdisk.iso of this repository, made of its source as it is now. The first
// time takes Debian's packages and half a minute.
func Ramdisk(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("METALPOOL_RAMDISK"); path != "" {
		return path
	}
	path := filepath.Join(repository(t), "bin", "ramdisk.iso")
	if err := buildRamdisk(t, path); err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == noDebian {
			Missing(t, "packages from a mirror of Debian: "+err.Error())
		}
		t.Fatalf("the ramdisk cannot be built: %v", err)
	}
	return path
}

// buildRamdisk lets one test process build while others wait for the result. go run
// would hide the exit status.
func buildRamdisk(t testing.TB, path string) error {
	cache := filepath.Join(repository(t), ".cache", "ramdisk")
	for _, dir := range []string{cache, filepath.Dir(path)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	builder := filepath.Join(cache, "build")
	if err := run(t.Context(), "go", "build", "-C", repository(t), "-trimpath", "-buildvcs=false", "-o", builder, "./ramdisk/build"); err != nil {
		return err
	}
	return run(t.Context(), builder, "-o", path, "-cache", cache)
}
