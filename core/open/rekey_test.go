package open

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// TestMain also is the process that changes keys, or restores backups, until it is
// killed.
func TestMain(m *testing.M) {
	ctx := context.Background()
	switch task, argument, _ := strings.Cut(os.Getenv("METALPOOL_OPENTEST"), " "); task {
	case "rotate":
		for {
			_, err := RotateKey(ctx, "")
			if err == nil {
				_, err = ForgetKey(ctx, "")
			}
			fmt.Println("changed", err)
		}
	case "restore":
		for {
			_, err := Restore(ctx, "", argument, RestoreOptions{Replace: true})
			fmt.Println("restored", err)
		}
	}
	os.Exit(pgtest.Main(m))
}

// killAfter runs this program at a task, and kills it soon after so many lines.
func killAfter(t *testing.T, task string, lines int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), "METALPOOL_OPENTEST="+task)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err = errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for range lines {
		if !said.Scan() || !strings.HasSuffix(said.Text(), "<nil>") {
			t.Errorf("it said %q", said.Text())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

func TestRotateKey(t *testing.T) {
	path := stocked(t)
	old := backedUp(t, false)
	running, runningStore, key := opened(t, path)
	digest := string(key.Digest([]byte("an order")))
	k, err := RotateKey(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if k.Resealed != 16 || k.Fingerprint == k.OldFingerprint || k.File != seal.FileOf(path) || k.Old != seal.OldFile(k.File) {
		t.Errorf("it says %+v", k)
	}
	for _, file := range []string{k.File, k.Old} {
		if m := mode(t, file); m != 0o600 {
			t.Errorf("%s has mode %o", file, m)
		}
	}
	sound(t, path)
	if _, _, now := opened(t, path); string(now.Digest([]byte("an order"))) != digest {
		t.Error("an order that is asked for again would not be known any more")
	}
	if shown, err := ShowKey(t.Context(), ""); err != nil || shown.Fingerprint != k.Fingerprint || shown.OldFingerprint != old.Key || shown.Old != k.Old {
		t.Errorf("it shows %+v, %v", shown, err)
	}
	t.Run("who has the pool open is told", func(t *testing.T) {
		_, read := running.Nodes(t.Context(), core.NodeFilter{})
		wrote := running.SetPool(t.Context(), core.Pool{Name: "late"})
		_, worked := running.Work(t.Context())
		for _, err := range []error{read, wrote, worked} {
			if !core.Is(err, core.Denied) || !strings.Contains(err.Error(), "sealed with key "+k.Fingerprint+" by now") || !strings.Contains(err.Error(), "start it again") {
				t.Errorf("got %v", err)
			}
		}
		// Who seals nothing needs no key.
		if s, err := sqlite.Open(t.Context(), path, sqlite.Options{}); err != nil || s.Close() != nil {
			t.Error(err)
		}
		if err := runningStore.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("not again while the old key is kept", func(t *testing.T) {
		if _, err := RotateKey(t.Context(), ""); !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "metalpool key forget") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a backup from before", func(t *testing.T) {
		r, err := Restore(t.Context(), "", old.File, RestoreOptions{Replace: true})
		if err != nil || r.Key != k.Fingerprint {
			t.Fatal(r.Key, err)
		}
		sound(t, path)
		if _, _, now := opened(t, path); string(now.Digest([]byte("an order"))) != digest {
			t.Error("it digests otherwise")
		}
	})
	t.Run("forgotten", func(t *testing.T) {
		if _, err := ForgetKey(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(k.Old); !os.IsNotExist(err) {
			t.Errorf("it is there: %v", err)
		}
		if _, err := Restore(t.Context(), "", old.File, RestoreOptions{Replace: true}); !core.Is(err, core.Denied) {
			t.Errorf("a backup whose key is gone: %v", err)
		}
		if _, err := ForgetKey(t.Context(), ""); !core.Is(err, core.NotFound) {
			t.Errorf("forgotten twice: %v", err)
		}
		if _, err := RotateKey(t.Context(), ""); err != nil {
			t.Error(err)
		}
		sound(t, path)
	})
}

func TestRotateAKeyThatIsNamed(t *testing.T) {
	path := stocked(t)
	key, err := os.ReadFile(seal.FileOf(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvKey, string(key))
	if _, err := RotateKey(t.Context(), ""); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "METALPOOL_KEY holds the key itself") || strings.Contains(err.Error(), "AGE-SECRET") {
		t.Errorf("a key in the environment: %v", err)
	}
	file := filepath.Join(t.TempDir(), "elsewhere.key")
	if err := os.Rename(seal.FileOf(path), file); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvKey, file)
	if k, err := RotateKey(t.Context(), ""); err != nil || k.File != file {
		t.Errorf("%+v, %v", k, err)
	}
	sound(t, path)
	unlock, err := seal.Lock(file)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := RotateKey(t.Context(), ""); !core.Is(err, core.Busy) {
		t.Errorf("two at once: %v", err)
	}
}

// A key that a link leads to is changed where it is: the link stays, and no copy of the old
// key is left behind once that was forgotten.
func TestRotateAKeyBehindALink(t *testing.T) {
	for name, named := range map[string]bool{"beside the store": false, "named": true} {
		t.Run(name, func(t *testing.T) {
			path := stocked(t)
			link, folder := seal.FileOf(path), filepath.Join(t.TempDir(), "secrets")
			file := filepath.Join(folder, "pool.key")
			if err := errors.Join(os.Mkdir(folder, 0o700), os.Rename(link, file)); err != nil {
				t.Fatal(err)
			}
			if named {
				link = filepath.Join(t.TempDir(), "link.key")
				t.Setenv(EnvKey, link)
			}
			if err := os.Symlink(file, link); err != nil {
				t.Fatal(err)
			}
			stays := func(when string) {
				t.Helper()
				if to, err := os.Readlink(link); err != nil || to != file {
					t.Errorf("%s the link leads to %q, %v", when, to, err)
				}
				if info, err := os.Lstat(file); err != nil || info.Mode() != 0o600 {
					t.Errorf("%s the file is %v, %v", when, info, err)
				}
				sound(t, path)
			}
			k, err := RotateKey(t.Context(), "")
			if err != nil || k.File != file || k.Old != seal.OldFile(file) {
				t.Fatalf("%+v, %v", k, err)
			}
			stays("changed,")
			if k, err = ForgetKey(t.Context(), ""); err != nil || k.Old != seal.OldFile(file) {
				t.Fatalf("%+v, %v", k, err)
			}
			if all, err := os.ReadDir(folder); err != nil || len(all) != 1 {
				t.Errorf("beside it are %v, %v", all, err)
			}

			// One that was cut short is gone on with, behind the link, too.
			e, store, key := opened(t, path)
			heir, sealing, err := key.Heir()
			if err != nil {
				t.Fatal(err)
			}
			if err := seal.Write(seal.NextFile(file), heir); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Rekey(t.Context(), heir, sealing); err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			stays("gone on with,")
			if k, err := ShowKey(t.Context(), ""); err != nil || k.Fingerprint != heir.Fingerprint() || k.OldFingerprint != key.Fingerprint() {
				t.Errorf("%+v, %v", k, err)
			}
		})
	}
}

// A store that a link leads to keeps its key where it was opened, beside the link.
func TestRotateTheKeyOfAStoreBehindALink(t *testing.T) {
	path := stocked(t)
	behind := filepath.Join(t.TempDir(), "real.db")
	if err := os.Rename(path, behind); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(behind, path); err != nil {
		t.Fatal(err)
	}
	if k, err := RotateKey(t.Context(), ""); err != nil || k.File != seal.FileOf(path) {
		t.Fatalf("%+v, %v", k, err)
	}
	sound(t, path)
	if to, err := os.Readlink(path); err != nil || to != behind {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

// TestAChangeOfKeysIsCutShort stops at each line of what RotateKey does to files.
func TestAChangeOfKeysIsCutShort(t *testing.T) {
	for stop, name := range []string{"before all", "the next key is written", "the store is sealed anew", "the old key is kept", "the next key is in place"} {
		t.Run(name, func(t *testing.T) {
			path := stocked(t)
			e, store, key := opened(t, path)
			file := seal.FileOf(path)
			heir, sealing, err := key.Heir()
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []func() error{
				func() error { return seal.Write(seal.NextFile(file), heir) },
				func() error { _, err := e.Rekey(t.Context(), heir, sealing); return err },
				func() error { return os.Link(file, seal.OldFile(file)) },
				func() error { return os.Rename(seal.NextFile(file), file) },
			}[:stop] {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			sound(t, path)
			k, err := ShowKey(t.Context(), "")
			if err != nil || (k.Fingerprint == heir.Fingerprint()) != (stop >= 2) || (k.Old != "") != (stop >= 2) {
				t.Errorf("%+v, %v", k, err)
			}
			if stop >= 2 {
				_, err = ForgetKey(t.Context(), "")
			}
			if _, again := RotateKey(t.Context(), ""); again != nil || err != nil {
				t.Errorf("not to be changed any more: %v, %v", again, err)
			}
			sound(t, path)
		})
	}
}

func TestAChangeOfKeysIsKilled(t *testing.T) {
	path := stocked(t)
	for lines := range 12 {
		killAfter(t, "rotate", lines%4)
		sound(t, path)
		if k, err := ShowKey(t.Context(), ""); err == nil && k.Old != "" {
			if _, err := ForgetKey(t.Context(), ""); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestARestoreIsKilled(t *testing.T) {
	path := stocked(t)
	b := backedUp(t, false)
	for lines := range 12 {
		killAfter(t, "restore "+b.File, lines%4)
		sound(t, path)
	}
	if _, err := Restore(t.Context(), "", b.File, RestoreOptions{Replace: true}); err != nil {
		t.Error(err)
	}
	sound(t, path)
}
