package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"

	"github.com/metalpool/metalpool/core"
)

// erase erases every disk of the order and every other one that is built in, side
// by side. One that fails does not keep the others from it. Then the machine itself
// is reset.
func (a *agent) erase(ctx context.Context, o core.EraseOrder, j *job) (*core.EraseReport, error) {
	defer a.ears.keep()() // half an erase would have to begin again
	disks, err := a.host.Disks(ctx)
	if err != nil {
		return nil, &core.Error{Op: "erase", Kind: core.Backend, Err: fmt.Errorf("the disks cannot be listed: %w", err)}
	}
	chosen, missing := chooseErase(disks, o.Disks)
	sum := newSum(chosen, j.progress)
	report := &core.EraseReport{Disks: eraseDisks(ctx, chosen, sum.set)}
	for i, d := range chosen {
		report.Disks[i].Disk = nameIn(o.Disks, d)
	}
	for _, name := range missing {
		report.Disks = append(report.Disks, core.DiskErase{Disk: name, Err: "the disk is not there"})
	}
	if ctx.Err() != nil {
		return report, context.Cause(ctx)
	}
	if err := verdict(report, listed(disks)); err != nil {
		return report, err
	}
	// Only now: an entry that points at a partition is told from others by the
	// partition being gone.
	if report.Reset, err = a.host.Reset(ctx); err != nil {
		return report, &core.Error{
			Op: "erase", Kind: core.Backend, Err: fmt.Errorf("the disks are erased, and the machine cannot be reset: %w", err),
			Hint: "see what the firmware's setup says; 'metalpool node repair' tries again",
		}
	}
	return report, nil
}

// chooseErase returns the disks to erase, and the names of the order that none has.
func chooseErase(disks []Disk, ordered []string) (chosen []Disk, missing []string) {
	found := map[string]bool{}
	for _, d := range disks {
		wanted := !d.Info().Removable // what is removable may be our own boot media
		for _, name := range ordered {
			if isCalled(d, name) {
				wanted, found[name] = true, true
			}
		}
		if wanted {
			chosen = append(chosen, d)
		}
	}
	for _, name := range ordered {
		if !found[name] {
			missing, found[name] = append(missing, name), true
		}
	}
	return chosen, missing
}

// nameIn is what the order calls the disk: whoever compares the report with the order
// may know the WWN alone.
func nameIn(ordered []string, d Disk) string {
	for _, name := range ordered {
		if isCalled(d, name) {
			return name
		}
	}
	return nameOf(d)
}

// verdict is the error of a report, nil where every disk was erased and verified.
func verdict(r *core.EraseReport, present string) error {
	var bad []string
	for _, d := range r.Disks {
		if d.Err != "" {
			bad = append(bad, fmt.Sprintf("%s: %s", d.Disk, d.Err))
		}
	}
	if len(r.Disks) == 0 {
		bad = append(bad, "the machine shows no disk to erase")
	}
	if len(bad) == 0 {
		return nil
	}
	return &core.Error{
		Op: "erase", Kind: core.Backend, Err: fmt.Errorf("%s (the machine has: %s)", strings.Join(bad, "; "), present),
		Hint: "look whether a disk has failed or was taken out; 'metalpool node repair' tries again",
	}
}

// erasing is one disk on its way.
type erasing struct {
	disk   Disk
	marks  *sentinels
	result core.DiskErase
}

// eraseDisks erases disks side by side, and believes it only when the sentinels are
// gone. All are planted before the first erase begins, and looked for after the last
// has ended: what a disk is told may destroy, or make unreadable for a while, what is
// on another one behind the same controller. One that fails does not keep the others
// from it.
func eraseDisks(ctx context.Context, disks []Disk, progress func(i int, done, total core.Bytes)) []core.DiskErase {
	all := make([]*erasing, len(disks))
	for i, d := range disks {
		all[i] = &erasing{disk: d, result: core.DiskErase{Disk: nameOf(d)}}
	}
	for _, phase := range []func(e *erasing, told func(done, total core.Bytes)) error{
		func(e *erasing, told func(done, total core.Bytes)) error { return e.prepare(ctx, told) },
		func(e *erasing, told func(done, total core.Bytes)) error { return e.destroy(ctx, told) },
		func(e *erasing, _ func(done, total core.Bytes)) error { return e.verify() },
	} {
		var each sync.WaitGroup
		for i, e := range all {
			if e.result.Err != "" {
				continue
			}
			each.Go(func() {
				if err := phase(e, func(done, total core.Bytes) { progress(i, done, total) }); err != nil {
					e.result.Err, e.result.Class = err.Error(), core.NotErased
				}
			})
		}
		each.Wait()
	}
	results := make([]core.DiskErase, len(all))
	for i, e := range all {
		results[i] = e.result
	}
	return results
}

// resumer is a disk that may still be busy with an erase which outlived the agent
// that began it, or be locked up by one that was cut off.
type resumer interface {
	// Resume returns when the disk takes reads and writes again.
	Resume(ctx context.Context, progress func(done, total core.Bytes)) error
}

func (e *erasing) prepare(ctx context.Context, told func(done, total core.Bytes)) (err error) {
	if r, may := e.disk.(resumer); may {
		if err := r.Resume(ctx, told); err != nil {
			return fmt.Errorf("an erase that began earlier does not end: %w", err)
		}
	}
	if e.marks, err = plant(e.disk); err != nil {
		return fmt.Errorf("sentinels cannot be written before the erase: %w", err)
	}
	return nil
}

func (e *erasing) destroy(ctx context.Context, told func(done, total core.Bytes)) (err error) {
	e.result.Method, e.result.Class, err = e.disk.Erase(ctx, told)
	if err == nil {
		err = e.disk.Sync()
	}
	if err != nil {
		return fmt.Errorf("the erase failed: %w", err)
	}
	return nil
}

func (e *erasing) verify() error {
	if err := e.marks.gone(e.disk); err != nil {
		return err
	}
	e.result.Verified = true
	return nil
}

// sum adds up the progress of several disks.
type sum struct {
	mu          sync.Mutex
	done, total []core.Bytes
	tell        func(done, total core.Bytes)
}

func newSum(disks []Disk, tell func(done, total core.Bytes)) *sum {
	s := &sum{done: make([]core.Bytes, len(disks)), total: make([]core.Bytes, len(disks)), tell: tell}
	for i, d := range disks {
		s.total[i] = d.Info().Size
	}
	return s
}

func (s *sum) set(i int, done, total core.Bytes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[i], s.total[i] = done, total
	var allDone, all core.Bytes
	for i := range s.done {
		allDone, all = allDone+s.done[i], all+s.total[i]
	}
	s.tell(allDone, all)
}

// sentinels are blocks of random data that must not survive an erase.
type sentinels struct {
	data []byte
	at   []int64
}

const (
	sentinelSize  = 4096
	sentinelCount = 16 // the first and the last block of the disk among them
)

// plant writes sentinels and reads them back from the medium: a disk that does not
// keep them could not show that they are gone, either.
func plant(d Disk) (*sentinels, error) {
	blocks := int64(d.Info().Size) / sentinelSize
	if blocks < 2 {
		return nil, fmt.Errorf("a disk of %s is too small", core.DiskSize(d.Info().Size))
	}
	s := &sentinels{data: make([]byte, sentinelSize), at: []int64{0, (blocks - 1) * sentinelSize}}
	_, _ = rand.Read(s.data) // never fails
	for len(s.at) < sentinelCount {
		s.at = append(s.at, mathrand.Int64N(blocks)*sentinelSize)
	}
	for _, off := range s.at {
		if _, err := d.WriteAt(s.data, off); err != nil {
			return nil, err
		}
	}
	if err := d.Sync(); err != nil {
		return nil, err
	}
	for _, off := range s.at {
		left, err := s.left(d, off)
		if err != nil {
			return nil, err
		}
		if left != sentinelSize/sentinelPart {
			return nil, fmt.Errorf("the disk does not keep what is written at byte %d", off)
		}
	}
	return s, nil
}

// gone fails where any part of any sentinel is still there.
func (s *sentinels) gone(d Disk) error {
	for _, off := range s.at {
		left, err := s.left(d, off)
		if err != nil {
			return fmt.Errorf("the erase cannot be verified: %w", err)
		}
		if left > 0 {
			return fmt.Errorf("the disk says it is erased, and data written before is still there at byte %d", off)
		}
	}
	return nil
}

// sentinelPart is what is compared at once, in bytes: data of that length that is
// equal by chance does not happen.
const sentinelPart = 64

// left counts the parts of a sentinel that are on the medium.
func (s *sentinels) left(d Disk, off int64) (parts int, err error) {
	block := make([]byte, sentinelSize)
	if n, err := d.ReadMedium(block, off); n < len(block) {
		return 0, errors.Join(fmt.Errorf("%d bytes of %d are readable at byte %d", n, len(block), off), err)
	}
	for i := 0; i < sentinelSize; i += sentinelPart {
		if string(block[i:i+sentinelPart]) == string(s.data[i:i+sentinelPart]) {
			parts++
		}
	}
	return parts, nil
}
