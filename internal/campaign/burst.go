package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// burst is a burst under way, and what is known of it.
type burst struct {
	w       *World
	plan    Burst
	number  int
	history *History
	begun   atomic.Int64

	mu         sync.Mutex
	ended      map[Verb]map[outcome]int
	ops        []done
	struck     []struck
	samples    []sample
	gone       map[string]bool // machines whose release was told
	marked     int             // machines whose own mark was found on their disks
	read       int             // and how often it was read by whoever logged in
	violations []Violation
}

// Violation is something that must never be.
type Violation struct {
	Invariant, What string
}

// changes are the verbs whose success shows that the pool works again.
var changes = map[Verb]bool{Create: true, Release: true, Redeploy: true, Repair: true}

// keep takes down how an operation ended.
func (b *burst) keep(who string, v Verb, r result) {
	o := outcomeOf(r)
	b.w.diary.ended(who, o, r)
	b.w.leaks.look(fmt.Sprintf("what %s prints", v), []byte(r.out+r.err))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended[v] == nil {
		b.ended[v] = map[outcome]int{}
	}
	b.ended[v][o]++
	b.ops = append(b.ops, done{began: r.began, ended: r.ended, changed: o == went && changes[v]})
	if o == defected {
		b.violations = append(b.violations, Violation{"Defect", fmt.Sprintf("%s %s: %s", r.program, strings.Join(r.args, " "), beginning(r.err))})
	}
}

// beginning is enough of an output to find it in the diary.
func beginning(text string) string { return text[:min(300, len(text))] }

func (b *burst) strike(s struck) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.struck = append(b.struck, s)
}

func (b *burst) violate(invariant, what string) {
	b.w.diary.write("VIOLATION: %s: %s", invariant, what)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.violations = append(b.violations, Violation{invariant, what})
}

func (b *burst) released(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone[id] = true
}

// checked reads the findings of `metalpool check`. What is only overdue breaks nothing
// while faults last, or the clock has stepped by an hour.
func (b *burst) checked(r result) {
	var found []struct{ Invariant, Node, Allocation, What string }
	if json.Unmarshal([]byte(r.out), &found) != nil {
		return // it could not look
	}
	for _, f := range found {
		if f.Invariant != "Overdue" {
			b.violate(f.Invariant, fmt.Sprintf("%s %s %s", f.Node, f.Allocation, f.What))
		}
	}
}

// run lets the clients work and the faults happen, and returns when both have ended.
func (b *burst) run(ctx context.Context, clients []*client) {
	over, end := context.WithCancel(ctx)
	defer end()
	s := &strikes{w: b.w, b: b, over: over}
	next := make(chan struct{}, BurstOps+1)
	var planting, working sync.WaitGroup
	planting.Go(func() {
		for _, f := range b.plan.Faults {
			for b.begun.Load() < int64(f.At) {
				select {
				case <-next:
				case <-over.Done():
					return
				}
			}
			s.plant(f)
		}
	})
	for i, ops := range b.plan.Clients {
		c := clients[i]
		working.Go(func() {
			for _, op := range ops {
				b.begun.Add(1)
				next <- struct{}{}
				if i == len(clients)-1 {
					c.operate(ctx, op, b)
				} else {
					c.run(ctx, op, b)
				}
			}
		})
	}
	working.Wait()
	end()
	planting.Wait()
	s.heal()
}

// watch takes samples until ctx ends.
func (b *burst) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		if s, err := b.sample(ctx); err == nil {
			b.mu.Lock()
			b.samples = append(b.samples, s)
			b.mu.Unlock()
		}
		if n%4 == 0 {
			b.w.leaks.lookAtArguments()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

const watchEvery = 500 * time.Millisecond

// sample looks at the nodes as the operator does.
func (b *burst) sample(ctx context.Context) (sample, error) {
	s := sample{at: time.Now(), nodes: map[string]nodeState{}}
	r := b.w.run(ctx, b.w.admin, Hurt{}, nil, b.w.Programs.Metalpool, "node", "list", "-o", "json")
	var list []struct {
		ID      string
		State   string
		Since   time.Time
		Machine struct{ ID string }
	}
	if !r.ok() {
		return s, fmt.Errorf("node list: %s", r.err)
	}
	if err := json.Unmarshal([]byte(r.out), &list); err != nil {
		return s, err
	}
	for _, n := range list {
		s.nodes[n.ID] = nodeState{State: n.State, Since: n.Since, By: n.Machine.ID}
	}
	return s, nil
}

// nodeIn is the first node, counted from the i-th, that was seen last in a state that an
// operator looks for; where there is none, or he looks for none, it is the i-th.
func (b *burst) nodeIn(i int, state string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	rack := b.w.lab.Nodes()
	for j := range rack {
		id := string(rack[(i+j)%len(rack)].ID())
		if len(b.samples) > 0 && b.samples[len(b.samples)-1].nodes[id].State == state {
			return id
		}
	}
	return string(rack[i].ID())
}

// machines lists all that the pool has, by ID.
func (b *burst) machines(ctx context.Context) (map[string]Machine, error) {
	r := b.w.run(ctx, b.w.admin, Hurt{}, nil, b.w.Programs.Metalpool, "machine", "list", "--all", "-o", "json")
	var list []Machine
	if !r.ok() {
		return nil, fmt.Errorf("machine list: %s", r.err)
	}
	if err := json.Unmarshal([]byte(r.out), &list); err != nil {
		return nil, err
	}
	byID := map[string]Machine{}
	for _, m := range list {
		byID[m.ID] = m
	}
	return byID, nil
}
