package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// restWithin is how long a pool may take to come to rest once nothing is broken any more:
// leases, grace and deadlines one after the other, on a busy machine.
const restWithin = 4 * time.Minute

// rest waits until no node is at work, and an operator who looks after the rest would find
// nothing to do. Behind servers nobody but they does the work.
func (b *burst) rest(ctx context.Context) error {
	deadline := time.Now().Add(restWithin)
	for {
		s, err := b.sample(ctx)
		left := []string{}
		for id, n := range s.nodes {
			switch {
			case n.working(), n.State == "Allocated":
				left = append(left, id+" is "+n.State)
			case n.State == "Quarantined":
				left = append(left, id+" is "+n.State)
				b.tend(ctx, "node", "repair", id, "--reason", "the faults have ended")
			case n.State == "Maintenance":
				left = append(left, id+" is "+n.State)
				b.tend(ctx, "node", "maintenance", id, "--off")
			}
		}
		switch {
		case err == nil && len(left) == 0 && len(s.nodes) == b.w.shape.Nodes:
			return nil
		case time.Now().After(deadline):
			slices.Sort(left)
			if err == nil {
				err = errors.New(strings.Join(left, ", "))
			}
			return fmt.Errorf("the pool does not come to rest: %w", err)
		case b.w.Setting.Servers == 0 && len(left) > 0:
			b.tend(ctx, "reconcile")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}

// tend is what an operator does about a node. Whether it helped shows at the next look.
func (b *burst) tend(ctx context.Context, args ...string) {
	r := b.w.run(ctx, b.w.admin, Hurt{}, nil, b.w.Programs.Metalpool, args...)
	b.w.diary.ended("operator", outcomeOf(r), r)
}

// works proves that a new operation succeeds, from a create to the clean.
func (b *burst) works(ctx context.Context, c *client) {
	c.slots = []slot{{}}
	take := Op{Verb: Create}
	for range 3 {
		c.create(ctx, take, &c.slots[0], "canary", b)
		if c.slots[0].told {
			break
		}
	}
	if !c.slots[0].told {
		b.violate("Recovery", "all faults have ended, and no new machine can be created")
		return
	}
	c.release(ctx, Op{Verb: Release, Word: "wait"}, &c.slots[0], "canary", b)
	if c.slots[0].id != "" {
		b.violate("Recovery", "all faults have ended, and a machine cannot be released")
	}
}

// leave gives all machines back, so that the next burst begins with none.
func (b *burst) leave(ctx context.Context, clients []*client) {
	machines, err := b.machines(ctx)
	if err != nil {
		b.violate("Recovery", err.Error())
	}
	for id, m := range machines {
		if m.State == "Released" || m.State == "Expired" {
			continue
		}
		i := slices.IndexFunc(clients, func(c *client) bool { return c.name == m.Owner })
		if i < 0 {
			b.violate("NothingLost", fmt.Sprintf("%s belongs to %q, who never asked for it", id, m.Owner))
			continue
		}
		b.history.Giving(id, time.Now())
		if r := clients[i].metalpool(ctx, Op{Verb: Release}, b, id, "machine", "release", id); r.ok() {
			b.released(id)
		}
	}
}

// inspect looks for what must never be. Everything is at rest.
func (b *burst) inspect(ctx context.Context, clients []*client) {
	r := b.w.run(ctx, b.w.admin, Hurt{}, nil, b.w.Programs.Metalpool, "check", "-o", "json")
	var findings []any
	if err := json.Unmarshal([]byte(r.out), &findings); err != nil {
		b.violate("Recovery", "check: "+r.err)
	}
	b.checked(r)
	for _, found := range b.history.Twice() {
		b.violate("OneOwner", found)
	}
	machines, err := b.machines(ctx)
	if err != nil {
		b.violate("Recovery", err.Error())
		return
	}
	for _, found := range b.history.Lost(machines) {
		b.violate("NothingLost", found)
	}
	b.findEach(ctx, clients)
	for id := range b.gone {
		if m := machines[id]; m.State != "" && m.State != "Released" && m.State != "Expired" {
			b.violate("NothingLost", fmt.Sprintf("%s was told to be released, and is %s", id, m.State))
		}
	}
	b.lookAtDisks(ctx)
	if err := b.lookForSecrets(); err != nil {
		b.violate("campaign", err.Error())
	}
}

// findEach looks each machine up that somebody has, by its ID and by its owner and name.
func (b *burst) findEach(ctx context.Context, clients []*client) {
	for _, h := range b.history.held() {
		i := slices.IndexFunc(clients, func(c *client) bool { return c.name == h.Owner })
		for _, word := range []string{h.ID, h.Owner + "/" + h.Name} {
			r := b.w.run(ctx, clients[i].door, Hurt{}, nil, b.w.Programs.Metalpool, "machine", "show", word, "-o", "json")
			var m Machine
			if err := json.Unmarshal([]byte(r.out), &m); err != nil || m.ID != h.ID || m.Node != h.Node {
				b.violate("NothingLost", fmt.Sprintf("%s looks for %s and finds %q on %q: %s", h.Owner, word, m.ID, m.Node, r.err))
			}
		}
	}
}

// lookAtDisks looks for marks where they must not be.
func (b *burst) lookAtDisks(ctx context.Context) {
	s, err := b.sample(ctx)
	if err != nil {
		b.violate("Recovery", err.Error())
		return
	}
	for _, n := range b.w.lab.Nodes() {
		ids, err := marksOn(n.Disks())
		if err != nil {
			b.violate("campaign", err.Error())
		}
		user := s.nodes[string(n.ID())].By
		for _, found := range unclean(string(n.ID()), user, ids) {
			b.violate("CleanBeforeAvailable", found)
		}
		if slices.Contains(ids, user) {
			b.marked++
		}
	}
}

// lookForSecrets looks through what the processes have left.
func (b *burst) lookForSecrets() error {
	for _, s := range b.w.server {
		text, err := b.w.nest.read(s.log())
		if err != nil {
			return err
		}
		b.w.leaks.look(s.log(), text)
	}
	if err := b.w.leaks.lookAtFiles(b.w.home); err != nil {
		return err
	}
	err := b.w.nest.run(func() error { return b.w.leaks.lookAtFiles(b.w.store()) })
	for _, found := range b.w.leaks.take() {
		b.violate("NoSecretLeaks", found)
	}
	return err
}
