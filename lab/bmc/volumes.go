package bmc

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// RAID is how a BMC lets volumes be made of the drives.
type RAID struct {
	ApplyTimes []string // Immediate, OnReset
	Tasks      bool     // what is done at once is a task all the same
	ReadOnly   bool     // volumes are only shown
	NameTop    int      // how long a name may be; 0: any length
}

// Volume is a logical drive.
type Volume struct {
	ID     string   `json:"id"`
	Name   string   `json:"name,omitempty"`
	Type   string   `json:"type"`   // RAID0, RAID1, …
	Drives []string `json:"drives"` // serials
	Bytes  int64    `json:"bytes"`
}

// raidTypes are those there are, with the fewest drives that each takes, and how many
// drives' worth of n is left for data.
var raidTypes = map[string]struct {
	least int
	data  func(n int) int
}{
	"RAID0":  {1, func(n int) int { return n }},
	"RAID1":  {2, func(int) int { return 1 }},
	"RAID5":  {3, func(n int) int { return n - 1 }},
	"RAID6":  {4, func(n int) int { return n - 2 }},
	"RAID10": {4, func(n int) int { return n / 2 }},
}

var raidNames = []string{"RAID0", "RAID1", "RAID5", "RAID6", "RAID10"}

const applyTimeProperty = "@Redfish.OperationApplyTime"

func (b *BMC) volumesPath() string { return b.storagePath() + "/Volumes" }

// Volumes are those that there are.
func (b *BMC) Volumes() []Volume { return b.State().Setup.Volumes }

func (b *BMC) hasVolumes(r *request) bool {
	return b.manners.RAID != nil && r.ids[0] == b.manners.SystemID && r.ids[1] == storageID
}

func (b *BMC) volumes(r *request) (resource, bool) {
	if !b.hasVolumes(r) {
		return resource{}, false
	}
	if r.Method == http.MethodGet {
		b.lookAtTasks()
	}
	res := resource{
		get: func(*request) doc {
			var paths []string
			for _, v := range b.Volumes() {
				paths = append(paths, b.volumesPath()+"/"+v.ID)
			}
			d := collection(b.volumesPath(), "Volume", "Volume Collection", paths...)
			if !b.manners.RAID.ReadOnly {
				d["@Redfish.OperationApplyTimeSupport"] = doc{
					"@odata.type": "#Settings.v1_3_5.OperationApplyTimeSupport", "SupportedValues": b.manners.RAID.ApplyTimes,
				}
			}
			return d
		},
		writes: is(SetVolumes),
	}
	if !b.manners.RAID.ReadOnly {
		res.post = b.makeVolume
	}
	return res, true
}

func (b *BMC) volume(r *request) (resource, bool) {
	volumes := b.Volumes()
	i := slices.IndexFunc(volumes, func(v Volume) bool { return v.ID == r.ids[2] })
	if !b.hasVolumes(r) || i < 0 {
		return resource{}, false
	}
	v := volumes[i]
	res := resource{
		get: func(*request) doc {
			var drives []string
			for i, d := range b.facts().Drives {
				if slices.Contains(v.Drives, d.Serial) {
					drives = append(drives, drivePath(b.storagePath(), i))
				}
			}
			return doc{
				"@odata.id": b.volumesPath() + "/" + v.ID, "@odata.type": "#Volume.v1_9_0.Volume",
				"Id": v.ID, "Name": orElse(v.Name, "Volume "+v.ID), "RAIDType": v.Type, "CapacityBytes": v.Bytes, "Status": healthy(),
				"Links": doc{"Drives": links(drives...)},
			}
		},
		writes: is(SetVolumes),
	}
	if !b.manners.RAID.ReadOnly {
		res.delete = func(r *request) answer { return b.changeVolumes(r, Task{Delete: v.ID}, b.manners.RAID.ApplyTimes[0]) }
	}
	return res, true
}

func (b *BMC) makeVolume(r *request) answer {
	c := b.manners.RAID
	params := []param{{name: "Name"}, {name: "RAIDType", values: raidNames, needed: true}, {name: "CapacityBytes", kind: number}, {name: "Links", kind: object, needed: true}}
	if m := check(r.object, params, "", propertyUnknown, propertyMissing); m != nil {
		return b.fail(*m)
	}
	v := Volume{Name: stringOf(r.object, "Name"), Type: stringOf(r.object, "RAIDType")}
	if c.NameTop > 0 && len(v.Name) > c.NameTop {
		return b.fail(propertyNotInList("Name", v.Name))
	}
	at := orElse(stringOf(r.object, applyTimeProperty), c.ApplyTimes[0])
	if !slices.Contains(c.ApplyTimes, at) {
		return b.fail(propertyNotInList(applyTimeProperty, at))
	}
	least, m := b.takeDrives(&v, r.object["Links"].(map[string]any))
	if m != nil {
		return b.fail(*m)
	}
	if raidTypes[v.Type].least > len(v.Drives) {
		return b.refuse(TooFewDrives)
	}
	v.Bytes = least * int64(raidTypes[v.Type].data(len(v.Drives)))
	if asked, ok := r.object["CapacityBytes"].(float64); ok && asked > 0 {
		if int64(asked) > v.Bytes {
			return b.fail(propertyNotInList("CapacityBytes", strconv.FormatInt(int64(asked), 10)))
		}
		v.Bytes = int64(asked)
	}
	return b.changeVolumes(r, Task{Make: &v}, at)
}

// takeDrives finds the drives that a volume is asked to be made of, and the size of
// the smallest.
func (b *BMC) takeDrives(v *Volume, asked map[string]any) (least int64, m *Message) {
	drives := b.facts().Drives
	list, _ := asked["Drives"].([]any)
	for _, entry := range list {
		member, _ := entry.(map[string]any)
		path := stringOf(member, "@odata.id")
		i, err := strconv.Atoi(strings.TrimPrefix(path, b.storagePath()+"/Drives/"))
		if err != nil || i < 0 || i >= len(drives) || slices.Contains(v.Drives, drives[i].Serial) {
			wrong := propertyNotInList("Links/Drives", path)
			return 0, &wrong
		}
		for _, other := range b.Volumes() {
			if slices.Contains(other.Drives, drives[i].Serial) {
				used := b.manners.message(DriveInUse)
				return 0, &used
			}
		}
		v.Drives = append(v.Drives, drives[i].Serial)
		if least == 0 || drives[i].Bytes < least {
			least = drives[i].Bytes
		}
	}
	return least, nil
}

// changeVolumes makes or deletes a volume: at once, or by a task.
func (b *BMC) changeVolumes(r *request, t Task, at string) answer {
	t.Kind, t.Method, t.Target = taskVolume, r.Method, r.URL.Path
	if f := r.fault; f != nil {
		t.Fails, t.Hangs, t.Idles = f.Kind == TaskFails, f.Kind == TaskHangs, f.Kind == Drop
	}
	var location string
	b.update(func(s *State) {
		u := &s.Setup
		if t.Make != nil {
			u.Made++
			t.Make.ID = "V" + strconv.Itoa(u.Made)
		}
		switch {
		case at == "OnReset":
			t.State, t.Looks = taskNew, 1
		case b.manners.RAID.Tasks || t.Fails || t.Hangs:
			t.State, t.Looks = taskRunning, 2
			if b.manners.BIOS != nil && b.manners.BIOS.Jobs {
				t.Hidden = 1
			}
		default:
			u.finish(t)
			return
		}
		location = u.add(t)
	})
	switch {
	case location != "":
		return answer{status: http.StatusAccepted}.with("Location", location)
	case t.Make != nil:
		return answer{status: http.StatusCreated}.with("Location", b.volumesPath()+"/"+t.Make.ID)
	}
	return b.done()
}

// finish does what a task is for.
func (u *Setup) finish(t Task) {
	switch {
	case t.Idles:
	case t.Make != nil:
		u.Volumes = append(u.Volumes, *t.Make)
	case t.Delete != "":
		u.Volumes = slices.DeleteFunc(u.Volumes, func(v Volume) bool { return v.ID == t.Delete })
	}
}
