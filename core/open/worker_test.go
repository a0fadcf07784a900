package open

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
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
