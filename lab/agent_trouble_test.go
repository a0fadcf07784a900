package lab_test

import (
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
)

// What goes wrong on a server while it is deployed moves the machine to another one,
// and keeps the server out where the fault is its own.
func TestAServerThatFailsItsDeploy(t *testing.T) {
	quickCheckIn := func(t *core.Timeouts) { t.CheckIn = 3 * time.Second }
	quickSSH := func(t *core.Timeouts) { t.SSH = 3 * time.Second }
	asUsual := func(*core.Timeouts) {}
	for _, c := range []struct {
		name     string
		fault    lab.Fault
		patience func(*core.Timeouts)
		says     []string // of the quarantined node
	}{
		{"a write error", lab.Fault{Kind: lab.WriteError}, asUsual, []string{"write: backend", "medium error", "replace it"}},
		{"a write error later on", lab.Fault{Kind: lab.WriteError, Nth: 4}, asUsual, []string{"write: backend", "medium error", "replace it"}},
		{"an agent that falls silent at each write", lab.Fault{Kind: lab.AgentSilent, Count: lab.Forever}, asUsual, []string{"has not answered", "power and network"}},
		{"another server", lab.Fault{Kind: lab.OtherMachine}, asUsual, []string{"another server answers", "enrolled as", "found", "enroll it again"}},
		{"a disk less", lab.Fault{Kind: lab.DiskMissing}, asUsual, []string{"disks of the inventory are missing", "look at the server"}},
		{"an agent that never calls", lab.Fault{Kind: lab.MediaHang}, quickCheckIn, []string{`did not get past "boot ramdisk"`, "while n002 did", "none was admitted, and 0 were refused", "METALPOOL_ADVERTISE"}},
		{"the token of an earlier boot", lab.Fault{Kind: lab.OldToken}, quickCheckIn, nil},
		{"a system that does not boot", lab.Fault{Kind: lab.DiskHang, Count: lab.Forever}, quickSSH, []string{`did not get past "ssh"`, "while n002 did", "connection refused"}},
		{"another host key", lab.Fault{Kind: lab.HostKey}, quickSSH, []string{"shows another host key", "ssh-ed25519", "no cloud-init"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, 2)
			s.patience(c.patience)
			node, other := s.lab.Nodes()[0], s.lab.Nodes()[1]
			s.fault(node, c.fault)
			key := newKey(t)
			m, err := s.createOn(node, order("web-1", key))
			try(t, err)
			if m.Node != other.ID() {
				t.Errorf("the machine is on %s", m.Node)
			}
			if out, err := onMachine(t.Context(), m, key, "hostname"); out != "web-1\n" || err != nil {
				t.Errorf("on the machine: %q, %v", out, err)
			}
			s.sound()
			s.at(node, core.Quarantined, c.says...)
			s.told(node, core.StepFailed)
			if c.fault.Kind == lab.OldToken {
				s.told(node, core.AgentRefused, "started by an earlier boot")
			}
		})
	}
}

// An agent that falls silent once is started again; the machine stays where it is.
func TestAnAgentThatFallsSilentOnce(t *testing.T) {
	s := newStory(t, 1)
	node := s.lab.Nodes()[0]
	s.fault(node, lab.Fault{Kind: lab.AgentSilent, Nth: 3})
	key := newKey(t)
	m, err := s.Create(t.Context(), order("web-1", key), nil)
	try(t, err)
	if out, err := onMachine(t.Context(), m, key, "hostname"); out != "web-1\n" || err != nil {
		t.Errorf("on the machine: %q, %v", out, err)
	}
	s.told(node, core.StepFailed, "has not answered")
	s.sound()
}

// A system that hangs after kexec starts from its disk, and the node goes through its
// firmware from then on.
func TestASystemThatHangsAfterKexec(t *testing.T) {
	s := newStory(t, 1)
	s.patience(func(t *core.Timeouts) { t.Kexec = time.Second })
	node := s.lab.Nodes()[0]
	s.fault(node, lab.Fault{Kind: lab.DiskHang})
	_, err := s.Create(t.Context(), order("web-1", newKey(t)), nil)
	try(t, err)
	s.told(node, core.StepFailed, "no sign of life", "after kexec")
	s.told(node, core.Note, "goes through its firmware from now on")
	try(t, s.Release(t.Context(), "web-1", core.ReleaseOptions{WaitClean: true}, nil))
	_, err = s.Create(t.Context(), order("web-2", newKey(t)), nil)
	try(t, err)
	s.sound()
}

// A second agent with the same token is refused, and the first goes on.
func TestAnAgentThatCallsTwice(t *testing.T) {
	s := newStory(t, 1)
	node := s.lab.Nodes()[0]
	s.fault(node, lab.Fault{Kind: lab.AgentTwice})
	m, err := s.Create(t.Context(), order("web-1", newKey(t)), nil)
	try(t, err)
	if m.Node != node.ID() {
		t.Errorf("the machine is on %s", m.Node)
	}
	s.told(node, core.AgentRefused, "another agent has checked in with this token")
	s.sound()
}

// With no other server, or with one asked for by name, the machine is Failed and says
// why: the same request tries again, and release gives the server back.
func TestAMachineThatFails(t *testing.T) {
	for _, c := range []struct {
		name     string
		fault    lab.Fault
		patience func(*core.Timeouts)
		kind     core.Kind
		says     []string
	}{
		{"a write error", lab.Fault{Kind: lab.WriteError}, func(*core.Timeouts) {}, core.Backend, []string{"write", "medium error"}},
		{"an agent that never calls", lab.Fault{Kind: lab.MediaHang}, func(t *core.Timeouts) { t.CheckIn = 3 * time.Second }, core.Timeout, []string{"boot ramdisk", "did not check in within 3s", "METALPOOL_ADVERTISE"}},
		{"another host key", lab.Fault{Kind: lab.HostKey}, func(t *core.Timeouts) { t.SSH = 3 * time.Second }, core.Timeout, []string{"ssh", "shows another host key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, 2)
			s.patience(c.patience)
			node := s.lab.Nodes()[0]
			o := order("web-1", newKey(t))
			o.Request.Node = node.ID()
			for range 2 {
				s.fault(node, c.fault)
				_, err := s.Create(t.Context(), o, nil)
				s.refused(err, c.kind, append(c.says, "web-1 (node n001)", "the same request tries again, release gives it back")...)
				s.at(node, core.Failed, c.says...)
				s.sound()
			}
			m, err := s.Create(t.Context(), o, nil)
			try(t, err)
			if m.Node != node.ID() {
				t.Errorf("the machine is on %s", m.Node)
			}
			try(t, s.Release(t.Context(), o.ID, core.ReleaseOptions{}, nil))
			s.sound()
			s.at(node, core.Available)
		})
	}
}

// A server that cannot be erased, or only says so, is never handed on.
func TestAServerThatFailsItsErase(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault lab.Fault
		then  core.State
		says  []string
	}{
		{"an error once", lab.Fault{Kind: lab.EraseError}, core.Available, nil},
		{"an error always", lab.Fault{Kind: lab.EraseError, Count: lab.Forever}, core.Quarantined, []string{"erase", "medium error", "a disk has failed", "'metalpool node repair' tries again"}},
		{"a lie once", lab.Fault{Kind: lab.EraseLie}, core.Available, nil},
		{"a lie always", lab.Fault{Kind: lab.EraseLie, Count: lab.Forever}, core.Quarantined, []string{"erase", "the disk says it is erased, and data written before is still there"}},
		{"an agent that falls silent once", lab.Fault{Kind: lab.EraseSilent}, core.Available, nil},
		{"an agent that falls silent always", lab.Fault{Kind: lab.EraseSilent, Count: lab.Forever}, core.Quarantined, []string{"erase", "has not answered"}},
		{"a disk less", lab.Fault{Kind: lab.DiskMissing, Count: lab.Forever}, core.Quarantined, []string{"erase"}},
		{"no ramdisk", lab.Fault{Kind: lab.MediaHang, Count: lab.Forever}, core.Quarantined, []string{"boot ramdisk", "did not check in"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, 1)
			node := s.lab.Nodes()[0]
			m, err := s.Create(t.Context(), order("web-1", newKey(t)), nil)
			try(t, err)
			s.patience(func(t *core.Timeouts) { t.CheckIn = 3 * time.Second })
			s.fault(node, c.fault)
			try(t, s.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil))
			s.sound()
			s.at(node, c.then, c.says...)
			s.told(node, core.StepFailed)
			if c.then == core.Available {
				return
			}
			_, err = s.Create(t.Context(), order("web-2", newKey(t)), nil)
			s.refused(err, core.NoCapacity, "web-2", "1 quarantined")

			node.ClearFaults()
			_, err = s.Repair(t.Context(), node.ID(), "another disk")
			try(t, err)
			s.sound()
			s.at(node, core.Available)
			for _, d := range node.Disks() {
				if left := firstData(t, d.Path); left != "" {
					t.Errorf("disk %s still holds %q", d.Serial, left)
				}
			}
		})
	}
}

// A machine may be released at each moment of its deploy: the deploy ends at once, and
// the server is erased.
func TestReleaseWhileDeploying(t *testing.T) {
	for _, at := range []string{"boot ramdisk", "inspect", "write image", "write seed", "boot", "eject media", "ssh"} {
		t.Run(at, func(t *testing.T) {
			s := newStory(t, 1)
			node := s.lab.Nodes()[0]
			o := order("web-1", newKey(t))
			reached, created := make(chan struct{}), make(chan error, 1)
			go func() {
				first := true
				_, err := s.Create(t.Context(), o, func(p core.Progress) {
					if p.Step == at && first {
						first = false
						close(reached)
					}
				})
				created <- err
			}()
			select {
			case <-reached:
			case err := <-created:
				t.Fatalf("it did not come that far: %v", err)
			}
			try(t, s.Release(t.Context(), o.ID, core.ReleaseOptions{}, nil))
			s.refused(<-created, core.LeaseLost, "deploy web-1 (node n001)", "given up meanwhile: Released (released by", "make a new ID")
			s.sound()
			s.at(node, core.Available)
			m, err := s.Machine(t.Context(), o.ID)
			if err != nil || m.State != core.Released {
				t.Errorf("the machine is %s, %v", m.State, err)
			}
			for _, d := range node.Disks() {
				if left := firstData(t, d.Path); left != "" {
					t.Errorf("disk %s still holds %q", d.Serial, left)
				}
			}
		})
	}
}
