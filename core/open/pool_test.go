package open

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
)

const testPassword, testUserData = "calvin-the-secret", "the-users-own-secret"

// stocked is a pool with a node in each state, sound as 'metalpool check' sees it, and
// the one of METALPOOL_URL.
func stocked(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pool.db")
	t.Setenv(EnvURL, path)
	t.Setenv(EnvKey, "")
	store, key, err := openFile(t.Context(), path, opening{create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	sealed := func(text string) core.Sealed {
		s, err := key.Seal([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	err = store.Update(t.Context(), func(tx core.Tx) error {
		number := 0
		add := func(id core.NodeID, attempt core.Attempt, a *core.Allocation, states ...core.State) error {
			number++
			n := core.Node{ID: id, Pool: core.DefaultPool, State: states[len(states)-1], Attempt: attempt.ID, Since: tx.Now(), Version: 1}
			n.Spec.BMC = core.Endpoint{Backend: "redfish", URL: fmt.Sprintf("https://10.0.0.%d", number), User: "root", Secret: sealed(testPassword)}
			var errs []error
			if a != nil {
				n.Allocation = a.ID
				a.Owner, a.Name, a.Node, a.State, a.CreatedAt = "ann", string(id), id, n.State, tx.Now()
				a.Order = &core.DeployOrder{Image: "debian", UserData: sealed(testUserData)}
				a.Login = &core.LoginKey{Private: sealed("a private key"), Public: "ssh-ed25519 AAAA"}
				errs = append(errs, tx.InsertAllocation(*a))
			}
			if attempt.ID != "" {
				attempt.Node, attempt.HostKeys, attempt.StartedAt = id, sealed("host keys"), tx.Now()
				attempt.Boot = &core.Boot{ID: "b-" + string(id), Secret: sealed(`{"token":"t"}`)}
				errs = append(errs, tx.PutAttempt(attempt))
			}
			errs = append(errs, tx.InsertNode(n), tx.SwapLease(core.Lease{Node: id, Generation: 7, Expires: tx.Now()}, 0))
			before := core.Unborn
			for _, s := range states {
				if before == core.Cleaning {
					errs = append(errs, tx.AddEvent(core.Event{Node: id, Type: core.Erased, Generation: 6}))
				}
				errs = append(errs, tx.AddEvent(core.Event{Node: id, Type: core.StateChanged, From: before, To: s, Generation: 6}))
				before = s
			}
			return errors.Join(errs...)
		}
		return errors.Join(
			add("free", core.Attempt{}, nil, core.Cleaning, core.Available),
			add("cleaning", core.Attempt{ID: "c-1", Job: core.JobClean}, nil, core.Cleaning),
			add("apart", core.Attempt{}, nil, core.Quarantined),
			add("taken", core.Attempt{}, &core.Allocation{ID: "a-taken"}, core.Cleaning, core.Available, core.Allocated),
			add("making", core.Attempt{ID: "d-1", Job: core.JobDeploy, Allocation: "a-making"}, &core.Allocation{ID: "a-making"}, core.Cleaning, core.Available, core.Allocated, core.Deploying),
			add("used", core.Attempt{}, &core.Allocation{ID: "a-used"}, core.Cleaning, core.Available, core.Allocated, core.Deploying, core.Deployed),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// stockedIn is the stocked pool in a store of each kind: a file, and a database.
func stockedIn(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("a file", func(t *testing.T) { test(t, stocked(t)) })
	t.Run("a database", func(t *testing.T) {
		address, _ := inPostgres(t)
		test(t, address)
	})
}

// opened is the pool at address, as an engine of this process has it.
func opened(t *testing.T, address string) (*core.Engine, core.Store, *seal.Key) {
	t.Helper()
	store, key, _, err := openStore(t.Context(), address, opening{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return core.New(core.Config{Store: store, Sealer: key}), store, key
}

// sound checks the pool at address, its secrets among it.
func sound(t *testing.T, address string) {
	t.Helper()
	e, store, key := opened(t, address)
	found, err := e.Verify(t.Context())
	if err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
	err = store.View(t.Context(), func(tx core.Tx) error {
		n, err := tx.Node("used")
		if err != nil {
			return err
		}
		if plain, err := key.Open(n.Spec.BMC.Secret); err != nil || string(plain) != testPassword {
			t.Errorf("the password is %q, %v", plain, err)
		}
		a, err := tx.Allocation("a-used")
		if err != nil {
			return err
		}
		if plain, err := key.Open(a.Order.UserData); err != nil || string(plain) != testUserData {
			t.Errorf("the user data is %q, %v", plain, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func states(t *testing.T, address string) map[core.NodeID]core.State {
	t.Helper()
	e, _, _ := opened(t, address)
	nodes, err := e.Nodes(t.Context(), core.NodeFilter{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[core.NodeID]core.State{}
	for _, n := range nodes {
		all[n.ID] = n.State
	}
	return all
}

func mode(t *testing.T, file string) os.FileMode {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}
