package storetest

import (
	"bufio"
	"context"
	"errors"
	"iter"
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

// moment is a call in a history that was made up, from one tick to another.
func moment(from, to int64, v verb, id int, a answer) porcupine.Operation {
	if a.Says == unheard {
		to = math.MaxInt64
	}
	return porcupine.Operation{Input: call{Verb: v, order: order{ID: id}}, Call: from, Output: a, Return: to}
}

// TestPoolModel shows the model histories, and what it is to make of them. IDs 0 and 2
// are of one owner, with names of their own; 6 has the name of 0; 4 wants n1 alone.
func TestPoolModel(t *testing.T) {
	has := func(id, node int) answer { return answer{held, id, node} }
	is := func(v verdict) answer { return answer{Says: v} }
	for _, test := range []struct {
		name string
		of   []porcupine.Operation
		want bool
	}{
		{"nothing", nil, true},
		{"taken and given back", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, find, 0, has(0, 0)), moment(5, 6, release, 0, is(gone)), moment(7, 8, find, 0, is(gone)),
		}, true},
		{"one node for two", []porcupine.Operation{
			moment(1, 4, acquire, 0, has(0, 1)), moment(2, 3, acquire, 1, has(1, 1)),
		}, false},
		{"one node for two, the one after the other", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 1)), moment(3, 9, acquire, 1, has(1, 1)), moment(4, 5, release, 0, is(gone)),
		}, true},
		{"what was given is lost", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, find, 0, is(nothing)),
		}, false},
		{"what was given is another", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, acquire, 0, has(0, 1)),
		}, false},
		{"an old answer", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, release, 0, is(gone)), moment(5, 6, named, 0, has(0, 0)),
		}, false},
		{"a released ID comes back", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, release, 0, is(gone)), moment(5, 6, acquire, 0, has(0, 0)),
		}, false},
		{"an ID that was released unknown is taken", []porcupine.Operation{
			moment(1, 2, release, 0, is(gone)), moment(3, 4, acquire, 0, has(0, 0)),
		}, false},
		{"an ID that is released unknown while it is taken", []porcupine.Operation{
			moment(1, 4, release, 0, is(gone)), moment(2, 3, acquire, 0, is(taken)),
		}, true},
		{"two of one name", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, acquire, 6, has(6, 1)),
		}, false},
		{"adopted by its name", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, acquire, 6, has(0, 0)),
		}, true},
		{"another request under the same ID", []porcupine.Operation{
			moment(1, 2, acquire, 4, has(4, 1)),
			{Input: call{Verb: acquire, order: order{ID: 4, Twist: true}}, Call: 3, Output: has(4, 1), Return: 4},
		}, false},
		{"another node than the one that was asked for", []porcupine.Operation{moment(1, 2, acquire, 4, has(4, 2))}, false},
		{"over quota", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, acquire, 2, has(2, 1)), moment(5, 6, acquire, 10, has(10, 2)),
		}, false},
		{"held to the quota", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, acquire, 2, has(2, 1)), moment(5, 6, acquire, 10, is(over)),
		}, true},
		{"refused for a quota that is not reached", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, acquire, 2, is(over)),
		}, false},
		{"refused while there are nodes", []porcupine.Operation{moment(1, 2, acquire, 0, is(full))}, false},
		{"refused, since oneself holds the last", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)), moment(3, 4, acquire, 1, has(1, 1)),
			moment(5, 9, acquire, 2, has(2, 2)), moment(6, 8, acquire, 2, is(full)),
		}, false},
		{"busy changes nothing", []porcupine.Operation{
			moment(1, 2, acquire, 0, is(busy)), moment(3, 4, acquire, 1, has(1, 0)), moment(5, 6, find, 0, is(nothing)),
		}, true},
		{"unheard, and done", []porcupine.Operation{
			moment(1, 0, acquire, 0, is(unheard)), moment(3, 4, find, 0, has(0, 2)),
		}, true},
		{"unheard, and not done", []porcupine.Operation{
			moment(1, 0, acquire, 0, is(unheard)), moment(3, 4, find, 0, is(nothing)),
		}, true},
		{"unheard, and done late", []porcupine.Operation{
			moment(1, 0, acquire, 0, is(unheard)), moment(3, 4, find, 0, is(nothing)), moment(5, 6, find, 0, has(0, 2)),
		}, true},
		{"unheard, done, and undone", []porcupine.Operation{
			moment(1, 0, acquire, 0, is(unheard)), moment(3, 4, find, 0, has(0, 2)), moment(5, 6, find, 0, is(nothing)),
		}, false},
		{"unheard, and done before it was asked for", []porcupine.Operation{
			moment(1, 2, find, 0, has(0, 2)), moment(3, 0, acquire, 0, is(unheard)),
		}, false},
		{"two pools do not share nodes", []porcupine.Operation{
			moment(1, 2, acquire, 0, has(0, 0)),
			{Input: call{Pool: 1, Verb: acquire, order: order{ID: 0}}, Call: 3, Output: has(0, 0), Return: 4},
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &history{all: test.of}
			problems := h.problems()
			if (len(problems) == 0) != test.want {
				t.Errorf("linearizable: %t, want %t\n%s", !test.want, test.want, strings.Join(problems, "\n"))
			}
			if !test.want && !strings.Contains(strings.Join(problems, "\n"), "nothing explains") {
				t.Errorf("it does not say why: %q", problems)
			}
		})
	}
}

// TestBrokenStoresAreCaught takes one promise of core.Store away, and plays.
func TestBrokenStoresAreCaught(t *testing.T) {
	for name, broken := range map[string]func(core.Store) core.Store{
		"nothing is broken":           func(s core.Store) core.Store { return s },
		"a claim without its compare": func(s core.Store) core.Store { return &blind{Store: s} },
		"a commit that is not kept":   func(s core.Store) core.Store { return &forgetful{Store: s} },
	} {
		t.Run(name, func(t *testing.T) {
			store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "pool.db"), sqlite.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			putWorlds(t, store, 1)
			e := core.New(core.Config{Store: broken(store)})
			h := &history{began: time.Now()}
			var callers sync.WaitGroup
			for client := range 6 {
				m := newMind(1, client, 0)
				callers.Go(func() {
					for range 24 {
						c := m.next()
						h.record(client, c, func() (answer, error) { return c.ask(t.Context(), e) })
					}
				})
			}
			callers.Wait()
			if problems := h.problems(); (len(problems) == 0) != (name == "nothing is broken") {
				t.Errorf("found %d problems: %s", len(problems), strings.Join(problems, "\n"))
			}
		})
	}
}

// TestAChildThatCannotStartIsToldOf waits for one that ends before it is ready.
func TestAChildThatCannotStartIsToldOf(t *testing.T) {
	r := &respawned{start: func() (*process, error) {
		cmd := exec.CommandContext(t.Context(), "false")
		stdout, outErr := cmd.StdoutPipe()
		stdin, inErr := cmd.StdinPipe()
		return &process{cmd: cmd, lines: bufio.NewScanner(stdout), stdin: stdin}, errors.Join(outErr, inErr, cmd.Start())
	}}
	if _, err := r.ask(letter{}); err == nil || !strings.Contains(err.Error(), "did not start") {
		t.Errorf("it answers with %v", err)
	}
	if err := r.end(); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("it ended with %v", err)
	}
}

// blind decides upon candidates of a moment ago, and swaps them whatever they are now.
type blind struct {
	core.Store
	mu     sync.Mutex
	before map[string][]core.Node // candidates, by pool
}

func (b *blind) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	return b.Store.Update(ctx, func(tx core.Tx) error { return fn(blindTx{tx, b}) })
}

type blindTx struct {
	core.Tx
	store *blind
}

func (tx blindTx) Candidates(pool string) iter.Seq2[core.Node, error] {
	now, err := drain(tx.Tx.Candidates(pool))
	tx.store.mu.Lock()
	defer tx.store.mu.Unlock()
	seen, there := tx.store.before[pool]
	if tx.store.before == nil {
		tx.store.before = map[string][]core.Node{}
	}
	if tx.store.before[pool] = now; !there {
		seen = now
	}
	return func(yield func(core.Node, error) bool) {
		if err != nil {
			yield(core.Node{}, err)
			return
		}
		for _, n := range seen {
			if !yield(n, nil) {
				return
			}
		}
	}
}

func (tx blindTx) SwapNode(n core.Node) error {
	now, err := tx.Node(n.ID)
	n.Version = now.Version
	return errors.Join(err, tx.Tx.SwapNode(n))
}

// forgetful undoes a commit now and then, and says that it was done.
type forgetful struct {
	core.Store
	mu    sync.Mutex
	count int
}

func (f *forgetful) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	f.mu.Lock()
	f.count++
	forget := f.count%4 == 0
	f.mu.Unlock()
	err := f.Store.Update(ctx, func(tx core.Tx) error {
		if err := fn(tx); err != nil || !forget {
			return err
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return nil
	}
	return err
}
