package needs

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// TinyOS returns the path of the disk image of package lab/tinyos, made of the source
// as it is now and of the kernel of Ramdisk.
func TinyOS(t testing.TB) string {
	t.Helper()
	ramdisk := Ramdisk(t)
	path, err := buildTinyOS(t.Context(), repository(t), ramdisk)
	if err != nil {
		t.Fatalf("the tiny OS cannot be built: %v", err)
	}
	return path
}

func buildTinyOS(ctx context.Context, repository, ramdisk string) (string, error) {
	cache := filepath.Join(repository, ".cache", "ramdisk")
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	builder := filepath.Join(cache, "build-tinyos")
	if err := run(ctx, "go", "build", "-C", repository, "-trimpath", "-buildvcs=false", "-o", builder, "./lab/tinyos/build"); err != nil {
		return "", err
	}
	out, err := output(ctx, repository, builder, "-ramdisk", ramdisk, "-cache", cache)
	return strings.TrimSpace(out), err
}
