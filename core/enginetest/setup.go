package enginetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

// setup is what a server's firmware is set to. Attributes, the boot order and Secure Boot
// are one kind of thing here: a name with a text. What is written is in force once the
// firmware has started, but for what it drops.
type setup struct {
	force, waits map[string]string
	writes       int // how often something was written
	starts       int
	// Manners.
	on    bool     // it knows nothing of all that while it is off
	drops []string // taken, and not applied
	wont  []string // not taken at all, which only shows when they are written
	alone bool     // it takes nothing while something waits
	slow  time.Duration

	volumes []core.Volume
	makes   []core.Volume // from the next start on; nil: nothing waits
	later   bool          // volumes wait for a start
}

func (u setup) clone() setup {
	u.force, u.waits = maps.Clone(u.force), maps.Clone(u.waits)
	u.volumes = slices.Clone(u.volumes)
	return u
}

// Manner changes how a server's BMC takes settings.
type Manner func(u *setup)

var (
	// OnlyWhenOn is a BMC that knows no settings while its server is off.
	OnlyWhenOn Manner = func(u *setup) { u.on = true }
	// OneAtATime is one that takes none while another waits.
	OneAtATime Manner = func(u *setup) { u.alone = true }
	// VolumesLater is one that makes volumes at the next start.
	VolumesLater Manner = func(u *setup) { u.later = true }
)

// AppliesFor is a BMC that is at the attributes that long after a start.
func AppliesFor(d time.Duration) Manner { return func(u *setup) { u.slow = d } }

// Drops is a BMC that takes a setting, and does not apply it.
func Drops(name string) Manner { return func(u *setup) { u.drops = append(u.drops, name) } }

// Refuses is a BMC that does not take a setting, and has nobody know before.
func Refuses(name string) Manner { return func(u *setup) { u.wont = append(u.wont, name) } }

// Settings gives the server's firmware settings, and its BMC manners.
func (s *Server) Settings(force map[string]string, manners ...Manner) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.setup.force = maps.Clone(force)
	for _, m := range manners {
		m(&s.setup)
	}
}

// Writes is how often something was written to the server's settings.
func (s *Server) Writes() int {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	return s.setup.writes
}

// apply is what firmware does with what waits for its start.
func (s *Server) apply() {
	u := &s.setup
	u.starts++
	u.force = maps.Clone(u.force)
	for name, value := range u.waits {
		if !slices.Contains(u.drops, name) {
			u.force[name] = value
		}
	}
	u.waits = nil
	if u.makes != nil {
		u.volumes, u.makes = u.makes, nil
	}
}

// seen are the disks as an operating system finds them.
func (s *Server) seen() (disks []core.Disk) {
	for _, d := range s.hardware.Disks {
		if !slices.ContainsFunc(s.setup.volumes, func(v core.Volume) bool { return slices.Contains(v.Drives, d.Key()) }) {
			disks = append(disks, d)
		}
	}
	for _, v := range s.setup.volumes {
		if s.faulty("volume vanishes") {
			continue
		}
		disks = append(disks, core.Disk{Serial: string(s.ID) + "-" + v.ID, Kind: core.SSD, Size: v.Size})
	}
	return disks
}

var (
	_ core.BIOSSetter       = (*bmc)(nil)
	_ core.BootOrderSetter  = (*bmc)(nil)
	_ core.SecureBootSetter = (*bmc)(nil)
	_ core.VolumeSetter     = (*bmc)(nil)
	_ core.FirmwareReader   = (*bmc)(nil)
)

// look reads the setup. Its own fault is a server that is off, and tells nothing then.
func (b *bmc) look(op string, effect func(u *setup) error) error {
	return b.read(op, func() error {
		if b.server.setup.on && b.server.power != core.PowerOn {
			return fault(op, core.Backend, "%w", core.ErrNoFacet)
		}
		return effect(&b.server.setup)
	})
}

func (u *setup) differences(want map[string]string) (all []core.Difference) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if u.force[name] != want[name] {
			all = append(all, core.Difference{Name: name, Wanted: want[name], Found: u.force[name]})
		}
	}
	return all
}

func (b *bmc) compare(op string, want map[string]string) (all []core.Difference, err error) {
	err = b.look("compare "+op, func(u *setup) error {
		for name := range want {
			if _, known := u.force[name]; !known {
				if len(u.force) == 0 {
					return fault("compare "+op, core.Invalid, "it has no %s: %w", op, core.ErrNoFacet)
				}
				return fault("compare "+op, core.Invalid, "there is no attribute %q", name)
			}
		}
		all = u.differences(want)
		return nil
	})
	return all, err
}

func (b *bmc) set(ctx context.Context, op string, want map[string]string) (core.Change, error) {
	differs, err := b.compare(op, want)
	if err != nil {
		return core.Change{}, err
	}
	change := core.Change{Differs: differs}
	need := maps.Clone(want)
	var stands bool
	_ = b.look("read what waits", func(u *setup) error {
		maps.DeleteFunc(need, func(name, value string) bool { return cmp.Or(u.waits[name], u.force[name]) == value })
		stands = u.alone && len(u.waits) > 0
		return nil
	})
	switch {
	case len(need) > 0 && stands:
		change.Reset, change.Again = true, true
		return change, nil
	case len(need) > 0:
		err = b.write(ctx, "set "+op, func() error {
			u := &b.server.setup
			for name := range need {
				if slices.Contains(u.wont, name) {
					return fault("set "+op, core.Backend, "answered 409 Conflict: not this %s: %w", name, core.ErrRefused)
				}
			}
			u.waits = maps.Clone(u.waits)
			if u.waits == nil {
				u.waits = map[string]string{}
			}
			maps.Copy(u.waits, need)
			u.writes++
			return nil
		})
	}
	change.Reset = len(need) > 0 || len(differs) > 0
	return change, err
}

func (b *bmc) verify(op string, want map[string]string) error {
	return b.look("verify "+op, func(u *setup) error {
		differs := u.differences(want)
		switch {
		case len(differs) == 0:
			return nil
		case len(u.waits) > 0:
			return fault("verify "+op, core.Timeout, "it waits for a start: %s", core.Differences(differs))
		}
		return fault("verify "+op, core.Backend, "it took the settings, but after the reset they are not applied: %s", core.Differences(differs))
	})
}

func texts(want core.BIOSAttributes) map[string]string {
	all := map[string]string{}
	for name, value := range want {
		all[name] = fmt.Sprint(value)
	}
	return all
}

func (b *bmc) BIOS(context.Context) (all []core.BIOSAttribute, err error) {
	err = b.look("read BIOS", func(u *setup) error {
		for _, name := range slices.Sorted(maps.Keys(u.force)) {
			a := core.BIOSAttribute{Name: name, Value: u.force[name]}
			if value, waits := u.waits[name]; waits && value != a.Value {
				a.Pending = value
			}
			all = append(all, a)
		}
		return nil
	})
	return all, err
}

func (b *bmc) CompareBIOS(_ context.Context, want core.BIOSAttributes) ([]core.Difference, error) {
	return b.compare("BIOS", texts(want))
}

func (b *bmc) SetBIOS(ctx context.Context, want core.BIOSAttributes) (core.Change, error) {
	return b.set(ctx, "BIOS", texts(want))
}

func (b *bmc) VerifyBIOS(ctx context.Context, want core.BIOSAttributes) error {
	var slow time.Duration
	_ = b.look("read BIOS", func(u *setup) error { slow = u.slow; return nil })
	for end := time.Now().Add(slow); time.Now().Before(end); {
		core.Awaits(ctx, "its job 1, for "+strings.Join(slices.Sorted(maps.Keys(want)), ", "))
		select {
		case <-ctx.Done():
			return fault("verify BIOS", core.Timeout, "its job 1: %w", context.Cause(ctx))
		case <-time.After(5 * time.Second):
		}
	}
	return b.verify("BIOS", texts(want))
}

// OrderOfBoot and SecureBootIs are the names of those settings.
const (
	OrderOfBoot  = "boot order"
	SecureBootIs = "Secure Boot"
)

func ordered(want []string) map[string]string {
	return map[string]string{OrderOfBoot: strings.Join(want, ", ")}
}

func (b *bmc) BootOptions(context.Context) (options []core.BootOption, err error) {
	err = b.look("read boot order", func(u *setup) error {
		for name := range strings.SplitSeq(u.force[OrderOfBoot], ", ") {
			options = append(options, core.BootOption{Reference: name, Name: name})
		}
		return nil
	})
	return options, err
}

func (b *bmc) CompareBootOrder(_ context.Context, want []string) ([]core.Difference, error) {
	return b.compare(OrderOfBoot, ordered(want))
}

func (b *bmc) SetBootOrder(ctx context.Context, want []string) (core.Change, error) {
	return b.set(ctx, OrderOfBoot, ordered(want))
}

func (b *bmc) VerifyBootOrder(_ context.Context, want []string) error {
	return b.verify(OrderOfBoot, ordered(want))
}

func secured(on bool) map[string]string { return map[string]string{SecureBootIs: fmt.Sprint(on)} }

func (b *bmc) SecureBoot(context.Context) (s core.SecureBootState, err error) {
	err = b.look("read Secure Boot", func(u *setup) error {
		s.InForce = u.force[SecureBootIs] == "true"
		s.Enabled = s.InForce
		return nil
	})
	return s, err
}

func (b *bmc) CompareSecureBoot(_ context.Context, want bool) ([]core.Difference, error) {
	return b.compare(SecureBootIs, secured(want))
}

func (b *bmc) SetSecureBoot(ctx context.Context, want bool) (core.Change, error) {
	return b.set(ctx, SecureBootIs, secured(want))
}

func (b *bmc) VerifySecureBoot(_ context.Context, want bool) error {
	return b.verify(SecureBootIs, secured(want))
}

// Firmware has the version of the firmware of the server, where its settings name one.
func (b *bmc) Firmware(context.Context) (all []core.Firmware, err error) {
	err = b.look("read firmware", func(u *setup) error {
		all = []core.Firmware{{ID: "BIOS", Name: "BIOS", Version: u.force["version"]}}
		return nil
	})
	return all, err
}

func (b *bmc) CompareFirmware(ctx context.Context, minimum []core.FirmwareMinimum) (all []core.Difference, err error) {
	found, err := b.Firmware(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range minimum {
		if found[0].Version < m.Version {
			all = append(all, core.Difference{Name: "the firmware of " + m.Component, Wanted: "at least " + m.Version, Found: found[0].Version})
		}
	}
	return all, nil
}

func (b *bmc) Storage(context.Context) (all []core.StorageController, err error) {
	err = b.look("read storage", func(u *setup) error {
		c := core.StorageController{ID: "RAID"}
		for _, d := range b.server.hardware.Disks {
			c.Drives = append(c.Drives, core.StorageDrive{Disk: d, ID: d.Key()})
		}
		c.Volumes = slices.Clone(u.volumes)
		all = []core.StorageController{c}
		return nil
	})
	return all, err
}

// layout is what volumes a server is to have, of its drives in their order. It knows no
// other wish than a name and a count.
func (b *bmc) layout(want core.WantedVolumes) (volumes []core.Volume, err error) {
	free := []string{}
	for _, d := range b.server.hardware.Disks {
		free = append(free, d.Key())
	}
	for i, v := range want.Volumes {
		if len(free) < v.Count {
			return nil, fault("compare volumes", core.Invalid, "there are too few drives")
		}
		drives := free[:v.Count]
		free = free[v.Count:]
		if slices.ContainsFunc(drives, func(d string) bool { return slices.Contains(want.Preserve, d) }) {
			return nil, &core.Error{Op: "compare volumes", Kind: core.Denied, Err: errors.New("a drive is preserved"), Hint: "want other drives"}
		}
		volumes = append(volumes, core.Volume{ID: fmt.Sprintf("V%d", i+1), Name: v.Name, RAID: v.RAID, Size: 480e9, Drives: drives})
	}
	return volumes, nil
}

func (b *bmc) CompareVolumes(_ context.Context, want core.WantedVolumes) (all []core.Difference, err error) {
	err = b.look("compare volumes", func(u *setup) error {
		volumes, err := b.layout(want)
		if err == nil && fmt.Sprint(volumes) != fmt.Sprint(u.volumes) {
			all = []core.Difference{{Name: "volumes", Wanted: fmt.Sprint(volumes), Found: fmt.Sprint(u.volumes)}}
		}
		return err
	})
	return all, err
}

// SetVolumes has what was on the drives be lost.
func (b *bmc) SetVolumes(ctx context.Context, want core.WantedVolumes) (core.Change, error) {
	differs, err := b.CompareVolumes(ctx, want)
	if err != nil || len(differs) == 0 {
		return core.Change{}, err
	}
	change := core.Change{Differs: differs}
	err = b.write(ctx, "set volumes", func() error {
		volumes, err := b.layout(want)
		if err != nil {
			return err
		}
		u := &b.server.setup
		change.Reset = u.later
		u.writes++
		u.makes = append([]core.Volume{}, volumes...)
		if !u.later {
			u.volumes, u.makes = u.makes, nil
		}
		return nil
	})
	return change, err
}

func (b *bmc) VerifyVolumes(ctx context.Context, want core.WantedVolumes) error {
	differs, err := b.CompareVolumes(ctx, want)
	if err == nil && len(differs) > 0 {
		err = fault("verify volumes", core.Backend, "it took the volumes, and they are not there: %s", core.Differences(differs))
	}
	return err
}
