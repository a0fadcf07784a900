package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Node reads one node.
func (e *Engine) Node(ctx context.Context, id NodeID) (n Node, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		if n, err = tx.Node(id); Is(err, NotFound) {
			err = noSuchNode(tx, "find", id)
		}
		return err
	})
	return n, err
}

// Nodes lists nodes in the order of their IDs.
func (e *Engine) Nodes(ctx context.Context, f NodeFilter) ([]Node, error) {
	var list []Node
	err := e.store.View(ctx, func(tx Tx) (err error) {
		list, err = collect(tx.Nodes(f))
		return err
	})
	return list, err
}

// NodeChange is what an operator may change; nil fields stay.
type NodeChange struct {
	Pool        *string
	Labels      map[string]*string // nil removes the label
	URL         *string
	User        *string
	Password    *string // a secret, or a Reference
	Fingerprint *string
	CA          *string
	ConsoleKey  *string // of the SSH host key: SHA256:…; "" records the next one seen
	Insecure    *bool
	Address     *string
	SSHPort     *int
	DockerPort  *int
	Advertise   *string
	Agent       *AgentRoute
	Network     *Network  // without ports: DHCP on every port
	Boot        *BootMode // also forgets why metalpool set it itself
	// By is who changes it. What somebody else has declared is refused.
	By Declarer
}

// SetNode changes what was declared about a node. The hardware is not touched: another
// network is that of the next ramdisk, and of the next OS that is deployed.
func (e *Engine) SetNode(ctx context.Context, id NodeID, c NodeChange) (n Node, err error) {
	if c.URL != nil {
		if _, err := bmcURL(*c.URL); err != nil {
			return n, &Error{Op: "set", Node: id, Kind: Invalid, Err: err, Hint: "give it as https://host[:port], user and password apart"}
		}
	}
	if c.ConsoleKey != nil {
		if err := checkConsoleKey(*c.ConsoleKey); err != nil {
			return n, &Error{Op: "set", Node: id, Kind: Invalid, Err: err, Hint: hintConsoleKey}
		}
	}
	var secret Endpoint
	if c.Password != nil && *c.Password != "" {
		if err := e.keepPassword(&secret, *c.Password); err != nil {
			return n, withNode(err, id)
		}
	}
	err = e.store.Update(ctx, func(tx Tx) error {
		if n, err = reach(ctx, tx, "set", id); err != nil {
			return err
		}
		was := n
		if err := c.of(tx, &n, IsFromAfar(ctx)); err != nil {
			return err
		}
		if secret.Secret != nil || secret.PasswordFrom != "" {
			n.Spec.BMC.Secret, n.Spec.BMC.PasswordFrom = secret.Secret, secret.PasswordFrom
		}
		same := was.Pool == n.Pool && sameJSON(was.Spec, n.Spec)
		if n.Spec.DeclaredBy, err = declarer(kindNode, string(id), was.Spec.DeclaredBy, c.By, same); err != nil {
			return err
		}
		if err := tx.PutSpec(n); err != nil {
			return err
		}
		return tx.AddEvent(Event{Node: id, Type: Note, Message: "changed by the operator", By: e.process})
	})
	return n, err
}

// of changes a node that was read in tx, but for its password. afar is that somebody asks
// who is not on this host.
func (c NodeChange) of(tx Tx, n *Node, afar bool) error {
	if c.Pool != nil && *c.Pool != n.Pool {
		if _, err := findPool(tx, *c.Pool); err != nil {
			return err
		}
		if n.State.Owned() {
			return &Error{Op: "move to pool " + *c.Pool, Node: n.ID, Kind: Busy, Err: fmt.Errorf("it is %s for %s", n.State, n.Allocation), Hint: "release the machine first"}
		}
		n.Pool = *c.Pool
	}
	moved := c.URL != nil && *c.URL != n.Spec.BMC.URL
	if moved && afar && (c.Password == nil || *c.Password == "" || IsReference(*c.Password)) {
		// He is not told the password, and so does not have it told to a server of his own.
		return &Error{Op: "set", Node: n.ID, Kind: Denied, Err: errors.New("the BMC would have another address, and be sent the password that was kept for this one"), Hint: "give the password with it; on the server's own host the address alone may be changed"}
	}
	if moved && n.State.Working() {
		return &Error{Op: "set BMC address", Node: n.ID, Kind: Busy, Err: fmt.Errorf("it is %s, and another address may be another server's", n.State), Hint: "wait until its work has ended ('metalpool reconcile --wait')"}
	}
	was := n.Spec.Network
	c.apply(&n.Spec)
	if n.State == Deploying && !sameJSON(was, n.Spec.Network) {
		return &Error{Op: "set network", Node: n.ID, Kind: Busy, Err: errors.New("it is Deploying, and its ramdisk or its OS has the other network by now"), Hint: "wait until the deploy has ended, or release the machine ('metalpool machine release " + string(n.Allocation) + "')"}
	}
	if err := n.Spec.validateDeclared(); err != nil {
		return &Error{Op: "set", Node: n.ID, Kind: Invalid, Err: err, Hint: hintDeclared}
	}
	return nil
}

func (c NodeChange) apply(s *NodeSpec) {
	if c.URL != nil && *c.URL != s.BMC.URL {
		s.BMC.Links = nil
	}
	// One way to check the certificate takes the place of another.
	if c.Fingerprint != nil || c.CA != nil || c.Insecure != nil {
		s.BMC.TLS = TLSCheck{}
	}
	put(&s.BMC.URL, c.URL)
	put(&s.BMC.User, c.User)
	put(&s.BMC.TLS.Fingerprint, c.Fingerprint)
	put(&s.BMC.TLS.CA, c.CA)
	put(&s.BMC.ConsoleKey, c.ConsoleKey)
	put(&s.Address, c.Address)
	put(&s.Advertise, c.Advertise)
	put(&s.BMC.TLS.Insecure, c.Insecure)
	put(&s.SSHPort, c.SSHPort)
	put(&s.DockerPort, c.DockerPort)
	put(&s.Agent, c.Agent)
	if c.Network != nil {
		if s.Network = nil; len(c.Network.Ports) > 0 {
			s.Network = c.Network
		}
	}
	if c.Boot != nil {
		s.Boot, s.BootWhy = *c.Boot, ""
	}
	s.Labels = maps.Clone(s.Labels)
	for k, v := range c.Labels {
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		if v == nil {
			delete(s.Labels, k)
		} else {
			s.Labels[k] = *v
		}
	}
}

// Repair sends a Quarantined node through a clean.
func (e *Engine) Repair(ctx context.Context, id NodeID, reason string) (Node, error) {
	return e.toCleaning(ctx, id, Repair, reason)
}

// Resume sends a node in Maintenance through a clean.
func (e *Engine) Resume(ctx context.Context, id NodeID, reason string) (Node, error) {
	return e.toCleaning(ctx, id, Resume, reason)
}

func (e *Engine) toCleaning(ctx context.Context, id NodeID, on Trigger, reason string) (Node, error) {
	n, err := e.turn(ctx, id, on, reason, func(tx Tx, n *Node) error {
		return e.startCleanRecord(tx, n, "", on)
	})
	if err != nil {
		return n, err
	}
	e.startDetached()
	return n, nil
}

// Pause takes an Available node aside.
func (e *Engine) Pause(ctx context.Context, id NodeID, reason string) (Node, error) {
	return e.turn(ctx, id, Pause, reason, func(Tx, *Node) error { return nil })
}

func (e *Engine) turn(ctx context.Context, id NodeID, on Trigger, reason string, also func(Tx, *Node) error) (n Node, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		if n, err = reach(ctx, tx, string(on), id); err != nil {
			return err
		}
		if _, err := Next(n.State, on); err != nil {
			return withNode(err, id)
		}
		if err := also(tx, &n); err != nil {
			return err
		}
		return e.advance(tx, &n, nil, on, reason)
	})
	return n, err
}

// Retire takes a node out of the inventory; its events stay.
func (e *Engine) Retire(ctx context.Context, id NodeID, reason string) error {
	var tagged Node
	err := e.store.Update(ctx, func(tx Tx) error {
		n, err := reach(ctx, tx, "retire", id)
		if err != nil {
			return err
		}
		if n.State.Owned() {
			return &Error{Op: "retire", Node: id, Kind: Busy, Err: fmt.Errorf("it is %s for %s", n.State, n.Allocation), Hint: "release the machine first ('metalpool machine release " + string(n.Allocation) + "')"}
		}
		if _, err := Next(n.State, Retire); err != nil {
			return withNode(err, id)
		}
		tagged = n
		if err := tx.DeleteNode(id); err != nil {
			return err
		}
		return tx.AddEvent(Event{Node: id, Type: StateChanged, From: n.State, To: Gone, On: Retire, Message: reason, By: e.process})
	})
	if err != nil {
		return err
	}
	// The tag is a courtesy to the next pool; a BMC that is gone keeps it.
	ctx, cancel := context.WithTimeout(ctx, e.timing.Call)
	defer cancel()
	if bmc, err := e.connect(ctx, tagged, nil); err == nil {
		defer bmc.Close()
		if err := bmc.SetTag(ctx, ""); err != nil {
			e.log.Warn("asset tag stays", "node", id, "error", err)
		}
	}
	return nil
}

// Events lists what happened.
func (e *Engine) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	var list []Event
	err := e.store.View(ctx, func(tx Tx) (err error) {
		list, err = collect(tx.Events(f))
		return err
	})
	return list, err
}

// Reconcile finishes the work of dead workers: every clean, and deploys whose
// caller did not come back. It returns one outcome per node that it worked on or
// that still waits.
func (e *Engine) Reconcile(ctx context.Context, o ReconcileOptions, report Reporter) ([]Outcome, error) {
	if err := e.expireAll(ctx); err != nil {
		return nil, err
	}
	if err := e.endAll(ctx); err != nil {
		return nil, err
	}
	nodes, err := e.Nodes(ctx, NodeFilter{States: workingStates})
	if err != nil {
		return nil, err
	}
	var (
		mu       sync.Mutex
		outcomes = make([]Outcome, len(nodes))
		failures []error
		group    errgroup.Group
	)
	group.SetLimit(64)
	for i, n := range nodes {
		group.Go(func() error {
			out, err := e.settleNode(ctx, n.ID, o, report)
			out.Node, out.From = n.ID, n.State
			if out.To == "" {
				out.To = n.State
			}
			if err != nil {
				out.Note = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[i] = out
			if err != nil && !Is(err, Busy, LeaseLost) {
				failures = append(failures, err)
			}
			return nil
		})
	}
	_ = group.Wait() // no function fails: they gather their failures
	return outcomes, errors.Join(failures...)
}

// settleNode reconciles one node, as often as others let it down where the caller
// waits.
func (e *Engine) settleNode(ctx context.Context, id NodeID, o ReconcileOptions, report Reporter) (Outcome, error) {
	told := false
	for {
		out, err := e.reconcileNode(ctx, id, o, report)
		if !o.Wait || !Is(err, Busy, LeaseLost) {
			return out, err
		}
		n, readErr := e.Node(ctx, id)
		if readErr != nil {
			return out, readErr
		}
		if !n.State.Working() {
			return Outcome{Node: id, To: n.State, Note: n.Reason}, nil
		}
		if !told && Is(err, Busy) {
			told = true
			sayBusy(report, id, err)
		}
		if wait(ctx, e.timing.Queue) != nil {
			return out, err
		}
	}
}

// expireAll lets go of what is past its deadline. It only reads where nothing is.
func (e *Engine) expireAll(ctx context.Context) error {
	some := false
	err := e.store.View(ctx, func(tx Tx) error {
		stale, err := staleOf(tx, "")
		some = len(stale) > 0
		return err
	})
	if err != nil || !some {
		return err
	}
	return e.store.Update(ctx, func(tx Tx) error {
		_, err := e.expireStale(tx, "")
		return err
	})
}

// Unattended lists nodes whose work nobody does: their worker died, or ended before
// anybody took over. A deploy counts once its caller's grace is over, and a machine
// once its time is.
func (e *Engine) Unattended(ctx context.Context) ([]NodeID, error) {
	var ids []NodeID
	err := e.store.View(ctx, func(tx Tx) (err error) {
		if ids, _, err = e.duties(tx); err != nil {
			return err
		}
		for a, err := range tx.Allocations(AllocationFilter{EndsBy: tx.Now()}) {
			if err != nil {
				return err
			}
			if a.Node != "" && !slices.Contains(ids, a.Node) {
				ids = append(ids, a.Node)
			}
		}
		return nil
	})
	return ids, err
}

// Attend starts a worker that outlives this process where work is unattended, and
// returns for which nodes it did.
func (e *Engine) Attend(ctx context.Context) ([]NodeID, error) {
	ids, err := e.Unattended(ctx)
	if err != nil || len(ids) == 0 || !e.startDetached() {
		return nil, err
	}
	return ids, nil
}
