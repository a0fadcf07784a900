package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fewestDrives are those that a RAID type takes. The names are Redfish's (Volume.RAIDType).
var fewestDrives = map[string]int{"RAID0": 1, "RAID1": 2, "RAID5": 3, "RAID6": 4, "RAID10": 4, "RAID50": 6, "RAID60": 8}

// String names a volume, or says what it is where it has no name.
func (w WantedVolume) String() string {
	if w.Name != "" {
		return "the volume " + w.Name
	}
	return "a " + w.RAID
}

// Faults are what is wrong with volumes on whatever server: a type that there is not, fewer
// drives than it takes, one name twice.
func (w WantedVolumes) Faults() (wrong []string) {
	named := map[string]bool{}
	for _, v := range w.Volumes {
		least, known := fewestDrives[v.RAID]
		switch drives := max(len(v.Drives), v.Count); {
		case !known:
			wrong = append(wrong, fmt.Sprintf("%s: there is no RAID type %s%s", v, v.RAID, raidMeant(v.RAID)))
		case len(v.Drives) > 0 && v.Count != 0 && v.Count != len(v.Drives):
			wrong = append(wrong, fmt.Sprintf("%s names %d drives and asks for %d", v, len(v.Drives), v.Count))
		case drives < least:
			wrong = append(wrong, fmt.Sprintf("%s takes at least %d drives, not %d", v, least, drives))
		case v.Name != "" && named[v.Name]:
			wrong = append(wrong, fmt.Sprintf("two volumes are called %s", v.Name))
		}
		named[v.Name] = true
	}
	return wrong
}

func raidMeant(asked string) string {
	types := slices.Sorted(maps.Keys(fewestDrives))
	for _, name := range types {
		if alike(asked, name) {
			return " (is " + name + " meant?)"
		}
	}
	return "; there are: " + strings.Join(types, ", ")
}
