package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// work is one worker's grip on one node: its lease, and the attempt it drives. It
// loses both the moment somebody takes a higher generation.
type work struct {
	e       *Engine
	node    Node
	pool    Pool
	attempt Attempt
	lease   Lease
	about   Event // what its events have in common; others read it too
	report  Reporter

	bmc     BMC                       // opened when first needed
	talk    talk                      // the same
	calls   atomic.Pointer[time.Time] // when the last call that changes hardware must have ended
	offered []string
	boots   int                     // ramdisks that this worker has started
	stages  map[string]SettingStage // of what it has written in setUp, until that is met
	moved   Bytes                   // by the step under way, once it is done
	// told are events of that step, kept together with its end: each commit waits for the disk.
	told    []Event
	without string // the step that is gone on without, until that is written down
	waiting waiting
	// releaseEnds is when the steps before a release have had their time, all together; zero
	// where none has begun. A worker that takes over gives them the same again.
	releaseEnds time.Time
	waited      time.Duration // for turns
	cancel      context.CancelCauseFunc
	stop        func() (cut bool) // ends the renewal; cut: the work was ended from outside before
}

// takeLease takes the right to work on a node. force takes it from a living holder
// too: only release does that, and its generation then fences the old worker out.
func (e *Engine) takeLease(tx Tx, id NodeID, force bool) (Lease, error) {
	l, err := tx.Lease(id)
	if err != nil {
		return l, err
	}
	if !force && !l.Free(tx.Now(), e.timing.Call) {
		held := &heldError{l.Holder, l.Expires.Add(e.timing.Call).Sub(tx.Now()).Round(time.Second)}
		return l, &Error{Op: "work on", Node: id, Kind: Busy, Err: held, Hint: fmt.Sprintf("wait; if that worker is dead its lease lapses in %s", held.left)}
	}
	before := l.Generation
	l = Lease{Node: id, Holder: e.process + "/" + NewID("w"), Generation: before + 1, Expires: tx.Now().Add(e.timing.Lease)}
	return l, tx.SwapLease(l, before)
}

// takes is the event that this process goes on with work that another left, at a step.
func (e *Engine) takes(at Attempt, l, before Lease, step, why string) Event {
	text := "by " + e.process
	if before.Holder != "" {
		text += ", from " + processOf(before.Holder)
	}
	return Event{Node: at.Node, Allocation: at.Allocation, Attempt: at.ID, Generation: l.Generation, Type: WorkTaken, Step: step, Message: text + why, By: e.process}
}

// heldError is a node that another worker has the lease of.
type heldError struct {
	holder string
	left   time.Duration // until the lease may be taken, should that worker be dead
}

func (h *heldError) Error() string { return processOf(h.holder) + " works on it" }

// processOf is the process of a lease's holder: the worker's number within that tells
// people nothing.
func processOf(holder string) string {
	if cut := strings.LastIndex(holder, "/w-"); cut > 0 {
		return holder[:cut]
	}
	return holder
}

// sayBusy tells who is waited for. That another works on a node is how several
// processes share a pool, so it is told as no error.
func sayBusy(report Reporter, id NodeID, busy error) {
	text := busy.Error()
	var held *heldError
	if errors.As(busy, &held) {
		text = fmt.Sprintf("until %s is done with it, or at most %s should it be dead", processOf(held.holder), held.left)
	}
	say(report, Progress{Node: id, Step: "wait", Message: text})
}

// depose stops a worker of this process at once whose lease was taken by force; one
// elsewhere finds out when it renews its lease, or asks its fence.
func (e *Engine) depose(l Lease) {
	if old, ok := e.workers.Load(l.Node); ok && old.(*work).lease.Generation < l.Generation {
		old.(*work).cancel(&Error{Op: "work on", Node: l.Node, Kind: LeaseLost, Err: errors.New("the machine was released, and its release goes on with the node")})
	}
}

// begin starts to renew a lease that was just taken. The context it returns ends
// with a LeaseLost cause when the lease is gone.
func (e *Engine) begin(ctx context.Context, n Node, p Pool, a Attempt, l Lease, report Reporter) (context.Context, *work) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &work{e: e, node: n, pool: p, attempt: a, lease: l, report: report, cancel: cancel}
	w.about = Event{Node: n.ID, Allocation: a.Allocation, Attempt: a.ID, Generation: l.Generation, By: e.process}
	e.workers.Store(n.ID, w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.renew(ctx, cancel)
	}()
	w.stop = func() bool {
		cut := ctx.Err() != nil
		cancel(nil)
		<-done
		return cut
	}
	return ctx, w
}

func (w *work) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(w.e.timing.Lease / 4)
	defer tick.Stop()
	lapses := time.Now().Add(w.e.timing.Lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := w.e.store.Update(ctx, func(tx Tx) error {
			if err := w.holds(tx); err != nil {
				return err
			}
			l := w.lease
			l.Expires = tx.Now().Add(w.e.timing.Lease)
			return tx.SwapLease(l, l.Generation)
		})
		switch {
		case err == nil:
			lapses = time.Now().Add(w.e.timing.Lease)
		case Is(err, LeaseLost), errors.Is(err, ErrOutdated):
			cancel(err)
			return
		case time.Now().After(lapses):
			cancel(&Error{Op: "renew lease", Node: w.node.ID, Kind: LeaseLost, Err: err, Hint: "another worker goes on"})
			return
		}
	}
}

// holds refuses unless the lease is still ours and has not lapsed.
func (w *work) holds(tx Tx) error {
	l, err := tx.Lease(w.node.ID)
	if err != nil {
		return err
	}
	if why := w.lease.lost(l, tx.Now()); why != nil {
		return &Error{Op: "work on", Node: w.node.ID, Kind: LeaseLost, Err: why, Hint: "another worker goes on; see 'metalpool node events " + string(w.node.ID) + "'"}
	}
	return nil
}

// fence is asked before every request that changes hardware.
func (w *work) fence(ctx context.Context) (until time.Time, err error) {
	asked := time.Now() // this host may be suspended once the store has answered
	err = w.e.store.View(ctx, func(tx Tx) error {
		if err := w.holds(tx); err != nil {
			return err
		}
		l, err := tx.Lease(w.node.ID)
		// The store's clock may not be ours: only the distance counts. No call lasts
		// longer than Call, so that whoever takes a lease by force knows when the last
		// call under the old one has ended.
		until = asked.Add(min(l.Expires.Sub(tx.Now()), w.e.timing.Call))
		return err
	})
	if err == nil {
		w.calls.Store(&until)
	}
	return until, err
}

// commit writes while the lease is ours, or not at all. Where the work was ended
// meanwhile, the error is why.
func (w *work) commit(ctx context.Context, fn func(tx Tx) error) error {
	err := w.e.store.Update(ctx, func(tx Tx) error {
		if err := w.holds(tx); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}

// end gives everything back: media, conversation and, if it is still ours, the
// lease, so that whoever comes next need not wait for it to lapse.
func (w *work) end() {
	cut := w.stop()
	w.e.workers.CompareAndDelete(w.node.ID, w)
	w.withdraw()
	w.talk.end()
	if w.bmc != nil {
		w.bmc.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.e.timing.Call)
	defer cancel()
	giveBack := w.free
	if last := w.calls.Load(); cut && last != nil && time.Now().Before(*last) {
		// A call that was cut off may be on its way to the BMC: until it has ended, nobody
		// is to begin there but a release, which knows.
		giveBack = func(tx Tx) error {
			l := w.lease
			l.Expires = tx.Now().Add(time.Until(*last) - w.e.timing.Call)
			return tx.SwapLease(l, l.Generation)
		}
	}
	_ = w.commit(ctx, giveBack) // an error means that it is not ours, or lapses by itself
}

// withdraw ends the boots that were offered.
func (w *work) withdraw() {
	for _, boot := range w.offered {
		w.e.deployer.Withdraw(boot)
		w.e.boots.Delete(boot)
	}
	w.offered = nil
}

func (w *work) free(tx Tx) error {
	return tx.SwapLease(Lease{Node: w.node.ID, Generation: w.lease.Generation, Expires: tx.Now()}, w.lease.Generation)
}

// conn is the conversation with the node's BMC, fenced by this lease.
func (w *work) conn(ctx context.Context) (BMC, error) {
	if w.bmc != nil {
		return w.bmc, nil
	}
	bmc, err := w.e.connect(ctx, w.node, w.fence)
	if err == nil {
		w.bmc = bmc
	}
	return bmc, err
}

// talk is a conversation with the ramdisk of one boot. It is kept from step to step,
// since both sides work longer on its beginning than on most of what is said.
type talk struct {
	mu    sync.Mutex // whoever listens is another than who talks
	boot  string
	agent Agent // nil: none
}

// with is the conversation that there is with the ramdisk of that boot; nil: none.
func (t *talk) with(boot string) Agent {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.boot != boot {
		return nil
	}
	return t.agent
}

func (t *talk) begin(boot string, agent Agent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.boot, t.agent = boot, agent
}

func (t *talk) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.agent != nil {
		_ = t.agent.Close() // nothing depends on it
	}
	t.boot, t.agent = "", nil
}

// owes is the answer that the ramdisk owes, if it does.
func (t *talk) owes() Owed {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.agent == nil {
		return Owed{}
	}
	return t.agent.Owes()
}

// agent is the conversation with the ramdisk of this attempt's boot. It ends with the
// work.
func (w *work) agent() (Agent, error) {
	b := w.attempt.Boot
	if b == nil || b.Agent == nil {
		return nil, &Error{Op: "reach agent", Node: w.node.ID, Kind: Transient, Err: fmt.Errorf("no agent has checked in")}
	}
	if agent := w.talk.with(b.ID); agent != nil {
		return agent, nil
	}
	w.talk.end()
	plain, err := w.e.sealer.Open(b.Secret)
	if err != nil {
		return nil, err
	}
	var secret BootSecret
	if err := json.Unmarshal(plain, &secret); err != nil {
		return nil, err
	}
	agent, err := w.e.deployer.Dial(*b, secret, w.lease.Generation)
	if err != nil {
		return nil, err
	}
	w.talk.begin(b.ID, agent)
	return agent, nil
}

// note puts a line into the story of the node and of its allocation.
func (w *work) note(ctx context.Context, t EventType, step, message string) {
	w.keep(ctx, w.event(t, step, message))
}

func (w *work) keep(ctx context.Context, ev Event) {
	err := w.commit(ctx, func(tx Tx) error { return tx.AddEvent(ev) })
	if err != nil {
		w.e.log.Warn("event not kept", "node", w.node.ID, "event", ev.Message, "error", err)
	}
}

func (w *work) event(t EventType, step, message string) Event {
	ev := w.about
	ev.Type, ev.Step, ev.Message = t, step, message
	return ev
}

func (w *work) say(step, format string, args ...any) {
	say(w.report, Progress{Node: w.node.ID, Step: step, Message: fmt.Sprintf(format, args...)})
}

// moving reports bytes done of a step, as an agent tells them. What takes long is
// told in the node's events, too: whoever follows those is another process.
func (w *work) moving(ctx context.Context, step string) func(done, total Bytes) {
	told, share := time.Now(), Bytes(0)
	return func(done, total Bytes) {
		p := Progress{Node: w.node.ID, Step: step, Done: done, Total: total}
		say(w.report, p)
		if total <= 0 || done >= total || !worthKeeping(time.Since(told), done-share, total) {
			return
		}
		told, share = time.Now(), done
		ev := w.event(StepMoves, step, fmt.Sprintf("%.0f%% of %s", float64(done)/float64(total)*100, p.Amount(total)))
		ev.Bytes = done
		w.keep(ctx, ev)
	}
}

// worthKeeping decides whether more of a step, so long after what was kept last, is kept
// as well. A step of a quarter of a minute is seen on its way; one of a day fills no store.
func worthKeeping(after time.Duration, moved, total Bytes) bool {
	return moved >= total/5 && after >= tellEvery/3 || moved >= total/10 && after >= tellEvery
}
