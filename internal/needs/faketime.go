package needs

import (
	"fmt"
	"path/filepath"
	"testing"
)

// Faketime returns the path of libfaketime, which gives a program another clock.
func Faketime(t testing.TB) string {
	t.Helper()
	const pattern = "/usr/lib/*/faketime/libfaketime.so.1"
	if found, _ := filepath.Glob(pattern); len(found) > 0 {
		return found[0]
	}
	if err := install(t, "libfaketime"); err != nil {
		Missing(t, fmt.Sprintf("the library of Debian's package libfaketime: %v", err))
	}
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		t.Fatalf("package libfaketime is installed, and there is no %s", pattern)
	}
	return found[0]
}
