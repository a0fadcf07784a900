package campaign

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Run runs a campaign in one setting. The error says why it could not be run; what it
// found is in the report.
func Run(ctx context.Context, c Config) (report *Report, err error) {
	w, err := newWorld(ctx, c)
	defer func() {
		if closing := w.close(); err == nil {
			err = closing
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("set up %s: %w", c.Setting.Name, err)
	}
	report = newReport()
	history := &History{}
	plan := NewPlan(c.Seed, c.Ops, w.shape)
	for i, p := range plan.Bursts {
		began := time.Now()
		b := &burst{w: w, plan: p, number: i, history: history, ended: map[Verb]map[outcome]int{}, gone: map[string]bool{}}
		w.diary.write("burst %d, seed %d", i, p.Seed)
		b.all(ctx)
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		report.add(c.Setting.Name, b, time.Since(began))
		c.Say(fmt.Sprintf("%s: burst %d of %d (seed %d): %d operations, %d faults, %s; %d violations", c.Setting.Name, i+1, len(plan.Bursts), p.Seed, len(b.ops), len(b.struck), time.Since(began).Round(time.Second), len(b.violations)))
		if len(b.violations) > 0 {
			break // what comes after it would only hide it
		}
	}
	return report, nil
}

// all is the burst from its first operation to the last look.
func (b *burst) all(ctx context.Context) {
	clients := b.w.clients(b.number)
	watching, end := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { b.watch(watching) })
	defer watcher.Wait()
	defer end()
	b.run(ctx, clients)
	rested := b.settle(ctx)
	b.inspect(ctx, clients)
	if !rested {
		return
	}
	b.leave(ctx, clients)
	if b.settle(ctx) {
		b.works(ctx, clients[len(clients)-1])
		b.inspect(ctx, clients)
	}
}

// settle is rest, whose failure is a violation.
func (b *burst) settle(ctx context.Context) bool {
	err := b.rest(ctx)
	if err != nil {
		b.violate("NothingLost", err.Error())
	}
	return err == nil
}

// clients of a burst; the operator is the last.
func (w *World) clients(burst int) (list []*client) {
	for i, d := range w.owners {
		list = append(list, &client{w: w, number: i, door: d, name: owner(i), burst: burst, slots: make([]slot, w.shape.Slots)})
	}
	return append(list, &client{w: w, number: len(list), door: w.admin, name: "admin", burst: burst})
}
