package open

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

func TestWorkerEnvironment(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got, err := workerEnvironment("/data/pool.db", []string{
		"HOME=/home/x", "METALPOOL_KEY=pool.key", "METALPOOL_ADVERTISE=10.0.2.2", "METALPOOL_PORTS=30000-30100", "METALPOOL_OWNER=ann", "METALPOOL_RAMDISK=bin/ramdisk.iso", "PGPASSFILE=pgpass",
		"METALPOOL_BMC_PASSWORD=s3cret", "METALPOOL_TOKEN=s3cret", "METALPOOL_WORKER=/other.db", "MACHINE_PLUGIN_TOKEN=42", "MACHINE_STORAGE_PATH=/m",
	})
	want := []string{
		"METALPOOL_WORKER=/data/pool.db",
		"HOME=/home/x", "METALPOOL_KEY=" + filepath.Join(here, "pool.key"), "METALPOOL_ADVERTISE=10.0.2.2", "METALPOOL_PORTS=30000-30100", "METALPOOL_OWNER=ann",
		"METALPOOL_RAMDISK=" + filepath.Join(here, "bin", "ramdisk.iso"), "PGPASSFILE=" + filepath.Join(here, "pgpass"),
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, key := range []string{"AGE-SECRET-KEY-1XYZ", "# two\nlines", ""} {
		got, err := workerEnvironment("/p", []string{"METALPOOL_KEY=" + key})
		if err != nil || !slices.Equal(got[1:], []string{"METALPOOL_KEY=" + key}) {
			t.Errorf("key %q: %q, %v", key, got, err)
		}
	}
}

func TestWorkersShowAsWhatTheyAre(t *testing.T) {
	for address, want := range map[string]string{
		"/data/pool.db": "metalpool worker for /data/pool.db",
		"postgres://ann:s3cret@db.example:5432/pool?password=s3cret": "metalpool worker for postgres://db.example:5432/pool",
	} {
		if got := strings.Join(workerTitle(address), " "); got != want {
			t.Errorf("%s: %q", address, got)
		}
	}
}

// A worker whose pool was taken away, or replaced, ends.
func TestAWorkerEndsWithItsPool(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"deleted":  os.Remove,
		"replaced": func(path string) error { return os.Rename(path+".new", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "pool.db")
			for _, file := range []string{path, path + ".new"} {
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, stop := whileThere(t.Context(), path, time.Millisecond)
			defer stop()
			if err := os.WriteFile(path, []byte("more"), 0o600); err != nil { // the same file
				t.Fatal(err)
			}
			if ctx.Err() != nil {
				t.Error("ended, though its pool is there")
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			<-ctx.Done()
			if err := context.Cause(ctx); !core.Is(err, core.NotFound) || !strings.Contains(err.Error(), path) {
				t.Errorf("ended with %v", err)
			}
		})
	}
	ctx, stop := whileThere(t.Context(), "postgres://db.example/pool", time.Millisecond)
	stop()
	if ctx.Err() == nil {
		t.Error("does not stop")
	}
}

func TestTheLogOfWorkersDoesNotGrowForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, test := range []struct{ before, after int64 }{{maxLog, maxLog + 1}, {maxLog + 1, 1}} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, test.before); err != nil {
			t.Fatal(err)
		}
		f, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
		if info, err := f.Stat(); err != nil || info.Size() != test.after {
			t.Errorf("%d bytes became %d, want %d (%v)", test.before, info.Size(), test.after, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
