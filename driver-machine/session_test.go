//go:build linux

package main_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/lab"
)

// TestSessions runs sessions of the real docker-machine, each on a rack of its own.
func TestSessions(t *testing.T) {
	runSessions(t, func(*testing.T, *rig) []string { return []string{"METALPOOL_TOKEN=t0k3n-s3cr3t"} })
}

// TestSessionsThroughAServer runs the same sessions: docker-machine does not notice.
func TestSessionsThroughAServer(t *testing.T) {
	runSessions(t, func(t *testing.T, r *rig) []string { return r.Serve(t, &metalpool).Settings() })
}

// runSessions runs all sessions with more in their environment.
func runSessions(t *testing.T, settings func(*testing.T, *rig) []string) {
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/sessions/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sessions: %v", err)
	}
	for _, file := range files {
		name, _ := strings.CutSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := session{t, newRig(t, t.TempDir(), 3)}
			more := settings(t, s.rig)
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: func(env *testscript.Env) error {
					env.Vars = slices.Concat(env.Vars, s.Environment, more, []string{"POOL=" + s.URL, "EXAMPLES=" + examples, "POOL_LOGS=" + filepath.Join(s.Dir, "*.log")})
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"node": s.node, "settle": s.settled, "fault": s.fault, "mend": s.mend,
					"apply": s.apply, "waiting": s.waiting, "moved": s.moved, "release": s.release, "setup": s.setup,
				},
			})
		})
	}
}

// session holds the commands that sessions have beside those of testscript.
type session struct {
	t *testing.T
	*rig
}

// arguments ends the session where a command does not have what it needs.
func arguments(ts *testscript.TestScript, neg bool, args []string, usage string) {
	if neg || len(args) != len(strings.Fields(usage))-1 {
		ts.Fatalf("usage: %s", usage)
	}
}

// node checks a node's state and, with a number, how often it was erased.
func (s session) node(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: [!] node NODE STATE [ERASES]")
	}
	n, err := s.Engine(s.t).Node(context.Background(), core.NodeID(args[0]))
	ts.Check(err)
	if (string(n.State) == args[1]) == neg {
		ts.Fatalf("node %s is %s: %s", n.ID, n.State, n.Reason)
	}
	if len(args) == 3 && strconv.Itoa(n.Erases) != args[2] {
		ts.Fatalf("node %s was erased %d times", n.ID, n.Erases)
	}
}

// settled waits until nothing is at work on the rack.
func (s session) settled(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "settle")
	s.Settle(s.t)
}

// fault lets something go wrong with a node from now on, for good.
func (s session) fault(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "fault NODE KIND")
	n, err := s.Lab.Node(core.NodeID(args[0]))
	ts.Check(err)
	_, err = n.Faults().Add(lab.Fault{Kind: lab.FaultKind(args[1]), Count: lab.Forever})
	ts.Check(err)
}

// mend ends all faults.
func (s session) mend(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "mend")
	for _, n := range s.Lab.Nodes() {
		n.ClearFaults()
	}
}

// apply declares what a rack file says, as its operator does.
func (s session) apply(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "apply FILE")
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	rack, err := rackfile.Read(f.Name(), f)
	ts.Check(err)
	_, err = s.Engine(s.t).Apply(context.Background(), rack.Declaration, core.ApplyOptions{})
	ts.Check(err)
}

// waiting waits until a machine has its place in the queue.
func (s session) waiting(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "waiting MACHINE")
	ts.Check(s.reach(s.t, args[0], func(m core.Machine) bool { return m.State == core.Waiting }))
}

// moved waits until a machine has left a node that failed it.
func (s session) moved(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "moved MACHINE")
	ts.Check(s.reach(s.t, args[0], func(m core.Machine) bool { return len(m.Moves) > 0 }))
}

// setup looks whether the server of a machine is set up as its profile says, and was set up
// otherwise before.
func (s session) setup(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "setup MACHINE")
	e := s.Engine(s.t)
	m, err := e.MachineNamed(context.Background(), "e2e", args[0])
	ts.Check(err)
	d, err := e.Drift(context.Background(), m.Node)
	ts.Check(err)
	n, err := s.Lab.Node(m.Node)
	ts.Check(err)
	if d.Profile == "" || len(d.Differs)+len(d.Unknown) > 0 || len(n.BMC().State().Setup.BIOS) == 0 {
		ts.Fatalf("node %s is set to %v: %+v", m.Node, n.BMC().State().Setup.BIOS, d)
	}
}

// release takes a machine back behind docker-machine's back, as an operator may.
func (s session) release(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, "release MACHINE")
	e := s.Engine(s.t)
	m, err := e.MachineNamed(context.Background(), "e2e", args[0])
	ts.Check(err)
	ts.Check(e.Release(context.Background(), m.ID, core.ReleaseOptions{Reason: "taken by an operator"}, nil))
}
