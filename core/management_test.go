package core_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// keysOn are those that the system of a node lets in.
func (p *pool) keysOn(id core.NodeID) []string {
	p.t.Helper()
	system := p.rack.Server(id).Look().System
	if system == nil {
		p.t.Fatalf("nothing runs on %s", id)
	}
	return system.Keys
}

func (p *pool) manage(policy core.ManagementPolicy) {
	p.t.Helper()
	e, _ := p.engine()
	if err := e.SetPool(p.t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian", ManagementKey: policy}); err != nil {
		p.t.Fatal(err)
	}
}

func ours(keys []string) int {
	n := 0
	for _, k := range keys {
		if strings.Contains(k, "metalpool-management-") {
			n++
		}
	}
	return n
}

// createThatLogsIn waits for cloud-init with a key that is gone at the end.
func createThatLogsIn(e *core.Engine, p *pool) error {
	o := order("a-1", "web-1")
	o.WaitFor = core.UntilCloudInit
	m, err := e.Create(p.t.Context(), o, nil)
	if core.Is(err, core.Exists) && p.machine("a-1").State.Ended() {
		return nil // it was released before the crash
	}
	if err != nil || m.State != core.Deployed {
		return err
	}
	if system := p.rack.Server("n1").Look().System; system != nil && ours(system.Keys) != 0 {
		return errors.New("the management key was left on the machine")
	}
	return nil
}

// changeKeys waits for a worker that may be dead.
func changeKeys(e *core.Engine, p *pool, keys ...string) error {
	for {
		_, err := e.Change(p.t.Context(), "a-1", core.MachineChange{Keys: keys})
		if !core.Is(err, core.Busy) {
			return err
		}
		pass(timing.Queue)
	}
}

// An OS that never answers is deployed all the same where nobody asks for an answer.
func TestDeployThatIsNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		p.rack.Server("n1").ShowSSH(core.SSHLook{Sign: core.Silent})
		o := order("a-1", "web-1")
		o.WaitFor = core.UntilStarted
		m, err := e.Create(t.Context(), o, nil)
		if err != nil || m.State != core.Deployed || !m.Access.Unseen {
			t.Fatalf("%v; %s, unseen %t", err, m.State, m.Access.Unseen)
		}
		if now := p.rack.Server("n1").Look(); now.System == nil || now.Media != "" {
			t.Errorf("the server runs %v, with media %q", now.System, now.Media)
		}
		if err := core.AwaitSSH(t.Context(), m.Access); err != nil {
			t.Errorf("what was never seen is waited for: %v", err)
		}
	})
}

// By default we log in only where the deploy needs it, and not after it.
func TestManagementKeyOfADeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, host := p.engine()
		o := order("a-1", "web-1")
		m, err := e.Create(t.Context(), o, nil)
		if err != nil || m.Managed || slices.Contains(host.Calls(), "ssh log in") || ours(p.keysOn(m.Node)) != 0 {
			t.Errorf("%v; keys %q", err, p.keysOn(m.Node))
		}
		if err := e.Release(t.Context(), o.ID, core.ReleaseOptions{WaitClean: true}, nil); err != nil {
			t.Fatal(err)
		}

		o = order("a-2", "web-2")
		o.WaitFor = core.UntilCloudInit
		if m, err = e.Create(t.Context(), o, nil); err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		if !slices.Contains(host.Calls(), "ssh cloud-init") {
			t.Errorf("cloud-init was not waited for: %q", host.Calls())
		}
		if keys := p.keysOn(m.Node); !slices.Equal(keys, o.Keys) {
			t.Errorf("the machine lets %q in", keys)
		}
		if _, err := e.Change(t.Context(), o.ID, core.MachineChange{Keys: []string{"ssh-ed25519 BBBB ann"}}); !core.Is(err, core.Invalid) {
			t.Errorf("changing keys without a way in: %v", err)
		}
		p.sound()
	})
}

func TestCloudInitThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, _ := p.engine()
		o := order("a-1", "web-1")
		o.WaitFor, o.UserData = core.UntilCloudInit, []byte("fails")
		if _, err := e.Create(t.Context(), o, nil); !core.Is(err, core.Invalid) {
			t.Errorf("with user data that fails: %v", err)
		}
		if m := p.machine("a-1"); m.State != core.Failed || len(m.Moves) != 0 {
			t.Errorf("the machine is %s, after %d moves", m.State, len(m.Moves))
		}
		p.sound()

		p.manage(core.ManageNever)
		o = order("a-2", "web-2")
		o.WaitFor = core.UntilCloudInit
		if _, err := e.Create(t.Context(), o, nil); !core.Is(err, core.Invalid) {
			t.Errorf("with no management key: %v", err)
		}
		o.WaitFor = "the morning"
		if _, err := e.Create(t.Context(), o, nil); !core.Is(err, core.Invalid) {
			t.Errorf("with nothing to wait for: %v", err)
		}
		if free := p.nodes(core.Available); len(free) != 1 {
			t.Errorf("the nodes are %v", p.states())
		}
	})
}

// A node whose OS shows its host key has done its part: what user data does for too long
// it would do on any other as well.
func TestCloudInitThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 3)
		for _, s := range p.rack.Servers() {
			s.Fail(enginetest.Fault{Op: "ssh cloud-init", Err: enginetest.ErrUnreachable, Times: -1})
		}
		e, _ := p.engine()
		o := order("a-1", "web-1")
		o.WaitFor = core.UntilCloudInit
		if _, err := e.Create(t.Context(), o, nil); err == nil {
			t.Error("with a wait that never ends")
		}
		if m := p.machine("a-1"); m.State != core.Failed || len(m.Moves) != 0 || len(p.nodes(core.Available)) != 2 {
			t.Errorf("the machine is %s after %d moves, the nodes are %v", m.State, len(m.Moves), p.states())
		}
		p.sound()
	})
}

// The pool's policy may change while an order queues.
func TestPolicyThatChangesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		o := order("a-2", "web-2")
		o.WaitFor, o.Wait = core.UntilCloudInit, time.Hour
		ended := make(chan error, 1)
		go func() {
			_, err := e.Create(t.Context(), o, nil)
			ended <- err
		}()
		pass(timing.Queue)
		p.manage(core.ManageNever)
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "no management key") {
			t.Errorf("with no way in: %v", err)
		}
		p.sound()
	})
}

func TestKeysChangeInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		p.manage(core.ManageAlways)
		e, host := p.engine()
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !m.Managed || ours(p.keysOn(m.Node)) != 1 {
			t.Fatalf("the machine lets %q in", p.keysOn(m.Node))
		}
		const added = "ssh-ed25519 CCCC somebody the owner trusts"
		p.rack.Server(m.Node).LetIn(added)
		change := core.MachineChange{Keys: []string{"ssh-ed25519 BBBB ann"}}
		if _, err := e.Change(t.Context(), "a-1", change); err != nil {
			t.Fatal(err)
		}
		keys := p.keysOn(m.Node)
		if slices.Contains(keys, "ssh-ed25519 AAAA ann") || !slices.Contains(keys, "ssh-ed25519 BBBB ann") || !slices.Contains(keys, added) || ours(keys) != 1 {
			t.Errorf("the machine lets %q in", keys)
		}
		// What the machine was made with is no longer what it is; what it is now, is.
		same := order("a-1", "web-1")
		if _, err := e.Create(t.Context(), same, nil); !core.Is(err, core.Exists) {
			t.Errorf("with the old keys: %v", err)
		}
		same.Keys = change.Keys
		if _, err := e.Create(t.Context(), same, nil); err != nil {
			t.Errorf("with the new keys: %v", err)
		}

		for what, keys := range map[string][]string{"no keys": {}, "nothing but a comment": {"# bob's\n"}} {
			if _, err := e.Change(t.Context(), "a-1", core.MachineChange{Keys: keys}); !core.Is(err, core.Invalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		taken := "web-9"
		if _, err := e.Allocate(t.Context(), core.Order{ID: "a-9", Owner: "ann", Name: taken}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Change(t.Context(), "a-1", core.MachineChange{Name: &taken, Keys: []string{"ssh-ed25519 DDDD ann"}}); !core.Is(err, core.Exists) {
			t.Errorf("with a name of another one: %v", err)
		}
		if now := p.keysOn(m.Node); !slices.Equal(now, keys) {
			t.Errorf("a change that was refused lets %q in", now)
		}
		p.rack.Server(m.Node).Fail(enginetest.Fault{Op: "ssh set keys", Err: enginetest.ErrBroken, Times: 1})
		if _, err := e.Change(t.Context(), "a-1", core.MachineChange{Keys: []string{"ssh-ed25519 DDDD ann"}}); err == nil {
			t.Error("a change that failed on the machine")
		}
		if now := p.keysOn(m.Node); !slices.Equal(now, keys) {
			t.Errorf("the machine lets %q in", now)
		}
		// Each of these takes all of the one before away: a text may be a whole
		// authorized_keys, and what stands before a key belongs to it.
		for _, change := range []struct{ keys, want []string }{
			{[]string{"# ann's\nssh-ed25519 EEEE ann\n\nssh-ed25519 FFFF ann"}, []string{"ssh-ed25519 EEEE ann", "ssh-ed25519 FFFF ann"}},
			{[]string{`from="10.0.0.0/8" ssh-ed25519 GGGG ann`, `from="10.0.0.0/8" ssh-ed25519 HHHH ann`}, []string{`from="10.0.0.0/8" ssh-ed25519 GGGG ann`, `from="10.0.0.0/8" ssh-ed25519 HHHH ann`}},
			{[]string{`command="run ssh-agent" ssh-ed25519 GGGG ann`}, []string{`command="run ssh-agent" ssh-ed25519 GGGG ann`}},
			{[]string{`command="run ssh-agent" ssh-ed25519 HHHH ann`}, []string{`command="run ssh-agent" ssh-ed25519 HHHH ann`}},
		} {
			if err := changeKeys(e, p, change.keys...); err != nil {
				t.Errorf("%q: %v", change.keys, err)
			}
			now := slices.DeleteFunc(slices.Clone(p.keysOn(m.Node)), func(k string) bool { return k == added || ours([]string{k}) > 0 })
			if !slices.Equal(now, change.want) {
				t.Errorf("after a change to %q the machine lets %q in", change.keys, now)
			}
		}
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
			t.Fatal(err)
		}
		t.Logf("%q", host.Calls())
		if p.machine("a-1").Managed {
			t.Error("a machine that was given back is said to be managed")
		}
		p.sound()
	})
}

// A key that a change may have put on a machine is told of until a change has ended: who
// goes back to the keys before sees that they are not all.
func TestKeysOfAChangeThatBrokeAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.manage(core.ManageAlways)
		e, _ := p.engine()
		o := order("a-1", "web-1")
		o.Keys = []string{"ssh-ed25519 AAAA ann\nssh-ed25519 CCCC bob"}
		if _, err := e.Create(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
		victim := p.rack.Host()
		victim.FreezeIn("ssh set keys", enginetest.After)
		ended := make(chan error, 1)
		go func() {
			_, err := p.engineOn(victim, p.store, cloak{}, nil).Change(t.Context(), o.ID, core.MachineChange{Keys: []string{"ssh-ed25519 CCCC bob", "ssh-ed25519 BBBB ann"}})
			ended <- err
		}()
		<-victim.Frozen()
		m := p.machine("a-1")
		for _, key := range p.keysOn(m.Node) {
			if strings.HasSuffix(key, " ann") && !slices.Contains(m.Keys, key) {
				t.Errorf("%q may log in, and the machine's keys are told to be %q", key, m.Keys)
			}
		}
		if told := strings.Join(m.Keys, "\n"); strings.Count(told, "CCCC") != 1 {
			t.Errorf("a key is told more than once: %q", m.Keys)
		}
		if err := changeKeys(e, p, o.Keys...); err != nil {
			t.Fatal(err)
		}
		if m = p.machine("a-1"); !slices.Equal(m.Keys, o.Keys) || slices.Contains(p.keysOn(m.Node), "ssh-ed25519 BBBB ann") {
			t.Errorf("its keys are told to be %q, and are %q", m.Keys, p.keysOn(m.Node))
		}
		victim.Thaw()
		if err := <-ended; err == nil {
			t.Error("the change that was overtaken says that it is done")
		}
	})
}
