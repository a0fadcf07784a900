package open

import (
	"context"
	"os"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// openFile opens the store at path with its key.
func openFile(ctx context.Context, path string, create bool) (*sqlite.Store, *seal.Key, error) {
	key, err := loadKey(path, create)
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.Open(ctx, path, sqlite.Options{Create: create, KeyFingerprint: key.Fingerprint()})
	if core.Is(err, core.Denied) {
		if s, next := finishChange(ctx, path); s != nil {
			store, key, err = s, next, nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if err := key.Adopt(store.Info().Sealing); err != nil {
		store.Close()
		return nil, nil, err
	}
	return store, key, nil
}

func loadKey(path string, create bool) (*seal.Key, error) {
	file, setting := seal.FileOf(path), os.Getenv(EnvKey)
	_, err := os.Stat(path)
	if create && os.IsNotExist(err) {
		return seal.LoadOrCreate(setting, file)
	}
	if os.IsNotExist(err) {
		return nil, &core.Error{Op: "open pool", Kind: core.NotFound, Err: err, Hint: "enroll a node to make the pool ('metalpool node enroll'), or say where it is with METALPOOL_URL"}
	}
	return seal.Load(setting, file)
}

// finishChange opens the store with the key that lies ready beside the present one, and
// puts that in its place: whoever changed the key has come no further. A nil store: that
// is not what is wrong.
func finishChange(ctx context.Context, path string) (*sqlite.Store, *seal.Key) {
	file, err := seal.InFile(os.Getenv(EnvKey), seal.FileOf(path))
	if err != nil {
		return nil, nil
	}
	// It may be in place by now.
	for _, candidate := range []string{seal.NextFile(file), file} {
		key, err := seal.Load(candidate, "")
		if err != nil {
			continue
		}
		store, err := sqlite.Open(ctx, path, sqlite.Options{KeyFingerprint: key.Fingerprint()})
		if err != nil {
			continue
		}
		if err := seal.Swap(file); err != nil {
			store.Close()
			return nil, nil
		}
		return store, key
	}
	return nil, nil
}
