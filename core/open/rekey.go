package open

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
)

// Keys tells which key a pool is sealed with.
type Keys struct {
	File        string `json:"file"` // of the present key
	Fingerprint string `json:"fingerprint"`
	// Old is the file of the key before it, where that is kept.
	Old            string `json:"old_file,omitempty"`
	OldFingerprint string `json:"old_fingerprint,omitempty"`
	// Resealed is how many secrets RotateKey sealed anew.
	Resealed int `json:"resealed,omitempty"`
}

// ShowKey tells about a pool's key, and finishes a change of it that was cut short.
func ShowKey(ctx context.Context, url string) (k Keys, err error) {
	address, err := ownStore("look after the key", url)
	if err != nil {
		return k, err
	}
	store, key, base, err := openStore(ctx, address, opening{})
	if err != nil {
		return k, err
	}
	defer store.Close()
	k.Fingerprint = key.Fingerprint()
	if k.File, err = seal.InFile(os.Getenv(EnvKey), seal.FileOf(base)); err != nil {
		k.File = EnvKey
		return k, nil
	}
	old, err := seal.Load(seal.OldFile(k.File), "")
	if err == nil {
		k.Old, k.OldFingerprint = seal.OldFile(k.File), old.Fingerprint()
	}
	if core.Is(err, core.NotFound) {
		err = nil
	}
	return k, err
}

// RotateKey gives a pool a new key, and seals all its secrets with that. Whoever has the
// pool open is refused from then on. The key before it is kept beside the new one.
func RotateKey(ctx context.Context, url string) (k Keys, err error) {
	address, err := ownStore("change the key", url)
	if err != nil {
		return k, err
	}
	// This finishes what another one may have begun.
	store, key, base, err := openStore(ctx, address, opening{})
	if err != nil {
		return k, err
	}
	e := core.New(core.Config{Store: store, Sealer: key})
	defer e.Close()
	file, err := seal.InFile(os.Getenv(EnvKey), seal.FileOf(base))
	if err != nil {
		return k, err
	}
	unlock, err := seal.Lock(file)
	if err != nil {
		return k, err
	}
	defer unlock()
	if _, err := os.Lstat(seal.OldFile(file)); !errors.Is(err, fs.ErrNotExist) {
		return k, &core.Error{Op: "change the key", Kind: core.Exists, Err: fmt.Errorf("the key before the present one is still in %s", seal.OldFile(file)), Hint: "once no backup needs it any more: 'metalpool key forget'"}
	}
	// One that lies there was never the store's: openFile would have put it to use.
	if err := os.Remove(seal.NextFile(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k, &core.Error{Op: "change the key", Kind: core.Denied, Err: err}
	}
	heir, sealing, err := key.Heir()
	if err != nil {
		return k, err
	}
	if err := seal.Write(seal.NextFile(file), heir); err != nil {
		return k, err
	}
	k = Keys{File: file, Fingerprint: heir.Fingerprint(), Old: seal.OldFile(file), OldFingerprint: key.Fingerprint()}
	if k.Resealed, err = e.Rekey(ctx, heir, sealing); err != nil {
		return k, err
	}
	return k, seal.Swap(file)
}

// ForgetKey removes the key before the present one. Backups that are sealed with it tell
// their secrets to nobody from then on.
func ForgetKey(ctx context.Context, url string) (k Keys, err error) {
	k, err = ShowKey(ctx, url)
	if err != nil {
		return k, err
	}
	if k.Old == "" {
		return k, &core.Error{Op: "forget the key", Kind: core.NotFound, Err: errors.New("there is none before the present one"), Hint: "see 'metalpool key show'"}
	}
	if err := os.Remove(k.Old); err != nil {
		return k, &core.Error{Op: "forget the key", Kind: core.Denied, Err: err}
	}
	return k, nil
}
