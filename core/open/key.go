package open

import (
	"context"
	"os"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// openFile opens the store at path with its key.
func openFile(ctx context.Context, path string, how opening) (*sqlite.Store, *seal.Key, error) {
	key, err := loadKey(path, how.create)
	if err != nil {
		return nil, nil, err
	}
	var store *sqlite.Store
	key, err = withKey(key, seal.FileOf(path), func(key *seal.Key) (err error) {
		store, err = sqlite.Open(ctx, path, sqlite.Options{Create: how.create, Moved: how.moved, KeyFingerprint: key.Fingerprint(), Now: clock})
		return err
	})
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

// withKey opens a store with a key and returns the one that it was opened with. Where the
// store refuses the key, it may be opened with the one that lies ready beside it, which
// is then put in its place: whoever changed the key has come no further.
func withKey(key *seal.Key, file string, open func(key *seal.Key) error) (*seal.Key, error) {
	refused := open(key)
	if !core.Is(refused, core.Denied) {
		return key, refused
	}
	file, err := seal.InFile(os.Getenv(EnvKey), file)
	if err != nil {
		return nil, refused
	}
	// Another process may have put it in its place by now.
	for _, candidate := range []string{seal.NextFile(file), file} {
		next, err := seal.Load(candidate, "")
		if err == nil && open(next) == nil {
			return next, seal.Swap(file)
		}
	}
	return nil, refused
}
