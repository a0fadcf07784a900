package redfish

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

const (
	tb = core.Bytes(1e12)
	gb = core.Bytes(1e9)
)

func drive(id string, kind core.DiskKind, size core.Bytes) core.StorageDrive {
	return core.StorageDrive{ID: id, Disk: core.Disk{Serial: "S" + id, Kind: kind, Size: size}}
}

// twoControllers: SSDs behind the first, disks behind the second.
func twoControllers(volumes ...core.Volume) []core.StorageController {
	return []core.StorageController{
		{ID: "BOSS", RAID: []string{"RAID1"}, Drives: []core.StorageDrive{drive("b0", core.SSD, 480*gb), drive("b1", core.SSD, 480*gb)}},
		{ID: "PERC", RAID: []string{"RAID0", "RAID1", "RAID5", "RAID6", "RAID10"}, Volumes: volumes, Drives: []core.StorageDrive{
			drive("p0", core.HDD, 8*tb), drive("p1", core.HDD, 8*tb), drive("p2", core.HDD, 4*tb), drive("p3", core.HDD, 4*tb),
			drive("p4", core.SSD, 2*tb), drive("p5", core.SSD, 2*tb), {ID: "usb", Disk: core.Disk{Serial: "SU", Kind: core.SSD, Size: tb, Removable: true}},
		}},
	}
}

func TestPlanVolumes(t *testing.T) {
	mirror := core.Volume{ID: "V1", Name: "data", RAID: "RAID1", Size: 4 * tb, Drives: []string{"p2", "p3"}}
	stripe := core.Volume{ID: "V2", Name: "scratch", RAID: "RAID0", Size: 4 * tb, Drives: []string{"p4", "p5"}}
	slice := core.Volume{ID: "V3", Name: "rest", RAID: "RAID1", Size: tb, Drives: []string{"p2", "p3"}}
	for _, c := range []struct {
		name     string
		have     []core.Volume
		want     []core.WantedVolume
		preserve []string
		plan     string // "-V1 +RAID1 PERC p0 p1"
		kind     string // of an error: wrong, preserved
		says     string
	}{
		{name: "nothing wanted, nothing there"},
		{name: "one by count takes the smallest that fit", want: []core.WantedVolume{{RAID: "RAID1", Count: 2, Kind: core.HDD}}, plan: "+RAID1 PERC p2 p3"},
		{name: "solid state comes first", want: []core.WantedVolume{{RAID: "RAID1", Count: 2}}, plan: "+RAID1 BOSS b0 b1"},
		{name: "a minimum", want: []core.WantedVolume{{RAID: "RAID1", Count: 2, MinDrive: 5 * tb}}, plan: "+RAID1 PERC p0 p1"},
		{name: "a controller", want: []core.WantedVolume{{RAID: "RAID1", Count: 2, Controller: "PERC"}}, plan: "+RAID1 PERC p4 p5"},
		{name: "what the first controller does not make", want: []core.WantedVolume{{RAID: "RAID0", Count: 2, Kind: core.SSD}}, plan: "+RAID0 PERC p4 p5"},
		{name: "two do not share", want: []core.WantedVolume{{RAID: "RAID1", Count: 2, Kind: core.HDD}, {RAID: "RAID1", Count: 2, Kind: core.HDD}}, plan: "+RAID1 PERC p2 p3 +RAID1 PERC p0 p1"},
		{name: "named drives first", want: []core.WantedVolume{{RAID: "RAID1", Count: 2, Kind: core.HDD}, {RAID: "RAID1", Drives: []string{"sp2", "p3"}}}, plan: "+RAID1 PERC p2 p3 +RAID1 PERC p0 p1"},
		{name: "as it is", have: []core.Volume{mirror, stripe}, want: []core.WantedVolume{{RAID: "RAID1", Count: 2}, {RAID: "RAID0", Drives: []string{"Sp4", "Sp5"}}}},
		{name: "as it is, by name and rounded size", have: []core.Volume{mirror}, want: []core.WantedVolume{{Name: "data", RAID: "RAID1", Count: 2, Size: 4*tb + 10*gb}}},
		{name: "another name", have: []core.Volume{mirror}, want: []core.WantedVolume{{Name: "os", RAID: "RAID1", Count: 2, Kind: core.HDD}}, plan: "-V1 +RAID1 PERC p2 p3"},
		{name: "another type", have: []core.Volume{stripe}, want: []core.WantedVolume{{RAID: "RAID1", Count: 2, Controller: "PERC", Kind: core.SSD}}, plan: "-V2 +RAID1 PERC p4 p5"},
		{name: "not wanted", have: []core.Volume{mirror, stripe}, want: []core.WantedVolume{{RAID: "RAID0", Count: 2}}, plan: "-V1"},
		{name: "two of the same drives", have: []core.Volume{mirror, slice}, want: []core.WantedVolume{{Name: "data", RAID: "RAID1", Count: 2}}, plan: "-V3"},
		{name: "preserved, and not wanted", have: []core.Volume{mirror, stripe}, preserve: []string{"Sp2"}, plan: "-V2"},
		{name: "preserved drives are passed over", want: []core.WantedVolume{{RAID: "RAID1", Count: 2, Kind: core.HDD}}, preserve: []string{"Sp2", "elsewhere"}, plan: "+RAID1 PERC p3 p0"},
		{name: "preserved, wanted and there", have: []core.Volume{mirror}, want: []core.WantedVolume{{RAID: "RAID1", Drives: []string{"Sp2", "Sp3"}}}, preserve: []string{"Sp2", "Sp3"}},

		{name: "of a preserved drive", want: []core.WantedVolume{{RAID: "RAID1", Drives: []string{"Sp2", "Sp3"}}}, preserve: []string{"sp3"}, kind: "preserved", says: "the drive Sp3, which is preserved"},
		{name: "another type of preserved drives", have: []core.Volume{mirror}, want: []core.WantedVolume{{RAID: "RAID0", Drives: []string{"Sp2", "Sp3"}}}, preserve: []string{"Sp2"}, kind: "preserved", says: "the drive Sp2, which is preserved"},
		{name: "the mate of a preserved drive", have: []core.Volume{mirror}, want: []core.WantedVolume{{RAID: "RAID0", Drives: []string{"Sp3"}}}, preserve: []string{"Sp2"}, kind: "wrong", says: "the drive Sp3, which another volume has"},
		{name: "enough but for the preserved", want: []core.WantedVolume{{RAID: "RAID6", Count: 4, Kind: core.HDD}}, preserve: []string{"Sp0"}, kind: "preserved", says: "without those that are preserved there are 3"},
		{name: "too few", want: []core.WantedVolume{{RAID: "RAID5", Count: 5, Kind: core.HDD, MinDrive: tb}}, kind: "wrong", says: "takes 5 drives of kind hdd of at least"},
		{name: "across controllers", want: []core.WantedVolume{{RAID: "RAID1", Drives: []string{"Sb0", "Sp4"}}}, kind: "wrong", says: "behind two controllers, BOSS and PERC"},
		{name: "twice the same", want: []core.WantedVolume{{RAID: "RAID1", Drives: []string{"Sp4", "p4"}}}, kind: "wrong", says: "names the drive Sp4 twice"},
		{name: "no such drive", want: []core.WantedVolume{{RAID: "RAID1", Drives: []string{"Sp4", "SSp5"}}}, kind: "wrong", says: "there is no drive SSp5 (is Sp5 meant?)"},
		{name: "what its controller does not make", want: []core.WantedVolume{{RAID: "RAID0", Drives: []string{"Sb0"}}}, kind: "wrong", says: "BOSS makes RAID1, not RAID0"},
		{name: "no such type", want: []core.WantedVolume{{RAID: "RIAD1", Count: 2}}, kind: "wrong", says: "there is no RAID type RIAD1 (is RAID1 meant?)"},
		{name: "fewer than the type takes", want: []core.WantedVolume{{RAID: "RAID6", Count: 3}}, kind: "wrong", says: "takes at least 4 drives, not 3"},
		{name: "two of a name", want: []core.WantedVolume{{Name: "a", RAID: "RAID0", Count: 1}, {Name: "a", RAID: "RAID0", Count: 1}}, kind: "wrong", says: "two volumes are called a"},
		{name: "names and another count", want: []core.WantedVolume{{RAID: "RAID0", Count: 1, Drives: []string{"Sp4", "Sp5"}}}, kind: "wrong", says: "names 2 drives and asks for 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := twoControllers(c.have...)
			got, err := planVolumes(have, core.WantedVolumes{Volumes: c.want, Preserve: c.preserve})
			kind := ""
			switch err.(type) { //nolint:errorlint // just these
			case *wrongError:
				kind = "wrong"
			case *preservedError:
				kind = "preserved"
			}
			if kind != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v; want %s that says %q", err, c.kind, c.says)
			}
			var steps []string
			for _, d := range got.deletes {
				steps = append(steps, "-"+d.volume.ID)
			}
			for _, m := range got.makes {
				steps = append(steps, fmt.Sprintf("+%s %s %s", m.want.RAID, have[m.controller].ID, strings.Join(m.drives, " ")))
			}
			if plan := strings.Join(steps, " "); plan != c.plan || len(got.differs) != len(steps) {
				t.Errorf("the plan is %q, want %q; it differs in %v", plan, c.plan, got.differs)
			}
		})
	}
}

// FuzzPlanVolumes: no plan touches a preserved drive or gives one to two volumes, and
// what it leads to needs no other.
func FuzzPlanVolumes(f *testing.F) {
	f.Add(uint8(2), uint8(0), uint8(0), uint8(3))
	f.Add(uint8(4), uint8(2), uint8(7), uint8(0))
	raids := []string{"RAID0", "RAID1", "RAID10", "RAID5", "RAID50", "RAID6", "RAID60"}
	f.Fuzz(func(t *testing.T, count, raid, preserve, there uint8) {
		all := []core.Volume{
			{ID: "V1", RAID: "RAID1", Drives: []string{"p2", "p3"}}, {ID: "V2", RAID: "RAID0", Drives: []string{"p4", "p5"}}, {ID: "V3", RAID: "RAID0", Drives: []string{"p0"}},
		}
		var volumes []core.Volume
		for i, v := range all {
			if there&(1<<i) != 0 {
				volumes = append(volumes, v)
			}
		}
		have := twoControllers(volumes...)
		want := core.WantedVolumes{Volumes: []core.WantedVolume{{RAID: raids[int(raid)%len(raids)], Count: int(count % 8)}, {RAID: "RAID0", Count: 1}}}
		for i, d := range have[1].Drives {
			if preserve&(1<<i) != 0 {
				want.Preserve = append(want.Preserve, d.Serial)
			}
		}
		plan, err := planVolumes(have, want)
		if err != nil {
			return
		}
		used := map[place]bool{}
		for _, d := range plan.deletes {
			for _, id := range d.volume.Drives {
				if slices.Contains(want.Preserve, "S"+id) {
					t.Errorf("%s is deleted, which is on the preserved %s", d.volume.ID, id)
				}
			}
			have[d.controller].Volumes = slices.DeleteFunc(have[d.controller].Volumes, func(v core.Volume) bool { return v.ID == d.volume.ID })
		}
		for i, m := range plan.makes {
			for _, id := range m.drives {
				at := place{m.controller, id}
				inUse := slices.ContainsFunc(have[m.controller].Volumes, func(v core.Volume) bool { return slices.Contains(v.Drives, id) })
				if slices.Contains(want.Preserve, "S"+id) || used[at] || inUse {
					t.Errorf("%s is taken, though preserved or in use", id)
				}
				used[at] = true
			}
			have[m.controller].Volumes = append(have[m.controller].Volumes, core.Volume{ID: fmt.Sprint("N", i), RAID: m.want.RAID, Drives: m.drives})
		}
		again, err := planVolumes(have, want)
		if err != nil || len(again.differs) > 0 {
			t.Errorf("after the plan there is another: %v, %v", again.differs, err)
		}
	})
}
