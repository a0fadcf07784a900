package open

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// inPostgres is the stocked pool in a database, and its key's file on this host.
func inPostgres(t *testing.T) (address, file string) {
	t.Helper()
	path := stocked(t)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	address = pgtest.Shared(t).Fresh(t)
	c, err := CopyStore(t.Context(), path, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvURL, address)
	return address, c.KeyFile
}

// soundThere is sound, of a store that may be a database.
func soundThere(t *testing.T, address string) *seal.Key {
	t.Helper()
	store, key, _, err := openStore(t.Context(), address, opening{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := core.New(core.Config{Store: store, Sealer: key}).Verify(t.Context())
	if err := errors.Join(err, store.Close()); err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
	return key
}

func TestTheKeyOfADatabaseIsCutShort(t *testing.T) {
	for stop, name := range []string{"before all", "the next key is written", "the store is sealed anew", "the old key is kept", "the next key is in place"} {
		t.Run(name, func(t *testing.T) {
			address, file := inPostgres(t)
			store, key, _, err := openStore(t.Context(), address, opening{})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			heir, sealing, err := key.Heir()
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []func() error{
				func() error { return seal.Write(seal.NextFile(file), heir) },
				func() error {
					_, err := core.New(core.Config{Store: store, Sealer: key}).Rekey(t.Context(), heir, sealing)
					return err
				},
				func() error { return os.Link(file, seal.OldFile(file)) },
				func() error { return os.Rename(seal.NextFile(file), file) },
			}[:stop] {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			digest := key.Digest([]byte("an order"))
			if now := soundThere(t, address); (now.Fingerprint() == heir.Fingerprint()) != (stop >= 2) || string(now.Digest([]byte("an order"))) != string(digest) {
				t.Errorf("it is opened with %s", now)
			}
			if stop >= 2 {
				if _, err := ForgetKey(t.Context(), ""); err != nil {
					t.Error(err)
				}
			}
			k, err := RotateKey(t.Context(), "")
			if err != nil || k.File != file || k.Resealed != 16 {
				t.Errorf("%+v, %v", k, err)
			}
			soundThere(t, address)
		})
	}
}

func TestADatabaseThatWasPutBack(t *testing.T) {
	address, _ := inPostgres(t)
	r, err := Distrust(t.Context(), "", time.Now().Add(-time.Hour), false)
	if err != nil || len(r.Findings) > 0 || r.Nodes != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := fmt.Sprint(r.Quarantined, r.Failed, r.Kept, r.KeptOut); got != "[cleaning free] [ann/making ann/taken] [ann/used] [apart]" {
		t.Errorf("it says %s", got)
	}
	soundThere(t, address)
}
