package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// RAIDStep has the server's RAID controllers have these volumes, and no others: what is
// on others is lost. It is not done to a machine that was in use.
type RAIDStep struct {
	Volumes []RAIDVolume `json:"volumes" yaml:"volumes"`
	// Preserve are serials or worldwide names of drives whose content stays; those that a
	// server has not got do not matter.
	Preserve []string `json:"preserve,omitempty" yaml:"preserve,omitempty,flow"`
}

// RAIDVolume is a volume, made of the drives named, or of any count that fit.
type RAIDVolume struct {
	Name string `json:"name,omitempty" yaml:"name,omitempty"` // some controllers take 15 characters and no more
	RAID string `json:"raid" yaml:"raid"`                     // RAID0, RAID1, RAID5, RAID6, RAID10, RAID50, RAID60
	Size Size   `json:"size,omitempty" yaml:"size,omitempty"` // default: all that the drives hold

	Drives []string `json:"drives,omitempty" yaml:"drives,omitempty,flow"` // serials, worldwide names or IDs

	Count      int      `json:"count,omitempty" yaml:"count,omitempty"`
	Kind       DiskKind `json:"kind,omitempty" yaml:"kind,omitempty"`             // default: any, all of one kind
	MinDrive   Size     `json:"min_drive,omitempty" yaml:"min_drive,omitempty"`   // of each drive
	Controller string   `json:"controller,omitempty" yaml:"controller,omitempty"` // its ID; default: any, all behind one
}

func (s *RAIDStep) check() error {
	for _, v := range s.Volumes {
		switch {
		case v.RAID == "":
			return inPart(fmt.Errorf("%q does not say which RAID it is, such as RAID1", v.Name), "volumes")
		case v.Count < 0:
			return inPart(fmt.Errorf("%q has a negative count", v.Name), "volumes")
		case len(v.Drives) == 0 && v.Count == 0:
			return inPart(fmt.Errorf("%q names no drives; say which, or how many with count", v.Name), "volumes")
		case !slices.Contains([]DiskKind{"", HDD, SSD, NVMe}, v.Kind):
			return inPart(fmt.Errorf("%q is no kind of drive; there are: %s, %s, %s", v.Kind, HDD, SSD, NVMe), "volumes")
		}
	}
	if wrong := s.wanted().Faults(); len(wrong) > 0 {
		return inPart(errors.New(strings.Join(wrong, "; ")), "volumes")
	}
	return nil
}

func (s *RAIDStep) wanted() WantedVolumes {
	want := WantedVolumes{Preserve: s.Preserve}
	for _, v := range s.Volumes {
		want.Volumes = append(want.Volumes, WantedVolume{
			Name: v.Name, RAID: v.RAID, Size: Bytes(v.Size), Drives: v.Drives,
			Count: v.Count, Kind: v.Kind, MinDrive: Bytes(v.MinDrive), Controller: v.Controller,
		})
	}
	return want
}

func (s *RAIDStep) compare(ctx context.Context, bmc BMC) ([]Difference, error) {
	f, err := facetOf[VolumeSetter](bmc, "RAID controller")
	if err != nil {
		return nil, err
	}
	return f.CompareVolumes(ctx, s.wanted())
}

func (s *RAIDStep) set(ctx context.Context, bmc BMC) (Change, error) {
	f, err := facetOf[VolumeSetter](bmc, "RAID controller")
	if err != nil {
		return Change{}, err
	}
	return f.SetVolumes(ctx, s.wanted())
}

func (s *RAIDStep) verify(ctx context.Context, bmc BMC) error {
	f, err := facetOf[VolumeSetter](bmc, "RAID controller")
	if err != nil {
		return err
	}
	return f.VerifyVolumes(ctx, s.wanted())
}

// Size is an amount that is written as people do: "480GB".
type Size Bytes

// MarshalText implements encoding.TextMarshaler. What is read back is the same to the
// byte: it has the unit in which that takes the fewest digits.
func (s Size) MarshalText() ([]byte, error) {
	shortest := strconv.FormatInt(int64(s), 10) + "B"
	for _, u := range units {
		text := strconv.FormatInt(int64(Bytes(s)/u.size), 10) + u.suffix
		if s > 0 && Bytes(s)%u.size == 0 && len(text) < len(shortest) {
			shortest = text
		}
	}
	return []byte(shortest), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	b, err := ParseBytes(string(text))
	*s = Size(b)
	return err
}
