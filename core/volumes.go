package core

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A RAID controller shows an operating system its volumes and not the drives that those
// are made of. The inventory keeps the drives, which stay what the server is made of;
// what became of them is read back from the BMC by each attempt that looks for disks.

// NodeRAID is that volumes may be made of a node's drives.
type NodeRAID struct {
	Volumes []KnownVolume `json:"volumes,omitempty"` // as the BMC last told
}

// KnownVolume is a volume as its server's BMC tells.
type KnownVolume struct {
	Name   string   `json:"name"`
	RAID   string   `json:"raid"`
	Size   Bytes    `json:"size"`
	Drives []string `json:"drives"` // serials, or worldwide names
}

func (v KnownVolume) String() string {
	return fmt.Sprintf("%s (%s of %s)", v.Name, v.RAID, strings.Join(v.Drives, ", "))
}

// volumesOf are the volumes of controllers.
func volumesOf(all []StorageController) (volumes []KnownVolume) {
	for _, c := range all {
		for _, v := range c.Volumes {
			known := KnownVolume{Name: v.Name, RAID: v.RAID, Size: v.Size}
			if known.Name == "" {
				known.Name = v.ID
			}
			for _, d := range c.Drives {
				if slices.Contains(v.Drives, d.ID) {
					known.Drives = append(known.Drives, d.Key())
				}
			}
			volumes = append(volumes, known)
		}
	}
	return volumes
}

// hides reports whether the drive is behind a volume.
func (r *NodeRAID) hides(d Disk) bool {
	return r != nil && slices.ContainsFunc(r.Volumes, func(v KnownVolume) bool {
		return slices.ContainsFunc(v.Drives, func(key string) bool { return key != "" && (key == d.Serial || key == d.WWN) })
	})
}

// volumes are those of the node.
func (n Node) volumes() []KnownVolume {
	if n.Spec.RAID == nil {
		return nil
	}
	return n.Spec.RAID.Volumes
}

// bareDisks are the disks of the inventory that an operating system finds by their own
// names.
func (n Node) bareDisks() []Disk {
	return slices.DeleteFunc(slices.Clone(n.Hardware.Disks), n.Spec.RAID.hides)
}

// missingFrom says what of the node's disks was not found. A volume has a name of its
// controller's making there: they are counted.
func (n Node) missingFrom(found []Disk) []string {
	missing := missingDisks(n.bareDisks(), found)
	unknown := 0
	for _, f := range found {
		if !f.Removable && !slices.ContainsFunc(n.Hardware.Disks, func(d Disk) bool { return d.Key() == f.Serial || d.Key() == f.WWN }) {
			unknown++
		}
	}
	if volumes := n.volumes(); unknown < len(volumes) {
		missing = append(missing, fmt.Sprintf("%d of the volumes %s", len(volumes)-unknown, joined(volumes, ", ")))
	}
	return missing
}

// volumesAfterStart reports whether the ramdisk that runs was started before the
// controllers were done with what was asked of them: some begin only once the firmware is
// through.
func (a Attempt) volumesAfterStart() bool {
	return slices.ContainsFunc(a.Steps, func(s Step) bool {
		return s.RAID != nil && a.Met[stepName(s)].After(a.Met[stepRamdisk])
	})
}

// startAnew has the ramdisk be started once more.
func (w *work) startAnew(ctx context.Context, step, why string) error {
	w.say(step, "%s", why)
	err := w.save(ctx, func(a *Attempt) { delete(a.Met, stepRamdisk) }, w.event(Note, step, why))
	if err != nil {
		return err
	}
	return errStartedOver
}

// expectVolumes writes ahead that there may be volumes: from then on, whoever looks for
// the node's disks asks what became of them.
func (w *work) expectVolumes(ctx context.Context) error {
	if w.node.Spec.RAID != nil {
		return nil
	}
	return w.keepVolumes(ctx, &NodeRAID{})
}

// readVolumes reads back what became of the node's drives, where volumes may have been
// made of them.
func (w *work) readVolumes(ctx context.Context) error {
	if w.node.Spec.RAID == nil {
		return nil
	}
	for {
		var all []StorageController
		bmc, err := w.conn(ctx)
		if err == nil {
			var f VolumeSetter
			if f, err = facetOf[VolumeSetter](bmc, "RAID controller"); err == nil {
				all, err = f.Storage(ctx)
			}
		}
		if err == nil {
			return w.keepVolumes(ctx, &NodeRAID{Volumes: volumesOf(all)})
		}
		// It is the BMC that is silent, and not the ramdisk whose step this is.
		if !Is(err, Transient) || wait(ctx, w.e.timing.Retry) != nil {
			return err
		}
	}
}

func (w *work) keepVolumes(ctx context.Context, r *NodeRAID) error {
	if w.node.Spec.RAID != nil && sameJSON(w.node.Spec.RAID, r) {
		return nil
	}
	err := w.commit(ctx, func(tx Tx) error {
		n, err := tx.Node(w.node.ID)
		if err != nil {
			return err
		}
		n.Spec.RAID = r
		return tx.PutSpec(n)
	})
	if err == nil {
		w.node.Spec.RAID = r
	}
	return err
}
