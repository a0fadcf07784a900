package redfish

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// layout is what is to be done for a server to have the volumes that are wanted, and
// no others.
type layout struct {
	deletes []deletion
	makes   []creation
	differs []core.Difference
}

type deletion struct {
	controller int
	volume     core.Volume
}

type creation struct {
	controller int
	want       core.WantedVolume
	drives     []string // IDs
}

// preservedError is a change that would take a drive that is preserved.
type preservedError struct{ what string }

func (e *preservedError) Error() string { return e.what }
func (e *preservedError) Unwrap() error { return core.ErrRefused }

// planVolumes decides without asking anybody. Controllers that are only to be looked
// at are left out of it.
func planVolumes(have []core.StorageController, wanted core.WantedVolumes) (layout, error) {
	p := planner{have: have, wanted: wanted, kept: map[place]bool{}, matched: map[place]bool{}, spared: map[place]bool{}}
	// Who names drives comes before who names the volume, and that before who takes any.
	p.wanted.Volumes = slices.Clone(wanted.Volumes)
	slices.SortStableFunc(p.wanted.Volumes, func(a, b core.WantedVolume) int {
		return cmp.Or(cmp.Compare(min(1, len(b.Drives)), min(1, len(a.Drives))), cmp.Compare(min(1, len(b.Name)), min(1, len(a.Name))))
	})
	if wrong := wanted.Faults(); len(wrong) > 0 {
		return layout{}, &wrongError{what: strings.Join(wrong, "; ")}
	}
	missing := p.match()
	p.clear()
	for _, w := range missing {
		c, err := p.place(w)
		if err != nil {
			return layout{}, err
		}
		for _, id := range c.drives {
			p.kept[place{c.controller, id}] = true
		}
		p.makes = append(p.makes, c)
		p.differs = append(p.differs, core.Difference{Name: w.String(), Wanted: w.RAID + " of " + p.serials(c.controller, c.drives)})
	}
	return p.layout, nil
}

// place is a drive or a volume: its controller and its ID there.
type place struct {
	controller int
	id         string
}

type planner struct {
	layout
	have   []core.StorageController
	wanted core.WantedVolumes
	// matched are volumes that are as wanted; kept are the drives of those and of all
	// that stay; spared are the drives of volumes that stay for a preserved one.
	matched, kept, spared map[place]bool
}

// is tells a drive by serial, worldwide name or ID.
func is(d core.StorageDrive, word string) bool {
	return word != "" && (strings.EqualFold(d.Serial, word) || d.WWN != "" && core.WWN(word) == d.WWN || d.ID == word)
}

// preserved goes by what is a drive's own: an ID is that of a slot.
func (p *planner) preserved(d core.StorageDrive) bool {
	return slices.ContainsFunc(p.wanted.Preserve, func(word string) bool {
		return word != "" && (strings.EqualFold(d.Serial, word) || d.WWN != "" && core.WWN(word) == d.WWN)
	})
}

// match keeps the volumes that are as wanted, and returns what is wanted and not there.
func (p *planner) match() (missing []core.WantedVolume) {
	for _, w := range p.wanted.Volumes {
		found := false
		for c, controller := range p.have {
			for _, v := range controller.Volumes {
				if found || p.matched[place{c, v.ID}] || !fits(controller, v, w) {
					continue
				}
				found, p.matched[place{c, v.ID}] = true, true
				for _, id := range v.Drives {
					p.kept[place{c, id}] = true
				}
			}
		}
		if !found {
			missing = append(missing, w)
		}
	}
	return missing
}

// fits says whether a volume is as wanted. Controllers round sizes.
func fits(c core.StorageController, v core.Volume, w core.WantedVolume) bool {
	rounded := w.Size == 0 || v.Size >= w.Size-w.Size/100 && v.Size <= w.Size+w.Size/100
	if v.RAID != w.RAID || w.Name != "" && v.Name != w.Name || !rounded || w.Controller != "" && c.ID != w.Controller {
		return false
	}
	if len(w.Drives) > 0 && len(w.Drives) != len(v.Drives) || len(w.Drives) == 0 && w.Count != len(v.Drives) {
		return false
	}
	for _, id := range v.Drives {
		i := slices.IndexFunc(c.Drives, func(d core.StorageDrive) bool { return d.ID == id })
		if i < 0 {
			return false
		}
		d := c.Drives[i]
		switch {
		case len(w.Drives) > 0 && !slices.ContainsFunc(w.Drives, func(word string) bool { return is(d, word) }),
			len(w.Drives) == 0 && !suits(d, w):
			return false
		}
	}
	return true
}

func suits(d core.StorageDrive, w core.WantedVolume) bool {
	return (w.Kind == "" || d.Kind == w.Kind) && d.Size >= w.MinDrive && !d.Removable
}

// clear deletes the volumes that are not wanted, but for those on a preserved drive.
func (p *planner) clear() {
	for c, controller := range p.have {
		for _, v := range controller.Volumes {
			if p.matched[place{c, v.ID}] {
				continue
			}
			spared := slices.ContainsFunc(controller.Drives, func(d core.StorageDrive) bool {
				return slices.Contains(v.Drives, d.ID) && p.preserved(d)
			})
			if spared {
				for _, id := range v.Drives {
					p.kept[place{c, id}], p.spared[place{c, id}] = true, true
				}
				continue
			}
			p.deletes = append(p.deletes, deletion{c, v})
			p.differs = append(p.differs, core.Difference{
				Name: "the volume " + firstOf(v.Name, v.ID), Wanted: "gone", Found: v.RAID + " of " + p.serials(c, v.Drives),
			})
		}
	}
}

func (p *planner) serials(controller int, ids []string) string {
	var names []string
	for _, d := range p.have[controller].Drives {
		if slices.Contains(ids, d.ID) {
			names = append(names, firstOf(d.Serial, d.ID))
		}
	}
	return strings.Join(names, ", ")
}

// place finds drives for a volume.
func (p *planner) place(w core.WantedVolume) (creation, error) {
	if len(w.Drives) > 0 {
		return p.placeNamed(w)
	}
	most, spared := 0, 0
	for c, controller := range p.have {
		if w.Controller != "" && w.Controller != controller.ID || !makes(controller, w.RAID) {
			continue
		}
		for _, kind := range []core.DiskKind{core.NVMe, core.SSD, core.HDD, ""} {
			var free []core.StorageDrive
			held := 0
			for _, d := range controller.Drives {
				switch {
				case d.Kind != kind || !suits(d, w):
				case p.preserved(d) || p.spared[place{c, d.ID}]:
					held++
				case !p.kept[place{c, d.ID}]:
					free = append(free, d)
				}
			}
			if len(free) >= w.Count {
				slices.SortStableFunc(free, func(a, b core.StorageDrive) int { return cmp.Compare(a.Size, b.Size) })
				chosen := creation{controller: c, want: w}
				for _, d := range free[:w.Count] {
					chosen.drives = append(chosen.drives, d.ID)
				}
				return chosen, nil
			}
			most, spared = max(most, len(free)), max(spared, len(free)+held)
		}
	}
	if spared >= w.Count {
		return creation{}, &preservedError{fmt.Sprintf("%s takes %d drives, and without those that are preserved there are %d", w, w.Count, most)}
	}
	return creation{}, &wrongError{what: fmt.Sprintf("%s takes %d drives%s behind one controller, and at most %d are there and free", w, w.Count, described(w), most)}
}

func makes(c core.StorageController, raid string) bool {
	return len(c.RAID) == 0 || slices.Contains(c.RAID, raid)
}

// described is what drives a volume asks for.
func described(w core.WantedVolume) string {
	text := ""
	if w.Kind != "" {
		text += " of kind " + string(w.Kind)
	}
	if w.MinDrive > 0 {
		text += fmt.Sprintf(" of at least %s", w.MinDrive)
	}
	return text
}

func (p *planner) placeNamed(w core.WantedVolume) (creation, error) {
	chosen := creation{controller: -1, want: w}
	var words []string
	for _, word := range w.Drives {
		found := false
		for c, controller := range p.have {
			for _, d := range controller.Drives {
				words = append(words, d.Serial)
				if found || !is(d, word) || w.Controller != "" && w.Controller != controller.ID {
					continue
				}
				found = true
				switch {
				case p.preserved(d):
					return creation{}, &preservedError{fmt.Sprintf("%s is to be made of the drive %s, which is preserved", w, firstOf(d.Serial, d.ID))}
				case p.kept[place{c, d.ID}]:
					return creation{}, &wrongError{what: fmt.Sprintf("%s is to be made of the drive %s, which another volume has", w, firstOf(d.Serial, d.ID))}
				case chosen.controller >= 0 && chosen.controller != c:
					return creation{}, &wrongError{what: fmt.Sprintf("%s is to be made of drives behind two controllers, %s and %s", w, p.have[chosen.controller].ID, controller.ID)}
				case slices.Contains(chosen.drives, d.ID):
					return creation{}, &wrongError{what: fmt.Sprintf("%s names the drive %s twice", w, firstOf(d.Serial, d.ID))}
				case !makes(controller, w.RAID):
					return creation{}, &wrongError{what: fmt.Sprintf("the controller %s makes %s, not %s", controller.ID, strings.Join(controller.RAID, ", "), w.RAID)}
				}
				chosen.controller, chosen.drives = c, append(chosen.drives, d.ID)
			}
		}
		if !found {
			return creation{}, &wrongError{what: fmt.Sprintf("%s: there is no drive %s%s", w, show(word), near(word, words))}
		}
	}
	return chosen, nil
}
