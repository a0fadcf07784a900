package disk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// method is one rung of the ladder.
type method struct {
	name  string
	class core.EraseClass
	// shared: it takes the data of every disk of the subsystem at once.
	shared bool
	run    func(ctx context.Context, e *eraser) error
}

// ladder is what to try on a disk, in this order; and why something better is not
// in it.
type ladder struct {
	methods []method
	without []string
}

// surface is a disk as reads and writes see it.
type surface interface {
	// overwrite writes zeros to every sector; zeroAll has the device make them zero.
	overwrite(ctx context.Context, progress func(done, total core.Bytes)) error
	zeroAll(ctx context.Context, progress func(done, total core.Bytes)) error
}

// eraser erases one disk, or goes on with it.
type eraser struct {
	facts     facts
	commands  commands
	surface   surface
	subsystem *subsystem
	progress  func(done, total core.Bytes)
	// pause waits that long, or returns why ctx ended.
	pause func(ctx context.Context, d time.Duration) error
}

// erase climbs down the ladder until a method succeeds. The name tells of those that
// did not, too: an operator wonders why a drive was not purged.
func (e *eraser) erase(ctx context.Context) (name string, class core.EraseClass, err error) {
	l := e.ladder()
	notes := l.without
	for _, m := range l.methods {
		if ctx.Err() != nil {
			return "", core.NotErased, context.Cause(ctx)
		}
		err := e.try(ctx, m)
		if err == nil {
			return withNotes(m.name, notes), m.class, nil
		}
		if ctx.Err() != nil {
			return m.name, core.NotErased, context.Cause(ctx)
		}
		if !errors.Is(err, errUnknown) {
			notes = append(notes, m.name+": "+err.Error())
		}
	}
	return "", core.NotErased, fmt.Errorf("no method worked: %s", strings.Join(notes, "; "))
}

func withNotes(name string, notes []string) string {
	if len(notes) == 0 {
		return name
	}
	return name + " (" + strings.Join(notes, "; ") + ")"
}

func (e *eraser) try(ctx context.Context, m method) error {
	run := func() error { return m.run(ctx, e) }
	if !m.shared || e.subsystem == nil {
		return run()
	}
	return e.subsystem.once(m.name, e.facts.name, run)
}

// ladder asks the disk what it can do. One that does not even answer that is
// overwritten.
func (e *eraser) ladder() ladder {
	var l ladder
	var err, beyond error // why writes do not get to all that the disk holds
	switch e.facts.transport {
	case nvme:
		var c nvmeController
		if c, err = e.controller(); err == nil {
			if c.manages {
				beyond = e.allAttached()
			}
			l.methods = nvmeMethods(c, beyond != nil)
		}
	case ata:
		var id ataIdentity
		if id, err = e.ataIdentity(); err == nil {
			l.methods, l.without = ataMethods(id)
			switch hidden, unknown := e.hiddenBytes(id); {
			case unknown != "":
				l.without = append(l.without, unknown)
			case hidden > 0:
				beyond = fmt.Errorf("%s at the disk's end are hidden by a host protected area; remove it, or boot with libata.ignore_hpa=1", hidden)
			}
		}
	case scsi:
		l.methods = scsiMethods(e.knows)
	case virtio, usb, mmc, other:
	}
	if err != nil {
		l.without = append(l.without, "the disk does not say what else it can: "+err.Error())
	}
	if beyond != nil {
		l.without = append(l.without, "overwrite: "+beyond.Error())
		return l
	}
	l.methods = append(l.methods, clearMethods(e.facts)...)
	return l
}

// clearMethods are for every disk.
func clearMethods(f facts) []method {
	overwrite := method{name: "overwrite with zeros", class: core.Clear, run: func(ctx context.Context, e *eraser) error {
		return e.surface.overwrite(ctx, e.progress)
	}}
	if !f.zeroes {
		return []method{overwrite}
	}
	return []method{{name: "write zeroes", class: core.Clear, run: func(ctx context.Context, e *eraser) error {
		return e.surface.zeroAll(ctx, e.progress)
	}}, overwrite}
}

// resume returns when the disk takes reads and writes: an erase of an earlier boot
// has ended, and a lock that it left is open.
func (e *eraser) resume(ctx context.Context) error {
	if e.subsystem != nil {
		e.subsystem.forget()
	}
	switch e.facts.transport {
	case nvme:
		return e.resumeNVMe(ctx)
	case ata:
		return e.resumeATA(ctx)
	case scsi:
		return e.resumeSCSI(ctx)
	case virtio, usb, mmc, other:
	}
	return nil
}

// pollEvery is how often a disk at work is asked how far it is.
const pollEvery = 2 * time.Second

// tellAndPause tells how far the disk is, in parts of 65536.
func (e *eraser) tellAndPause(ctx context.Context, done int) error {
	const whole = 1 << 16
	size := e.facts.info.Size
	e.progress(size/whole*core.Bytes(done), size)
	return e.pause(ctx, pollEvery)
}

// pause is eraser's, by the clock.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// subsystem is what several disks share. What erases all of them is done once, though
// each of them asks for it.
type subsystem struct {
	mu   sync.Mutex
	done map[string]*outcome // by method
}

type outcome struct {
	err    error
	served map[string]bool // by disk
}

// once runs a method, or answers with what came of it when another disk asked. A disk
// that asks again wants it done again.
func (s *subsystem) once(method, disk string, run func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.done[method]
	if o == nil || o.served[disk] {
		o = &outcome{err: run(), served: map[string]bool{}}
		if s.done == nil {
			s.done = map[string]*outcome{}
		}
		s.done[method] = o
	}
	o.served[disk] = true
	return o.err
}

// forget lets nobody have the outcome of an earlier erase: all disks resume before the
// first of them is erased.
func (s *subsystem) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = nil
}

// errUnknown is of a method that was tried because the disk does not say which it
// has, and that it has not.
var errUnknown = errors.New("the disk does not know this command")

// errMedia is for disks that are not ours to erase.
var errMedia = errors.New("removable and virtual media are not erased")
