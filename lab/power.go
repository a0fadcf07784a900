package lab

import (
	"context"
	"sync"
	"time"

	"github.com/metalpool/metalpool/lab/bmc"
)

// Times are how long things take.
type Times struct {
	On       time.Duration // from the power button to the firmware
	Off      time.Duration
	POST     time.Duration // firmware, before it looks for something to boot
	Ramdisk  time.Duration // from the media to the agent
	OS       time.Duration // from the disk to SSH
	Shutdown time.Duration // an OS that was asked to
}

// Quick is a rack for demos and tests: a server takes about a second to boot.
var Quick = Times{
	On: 100 * time.Millisecond, Off: 100 * time.Millisecond, POST: 300 * time.Millisecond,
	Ramdisk: 200 * time.Millisecond, OS: 300 * time.Millisecond, Shutdown: 200 * time.Millisecond,
}

// outcome is how what a machine booted ended.
type outcome int

const (
	stays    outcome = iota // it runs on, or hangs; only the power ends it
	restarts                // through the firmware
	turnsOff
)

// system is what runs on a machine while its power is on.
type system interface {
	// boot is called when the firmware is done. It returns when what it booted has
	// settled, or has ended; with ctx at the latest.
	boot(ctx context.Context) outcome
	// halt ends what boot left running. It is called after every boot has returned.
	halt()
	// shutDown asks an OS to shut down, if one runs that listens. It reports whether
	// it has done so, and only the power is left to be turned off; false is also that
	// boot will tell, which then returns turnsOff.
	shutDown(ctx context.Context) bool
}

// power is a machine's power, and the life it gives to a system. A machine that is
// off, or whose system has settled, has no goroutine.
type power struct {
	times   Times
	system  system
	changed func(on bool) // told, in order, what to come back to after the lab restarts

	ctx  context.Context // ends with close
	end  context.CancelFunc
	work sync.WaitGroup

	mu    sync.Mutex
	state bmc.PowerState
	life  *life
}

// life is one stretch of a system: from a start to the next, or to the end of power.
type life struct {
	cancel context.CancelFunc
	over   chan struct{} // closed when boot has returned for good
	again  time.Time     // until then it starts again when it turns off; power.mu guards it
}

func newPower(times Times, s system, changed func(on bool)) *power {
	p := &power{times: times, system: s, changed: changed, state: bmc.Off}
	p.ctx, p.end = context.WithCancel(context.Background())
	return p
}

// wait sleeps, unless ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *power) now() bmc.PowerState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// set changes the state. The caller holds mu.
func (p *power) set(s bmc.PowerState) {
	p.state = s
	if s == bmc.PoweringOn || s == bmc.PoweringOff {
		p.changed(s == bmc.PoweringOn)
	}
}

// on starts a machine that is off.
func (p *power) on() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != bmc.Off || p.ctx.Err() != nil {
		return
	}
	p.set(bmc.PoweringOn)
	p.begin(nil, func(ctx context.Context, l *life) bool {
		if !wait(ctx, p.times.On) {
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.life != l {
			return false
		}
		p.set(bmc.On)
		return true
	})
}

// begin starts a life, after the one before has ended. The caller holds mu.
func (p *power) begin(before *life, prepare func(ctx context.Context, l *life) bool) {
	ctx, cancel := context.WithCancel(p.ctx)
	l := &life{cancel: cancel, over: make(chan struct{})}
	p.life = l
	p.work.Go(func() {
		defer close(l.over)
		p.finish(before)
		if !prepare(ctx, l) {
			return
		}
		for {
			if !wait(ctx, p.times.POST) {
				return
			}
			switch p.system.boot(ctx) {
			case stays:
				return
			case turnsOff:
				if !p.startsAgain(l) {
					p.off()
					return
				}
			}
			p.system.halt()
		}
	})
}

// finish ends a life and what it left running.
func (p *power) finish(l *life) {
	if l == nil {
		return
	}
	l.cancel()
	<-l.over
	p.system.halt()
}

// off cuts the power.
func (p *power) off() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == bmc.Off || p.state == bmc.PoweringOff || p.ctx.Err() != nil {
		return
	}
	p.set(bmc.PoweringOff)
	l := p.life
	p.work.Go(func() {
		p.finish(l)
		wait(p.ctx, p.times.Off)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.life == l { // else the cord was pulled meanwhile
			p.life = nil
			p.set(bmc.Off)
		}
	})
}

func (p *power) current() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life
}

// restart boots again a machine that is on.
func (p *power) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != bmc.On || p.ctx.Err() != nil {
		return
	}
	p.begin(p.life, func(ctx context.Context, _ *life) bool { return ctx.Err() == nil })
}

// patience is how long a system that was asked to restart may take to turn off.
const patience = 5 * time.Minute

// startsAgain reports, once, whether what has turned off was asked to restart.
func (p *power) startsAgain(l *life) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := time.Now().Before(l.again)
	l.again = time.Time{}
	return again
}

// ask asks the OS to shut down, and to start again if it is to; without an OS that
// listens, nothing happens. A change of power in between is not overridden.
func (p *power) ask(again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.life
	if p.state != bmc.On || p.ctx.Err() != nil {
		return
	}
	l.again = time.Time{}
	if again {
		l.again = time.Now().Add(patience)
	}
	p.work.Go(func() {
		switch {
		case !p.system.shutDown(p.ctx) || p.current() != l:
		case again:
			p.restart()
		default:
			p.off()
		}
	})
}

// cut takes the power away at once, as pulling the cord does.
func (p *power) cut() {
	p.mu.Lock()
	l := p.life
	p.life = nil
	p.set(bmc.Off)
	p.changed(false)
	p.mu.Unlock()
	p.finish(l)
}

// close ends everything and waits for it. The machine keeps its state in the lab's
// folder: it was on.
func (p *power) close() {
	p.end()
	p.work.Wait()
	p.system.halt()
}
