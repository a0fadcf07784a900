package qemu

import (
	"errors"
	"fmt"
	"time"
)

// MostFaults is the last write that FailWrites can let fail.
const MostFaults = 1000

// CheckFaults refuses what FailWrites cannot do.
func CheckFaults(nth, count int) error {
	if nth > MostFaults || count > MostFaults || nth+max(count, 1)-1 > MostFaults {
		return fmt.Errorf("%d faults from write %d on; at most the first %d writes are counted", max(count, 1), nth, MostFaults)
	}
	return nil
}

// FailWrites lets writes to each disk fail: from now on the nth, from 1, and in all
// count of them; a negative count is all from there on, and an nth of 0 none.
func (m *Machine) FailWrites(nth, count int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if nth == m.nth && count == m.count {
		return nil
	}
	if err := CheckFaults(nth, count); err != nil {
		return err
	}
	m.faults.Store(true)
	before := m.faulty
	m.faulty = nil
	var errs []error
	for i := range m.disks {
		below := fileNode(i)
		if nth > 0 {
			below = m.newNode("faulty")
			m.faulty = append(m.faulty, below)
			options := map[string]any{"node-name": below, "driver": "blkdebug", "image": fileNode(i), "discard": "unmap"}
			inject, advance := writeRules(nth, count)
			options["inject-error"] = inject
			if advance != nil {
				options["set-state"] = advance
			}
			errs = append(errs, m.process.monitor.run("blockdev-add", options, nil))
		}
		errs = append(errs, m.process.monitor.run("blockdev-reopen", map[string]any{"options": []any{rawNode(i, below)}}, nil))
	}
	for _, name := range before {
		errs = append(errs, m.process.monitor.run("blockdev-del", map[string]any{"node-name": name}, nil))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	m.nth, m.count = nth, count
	return nil
}

// writeRules make QEMU's blkdebug count writes: its state is the number of the next.
func writeRules(nth, count int) (inject, advance []map[string]any) {
	const event = "write_aio"
	last := nth + count - 1
	if count < 0 {
		last = nth
	}
	for n := 1; n <= last; n++ {
		if n >= nth {
			inject = append(inject, map[string]any{"event": event, "state": n, "iotype": "write", "errno": 5, "once": count > 0})
		}
		if n < last || count > 0 {
			advance = append(advance, map[string]any{"event": event, "state": n, "new_state": n + 1})
		}
	}
	return inject, advance
}

// FailedWrites is how many writes to its disks have failed since the machine started.
// It is known also once that has ended.
func (m *Machine) FailedWrites() (int, error) {
	var devices []struct {
		Stats struct {
			Failed int `json:"failed_wr_operations"`
		} `json:"stats"`
	}
	err := m.process.monitor.run("query-blockstats", nil, &devices)
	m.looking.Lock()
	defer m.looking.Unlock()
	switch {
	case errors.Is(err, ErrEnded):
	case err != nil:
		return 0, err
	default:
		m.failed = 0
		for _, d := range devices {
			m.failed += d.Stats.Failed
		}
	}
	return m.failed, nil
}

// lookTime is how long a machine that is about to end may take to tell of its writes.
const lookTime = time.Second

// lookOnce has FailedWrites know the last of them. Power is taken at once, but for that.
func (m *Machine) lookOnce() {
	if !m.faults.Load() {
		return
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		_, _ = m.FailedWrites() // what was known before stays
	}()
	select {
	case <-looked:
	case <-m.process.over:
	case <-time.After(lookTime):
	}
}
