// Package storetest is what every core.Store must pass. An implementation's test
// is two functions:
//
//	func TestMain(m *testing.M) {
//		storetest.Child(open)
//		os.Exit(m.Run())
//	}
//
//	func TestStore(t *testing.T) { storetest.Run(t, fresh, open) }
package storetest

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// Fresh names a place where no store is yet; it is removed with the test.
type Fresh func(t *testing.T) (address string)

// Open opens the store at address, and makes it where there is none. It is called
// several times for one address, in this process and in others.
type Open func(ctx context.Context, address string) (core.Store, error)

// Promise is what some stores hold to, and others need not.
type Promise string

// Queued is the promise that writers wait in one line: each gets nearly as much as any
// other. Without it the scheduler decides, and in a short race a writer may get nothing.
const Queued Promise = "queued"

// suite is one implementation under test.
type suite struct {
	fresh    Fresh
	open     Open
	promises []Promise
}

// Run runs every test.
func Run(t *testing.T, fresh Fresh, open Open, promises ...Promise) {
	s := suite{fresh, open, promises}
	for _, test := range []struct {
		name string
		run  func(s suite, t *testing.T)
	}{
		{"Nodes", suite.nodes},
		{"NodeIdentity", suite.nodeIdentity},
		{"Candidates", suite.candidates},
		{"Allocations", suite.allocations},
		{"OneOwner", suite.oneOwner},
		{"Owners", suite.owners},
		{"Ends", suite.ends},
		{"Leases", suite.leases},
		{"Attempts", suite.attempts},
		{"Events", suite.events},
		{"LeftOut", suite.leftOut},
		{"Catalogue", suite.catalogue},
		{"Tokens", suite.tokens},
		{"Audit", suite.audit},
		{"Copy", suite.copy},
		{"AnyText", suite.anyText},
		{"Follow", suite.follow},
		{"Decisions", suite.decisions},
		{"Rollback", suite.rollback},
		{"Conflict", suite.conflict},
		{"Cancel", suite.cancel},
		{"Misuse", suite.misuse},
		{"Pictures", suite.pictures},
		{"Reopen", suite.reopen},
		{"LikeTheModel", suite.likeTheModel},
		{"RacingGoroutines", suite.racingGoroutines},
		{"RacingProcesses", suite.racingProcesses},
		{"KilledProcesses", suite.killedProcesses},
		{"Linearizable", suite.linearizable},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(s, t) })
	}
}

// make opens a fresh store, closed with the test.
func (s suite) make(t *testing.T) core.Store {
	return s.at(t, s.fresh(t))
}

// at opens the store at address, closed with the test.
func (s suite) at(t *testing.T, address string) core.Store {
	t.Helper()
	store, err := s.open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// update commits what fn does, and fails the test where that fails.
func update(t *testing.T, store core.Store, fn func(tx core.Tx) error) {
	t.Helper()
	if err := store.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// view is update for reading.
func view(t *testing.T, store core.Store, fn func(tx core.Tx) error) {
	t.Helper()
	if err := store.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// read calls one reading verb in a transaction of its own.
func read[T any](t *testing.T, store core.Store, verb func(tx core.Tx) (T, error)) T {
	t.Helper()
	var result T
	view(t, store, func(tx core.Tx) (err error) {
		result, err = verb(tx)
		return err
	})
	return result
}

// drain collects an iterator.
func drain[T any](items iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

// wantKind checks what sort of error came.
func wantKind(t *testing.T, err error, kind core.Kind) {
	t.Helper()
	if !core.Is(err, kind) {
		t.Errorf("got error %v, want one of kind %q", err, kind)
	}
}

func wantConflict(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, core.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}
