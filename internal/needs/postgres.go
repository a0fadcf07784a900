package needs

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// Postgres returns the directory of a PostgreSQL server's programs: those on PATH, or
// of Debian's packages the newest, which Debian keeps off it.
func Postgres(t testing.TB) string {
	t.Helper()
	if dir, ok := postgres(); ok {
		return dir
	}
	if err := install(t, "postgresql"); err != nil {
		Missing(t, fmt.Sprintf("the server of Debian's package postgresql: %v", err))
	}
	dir, ok := postgres()
	if !ok {
		t.Fatal("package postgresql is installed, and there is no initdb in /usr/lib/postgresql/*/bin")
	}
	return dir
}

func postgres() (dir string, ok bool) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), true
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", false
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), true
}

// version is the number in /usr/lib/postgresql/15/bin/initdb.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}
