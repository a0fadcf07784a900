package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/filled"
)

func (s suite) leases(t *testing.T) {
	store := s.make(t)
	lease := func() core.Lease {
		t.Helper()
		return read(t, store, func(tx core.Tx) (core.Lease, error) { return tx.Lease("n1") })
	}
	same(t, "nobody's", lease(), core.Lease{})
	full := filled.Value[core.Lease](t)
	full.Node = "n1"
	update(t, store, func(tx core.Tx) error {
		wantConflict(t, tx.SwapLease(full, full.Generation)) // there is none to swap
		if err := tx.SwapLease(full, 0); err != nil {
			return err
		}
		wantConflict(t, tx.SwapLease(full, 0)) // there is one
		return nil
	})
	same(t, "first", lease(), full)

	renewed := full
	renewed.Expires = full.Expires.Add(time.Minute)
	update(t, store, func(tx core.Tx) error { return tx.SwapLease(renewed, full.Generation) })
	same(t, "renewed", lease(), renewed)

	taken := core.Lease{Node: "n1", Holder: "another", Generation: full.Generation + 1, Expires: full.Expires}
	update(t, store, func(tx core.Tx) error { return tx.SwapLease(taken, full.Generation) })
	err := store.Update(t.Context(), func(tx core.Tx) error {
		wantConflict(t, tx.SwapLease(renewed, full.Generation)) // the zombie's renewal
		return tx.SwapLease(renewed, taken.Generation)          // and its attempt to turn back
	})
	if err == nil || errors.Is(err, core.ErrConflict) {
		t.Errorf("a generation went back: %v", err)
	}
	same(t, "taken", lease(), taken)

	dropped := core.Lease{Node: "n1", Generation: taken.Generation}
	update(t, store, func(tx core.Tx) error {
		return errors.Join(tx.SwapLease(dropped, taken.Generation), tx.SwapLease(core.Lease{Node: "n0", Holder: "h", Generation: 1}, 0))
	})
	all := read(t, store, func(tx core.Tx) ([]core.Lease, error) { return drain(tx.Leases()) })
	same(t, "list", all, []core.Lease{{Node: "n0", Holder: "h", Generation: 1}, dropped})
}

func (s suite) attempts(t *testing.T) {
	store := s.make(t)
	full := filled.Value[core.Attempt](t)
	attempt := func() core.Attempt {
		t.Helper()
		return read(t, store, func(tx core.Tx) (core.Attempt, error) { return tx.Attempt(full.ID) })
	}
	err := store.View(t.Context(), func(tx core.Tx) error {
		_, err := tx.Attempt(full.ID)
		return err
	})
	wantKind(t, err, core.NotFound)
	update(t, store, func(tx core.Tx) error { return tx.PutAttempt(full) })
	same(t, "read back", attempt(), full)
	changed := core.Attempt{ID: full.ID, Node: full.Node, Job: core.JobClean, Met: map[string]time.Time{"write": full.StartedAt}}
	update(t, store, func(tx core.Tx) error { return tx.PutAttempt(changed) })
	same(t, "put again", attempt(), changed)
	other := core.Attempt{ID: "a", Node: full.Node, Job: core.JobDeploy}
	update(t, store, func(tx core.Tx) error { return tx.PutAttempt(other) })
	update(t, store, func(tx core.Tx) error { return tx.PutAttempt(changed) })
	all := read(t, store, func(tx core.Tx) ([]core.Attempt, error) { return drain(tx.Attempts()) })
	same(t, "list", all, []core.Attempt{changed, other})
}

func (s suite) events(t *testing.T) {
	store := s.make(t)
	full := filled.Value[core.Event](t)
	var now time.Time
	update(t, store, func(tx core.Tx) error {
		now = tx.Now()
		return errors.Join(
			tx.AddEvent(core.Event{Node: "n1", Allocation: "a1", Message: "1"}),
			tx.AddEvent(core.Event{Node: "n2", Allocation: "a1", Message: "2"}),
			tx.AddEvent(core.Event{Message: "3"}),
			tx.AddEvent(full),
		)
	})
	if !now.Equal(now.Truncate(time.Microsecond)) || now.Location() != time.UTC {
		t.Errorf("Now is %v, which cannot be stored exactly", now)
	}
	update(t, store, func(tx core.Tx) error {
		return errors.Join(
			tx.AddEvent(core.Event{Node: "n1", Allocation: "a2", Message: "5"}),
			tx.AddEvent(core.Event{Node: "n1", Allocation: "a2", Message: "6"}),
		)
	})
	list := func(f core.EventFilter) []core.Event {
		t.Helper()
		return read(t, store, func(tx core.Tx) ([]core.Event, error) { return drain(tx.Events(f)) })
	}
	all := list(core.EventFilter{})
	if len(all) != 6 {
		t.Fatalf("got %d events, want 6", len(all))
	}
	for i := 1; i < len(all); i++ {
		if all[i].Seq <= all[i-1].Seq || all[i].At.Before(all[i-1].At) {
			t.Errorf("event %d is not after event %d", all[i].Seq, all[i-1].Seq)
		}
	}
	want := full
	want.Seq, want.At = all[3].Seq, now // whatever they were
	same(t, "read back", all[3], want)

	update(t, store, func(tx core.Tx) error {
		return errors.Join(
			tx.InsertAllocation(core.Allocation{ID: "a1", Owner: "ann", Name: "web-1", State: core.Released}),
			tx.InsertAllocation(core.Allocation{ID: "a2", Owner: "bob", Name: "web-1", State: core.Released}),
		)
	})
	for _, c := range []struct {
		name   string
		filter core.EventFilter
		want   []core.Event
	}{
		{"node", core.EventFilter{Node: "n1"}, []core.Event{all[0], all[4], all[5]}},
		{"allocation", core.EventFilter{Allocation: "a1"}, all[:2]},
		{"both", core.EventFilter{Node: "n1", Allocation: "a1"}, all[:1]},
		{"an owner's", core.EventFilter{Owner: "ann"}, all[:2]},
		{"an owner's last", core.EventFilter{Owner: "ann", Limit: 1}, all[1:2]},
		{"an owner's of a node", core.EventFilter{Owner: "ann", Node: "n1"}, all[:1]},
		{"an owner's after", core.EventFilter{Owner: "bob", After: all[4].Seq}, all[5:]},
		{"a stranger's", core.EventFilter{Owner: "eve"}, nil},
		{"after", core.EventFilter{After: all[3].Seq}, all[4:]},
		{"after the last", core.EventFilter{After: all[5].Seq}, nil},
		{"the last two", core.EventFilter{Limit: 2}, all[4:]},
		{"more than there are", core.EventFilter{Limit: 100}, all},
		{"the node's last two", core.EventFilter{Node: "n1", Limit: 2}, all[4:]},
		{"the last after", core.EventFilter{Node: "n1", After: all[0].Seq, Limit: 1}, all[5:]},
		{"the first two", core.EventFilter{First: 2}, all[:2]},
		{"the first two after", core.EventFilter{After: all[1].Seq, First: 2}, all[2:4]},
		{"the node's first after", core.EventFilter{Node: "n1", After: all[0].Seq, First: 1}, all[4:5]},
		{"an owner's first", core.EventFilter{Owner: "ann", First: 1}, all[:1]},
		{"the first since", core.EventFilter{Node: "n1", Since: all[4].At, First: 1}, all[4:5]},
		{"the first of the last three", core.EventFilter{Limit: 3, First: 1}, all[3:4]},
		{"the first three of the last", core.EventFilter{Limit: 1, First: 3}, all[5:]},
		{"nobody's", core.EventFilter{Node: "n9"}, nil},
		{"since the first", core.EventFilter{Since: all[0].At}, all},
		{"since the fifth", core.EventFilter{Node: "n1", Since: all[4].At}, all[4:]},
		{"since after the last", core.EventFilter{Since: all[5].At.Add(time.Microsecond)}, nil},
	} {
		same(t, c.name, list(c.filter), c.want)
	}
}

func (s suite) catalogue(t *testing.T) {
	t.Run("pools", func(t *testing.T) {
		collection[core.Pool]{
			name:   func(p *core.Pool) *string { return &p.Name },
			get:    core.Tx.Pool,
			list:   core.Tx.Pools,
			put:    core.Tx.PutPool,
			remove: core.Tx.DeletePool,
		}.run(t, s.make(t))
	})
	t.Run("images", func(t *testing.T) {
		collection[core.Image]{
			name:   func(i *core.Image) *string { return &i.Name },
			get:    core.Tx.Image,
			list:   core.Tx.Images,
			put:    core.Tx.PutImage,
			remove: core.Tx.DeleteImage,
		}.run(t, s.make(t))
	})
	t.Run("CAs", func(t *testing.T) {
		store := s.make(t)
		full := filled.Value[core.Authority](t)
		update(t, store, func(tx core.Tx) error {
			_, err := tx.Authority(full.Name)
			wantKind(t, err, core.NotFound)
			return tx.PutAuthority(full)
		})
		get := func(tx core.Tx) (core.Authority, error) { return tx.Authority(full.Name) }
		same(t, "kept", read(t, store, get), full)
		other := core.Authority{Name: full.Name, Certificate: []byte("another")}
		update(t, store, func(tx core.Tx) error { return tx.PutAuthority(other) })
		same(t, "replaced", read(t, store, func(tx core.Tx) ([]core.Authority, error) { return drain(tx.Authorities()) }), []core.Authority{other})
	})
	t.Run("steps", func(t *testing.T) {
		collection[core.Step]{
			name:   func(s *core.Step) *string { return &s.Name },
			get:    core.Tx.Step,
			list:   core.Tx.Steps,
			put:    core.Tx.PutStep,
			remove: core.Tx.DeleteStep,
		}.run(t, s.make(t))
	})
	t.Run("profiles", func(t *testing.T) {
		collection[core.Profile]{
			name:   func(p *core.Profile) *string { return &p.Name },
			get:    core.Tx.Profile,
			list:   core.Tx.Profiles,
			put:    core.Tx.PutProfile,
			remove: core.Tx.DeleteProfile,
		}.run(t, s.make(t))
	})
}
