package lab_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// bench works on one node by hand: its BMC through Redfish, its agent through the
// deployer.
type bench struct {
	t        *testing.T
	node     *lab.Node
	bmc      core.BMC
	deployer *deploy.Deployer
	refused  chan string
}

func newBench(t *testing.T, shape int) *bench {
	t.Helper()
	l := up(t, lab.Config{Nodes: shape + 1})
	b := &bench{t: t, node: l.Nodes()[shape], refused: make(chan string, 10)}
	var err error
	b.deployer, err = deploy.New(deploy.Config{
		CacheDir: filepath.Join(t.TempDir(), "cache"), Bind: "127.0.0.1", Log: logTo(t), Lost: time.Second,
		Refused: func(_ string, _ core.NodeID, _, why string) { b.refused <- why },
	})
	try(t, err)
	t.Cleanup(func() { try(t, b.deployer.Close()) })
	e := l.Rack().Nodes[shape].BMC
	b.bmc, err = redfish.New(atOnce).Connect(t.Context(), core.Endpoint{Backend: "redfish", URL: e.URL, User: e.User, TLS: core.TLSCheck{Fingerprint: e.Fingerprint}}, e.Password, nil)
	try(t, err)
	t.Cleanup(func() { try(t, b.bmc.Close()) })
	return b
}

func (b *bench) fault(f lab.Fault) {
	b.t.Helper()
	try(b.t, b.node.AddFault(lab.NewFault{Machine: &f}))
}

// start boots the ramdisk and does not wait for its agent.
func (b *bench) start() (core.Boot, core.BootSecret) {
	b.t.Helper()
	ctx := b.t.Context()
	boot, secret, err := b.deployer.NewBoot(time.Hour)
	try(b.t, err)
	url, err := b.deployer.Offer(ctx, boot, secret, core.BootParams{Node: b.node.ID(), Generation: 1, BMCHost: b.node.Address(), Silence: time.Hour})
	try(b.t, err)
	try(b.t, b.bmc.SetPower(ctx, core.TurnOff), b.bmc.InsertMedia(ctx, url), b.bmc.BootMediaOnce(ctx), b.bmc.SetPower(ctx, core.TurnOn))
	return boot, secret
}

// agent boots the ramdisk and calls its agent.
func (b *bench) agent() (core.Agent, core.AgentEndpoint) {
	b.t.Helper()
	boot, secret := b.start()
	endpoint, err := b.deployer.AwaitCheckIn(b.t.Context(), boot.ID)
	try(b.t, err)
	boot.Agent = &endpoint
	a, err := b.deployer.Dial(boot, secret, 1)
	try(b.t, err)
	b.t.Cleanup(func() { _ = a.Close() })
	return a, endpoint
}

func (b *bench) awaitPhase(want string) {
	b.t.Helper()
	await(b.t, func() bool { return strings.Contains(b.node.Status().Phase, want) })
}

func (b *bench) erase(ctx context.Context, a core.Agent, id string) (core.EraseReport, error) {
	var serials []string
	for _, d := range b.node.Disks() {
		serials = append(serials, d.Serial)
	}
	return a.Erase(ctx, id, core.EraseOrder{Disks: serials}, nil)
}

func TestAnAgentSeesTheMachine(t *testing.T) {
	b := newBench(t, 2) // which has disks of two kinds
	a, endpoint := b.agent()
	found, err := a.Inventory(t.Context())
	try(t, err)
	told, err := b.bmc.Inspect(t.Context())
	try(t, err)
	if endpoint.Identity.Serial != told.Identity.Serial || !strings.EqualFold(endpoint.Identity.UUID, told.Identity.UUID) || !slices.Equal(found.Identity.MACs, told.Identity.MACs) {
		t.Errorf("the agent is at %+v, the BMC at %+v", endpoint.Identity, told.Identity)
	}
	hw, said := found.Hardware, told.Hardware
	if hw.CPUs != said.CPUs || hw.Memory != said.Memory || len(hw.Disks) != 5 || len(said.Disks) != 5 || hw.NICs[0].Address != b.node.Address() {
		t.Errorf("the agent finds %+v, the BMC tells %+v", hw, said)
	}
	for i, d := range hw.Disks {
		if s := said.Disks[i]; d.Serial != s.Serial || d.Size != s.Size || d.Kind != s.Kind {
			t.Errorf("disk %+v, told as %+v", d, s)
		}
	}
	report, err := b.erase(t.Context(), a, "e1")
	if err != nil || len(report.Disks) != 5 || !report.Disks[4].Verified {
		t.Errorf("erase %+v, %v", report, err)
	}
	media := b.node.BMC().Inserted()
	if len(media) != 1 {
		t.Fatalf("inserted %v", media)
	}
	if s := b.node.Status(); len(s.Media) != 1 || strings.Contains(s.Media[0], "://") || s.Phase != "agent runs" {
		t.Errorf("status %+v", s)
	}
}

func TestFaultsOfAMachine(t *testing.T) {
	t.Run("media hang", func(t *testing.T) {
		b := newBench(t, 0)
		b.fault(lab.Fault{Kind: lab.MediaHang})
		b.start()
		b.awaitPhase("hangs while it boots from virtual media")
		b.agent() // the next boot is well
	})
	t.Run("silent at a write", func(t *testing.T) {
		b := newBench(t, 0)
		b.fault(lab.Fault{Kind: lab.AgentSilent, Nth: 2})
		a, _ := b.agent()
		if _, err := b.erase(t.Context(), a, "e1"); err == nil {
			t.Error("the agent answered")
		}
		b.awaitPhase("silent")
		if b.node.Power() != bmc.On {
			t.Errorf("the power is %s", b.node.Power())
		}
	})
	t.Run("silent at an erase", func(t *testing.T) {
		b := newBench(t, 0)
		b.fault(lab.Fault{Kind: lab.EraseSilent})
		a, _ := b.agent()
		if _, err := b.erase(t.Context(), a, "e1"); err == nil {
			t.Error("the agent answered")
		}
		b.awaitPhase("silent")
	})
	for _, kind := range []lab.FaultKind{lab.EraseError, lab.EraseLie} {
		t.Run(string(kind), func(t *testing.T) {
			b := newBench(t, 0)
			b.fault(lab.Fault{Kind: kind})
			a, _ := b.agent()
			report, err := b.erase(t.Context(), a, "e1")
			if err == nil && report.Disks[0].Verified {
				t.Error("the disk counts as erased")
			}
			if report, err = b.erase(t.Context(), a, "e2"); err != nil || !report.Disks[0].Verified {
				t.Errorf("the next erase: %+v, %v", report, err)
			}
		})
	}
	t.Run("another machine", func(t *testing.T) {
		b := newBench(t, 0)
		b.fault(lab.Fault{Kind: lab.OtherMachine})
		_, endpoint := b.agent()
		told, err := b.bmc.Inspect(t.Context())
		try(t, err)
		if endpoint.Identity.Serial == told.Identity.Serial || strings.EqualFold(endpoint.Identity.UUID, told.Identity.UUID) {
			t.Error("the agent is at the machine that the BMC tells of")
		}
	})
	t.Run("a disk is missing", func(t *testing.T) {
		b := newBench(t, 1)
		b.fault(lab.Fault{Kind: lab.DiskMissing})
		a, _ := b.agent()
		found, err := a.Inventory(t.Context())
		try(t, err)
		if len(found.Hardware.Disks) != 1 {
			t.Errorf("disks %+v", found.Hardware.Disks)
		}
		if _, err := b.erase(t.Context(), a, "e1"); err == nil {
			t.Error("erased without the disk that is missing")
		}
	})
	t.Run("an old token", func(t *testing.T) {
		b := newBench(t, 0)
		b.fault(lab.Fault{Kind: lab.OldToken})
		b.agent()
		b.start()
		<-b.refused
		await(t, func() bool { return b.node.Power() == bmc.Off })
		b.agent()
	})
	t.Run("called twice", func(t *testing.T) {
		b := newBench(t, 0)
		b.fault(lab.Fault{Kind: lab.AgentTwice})
		a, _ := b.agent()
		_, err := a.Inventory(t.Context())
		try(t, err)
		<-b.refused
		if _, err := a.Inventory(t.Context()); err != nil || b.node.Power() != bmc.On {
			t.Errorf("the first agent: %v, power %s", err, b.node.Power())
		}
	})
	t.Run("power stuck", func(t *testing.T) {
		b := newBench(t, 0)
		b.fault(lab.Fault{Kind: lab.PowerStuck, Count: 3})
		b.node.PowerOn()
		b.node.Restart(false)
		b.node.PowerOff(false)
		if s := b.node.Power(); s != bmc.Off {
			t.Errorf("the power is %s", s)
		}
		b.node.PowerOn()
		b.awaitPhase("no bootable device")
	})
	t.Run("the cord", func(t *testing.T) {
		b := newBench(t, 0)
		a, _ := b.agent()
		try(t, b.node.Unplug())
		if _, err := a.Inventory(t.Context()); err == nil {
			t.Error("the agent runs without power")
		}
		if _, err := b.bmc.Power(t.Context()); !core.Is(err, core.Transient) {
			t.Errorf("the BMC without power: %v", err)
		}
		try(t, b.node.Plug())
		if s, err := b.bmc.Power(t.Context()); s != core.PowerOff || err != nil {
			t.Errorf("plugged in again: %s, %v", s, err)
		}
		if len(b.node.BMC().Inserted()) != 0 {
			t.Error("virtual media outlived the cord")
		}
	})
}

// What a deployed machine does when it boots from its disk again.
func TestFaultsOfASystem(t *testing.T) {
	l := up(t, lab.Config{Nodes: 1})
	p := newPool(t, l)
	node, key := l.Nodes()[0], newKey(t)
	m, err := p.Create(t.Context(), order("web-1", key), nil)
	try(t, err)
	again := func(phase string) {
		t.Helper()
		node.PowerOff(false)
		await(t, func() bool { return node.Power() == bmc.Off })
		node.PowerOn()
		await(t, func() bool { return strings.Contains(node.Status().Phase, phase) })
	}
	try(t, node.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.DiskHang}}))
	again("hangs while it boots from the disk")
	node.PowerOff(true) // nobody listens
	if node.Power() != bmc.On {
		t.Error("a system that hangs shut down")
	}
	try(t, node.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.HostKey}}))
	again("system runs")
	if _, err := onMachine(t.Context(), m, key, "true"); err == nil || !strings.Contains(err.Error(), "another host key") {
		t.Errorf("with a strange host key: %v", err)
	}
	again("system runs")
	if s := node.Status().SSH; s.Logins != 0 || s.Connections != 0 {
		t.Errorf("a system that just booted counts %+v", s)
	}
	try(t, node.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.WriteError}}))
	if out, _ := onMachine(t.Context(), m, key, "exec 2>&1; echo x > f; echo y > f; cat f"); out != "bash: f: Input/output error\ny\n" {
		t.Errorf("a disk that fails once: %q", out)
	}
	// Whether the answer arrives before the power is gone is open.
	_, _ = onMachine(t.Context(), m, key, "sudo poweroff")
	await(t, func() bool { return node.Power() == bmc.Off })
	node.PowerOn()
	await(t, func() bool { return node.Status().Phase == "system runs" })
	_, _ = onMachine(t.Context(), m, key, "sudo reboot")
	await(t, func() bool { s := node.Status(); return s.Phase == "system runs" && s.SSH.Connections == 0 })
	await(t, func() bool { out, err := onMachine(t.Context(), m, key, "cat f"); return err == nil && out == "y\n" })
	node.Restart(true)
	await(t, func() bool { s := node.Status(); return s.Phase == "system runs" && s.SSH.Connections == 0 })
	await(t, func() bool { _, err := onMachine(t.Context(), m, key, "true"); return err == nil })
	node.PowerOff(true)
	await(t, func() bool { return node.Power() == bmc.Off })
}
