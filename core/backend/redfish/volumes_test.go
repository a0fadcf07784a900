package redfish_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/lab/bmc"
)

// withDrives is a server with four disks and two SSDs behind its controller.
func withDrives(volumes ...bmc.Volume) func(*bmc.Config, *machine) {
	return func(c *bmc.Config, m *machine) {
		m.facts.Drives = nil
		for i := range 6 {
			m.facts.Drives = append(m.facts.Drives, bmc.Drive{Serial: fmt.Sprintf("D%d", i), Bytes: 4e12, Protocol: "SAS", Spinning: i < 4})
		}
		c.State.Setup.Volumes = volumes
	}
}

// volumesOf are the BMC's own, as "RAID1 D0 D1".
func volumesOf(r *rig) string {
	var all []string
	for _, v := range r.bmc.Volumes() {
		all = append(all, v.Type+" "+strings.Join(v.Drives, " "))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// bring is what callers do: set, reset where it is needed, until nothing is left.
func bring(r *rig, b core.BMC, want core.WantedVolumes) (resets int) {
	r.t.Helper()
	s := b.(core.VolumeSetter)
	for range 5 {
		change, err := s.SetVolumes(r.t.Context(), want)
		must(r.t, "set", err)
		if change.Reset {
			resets++
			r.restart(b)
		}
		if !change.Again {
			must(r.t, "verify", s.VerifyVolumes(r.t.Context(), want))
			return resets
		}
	}
	r.t.Fatal("the volumes do not converge")
	return 0
}

func TestVolumesOfEveryVendor(t *testing.T) {
	for _, m := range bmc.All() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m, withDrives(bmc.Volume{ID: "old", Type: "RAID0", Drives: []string{"D0", "D4"}, Bytes: 8e12}))
			b := r.enrolled()
			s := b.(core.VolumeSetter)
			want := core.WantedVolumes{Volumes: []core.WantedVolume{{Name: "os", RAID: "RAID1", Count: 2, Kind: core.SSD}, {Name: "data", RAID: "RAID5", Drives: []string{"D0", "D1", "D3"}}}}
			if m.RAID == nil || m.RAID.ReadOnly {
				_, err := s.SetVolumes(t.Context(), want)
				wantKind(t, err, core.Backend, "it has no RAID controller that lets its BMC make volumes")
				wantNoFacet(t, err)
				r.wantWrites()
				return
			}
			controllers, err := s.Storage(t.Context())
			must(t, "read", err)
			if len(controllers) != 1 || len(controllers[0].Drives) != 6 || len(controllers[0].Volumes) != 1 || controllers[0].ReadOnly || len(controllers[0].RAID) == 0 {
				t.Fatalf("the controllers are %+v", controllers)
			}
			if v := controllers[0].Volumes[0]; v.RAID != "RAID0" || v.Size != core.Bytes(8e12) || !slices.Equal(v.Drives, []string{"0", "4"}) {
				t.Errorf("the volume is %+v", v)
			}
			differs, err := s.CompareVolumes(t.Context(), want)
			must(t, "compare", err)
			if text := core.Differences(differs); text != "the volume Volume old is RAID0 of D0, D4, not gone; the volume data is nothing, not RAID5 of D0, D1, D3; the volume os is nothing, not RAID1 of D4, D5" {
				t.Errorf("it differs: %s", text)
			}
			r.wantWrites()

			resets := bring(r, b, want)
			// Deleted by one start, made by the next.
			if at := map[bool]int{true: 0, false: 2}[slices.Contains(m.RAID.ApplyTimes, "Immediate")]; resets != at {
				t.Errorf("it took %d resets, want %d", resets, at)
			}
			if got := volumesOf(r); got != "RAID1 D4 D5, RAID5 D0 D1 D3" {
				t.Errorf("the volumes are %s", got)
			}
			r.bmc.ResetTraffic()
			change, err := s.SetVolumes(t.Context(), want)
			must(t, "set what is so", err)
			if change.Reset || len(change.Differs) > 0 {
				t.Errorf("the change of nothing is %+v", change)
			}
			bring(r, b, core.WantedVolumes{})
			if got := volumesOf(r); got != "" {
				t.Errorf("the volumes are %s", got)
			}
		})
	}
}

// A change that would destroy a preserved drive is refused, and nothing is done.
func TestPreservedDrive(t *testing.T) {
	for _, m := range bmc.All() {
		if m.RAID == nil || m.RAID.ReadOnly {
			continue
		}
		for _, want := range []core.WantedVolumes{
			{Volumes: []core.WantedVolume{{RAID: "RAID0", Drives: []string{"D0", "D1"}}}, Preserve: []string{"D0"}},
			{Volumes: []core.WantedVolume{{RAID: "RAID5", Count: 4, Kind: core.HDD}}, Preserve: []string{"d0"}},
		} {
			t.Run(m.Name+"/"+want.Volumes[0].RAID, func(t *testing.T) {
				r := newRig(t, m, withDrives(bmc.Volume{ID: "old", Type: "RAID1", Drives: []string{"D0", "D1"}, Bytes: 4e12}, bmc.Volume{ID: "other", Type: "RAID0", Drives: []string{"D5"}, Bytes: 4e12}))
				s := r.enrolled().(core.VolumeSetter)
				_, err := s.CompareVolumes(t.Context(), want)
				wantKind(t, err, core.Denied, "compare volumes", "preserved")
				_, err = s.SetVolumes(t.Context(), want)
				wantKind(t, err, core.Denied, "set volumes", "preserved")
				wantRefused(t, err)
				r.wantWrites()
				if got := volumesOf(r); got != "RAID0 D5, RAID1 D0 D1" {
					t.Errorf("the volumes are %s", got)
				}
			})
		}
	}
}

// A controller that says no has changed nothing, unless it had deleted something before.
func TestVolumesRefused(t *testing.T) {
	m, err := bmc.Named("ilo6")
	must(t, "manners", err)
	want := core.WantedVolumes{Volumes: []core.WantedVolume{{RAID: "RAID1", Count: 2, Kind: core.SSD}}}
	old := bmc.Volume{ID: "old", Type: "RAID0", Drives: []string{"D4"}, Bytes: 4e12}
	for _, c := range []struct {
		name string
		old  []bmc.Volume
		nth  int
		none bool
	}{{"to make", nil, 1, true}, {"to delete", []bmc.Volume{old}, 1, true}, {"to make after it has deleted", []bmc.Volume{old}, 2, false}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, m, withDrives(c.old...))
			s := r.enrolled().(core.VolumeSetter)
			r.fault(bmc.Fault{On: bmc.SetVolumes, Kind: bmc.Fail, Status: 400, Nth: c.nth})
			_, err := s.SetVolumes(t.Context(), want)
			wantKind(t, err, core.Backend, "set volumes", "400")
			if errors.Is(err, core.ErrRefused) != c.none {
				t.Errorf("nothing was changed: %t; %v", !c.none, err)
			}
		})
	}
	r := newRig(t, m, withDrives())
	_, err = r.enrolled().(core.VolumeSetter).CompareVolumes(t.Context(), core.WantedVolumes{Volumes: []core.WantedVolume{{RAID: "RAID0", Drives: []string{"D44"}}}})
	wantKind(t, err, core.Invalid, "there is no drive D44 (is D4 meant?)")
	wantRefused(t, err)
}

func TestVolumeTasks(t *testing.T) {
	want := core.WantedVolumes{Volumes: []core.WantedVolume{{Name: "os", RAID: "RAID1", Drives: []string{"D4", "D5"}}}}
	for _, vendor := range []string{"idrac9", "idrac10", "ilo6", "supermicro-x12", "xcc"} {
		m, err := bmc.Named(vendor)
		must(t, "manners", err)
		atOnce := slices.Contains(m.RAID.ApplyTimes, "Immediate")
		newRack := func(t *testing.T) (*rig, core.BMC) {
			r := newRig(t, m, withDrives())
			return r, r.connectWith(func(o *redfish.Options) { o.Apply, o.Settle = 100*time.Millisecond, 50*time.Millisecond })
		}
		t.Run(vendor+"/fails", func(t *testing.T) {
			r, b := newRack(t)
			s := b.(core.VolumeSetter)
			r.fault(bmc.Fault{On: bmc.SetVolumes, Kind: bmc.TaskFails})
			_, err := s.SetVolumes(t.Context(), want)
			if atOnce {
				wantKind(t, err, core.Backend, "its job ended as Exception")
			} else {
				must(t, "set", err)
				r.restart(b)
				wantKind(t, s.VerifyVolumes(t.Context(), want), core.Backend, "the volume os is nothing, not RAID1 of D4, D5")
			}
			bring(r, b, want)
		})
		t.Run(vendor+"/hangs", func(t *testing.T) {
			r, b := newRack(t)
			s := b.(core.VolumeSetter)
			r.fault(bmc.Fault{On: bmc.SetVolumes, Kind: bmc.TaskHangs})
			_, err := s.SetVolumes(t.Context(), want)
			if !atOnce {
				must(t, "set", err)
				r.restart(b)
				err = s.VerifyVolumes(t.Context(), want)
			}
			wantKind(t, err, core.Timeout, "it still shows its", "Running")
			// It is not begun a second time.
			writes := len(r.writes())
			_, err = s.SetVolumes(t.Context(), want)
			wantKind(t, err, core.Timeout, "it still shows its", "Running")
			if w := r.writes(); len(w) != writes {
				t.Errorf("the BMC got %q", w)
			}
		})
		t.Run(vendor+"/does nothing", func(t *testing.T) {
			r, b := newRack(t)
			s := b.(core.VolumeSetter)
			r.fault(bmc.Fault{On: bmc.SetVolumes, Kind: bmc.Drop})
			_, err := s.SetVolumes(t.Context(), want)
			if atOnce {
				wantKind(t, err, core.Backend, "it took the command", "no volume os")
			} else {
				must(t, "set", err)
				r.restart(b)
				wantKind(t, s.VerifyVolumes(t.Context(), want), core.Backend, "are not applied", "the volume os is nothing")
			}
			bring(r, b, want)
		})
	}
}

// A worker that dies after its request leaves a task; the next one waits for that one,
// and makes no second volume.
func TestVolumeCrashes(t *testing.T) {
	want := core.WantedVolumes{Volumes: []core.WantedVolume{{Name: "os", RAID: "RAID1", Count: 2, Kind: core.SSD}, {Name: "data", RAID: "RAID1", Count: 2, Kind: core.HDD}}}
	for _, m := range bmc.All() {
		if m.RAID == nil || m.RAID.ReadOnly {
			continue
		}
		for _, after := range []bool{false, true} {
			for nth := 1; nth <= 3; nth++ {
				t.Run(fmt.Sprintf("%s/request %d, %t", m.Name, nth, after), func(t *testing.T) {
					r := newRig(t, m, withDrives(bmc.Volume{ID: "old", Type: "RAID0", Drives: []string{"D4"}, Bytes: 4e12}))
					b := r.enrolled()
					r.fault(bmc.Fault{On: bmc.SetVolumes, Kind: bmc.Cut, Nth: nth, After: after})
					_, _ = b.(core.VolumeSetter).SetVolumes(t.Context(), want) // it dies of it, or not
					b.Close()
					r.bmc.Faults().Clear()
					b = r.enrolled()
					bring(r, b, want)
					if got := volumesOf(r); got != "RAID1 D0 D1, RAID1 D4 D5" {
						t.Errorf("the volumes are %s", got)
					}
				})
			}
		}
	}
}
