package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
)

// What a child process is told.
const (
	childRole    = "METALPOOL_STORETEST_ROLE"
	childAddress = "METALPOOL_STORETEST_ADDRESS"
	childName    = "METALPOOL_STORETEST_NAME"
)

// Child plays a child's part and exits, where the suite has started this process
// for that; else it returns at once. A TestMain calls it first.
func Child(open Open) {
	role := os.Getenv(childRole)
	if role == "" {
		return
	}
	if err := play(role, open); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func play(role string, open Open) error {
	ctx := context.Background()
	store, err := open(ctx, os.Getenv(childAddress))
	if err != nil {
		return err
	}
	parent := bufio.NewReader(os.Stdin)
	switch role {
	case "claim":
		// All racers are ready before one starts.
		fmt.Println("ready")
		if _, err := parent.ReadString('\n'); err != nil {
			return err
		}
		claims, err := claimAll(ctx, store, os.Getenv(childName))
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(claims)
	case "calls":
		return answerCalls(ctx, store, parent, os.Stdout)
	case "hold":
		return store.Update(ctx, func(tx core.Tx) error {
			if _, err := claim(tx, "held", "child"); err != nil {
				return err
			}
			fmt.Println("inside")
			_, err := parent.ReadString('\n') // until killed
			return err
		})
	case "write":
		var group errgroup.Group
		for writer := range childWriters {
			group.Go(func() error {
				for number := writer; ; number += childWriters {
					err := store.Update(ctx, func(tx core.Tx) error {
						if err := tx.InsertNode(server(number)); err != nil {
							return err
						}
						return tx.AddEvent(core.Event{Node: server(number).ID})
					})
					if err != nil {
						return err
					}
					fmt.Println(number)
				}
			})
		}
		return group.Wait()
	}
	return fmt.Errorf("no such role")
}

// childWriters are those of the child that is killed anywhere: what is shared by several
// must not be told to one before it is there for all.
const childWriters = 6

// process is a child at work.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	stdin io.WriteCloser
}

func (s suite) start(t *testing.T, role, address, name string) *process {
	t.Helper()
	p, err := s.launch(t, role, address, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// launch is start for any goroutine.
func (s suite) launch(t *testing.T, role, address, name string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childRole+"="+role, childAddress+"="+address, childName+"="+name)
	cmd.Stderr = os.Stderr
	stdout, outErr := cmd.StdoutPipe()
	stdin, inErr := cmd.StdinPipe()
	if err := errors.Join(outErr, inErr, cmd.Start()); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, lines: bufio.NewScanner(stdout), stdin: stdin}
	p.lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return p, nil
}

// line is the next line that the child prints.
func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("the child ended: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// kill is a kill -9, over when the kernel has let go of all that the child held.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // says that it was killed
}

func (s suite) racingProcesses(t *testing.T) {
	const racers, nodes = 4, 400
	address := s.fresh(t)
	store := s.at(t, address)
	stock(t, store, nodes)
	var children []*process
	for racer := range racers {
		children = append(children, s.start(t, "claim", address, fmt.Sprintf("process-%d", racer)))
	}
	for _, child := range children {
		child.line(t)
	}
	for _, child := range children {
		if _, err := io.WriteString(child.stdin, "go\n"); err != nil {
			t.Fatal(err)
		}
	}
	claims, counts := map[core.AllocationID]core.NodeID{}, []int{}
	for _, child := range children {
		before := len(claims)
		if err := json.Unmarshal([]byte(child.line(t)), &claims); err != nil {
			t.Fatal(err)
		}
		counts = append(counts, len(claims)-before)
	}
	wantDistinct(t, store, claims, nodes)
	if slices.Contains(s.promises, Queued) {
		wantFair(t, counts)
	}
}

func (s suite) killedProcesses(t *testing.T) {
	t.Run("in a transaction", func(t *testing.T) {
		address := s.fresh(t)
		store := s.at(t, address)
		stock(t, store, 1)
		child := s.start(t, "hold", address, "")
		child.line(t)
		entered, done := make(chan core.Node, 1), make(chan error)
		go func() {
			done <- store.Update(t.Context(), func(tx core.Tx) error {
				n, err := tx.Node(server(0).ID)
				entered <- n
				if err != nil {
					return err
				}
				_, err = claim(tx, "next", "parent")
				return err
			})
		}()
		view(t, store, func(tx core.Tx) error { // readers wait for nobody
			n, err := tx.Node(server(0).ID)
			same(t, "while the child is inside", n, server(0))
			return err
		})
		select {
		case <-entered:
			t.Error("two writers at one time")
		default:
		}
		child.kill(t)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		same(t, "after the kill", <-entered, server(0))
	})
	t.Run("anywhere", func(t *testing.T) {
		address := s.fresh(t)
		child := s.start(t, "write", address, "")
		var told []string
		for range 60 {
			told = append(told, child.line(t))
		}
		child.kill(t)
		for child.lines.Scan() {
			told = append(told, child.lines.Text()) // what was still in the pipe
		}
		store := s.at(t, address)
		n := count(t, store)
		if n < len(told) || n > len(told)+childWriters {
			t.Errorf("%d nodes, where %d were told to be committed", n, len(told))
		}
		for _, text := range told {
			number, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			read(t, store, func(tx core.Tx) (core.Node, error) { return tx.Node(server(number).ID) })
		}
		events := read(t, store, func(tx core.Tx) ([]core.Event, error) { return drain(tx.Events(core.EventFilter{})) })
		if len(events) != n {
			t.Errorf("%d events with %d nodes: half a transaction", len(events), n)
		}
		update(t, store, func(tx core.Tx) error { return tx.InsertNode(server(1 << 20)) })
	})
}
