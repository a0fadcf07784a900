package lab_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// A BMC that nobody reaches is first our own fault: with no other server to tell, the
// node goes back as it was, and says who could not reach it.
func TestABMCOutOfReach(t *testing.T) {
	s := newStory(t, 1)
	node := s.lab.Nodes()[0]
	try(t, node.Unplug())
	_, err := s.Create(t.Context(), order("web-1", newKey(t)), nil)
	s.refused(err, core.Transient, "create web-1 (node n001)", "no contact", "this host reaches it", "0 of 1 nodes match")
	s.at(node, core.Available, "untouched", "no contact")
	if mark := s.unreachable(node); !containsAll(mark, []string{"from ", "no contact"}) {
		t.Errorf("the node says that it is unreachable %q", mark)
	}
	s.sound()

	try(t, node.Plug())
	_, err = s.Create(t.Context(), order("web-2", newKey(t)), nil)
	try(t, err)
	if mark := s.unreachable(node); mark != "" {
		t.Errorf("the node is reached, and still says that it is unreachable %q", mark)
	}
	s.sound()
}

func (s *story) unreachable(n *lab.Node) string {
	s.t.Helper()
	found, err := s.Node(s.t.Context(), n.ID())
	try(s.t, err)
	return found.Spec.Unreachable
}

// Where another server answers, the silent one is at fault.
func TestABMCOutOfReachBesideOthers(t *testing.T) {
	s := newStory(t, 2)
	node, other := s.lab.Nodes()[0], s.lab.Nodes()[1]
	try(t, node.Unplug())
	m, err := s.createOn(node, order("web-1", newKey(t)))
	try(t, err)
	if m.Node != other.ID() {
		t.Errorf("the machine is on %s", m.Node)
	}
	s.at(node, core.Quarantined, "did not answer", "while n002 did")
	s.at(other, core.Deployed)
	s.sound()
}

// What a BMC answers counts against its node, and the machine goes to another. Once
// the reason is mended, a repair brings the node back.
func TestABMCThatRefuses(t *testing.T) {
	always := func(f bmc.Fault) func(*story, *lab.Node) {
		f.Count = bmc.Forever
		return func(s *story, n *lab.Node) { s.bmcFault(n, f) }
	}
	for _, c := range []struct {
		name  string
		spoil func(s *story, n *lab.Node)
		says  []string
	}{
		{"another password", func(s *story, n *lab.Node) { s.set(n, core.NodeChange{Password: new("hunter2")}) }, []string{"401", "check the user and password"}},
		{"another certificate", func(s *story, n *lab.Node) { s.set(n, core.NodeChange{Fingerprint: new(strings.Repeat("0", 64))}) }, []string{"its certificate has changed", "metalpool node set n001 --fingerprint"}},
		{"a web page", always(bmc.Fault{Kind: bmc.HTML}), []string{"is not Redfish", "check that the URL"}},
		{"garbage", always(bmc.Fault{Kind: bmc.Garbage}), []string{"is not Redfish"}},
		{"500", always(bmc.Fault{Kind: bmc.Fail}), []string{"answered 500"}},
		{"500 to a reset", always(bmc.Fault{On: bmc.Reset, Kind: bmc.Fail}), []string{"set power", "answered 500"}},
		{"an insert refused", always(bmc.Fault{On: bmc.Insert, Kind: bmc.Refuse}), []string{"insert media", "connection with the image"}},
		{"an insert without effect", always(bmc.Fault{On: bmc.Insert, Kind: bmc.Ignore}), []string{"insert media", "still shows the slot empty"}},
		{"a boot source without effect", always(bmc.Fault{On: bmc.SetBoot, Kind: bmc.Ignore}), []string{"boot", "still shows"}},
		{"power that stays off", func(s *story, n *lab.Node) { s.fault(n, lab.Fault{Kind: lab.PowerStuck, Count: lab.Forever}) }, []string{"set power on", "still shows power Off", "console"}},
		{"the lie that it is off", always(bmc.Fault{On: bmc.PowerRead, Kind: bmc.Lie, Power: bmc.Off}), []string{"set power on", "still shows power Off"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, 2)
			node, other := s.lab.Nodes()[0], s.lab.Nodes()[1]
			c.spoil(s, node)
			m, err := s.createOn(node, order("web-1", newKey(t)))
			try(t, err)
			if m.Node != other.ID() {
				t.Errorf("the machine is on %s", m.Node)
			}
			s.sound()
			s.at(node, core.Quarantined, c.says...)

			right := s.lab.Rack().Nodes[0].BMC
			node.ClearFaults()
			s.set(node, core.NodeChange{Password: &right.Password, Fingerprint: &right.Fingerprint})
			_, err = s.Repair(t.Context(), node.ID(), "mended")
			try(t, err)
			s.sound()
			s.at(node, core.Available)
		})
	}
}

func (s *story) set(n *lab.Node, c core.NodeChange) {
	s.t.Helper()
	_, err := s.SetNode(s.t.Context(), n.ID(), c)
	try(s.t, err)
}

// A server whose power does not read back as Off may still run what the machine's owner
// started: so the machine does not go elsewhere, and neither does the node.
func TestABMCThatAlwaysSaysOn(t *testing.T) {
	for _, mended := range []bool{true, false} {
		t.Run(map[bool]string{true: "tried again", false: "released"}[mended], func(t *testing.T) {
			s := newStory(t, 2)
			node := s.lab.Nodes()[0]
			s.bmcFault(node, bmc.Fault{On: bmc.PowerRead, Kind: bmc.Lie, Power: bmc.On, Count: bmc.Forever})
			o := order("web-1", newKey(t))
			_, err := s.createOn(node, o)
			s.refused(err, core.Backend, "web-1 (node n001)", "set power off", "still shows power On", "the same request tries again, release gives it back")
			s.sound()
			s.at(node, core.Failed, "still shows power On")

			if mended {
				node.ClearFaults()
				m, err := s.Create(t.Context(), o, nil)
				try(t, err)
				if m.Node != node.ID() {
					t.Errorf("the machine is on %s", m.Node)
				}
			}
			err = s.Release(t.Context(), o.ID, core.ReleaseOptions{}, nil)
			if mended {
				try(t, err)
				s.sound()
				s.at(node, core.Available)
				return
			}
			s.refused(err, core.Backend, "release web-1 (node n001)", "still shows power On", "given back all the same", "before it is off and erased", "metalpool reconcile")
			s.sound()
			s.at(node, core.Quarantined, "still shows power On")
		})
	}
}

// Faults that pass are tried through, whether the request took effect or not.
func TestABMCThatFailsOnce(t *testing.T) {
	s := newStory(t, 1)
	node := s.lab.Nodes()[0]
	for _, verb := range []bmc.Verb{bmc.PowerRead, bmc.Reset, bmc.SetBoot, bmc.MediaRead, bmc.Insert, bmc.Eject} {
		for i, f := range []bmc.Fault{{Kind: bmc.Fail, Status: 503}, {Kind: bmc.Cut}, {Kind: bmc.Cut, After: true}} {
			f.On, f.Nth = verb, 2*i+1
			s.bmcFault(node, f)
		}
	}
	m, err := s.Create(t.Context(), order("web-1", newKey(t)), nil)
	try(t, err)
	try(t, s.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil))
	s.at(node, core.Available)
	s.sound()
	hits := 0
	for _, f := range node.BMC().Faults().List() {
		hits += f.Hits
	}
	if hits < 10 {
		t.Errorf("%d faults hit", hits)
	}
}
