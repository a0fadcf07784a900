// Package agent is the program in a node's ramdisk: it checks in, and then serves
// the engine that writes images, seeds and erases disks. It decides nothing by
// itself, but to power off when it is refused or hears nothing.
package agent

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// Config is what an agent is started with.
type Config struct {
	Params wire.Params
	Host   Host
	// Listener is where the engine calls; Run closes it. nil: the port that the
	// parameters name, else any, at all addresses.
	Listener net.Listener
	// Address is the host:port at which the engine reaches the listener, where that
	// is neither what the parameters say nor the address that the check-in comes from.
	Address string
	// Buffers may be shared by the agents of one process. nil: enough for one.
	Buffers *Buffers
	Log     *slog.Logger // nil: slog.Default
	// Journal is what the host writes its log to, and what it does not want to lose of
	// its kernel's; the agent's lines come there through Log. nil: the agent keeps its
	// own lines alone.
	Journal *Journal
	// SetClock is told what time it is, as the engine says in its answer to the
	// check-in: a server's own clock may be years off. nil is allowed.
	SetClock func(now time.Time)
}

// How Run ends where nothing is wrong with the agent itself; the machine was
// powered off. errors.Is tells them.
var (
	ErrRefused = errors.New("the engine refuses this agent")
	ErrSilence = errors.New("nobody has called for too long")
)

// Run checks in and serves until the machine is left for its OS (nil), powered off
// (ErrRefused, ErrSilence), or ctx ends, as when the power is cut: then it touches
// nothing more, and the power stays as it is. Disks are not used after it returned,
// except where a disk hangs for longer than ten seconds.
func Run(ctx context.Context, cfg Config) error {
	a, err := newAgent(ctx, cfg)
	if err != nil {
		return err
	}
	defer a.stop()
	go func() { _ = a.server.Serve(a.listener) }() // ends with stop
	// What the console shows from here on was printed for nobody before.
	a.log.Info("begins " + core.ConsoleMark(cfg.Params.Boot))

	if err := a.checkIn(a.ctx); err != nil {
		return a.powerOff(ctx, err)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.ears.silent:
		return a.powerOff(ctx, ErrSilence)
	case <-a.leaving:
		return a.goAway()
	}
}

type agent struct {
	params  wire.Params
	host    Host
	address string
	log     *slog.Logger
	journal *Journal
	clock   func(now time.Time)
	buffers *Buffers

	ctx         context.Context // of all work; ends with stop
	cancel      context.CancelFunc
	listener    net.Listener
	server      *http.Server
	certificate tls.Certificate
	ears        *ears
	board       *board
	fence       *fence

	leaving   chan struct{} // closed when leave is set
	leave     func() error
	delivered chan struct{} // closed when the engine was told that we leave
	tellOnce  sync.Once
}

func newAgent(ctx context.Context, cfg Config) (*agent, error) {
	fail := func(what string, err error) (*agent, error) {
		return nil, &core.Error{Op: "start the agent", Node: cfg.Params.Node, Kind: core.Internal, Err: fmt.Errorf("%s: %w", what, err)}
	}
	der, key, err := wire.NewCertificate(wire.ServerName(cfg.Params.Boot))
	if err != nil {
		return fail("its certificate", err)
	}
	a := &agent{
		params: cfg.Params, host: cfg.Host, address: cmp.Or(cfg.Address, cfg.Params.Address), buffers: cfg.Buffers, listener: cfg.Listener,
		log: cfg.Log, journal: cfg.Journal, clock: cfg.SetClock,
		fence:   newFence(cfg.Params.Generation),
		leaving: make(chan struct{}), delivered: make(chan struct{}),
	}
	if a.certificate, err = wire.KeyPair(der, key); err != nil {
		return fail("its certificate", err)
	}
	if a.buffers == nil {
		a.buffers = NewBuffers(fetchers)
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	if a.journal == nil {
		a.journal = &Journal{}
		a.log = slog.New(slog.NewMultiHandler(a.log.Handler(), slog.NewTextHandler(a.journal, nil)))
	}
	a.log = a.log.With("node", cfg.Params.Node, "boot", cfg.Params.Boot)
	if a.listener == nil {
		port := "0"
		if a.address != "" {
			if _, port, err = net.SplitHostPort(a.address); err != nil {
				return fail("its address", err)
			}
		}
		if a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+port); err != nil {
			return fail("its port", err)
		}
	}
	a.listener = tls.NewListener(a.listener, wire.PinnedServer(a.certificate, cfg.Params.Engine))
	a.ctx, a.cancel = context.WithCancel(ctx)
	a.ears = newEars(cfg.Params.Silence)
	a.board = &board{ctx: a.ctx, worker: a, jobs: map[string]*job{}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // a long poll has a connection of its own
	a.server = &http.Server{
		Handler:           a.routes(),
		Protocols:         protocols,
		ReadHeaderTimeout: 15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	return a, nil
}

// hangTimeout is how long a disk may keep the agent from powering off.
const hangTimeout = 10 * time.Second

// stop ends everything and waits for it.
func (a *agent) stop() {
	a.board.close()
	a.cancel()
	a.ears.close()
	_ = a.server.Close()
	ended := make(chan struct{})
	go func() {
		a.board.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(hangTimeout):
		a.log.Warn("work under way does not end; a disk hangs")
	}
}

// powerOff ends all work first. Where the end came from outside, the power is not
// ours to change.
func (a *agent) powerOff(ctx context.Context, why error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	a.stop()
	a.log.Warn("powering off", "why", why)
	if err := a.host.PowerOff(); err != nil {
		return errors.Join(why, fmt.Errorf("and the power cannot be turned off: %w", err))
	}
	return why
}

// deliverTimeout is how long the engine has to fetch the answer that we leave. It
// gave the order: should the answer be lost, we leave all the same.
const deliverTimeout = 10 * time.Second

func (a *agent) goAway() error {
	select {
	case <-a.delivered:
	case <-time.After(deliverTimeout):
	case <-a.ctx.Done():
		return context.Cause(a.ctx)
	}
	// The answer was written; Shutdown lets it reach the wire.
	ctx, cancel := context.WithTimeout(a.ctx, deliverTimeout)
	defer cancel()
	_ = a.server.Shutdown(ctx)
	if err := a.ctx.Err(); err != nil {
		return context.Cause(a.ctx)
	}
	a.stop()
	if err := a.leave(); err != nil {
		return &core.Error{Op: "boot", Node: a.params.Node, Kind: core.Backend, Err: err, Hint: "the engine finds it by its silence, and turns the power off and on"}
	}
	return nil
}

// do carries out one command; it is called by the board, one at a time.
func (a *agent) do(ctx context.Context, c wire.Command, j *job) (*core.EraseReport, error) {
	a.log.Info("command begins", "command", j.id, "order", c.Name())
	report, err := func() (*core.EraseReport, error) {
		switch {
		case c.Write != nil:
			return nil, a.write(ctx, c.Write, j)
		case c.Seed != nil:
			return nil, a.seed(ctx, c.Seed)
		case c.Erase != nil:
			return a.erase(ctx, *c.Erase, j)
		case c.Run != nil:
			return nil, a.run(ctx, *c.Run, j)
		}
		return nil, a.boot(ctx, *c.Boot)
	}()
	a.log.Info("command ended", "command", j.id, "order", c.Name(), "err", err)
	return report, err
}

// run runs a script. One that fails has been run, as one that is ended at its limit.
func (a *agent) run(ctx context.Context, o wire.RunOrder, j *job) error {
	within, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	ran := &wire.Ran{}
	status, err := a.host.Run(within, core.Script{Text: o.Text, Env: o.Env, Files: o.Files}, ran)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && within.Err() != nil:
		status = wire.StatusTimeout
	case err != nil:
		return &core.Error{Op: "run script", Kind: core.Backend, Err: err}
	}
	ran.Status = status
	j.ran(ran)
	return nil
}

// boot makes ready to leave; Run leaves once the engine knows.
func (a *agent) boot(ctx context.Context, o core.BootOrder) error {
	disk, err := findDisk(ctx, a.host, "boot", o.Disk)
	if err != nil {
		return err
	}
	leave, err := a.host.Boot(ctx, disk, o.Mode)
	if err != nil {
		kind := core.Backend
		if core.Is(err, core.Invalid) {
			kind = core.Invalid // what no machine could do is not this one's fault
		}
		return &core.Error{
			Op: "boot", Kind: kind, Err: fmt.Errorf("by %s from disk %s: %w", o.Mode, nameOf(disk), err),
			Hint: "turn the power off and on to boot from the disk",
		}
	}
	a.leave = leave
	a.board.close()
	close(a.leaving)
	return nil
}
