package redfish

import (
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

var _ core.VolumeSetter = (*conversation)(nil)

// Storage implements core.VolumeSetter.
func (b *conversation) Storage(ctx context.Context) ([]core.StorageController, error) {
	return facet(ctx, b, "read storage", func(t talk) ([]core.StorageController, error) {
		all, err := t.storage()
		list := make([]core.StorageController, len(all))
		for i, s := range all {
			list[i] = s.StorageController
		}
		return list, err
	})
}

// CompareVolumes implements core.VolumeSetter.
func (b *conversation) CompareVolumes(ctx context.Context, want core.WantedVolumes) ([]core.Difference, error) {
	return facet(ctx, b, "compare volumes", func(t talk) ([]core.Difference, error) {
		_, plan, err := t.layout(want)
		return plan.differs, err
	})
}

// SetVolumes implements core.VolumeSetter.
func (b *conversation) SetVolumes(ctx context.Context, want core.WantedVolumes) (core.Change, error) {
	return facet(ctx, b, "set volumes", func(t talk) (core.Change, error) { return t.setVolumes(want) })
}

// VerifyVolumes implements core.VolumeSetter.
func (b *conversation) VerifyVolumes(ctx context.Context, want core.WantedVolumes) error {
	return b.verb(ctx, "verify volumes", func(t talk) error {
		if _, _, err := t.layout(want); err != nil {
			return err
		}
		return t.verify(func() (progress, error) {
			all, plan, err := t.layout(want)
			if err != nil || len(plan.differs) == 0 {
				return progress{}, err
			}
			work, err := t.work(all)
			return progress{differs: plan.differs, waits: work.seen}, err
		})
	})
}

// layout reads the controllers that make volumes, and plans.
func (t talk) layout(want core.WantedVolumes) ([]storage, layout, error) {
	all, err := t.storage()
	if err != nil {
		return nil, layout{}, err
	}
	able := slices.DeleteFunc(slices.Clone(all), func(s storage) bool { return s.ReadOnly })
	if len(able) == 0 {
		return nil, layout{}, &noFacetError{"RAID controller that lets its BMC make volumes"}
	}
	have := make([]core.StorageController, len(able))
	for i, s := range able {
		have[i] = s.StorageController
	}
	plan, err := planVolumes(have, want)
	return able, plan, err
}

func (t talk) setVolumes(want core.WantedVolumes) (core.Change, error) {
	all, plan, err := t.layout(want)
	if err != nil || len(plan.differs) == 0 {
		return core.Change{}, err
	}
	// What a call before this one has begun is neither begun again nor disturbed.
	work, err := t.workToEnd(all)
	if err != nil {
		return core.Change{}, err
	}
	change := core.Change{Differs: plan.differs}
	if work.seen != "" {
		change.Reset, change.Again = true, true
		return change, nil
	}
	if all, plan, err = t.layout(want); err != nil {
		return core.Change{}, err
	}
	for i, d := range plan.deletes {
		waits, err := t.deleteVolume(all[d.controller], d.volume)
		if err != nil && i == 0 {
			err = t.notTaken(err, "it does not delete the volume "+show(firstOf(d.volume.Name, d.volume.ID)))
		}
		if err != nil {
			return core.Change{}, err
		}
		change.Reset, change.Again = change.Reset || waits, change.Again || waits
	}
	if change.Again { // the drives are free after the next start only
		return change, nil
	}
	for i, m := range plan.makes {
		waits, err := t.makeVolume(all[m.controller], m)
		if isCommitted(err) {
			change.Reset, change.Again = true, true
			break
		}
		if err != nil && i == 0 && len(plan.deletes) == 0 { // else something was changed
			err = t.notTaken(err, "it does not make "+m.want.String())
		}
		if err != nil {
			return core.Change{}, err
		}
		change.Reset = change.Reset || waits
	}
	return change, nil
}

func (t talk) deleteVolume(s storage, v core.Volume) (waits bool, err error) {
	return t.change(s, s.members[v.ID],
		func(path string) (*http.Response, error) { return t.client.Delete(path) },
		func(now storage) (bool, string) {
			gone := !slices.ContainsFunc(now.Volumes, func(o core.Volume) bool { return o.ID == v.ID && slices.Equal(o.Drives, v.Drives) })
			return gone, "the volume " + show(firstOf(v.Name, v.ID))
		})
}

func (t talk) makeVolume(s storage, m creation) (waits bool, err error) {
	drives := make([]map[string]string, len(m.drives))
	for i, id := range m.drives {
		drives[i] = map[string]string{"@odata.id": s.drives[id]}
	}
	body := map[string]any{"RAIDType": m.want.RAID, "Links": map[string]any{"Drives": drives}}
	if m.want.Name != "" {
		body["Name"] = m.want.Name
	}
	if m.want.Size > 0 {
		body["CapacityBytes"] = int64(m.want.Size)
	}
	if len(s.times) > 0 {
		body["@Redfish.OperationApplyTime"] = map[bool]string{true: "Immediate", false: "OnReset"}[s.atOnce()]
	}
	ids := slices.Sorted(slices.Values(m.drives))
	return t.change(s, s.volumes,
		func(path string) (*http.Response, error) { return t.client.Post(path, body) },
		func(now storage) (bool, string) {
			there := slices.ContainsFunc(now.Volumes, func(o core.Volume) bool { return o.RAID == m.want.RAID && slices.Equal(o.Drives, ids) })
			return there, "no " + strings.TrimPrefix(m.want.String(), "the ")
		})
}

// change asks a controller for something, and waits until it shows there; or until it is
// known to wait for the next start of the server.
func (t talk) change(s storage, link string, ask func(path string) (*http.Response, error), shows func(now storage) (ok bool, seen string)) (waits bool, err error) {
	err = t.settle(
		func() error {
			job, err := t.deliver(link, ask)
			if err == nil {
				waits, err = t.await(job, s.atOnce())
			}
			return err
		},
		func() (bool, string, error) {
			if waits {
				return true, "", nil
			}
			now, err := t.controller(s.link)
			ok, seen := shows(now)
			return ok, seen, err
		},
	)
	return waits, err
}

// await waits for the task of a request. waits is that the task itself waits for the
// next start of the server.
func (t talk) await(job string, atOnce bool) (waits bool, err error) {
	if job == "" {
		return false, nil
	}
	if !atOnce {
		return true, nil
	}
	f := follower{talk: t, job: job}
	var idle time.Time
	seen, done, err := t.patiently(t.options.Apply, func() (bool, string, error) {
		state, over, err := f.look()
		if state == schemas.NewTaskState || state == schemas.PendingTaskState {
			if idle.IsZero() {
				idle = time.Now()
			}
			waits = time.Since(idle) >= t.options.Doubt
		}
		return over || waits, "its task " + path.Base(job) + " " + string(state), err
	})
	if err == nil && !done {
		err = &unsettledError{seen: seen, err: context.DeadlineExceeded}
	}
	return waits, err
}

// work is what a BMC has still to do with its volumes.
type work struct {
	seen string // for people; "" is that there is nothing
	runs bool   // now, not at the next start
}

// workToEnd waits until nothing runs. What is left waits for a start.
func (t talk) workToEnd(all []storage) (w work, err error) {
	seen, done, err := t.patiently(t.options.Apply, func() (bool, string, error) {
		var err error
		w, err = t.work(all)
		return !w.runs, w.seen, err
	})
	if err == nil && !done {
		err = &unsettledError{seen: seen, err: context.DeadlineExceeded}
	}
	return w, err
}

// newestTasks is how many of a BMC's tasks are looked at: what waits is among the last.
const newestTasks = 32

func (t talk) work(all []storage) (work, error) {
	f, err := t.bios()
	if err := onlyFatal(err); err != nil && !errors.Is(err, core.ErrNoFacet) {
		return work{}, err
	}
	if f.jobs != "" {
		jobs, err := t.jobsFor(f.jobs, "RAID")
		if job, open := jobs.open(); open {
			return work{seen: job.String(), runs: job.runs()}, nil
		}
		return work{}, err
	}
	var r struct{ Tasks schemas.Link }
	if _, err := t.get("/redfish/v1/", &r); err != nil || r.Tasks == "" {
		return work{}, err
	}
	var service struct{ Tasks schemas.Link }
	if _, err := t.get(string(r.Tasks), &service); err != nil || service.Tasks == "" {
		return work{}, onlyFatal(err)
	}
	links, err := t.members(string(service.Tasks))
	if err != nil {
		return work{}, onlyFatal(err)
	}
	for _, link := range links[max(0, len(links)-newestTasks):] {
		w, err := t.taskAt(link, all)
		if err != nil || w.seen != "" {
			return w, err
		}
	}
	return work{}, nil
}

// taskAt is what a task has still to do, where it is one for volumes.
func (t talk) taskAt(link string, all []storage) (work, error) {
	var task struct {
		State   text `json:"TaskState"`
		Payload lenient[struct{ TargetURI text }]
	}
	if _, err := t.get(link, &task); err != nil {
		return work{}, onlyFatal(err)
	}
	target := string(task.Payload.is.TargetURI)
	ours := slices.ContainsFunc(all, func(s storage) bool { return s.volumes != "" && strings.HasPrefix(target, s.volumes) })
	w := work{seen: "its task " + path.Base(link) + " " + string(task.State)}
	switch task.State {
	case "New", "Pending":
	case "Running", "Starting", "Stopping", "Suspended", "Service", "Cancelling":
		w.runs = true
	default:
		return work{}, nil
	}
	if !ours {
		return work{}, nil
	}
	return w, nil
}
