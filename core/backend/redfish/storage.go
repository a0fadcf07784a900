package redfish

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// storage is a controller with what is behind it, and where each thing is.
type storage struct {
	core.StorageController
	link    string            // of the controller
	volumes string            // of the collection; "" where it makes none
	times   []string          // when it applies what is asked
	drives  map[string]string // links by ID
	members map[string]string // links of volumes by ID
}

type storageResource struct {
	ID          text          `json:"Id"`
	Name        text          `json:"Name"`
	Drives      schemas.Links `json:"Drives"`
	Volumes     schemas.Link  `json:"Volumes"`
	Controllers lenient[[]struct {
		Name  text     `json:"Name"`
		Model text     `json:"Model"`
		RAID  []string `json:"SupportedRAIDTypes"`
	}] `json:"StorageControllers"`
}

type volumeResource struct {
	ID    text   `json:"Id"`
	Name  text   `json:"Name"`
	RAID  text   `json:"RAIDType"`
	Type  text   `json:"VolumeType"` // before there was RAIDType
	Size  number `json:"CapacityBytes"`
	Links struct {
		Drives schemas.Links
	}
}

type volumeCollection struct {
	Times lenient[struct {
		Values []string `json:"SupportedValues"`
	}] `json:"@Redfish.OperationApplyTimeSupport"`
}

// volumeTypes are what RAID types were called before Redfish had names for them.
var volumeTypes = map[text]text{
	"NonRedundant": "RAID0", "Mirrored": "RAID1", "StripedWithParity": "RAID5", "SpannedMirrors": "RAID10", "SpannedStripesWithParity": "RAID50",
}

func (t talk) storage() ([]storage, error) {
	var s struct{ Storage schemas.Link }
	if _, err := t.get(t.links[linkSystem], &s); err != nil {
		return nil, err
	}
	if s.Storage == "" {
		return nil, &noFacetError{"storage controllers"}
	}
	links, err := t.members(string(s.Storage))
	if err != nil {
		return nil, err
	}
	var all []storage
	for _, link := range links {
		one, err := t.controller(link)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (t talk) controller(link string) (storage, error) {
	var r storageResource
	if _, err := t.get(link, &r); err != nil {
		return storage{}, err
	}
	one := storage{link: link, volumes: string(r.Volumes), drives: map[string]string{}, members: map[string]string{}}
	one.ID, one.Name = firstOf(string(r.ID), path.Base(link)), string(r.Name)
	for _, c := range r.Controllers.is {
		one.Name = firstOf(string(c.Model), string(c.Name), one.Name)
		for _, raid := range c.RAID {
			if raid != "None" && !slices.Contains(one.RAID, raid) {
				one.RAID = append(one.RAID, raid)
			}
		}
	}
	names := map[string]string{} // of drives by link
	for _, link := range r.Drives.ToStrings() {
		var d schemas.Drive
		if _, err := t.get(link, &d); err != nil {
			if err := onlyFatal(err); err != nil {
				return storage{}, err
			}
			continue
		}
		if d.Status.State == schemas.AbsentState {
			continue
		}
		id := firstOf(d.ID, path.Base(link))
		one.Drives = append(one.Drives, core.StorageDrive{ID: id, Disk: disk(&d)})
		one.drives[id], names[link] = link, id
	}
	one.ReadOnly = one.volumes == ""
	if one.volumes == "" {
		return one, nil
	}
	return one, t.readVolumes(&one, names)
}

func (t talk) readVolumes(one *storage, names map[string]string) error {
	var c volumeCollection
	header, err := t.fetch(one.volumes, &c)
	if err != nil {
		return err
	}
	one.times = c.Times.is.Values
	if allow := header.Get("Allow"); allow != "" && !strings.Contains(allow, "POST") {
		one.ReadOnly = true
	}
	links, err := t.members(one.volumes)
	if err != nil {
		return err
	}
	for _, link := range links {
		var r volumeResource
		if _, err := t.get(link, &r); err != nil {
			if statusOf(err) == http.StatusNotFound {
				continue // deleted between the two requests
			}
			return err
		}
		raid := r.RAID
		if raid == "" || raid == "None" {
			raid = volumeTypes[r.Type]
		}
		if raid == "" {
			continue // a drive as it is, which some list here too
		}
		v := core.Volume{ID: firstOf(string(r.ID), path.Base(link)), Name: string(r.Name), RAID: string(raid), Size: core.Bytes(r.Size)}
		for _, drive := range r.Links.Drives.ToStrings() {
			v.Drives = append(v.Drives, firstOf(names[drive], path.Base(drive)))
		}
		slices.Sort(v.Drives)
		one.Volumes = append(one.Volumes, v)
		one.members[v.ID] = link
	}
	return nil
}

// atOnce says whether a controller can do what is asked without a start.
func (s storage) atOnce() bool {
	return len(s.times) == 0 || slices.Contains(s.times, "Immediate")
}
