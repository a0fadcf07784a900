package labtest

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core/open"
)

// Program is an adapter as its users have it. It is built once, under the race detector
// where the tests are.
type Program struct {
	Name    string // of the file
	Package string // as go build takes it; empty for the one under test

	once sync.Once
	dir  string
	err  error
}

// Main is the TestMain of a package whose tests run these programs. An engine in a test
// starts the test's own binary again where it needs a worker.
//
// Six tests run at a time: most of the time each waits, for a server, or for the lease of
// what was killed. The command line's -parallel goes before this.
func Main(m *testing.M, programs ...*Program) {
	if open.RunWorker() {
		return
	}
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	status := m.Run()
	for _, p := range programs {
		if p.dir != "" {
			_ = os.RemoveAll(p.dir)
		}
	}
	os.Exit(status)
}

// Dir is the folder that the program is in.
func (p *Program) Dir(t testing.TB) string {
	t.Helper()
	p.once.Do(func() {
		//nolint:usetesting // it outlives the test that comes first
		if p.dir, p.err = os.MkdirTemp("", "metalpool-program-"); p.err != nil {
			return
		}
		args := []string{"build", "-o", filepath.Join(p.dir, p.Name)}
		if UnderRace() {
			args = append(args, "-race")
		}
		if out, err := exec.CommandContext(context.Background(), "go", append(args, cmp.Or(p.Package, "."))...).CombinedOutput(); err != nil {
			p.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.dir
}

// UnderRace reports whether this test has the race detector.
func UnderRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
