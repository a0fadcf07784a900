package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// cutter stands between a store and its server, and cuts connections around a COMMIT.
type cutter struct {
	server string
	armed  atomic.Int32 // how many more COMMITs it is to meet
	after  bool         // the server hears of the COMMIT; the client does not hear of the answer
	down   atomic.Bool  // nobody comes through any more
}

// between starts a cutter before the store at address, and returns the address there.
func between(t *testing.T, c *cutter, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	c.server = filepath.Join(query.Get("host"), ".s.PGSQL.5432")
	dir := t.TempDir()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { c.pass(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	query.Set("host", dir)
	query.Set("default_query_exec_mode", "exec") // statements go by their text, each time
	u.RawQuery = query.Encode()
	return u.String()
}

func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	if c.down.Load() {
		return
	}
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	var cut atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 1<<16)
		for {
			n, err := server.Read(buffer)
			if err != nil || cut.Load() {
				_ = client.Close()
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			break
		}
		if bytes.Contains(buffer[:n], []byte("COMMIT\x00")) && c.armed.Add(-1) >= 0 {
			cut.Store(true)
			if c.after {
				_, _ = server.Write(buffer[:n])
				<-done // the answer has come
			}
			break
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			break
		}
	}
	_ = server.Close()
	<-done
}

// TestLostCommit: a commit whose answer was lost counts once, whether the server had
// heard of it or not.
func TestLostCommit(t *testing.T) {
	for name, after := range map[string]bool{"before the server hears of it": false, "before the client hears of it": true} {
		t.Run(name, func(t *testing.T) {
			address := pgtest.Shared(t).Fresh(t)
			cutter := &cutter{after: after}
			store := opened(t, between(t, cutter, address), postgres.Options{Create: true})
			for i := range 3 {
				runs := 0
				cutter.armed.Store(1)
				err := store.Update(t.Context(), func(tx core.Tx) error {
					runs++
					return errors.Join(tx.InsertNode(core.Node{ID: core.NodeID(fmt.Sprint("n", i))}), add(fmt.Sprint(i))(tx))
				})
				if err != nil {
					t.Fatal(err)
				}
				if want := 2; after {
					want = 1
					if runs != want {
						t.Errorf("what was committed was run %d times", runs)
					}
				} else if runs != want {
					t.Errorf("what was not committed was run %d times, want %d", runs, want)
				}
			}
			wantMessages(t, store, "0", "1", "2")
		})
	}
}

// TestUnknownCommit: where nobody can tell whether it was committed, success is not told.
func TestUnknownCommit(t *testing.T) {
	address := pgtest.Shared(t).Fresh(t)
	cutter := &cutter{after: true}
	store := opened(t, between(t, cutter, address), postgres.Options{Create: true, Patience: 2 * time.Second})
	cutter.armed.Store(1)
	runs := 0
	err := store.Update(t.Context(), func(tx core.Tx) error {
		runs++
		cutter.down.Store(true)
		return add("once")(tx)
	})
	if !core.Is(err, core.Transient) || !strings.Contains(err.Error(), "whether the change was committed is not known") {
		t.Errorf("got %v", err)
	}
	if runs != 1 {
		t.Errorf("it was run %d times", runs)
	}
	wantMessages(t, opened(t, address, postgres.Options{}), "once")
}

// TestCrashGivesTheIDToAnother: a server that crashed gives the ID of a transaction that
// it has lost to a later one, whose commit is not taken for that of the first.
func TestCrashGivesTheIDToAnother(t *testing.T) {
	server := pgtest.Own(t)
	address := server.URL("postgres")
	store, other := opened(t, address, postgres.Options{Create: true}), opened(t, address, postgres.Options{})
	conn := connect(t, address)
	if _, err := conn.Exec(t.Context(), "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err := store.Update(t.Context(), func(tx core.Tx) error {
		if runs++; runs == 1 {
			if err := errors.Join(server.Stop(syscall.SIGQUIT), server.Start()); err != nil {
				return err
			}
			for range 5 {
				if err := other.Update(t.Context(), func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "p"}) }); err != nil {
					return err
				}
			}
		}
		return add("mine")(tx)
	})
	if err != nil || runs != 2 {
		t.Errorf("%d runs, %v", runs, err)
	}
	wantMessages(t, store, "mine")
}

// TestRestart stops the server in all ways while writers are at work. None of them hears
// of it, and nothing is lost or done twice.
func TestRestart(t *testing.T) {
	server := pgtest.Own(t)
	address := server.URL("postgres")
	const writers = 4
	var stop atomic.Bool
	var told [writers]int
	group, ctx := errgroup.WithContext(t.Context())
	wrote := make(chan struct{}, 1)
	for writer := range writers {
		store := opened(t, address, postgres.Options{Create: true})
		group.Go(func() error {
			for ; !stop.Load(); told[writer]++ {
				id := core.NodeID(fmt.Sprintf("n-%d-%d", writer, told[writer]))
				err := store.Update(ctx, func(tx core.Tx) error {
					if err := tx.InsertNode(core.Node{ID: id, Pool: "p"}); err != nil {
						return err
					}
					return tx.AddEvent(core.Event{Node: id})
				})
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				select {
				case wrote <- struct{}{}:
				default:
				}
			}
			return nil
		})
	}
	for _, how := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGINT} {
		for range 20 { // they are at work
			select {
			case <-wrote:
			case <-ctx.Done():
				t.Fatal(group.Wait())
			}
		}
		if err := server.Stop(how); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, n := range told {
		want += n
	}
	nodes, events := 0, len(messages(t, opened(t, address, postgres.Options{})))
	conn := connect(t, address)
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM nodes").Scan(&nodes); err != nil {
		t.Fatal(err)
	}
	if nodes != want || events != want {
		t.Errorf("%d nodes and %d events of %d that were told to be committed", nodes, events, want)
	}
}

// TestGone: a server that does not come back is told of, and waited for no longer than
// the store's patience.
func TestGone(t *testing.T) {
	server := pgtest.Own(t)
	store := opened(t, server.URL("postgres"), postgres.Options{Create: true, Patience: time.Second})
	if err := server.Stop(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(context.Context, func(core.Tx) error) error{"View": store.View, "Update": store.Update} {
		err := run(t.Context(), func(core.Tx) error { return nil })
		if !core.Is(err, core.Transient, core.Busy) || !strings.Contains(err.Error(), "see whether the server") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Update(ctx, add("")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	patient := opened(t, server.URL("postgres"), postgres.Options{})
	if err := patient.Update(t.Context(), add("again")); err != nil {
		t.Error(err)
	}
}
