//go:build vm

package vmtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab/qemu"
)

// What can happen between an engine and its agent.
func TestVMAgent(t *testing.T) {
	r := newRack(t, small)

	r.run("a second agent with the same token", func(r *rack) {
		began := time.Now()
		ended := make(chan error, 1)
		r.whileWriting(func() {
			params := r.mediaParams()
			listener, err := (&net.ListenConfig{}).Listen(r.t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				r.t.Error(err)
				return
			}
			ended <- agent.Run(r.t.Context(), agent.Config{Params: params, Host: &diskless{}, Listener: listener, Address: listener.Addr().String(), Log: r.log.logger()})
		})
		m := r.create(r.order(), nil)
		select {
		case err := <-ended:
			if !errors.Is(err, agent.ErrRefused) {
				r.t.Errorf("the second agent ended with %v", err)
			}
		default:
			r.t.Error("there was no second agent")
		}
		r.told(began, core.AgentRefused, "another agent has checked in with this token")
		if n := r.boots(); n != 1 || m.Node != r.node.ID() {
			r.t.Errorf("the ramdisk was started %d times for the machine on %s", n, m.Node)
		}
	})

	r.run("a network that is cut and comes back", func(r *rack) {
		cut := make(chan struct{})
		r.chunk.spoils(func(n int, chunk []byte) []byte {
			if n == 3 {
				r.check(r.node.UnplugNetwork())
				close(cut)
			}
			return chunk
		})
		defer r.chunk.spoils(nil)
		ctx, stop := context.WithCancel(r.t.Context())
		var repair sync.WaitGroup
		defer repair.Wait()
		defer stop()
		repair.Go(func() {
			select {
			case <-cut:
				r.awaitSilence()
				r.check(r.node.PlugNetwork())
			case <-ctx.Done():
			}
		})
		r.create(r.order(), nil)
		if n := r.boots(); n != 1 {
			r.t.Errorf("the ramdisk was started %d times, not once", n)
		}
	})

	r.run("an engine that is killed, and another process", func(r *rack) {
		metalpool := filepath.Join(r.dir, "metalpool")
		build := exec.CommandContext(r.t.Context(), "go", "build", "-o", metalpool, "github.com/metalpool/metalpool/cmd/metalpool")
		if out, err := build.CombinedOutput(); err != nil {
			r.t.Fatalf("%v\n%s", err, out)
		}
		public := filepath.Join(r.dir, "key.pub")
		try(r.t, os.WriteFile(public, ssh.MarshalAuthorizedKey(r.key.PublicKey()), 0o600))
		o := r.order()
		start := func() (*exec.Cmd, <-chan error) {
			cmd := exec.CommandContext(r.t.Context(), metalpool, "machine", "create", o.Name, "--id", string(o.ID), "--owner", o.Owner, "--key", public)
			cmd.Env = append(os.Environ(), "METALPOOL_URL="+r.pool(), "METALPOOL_RAMDISK="+needs.Ramdisk(r.t))
			cmd.Stdout, cmd.Stderr = r.t.Output(), r.t.Output()
			try(r.t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			return cmd, ended
		}
		first, ended := start()
		r.awaitMet(o.ID, stepRamdisk, ended)
		try(r.t, first.Process.Kill())
		if err := <-ended; err == nil {
			r.t.Fatal("the first process was to be killed in its middle")
		}
		_, ended = start()
		try(r.t, <-ended)
		m, err := r.Machine(r.t.Context(), o.ID)
		try(r.t, err)
		if m.State != core.Deployed {
			r.t.Fatalf("the machine is %s", m.State)
		}
		r.answers(m)
		if n := r.boots(); n != 1 {
			r.t.Errorf("the ramdisk was started %d times, not once", n)
		}
	})
}

// mediaParams reads what the media in the server's drive say.
func (r *rack) mediaParams() wire.Params {
	for _, url := range r.node.BMC().Inserted() {
		request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, nil)
		if err != nil {
			r.t.Error(err)
			break
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			r.t.Error(err)
			break
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		area, err2 := bootmedia.ReadParams(readerAt(text))
		params, err3 := wire.DecodeParams(area)
		r.check(errors.Join(err, err2, err3))
		for i, url := range params.CheckIn { // from here the engine is not where the server finds it
			params.CheckIn[i] = strings.Replace(url, qemu.HostAddress, "127.0.0.1", 1)
		}
		return params
	}
	r.t.Error("there are no media in the server's drive")
	return wire.Params{}
}

type readerAt []byte

func (b readerAt) ReadAt(p []byte, at int64) (int, error) {
	if at > int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// diskless is a machine that got hold of the media of another.
type diskless struct{ agent.Host }

func (*diskless) Inventory(context.Context) (core.Inventory, error) { return core.Inventory{}, nil }
func (*diskless) Disks(context.Context) ([]agent.Disk, error)       { return nil, nil }
func (*diskless) PowerOff() error                                   { return nil }

// awaitMet waits until a step of the allocation's attempt is written down as done, by a
// process that has not ended before.
func (r *rack) awaitMet(id core.AllocationID, step string, ended <-chan error) {
	r.t.Helper()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for !r.met(id, step) {
		select {
		case <-poll.C:
		case err := <-ended:
			r.t.Fatalf("the process ended before the step %q was done: %v", step, err)
		}
	}
}

func (r *rack) met(id core.AllocationID, step string) (met bool) {
	r.t.Helper()
	n := r.found()
	if n.Attempt == "" {
		return false
	}
	try(r.t, r.store.View(r.t.Context(), func(tx core.Tx) error {
		at, err := tx.Attempt(n.Attempt)
		if at.Allocation == id {
			_, met = at.Met[step]
		}
		return err
	}))
	return met
}
