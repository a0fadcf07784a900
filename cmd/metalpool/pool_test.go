package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

const (
	bmcPassword = "correct horse battery"
	userData    = "#cloud-config\npassword: hunter2\n"
)

// fill makes a pool with a node in every state of interest, three machines and the
// story of each, in a real store.
func fill(ctx context.Context, path string) error {
	e, err := open.Engine(ctx, path, create)
	if err != nil {
		return err
	}
	e.Close()
	key, err := seal.Load("", seal.FileOf(path))
	if err != nil {
		return err
	}
	password, err := key.Seal([]byte(bmcPassword))
	if err != nil {
		return err
	}
	secret, err := key.Seal([]byte(userData))
	if err != nil {
		return err
	}
	// Everything happened three hours ago and later, a minute apart.
	clock := time.Now().Add(-3*time.Hour - time.Minute/2)
	store, err := behind(ctx, path, func() time.Time { return clock })
	if err != nil {
		return err
	}
	defer store.Close()

	node := func(id core.NodeID, rack string, state core.State, reason string) core.Node {
		n := core.Node{ID: id, Pool: "default", State: state, Reason: reason, Since: clock, Version: 1, Erases: 3}
		serial := "SN-" + strings.ToUpper(string(id))
		n.Spec = core.NodeSpec{
			Labels:   map[string]string{"rack": rack, "zone": "a"},
			Identity: core.Identity{Serial: serial, UUID: "4c4c4544-0042-4810-8051-" + id2hex(id), MACs: []string{"b4:96:91:00:00:" + id2hex(id)[10:]}},
			BMC: core.Endpoint{
				Backend: "redfish", URL: "https://10.0.0." + id2hex(id)[10:], User: "root", Secret: password,
				TLS: core.TLSCheck{Fingerprint: strings.Repeat("3b5f", 16)}, Links: map[string]string{"system": "/redfish/v1/Systems/1"},
			},
		}
		n.Hardware = core.Hardware{
			Manufacturer: "Dell Inc.", Model: "PowerEdge R670", Arch: "amd64", CPUs: 64, Memory: 256 * core.GiB, BIOS: "1.2.3",
			Disks: []core.Disk{
				{Serial: "S1" + serial, Kind: core.NVMe, Size: 1_920_383_410_176, Model: "PM9A3"},
				{Serial: "S2" + serial, Kind: core.NVMe, Size: 1_920_383_410_176, Model: "PM9A3"},
				{Serial: "S3" + serial, Kind: core.HDD, Size: 8_001_563_222_016, Model: "Exos 7E8"},
			},
			NICs: []core.NIC{{MAC: n.Spec.Identity.MACs[0], Mbps: 25000, LinkUp: true}},
			GPUs: []core.GPU{{Model: "L40S"}},
		}
		return n
	}
	machine := func(id core.AllocationID, owner, name string, state core.State, on core.NodeID) core.Allocation {
		return core.Allocation{
			ID: id, Owner: owner, Name: name, State: state, Node: on, Version: 1, CreatedAt: clock,
			Request: core.Request{Pool: "default"},
			Order:   &core.DeployOrder{Image: "debian", Keys: []string{"ssh-ed25519 AAAA alice"}, UserData: secret},
		}
	}
	// at tells one event a minute after the last.
	var events []core.Event
	at := func(ev core.Event) { events = append(events, ev) }

	web := machine("m-web", "alice@desk", "web-1", core.Deployed, "r1-n2")
	web.Access = core.Access{Address: "10.0.1.2", SSHPort: 2222, SSHUser: "debian", DockerPort: 2376, HostKeys: []string{"ssh-ed25519 AAAAC3NzaHostKey web-1"}}
	web.Moves = []core.NodeID{"r1-n4"}
	web.Login = &core.LoginKey{Private: secret, Public: "ssh-ed25519 BBBB metalpool-management-m-web"}
	db := machine("m-db", "bob@desk", "db-1", core.Failed, "r2-n2")
	db.Reason = "ssh: timeout: not done within 20m"
	old := machine("m-old", "alice@desk", "web-0", core.Released, "")
	old.EndedAt, old.Reason, old.Order.UserData = clock, "released by alice@desk/1", nil

	deployed := node("r1-n2", "r1", core.Deployed, "")
	deployed.Allocation, deployed.Attempt = web.ID, "d-1"
	deployed.Spec.Erasures = core.Erasures{
		{Disk: "S1SN-R1-N2", Class: core.Purge, Method: "NVMe sanitize, crypto", At: clock},
		{Disk: "S3SN-R1-N2", Class: core.Clear, Method: "overwrite", At: clock},
	}
	deployed.Spec.Boot, deployed.Spec.BootWhy = core.Reboot, "an OS started by kexec showed no life"
	deployed.Spec.Network = &core.Network{
		Ports: []string{"b4:96:91:00:00:12", "b4:96:91:00:00:13"}, VLAN: 100, Address: netip.MustParsePrefix("10.0.1.2/24"),
		Gateway: netip.MustParseAddr("10.0.1.1"), DNS: []netip.Addr{netip.MustParseAddr("10.0.1.53")},
	}
	failed := node("r2-n2", "r2", core.Failed, db.Reason)
	failed.Allocation, failed.Attempt = db.ID, "d-2"
	cleaning := node("r1-n3", "r1", core.Cleaning, "")
	cleaning.Attempt, cleaning.Suspect = "c-1", true
	unreachable := node("r1-n1", "r1", core.Available, "")
	unreachable.Spec.Unreachable = "from bob@desk/7 at 2026-01-02T03:04:05Z: connection refused"
	aside := node("r2-n1", "r2", core.Maintenance, "new memory")
	nodes := []core.Node{
		unreachable, deployed, cleaning,
		// A BMC's own words may hold what steers a terminal.
		node("r1-n4", "r1", core.Quarantined, "insert media: backend: \x1b[31mno\x1b[0m\r\nmedia\tslot"),
		aside, failed,
	}

	for _, n := range nodes {
		at(core.Event{Node: n.ID, Type: core.StateChanged, From: core.Unborn, To: core.Quarantined, On: core.Enroll, Message: n.Spec.BMC.URL, By: "alice@desk/1"})
	}
	for _, n := range []core.Node{unreachable, deployed, aside, failed} {
		at(core.Event{Node: n.ID, Type: core.StateChanged, From: core.Quarantined, To: core.Cleaning, On: core.Repair})
		at(core.Event{Node: n.ID, Type: core.Erased, Step: "erase"})
		at(core.Event{Node: n.ID, Type: core.StateChanged, From: core.Cleaning, To: core.Available, On: core.Done})
	}
	at(core.Event{Node: aside.ID, Type: core.StateChanged, From: core.Available, To: core.Maintenance, On: core.Pause, Message: aside.Reason})
	at(core.Event{Allocation: db.ID, Node: failed.ID, Type: core.StateChanged, From: core.Available, To: core.Allocated, On: core.Claim})
	at(core.Event{Allocation: db.ID, Node: failed.ID, Type: core.StateChanged, From: core.Allocated, To: core.Deploying, On: core.Deploy, Attempt: "d-2"})
	at(core.Event{Allocation: db.ID, Node: failed.ID, Type: core.StateChanged, From: core.Deploying, To: core.Failed, On: core.GiveUp, Attempt: "d-2", Message: db.Reason})
	at(core.Event{Allocation: web.ID, Type: core.StateChanged, To: core.Waiting, Message: "alice@desk/web-1 queues"})
	at(core.Event{Allocation: web.ID, Node: "r1-n2", Type: core.StateChanged, From: core.Available, To: core.Allocated, On: core.Claim, Message: "alice@desk/web-1"})
	at(core.Event{Allocation: web.ID, Node: "r1-n2", Type: core.StateChanged, From: core.Allocated, To: core.Deploying, On: core.Deploy, Attempt: "d-1"})
	at(core.Event{Allocation: web.ID, Node: "r1-n2", Type: core.StepMet, Step: "boot ramdisk", Attempt: "d-1"})
	at(core.Event{Allocation: web.ID, Node: "r1-n2", Type: core.StepFailed, Step: "write image", Message: "agent: timeout", Attempt: "d-1"})
	at(core.Event{Allocation: web.ID, Node: "r1-n2", Type: core.Note, Message: "trying again", Attempt: "d-1"})
	at(core.Event{Allocation: web.ID, Node: "r1-n2", Type: core.StepMet, Step: "write image", Bytes: 2 * core.GiB, Attempt: "d-1"})
	at(core.Event{Allocation: web.ID, Node: "r1-n2", Type: core.StateChanged, From: core.Deploying, To: core.Deployed, On: core.Done, Attempt: "d-1"})
	at(core.Event{Node: "r1-n3", Type: core.StateChanged, From: core.Quarantined, To: core.Cleaning, On: core.Repair, Attempt: "c-1"})
	at(core.Event{Node: "r1-n3", Type: core.StepMet, Step: "power off", Attempt: "c-1"})
	at(core.Event{Node: "r1-n3", Type: core.StepWaits, Step: "boot ramdisk", Message: "since 03:04:05, until 03:28:05 UTC: trying again: insert media: no answer", Attempt: "c-1"})

	err = store.Update(ctx, func(tx core.Tx) error {
		image := core.Image{
			Name: "debian", Source: "https://user:token@images.example/debian.qcow2?signature=abc", SHA256: strings.Repeat("9f86d081", 8), Format: "qcow2",
			Arch: "amd64", User: "debian", Size: 2 * core.GiB, MinDisk: 2*core.GiB + 64*core.MiB, AddedAt: clock,
		}
		err := errors.Join(tx.PutImage(image),
			tx.PutPool(core.Pool{Name: "default", DefaultImage: "debian", Quota: 8, Timeouts: core.Timeouts{CheckIn: 40 * time.Minute}}),
			tx.PutPool(core.Pool{Name: "spare", EraseMinimum: core.Purge}),
			tx.PutAttempt(core.Attempt{ID: "c-1", Node: "r1-n3", Job: core.JobClean, StartedAt: clock, Met: map[string]time.Time{"power off": clock}}),
			tx.PutAttempt(core.Attempt{
				ID: "d-1", Node: "r1-n2", Allocation: web.ID, Job: core.JobDeploy, Image: "debian", Model: "Dell Inc. PowerEdge R670", Pool: "default", StartedAt: clock, EndedAt: clock.Add(6 * time.Minute), Outcome: core.Done,
				Met: map[string]time.Time{"boot ramdisk": clock.Add(3 * time.Minute), "step bios": clock.Add(4 * time.Minute), "write image": clock.Add(5 * time.Minute), "ssh": clock.Add(6 * time.Minute)},
			}),
			tx.PutAttempt(core.Attempt{
				ID: "d-2", Node: "r2-n2", Allocation: db.ID, Job: core.JobDeploy, Image: "debian", Model: "Dell Inc. PowerEdge R670", Pool: "default", StartedAt: clock, EndedAt: clock.Add(25 * time.Minute), Outcome: core.GiveUp, StoppedAt: "ssh",
				Met: map[string]time.Time{"boot ramdisk": clock.Add(2 * time.Minute), "write image": clock.Add(150 * time.Second)},
			}),
			// Somebody works on it, or a command under test would have a worker call its BMC.
			tx.SwapLease(core.Lease{Node: "r1-n3", Holder: "bob@desk/7/w", Generation: 1, Expires: time.Now().Add(24 * time.Hour)}, 0))
		for _, n := range nodes {
			err = errors.Join(err, tx.InsertNode(n))
		}
		for _, a := range []core.Allocation{web, db, old} {
			err = errors.Join(err, tx.InsertAllocation(a))
		}
		return err
	})
	for _, ev := range events {
		err = errors.Join(err, store.Update(ctx, func(tx core.Tx) error { return tx.AddEvent(ev) }))
		clock = clock.Add(time.Minute)
	}
	return err
}

// id2hex makes twelve hexadecimal digits that end in two of their own for each ID.
func id2hex(id core.NodeID) string {
	digits := strings.NewReplacer("r", "", "-n", "").Replace(string(id))
	return strings.Repeat("0", 12-len(digits)) + digits
}

// result is what one command line printed, and how it ended.
type result struct {
	stdout, stderr string
	code           int
}

// command runs one command line in this process.
func command(t testing.TB, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	err := Run(t.Context(), args, strings.NewReader(""), &out, &errs)
	code := complain(&errs, err)
	return result{out.String(), errs.String(), code}
}

// onFilledPool makes a filled pool the one that commands see.
func onFilledPool(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pool.db")
	if err := fill(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	t.Setenv("METALPOOL_URL", path)
	t.Setenv("METALPOOL_OWNER", "alice@desk")
	t.Setenv(envPassword, "")
}

// behind opens the store of the pool at path, past all commands. now is its clock; nil is
// this host's.
func behind(ctx context.Context, path string, now func() time.Time) (*sqlite.Store, error) {
	key, err := seal.Load("", seal.FileOf(path))
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, path, sqlite.Options{KeyFingerprint: key.Fingerprint(), Now: now})
}
