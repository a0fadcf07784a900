package disk

import "sync"

// Shelf is every disk of a machine. Disks that appear late, as behind slow
// controllers, are there from the next List on.
type Shelf struct {
	root string

	mu         sync.Mutex
	devices    []*Device
	subsystems map[string]*subsystem
}

// NewShelf looks below root, "/" but in tests.
func NewShelf(root string) *Shelf { return &Shelf{root: root} }

// List looks again, and returns the same Device for the same disk. It opens none.
func (s *Shelf) List() ([]*Device, error) {
	found, err := scan(s.root)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var now, gone []*Device
	known := map[string]*Device{}
	for _, d := range s.devices {
		known[d.facts.name] = d
	}
	for _, f := range found {
		d := known[f.name]
		if d == nil || d.facts.info != f.info {
			d = &Device{facts: f, subsystem: s.subsystemOf(f)} // another disk may have taken the name
		} else {
			delete(known, f.name)
		}
		now = append(now, d)
	}
	for _, d := range known {
		gone = append(gone, d)
	}
	s.devices = now
	for _, d := range gone {
		_ = d.Close()
	}
	return append([]*Device(nil), now...), nil
}

func (s *Shelf) subsystemOf(f facts) *subsystem {
	if f.subsystem == "" {
		return nil
	}
	if s.subsystems == nil {
		s.subsystems = map[string]*subsystem{}
	}
	if s.subsystems[f.subsystem] == nil {
		s.subsystems[f.subsystem] = &subsystem{}
	}
	return s.subsystems[f.subsystem]
}

// Close lets go of all disks.
func (s *Shelf) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		_ = d.Close()
	}
	s.devices = nil
	return nil
}
