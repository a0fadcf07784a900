package core

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// tagPrefix begins the asset tag of a server that belongs to a pool.
const tagPrefix = "metalpool:"

// Enroll adds a server to the inventory. It reads; only the asset tag is written.
// Without Erase the node stays Quarantined and says what an erase would destroy.
func (e *Engine) Enroll(ctx context.Context, in Enrollment, report Reporter) (Node, error) {
	n, err := e.enroll(ctx, in, report)
	if own, ok := outermost(err); err == nil || ok && own.Op == "enroll" {
		return n, err
	}
	return n, &Error{Op: "enroll", Node: in.ID, Kind: KindOf(err), Err: err}
}

func (e *Engine) enroll(ctx context.Context, in Enrollment, report Reporter) (Node, error) {
	n, password, err := e.enrolled(ctx, in)
	if err != nil {
		return n, err
	}
	bmc, err := e.backends[n.Spec.BMC.Backend].Connect(ctx, n.Spec.BMC, password, nil)
	if err != nil {
		return n, err
	}
	defer bmc.Close()
	say(report, Progress{Node: n.ID, Step: "inspect", Message: n.Spec.BMC.URL})
	found, err := bmc.Inspect(ctx)
	if err != nil {
		return n, err
	}
	n.Spec.Identity, n.Hardware, n.Spec.BMC.Links = found.Identity, found.Hardware, bmc.Links()
	if n.ID == "" {
		n.ID = nodeName(found.Identity)
	}
	if !namePattern().MatchString(string(n.ID)) {
		return n, &Error{Op: "enroll", Node: n.ID, Kind: Invalid, Err: fmt.Errorf("%q cannot name a node", n.ID), Hint: nameHint}
	}
	if len(found.Identity.Keys()) == 0 {
		return n, &Error{Op: "enroll", Node: n.ID, Kind: Backend, Err: errors.New("the BMC tells no UUID, serial or MAC that could identify the server"), Hint: "set them in the BMC or the BIOS"}
	}
	if n.Spec.BMC.ConsoleKey == "" {
		n.Spec.BMC.ConsoleKey = e.enrolledConsoleKey(ctx, n, password, report)
	}
	ours := tagPrefix + e.store.Info().PoolID
	if strings.HasPrefix(found.Tag, tagPrefix) && found.Tag != ours && !in.TakeOver {
		return n, &Error{Op: "enroll", Node: n.ID, Kind: Denied, Err: fmt.Errorf("its asset tag says that it belongs to another pool: %s", found.Tag), Hint: "retire it there first; if that pool is gone, " + AdviceTakeOver}
	}
	if err := e.insert(ctx, &n, in.Erase); err != nil {
		return n, err
	}
	if found.Tag != ours {
		if err := bmc.SetTag(ctx, ours); err != nil {
			say(report, Progress{Node: n.ID, Step: "tag", Message: err.Error()})
		}
	}
	if in.Erase {
		e.startDetached()
	}
	return n, nil
}

// enrolled makes the node as far as it is known before the BMC was asked.
func (e *Engine) enrolled(ctx context.Context, in Enrollment) (Node, string, error) {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: "enroll", Node: in.ID, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	u, err := bmcURL(in.URL)
	if err != nil {
		return Node{}, "", bad("give it as https://host[:port], user and password apart", "%w", err)
	}
	if err := checkConsoleKey(in.ConsoleKey); err != nil {
		return Node{}, "", bad(hintConsoleKey, "%w", err)
	}
	const kind = "redfish"
	backend, ok := e.backends[kind]
	if !ok {
		return Node{}, "", bad("use a build that has it", "no backend %q", kind)
	}
	if in.Pool == "" {
		in.Pool = DefaultPool
	}
	err = e.store.View(ctx, func(tx Tx) error {
		_, err := findPool(tx, in.Pool)
		return err
	})
	if err != nil {
		return Node{}, "", err
	}
	check := TLSCheck{CA: in.CA, Fingerprint: in.Fingerprint, Insecure: in.Insecure}
	if check == (TLSCheck{}) && u.Scheme == "https" {
		if check.Fingerprint, err = backend.Fingerprint(ctx, in.URL); err != nil {
			return Node{}, "", err
		}
	}
	n := Node{ID: in.ID, Pool: in.Pool, State: Unborn}
	n.Spec = NodeSpec{
		Labels: in.Labels, Address: in.Address, SSHPort: in.SSHPort, DockerPort: in.DockerPort, Advertise: in.Advertise,
		Agent: in.Agent, Network: in.Network, Boot: in.Boot, DeclaredBy: in.By,
		BMC: Endpoint{Backend: kind, URL: in.URL, User: in.User, TLS: check, ConsoleKey: in.ConsoleKey},
	}
	if err := n.Spec.validateDeclared(); err != nil {
		return Node{}, "", bad(hintDeclared, "%w", err)
	}
	if err := e.keepPassword(&n.Spec.BMC, in.Password); err != nil {
		return Node{}, "", err
	}
	password, err := e.bmcPassword(ctx, n)
	return n, password, err
}

// CheckBMCURL says what is wrong with the address of a BMC, without repeating it: a
// password may be in it.
func CheckBMCURL(raw string) error {
	_, err := bmcURL(raw)
	return err
}

// bmcURL reads the address of a BMC. An error does not repeat credentials.
func bmcURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("that is not the address of a BMC")
	case u.User != nil:
		return nil, errors.New("the BMC's address holds credentials")
	}
	return u, nil
}

// insert commits a new node, in Cleaning where its disks may be erased.
func (e *Engine) insert(ctx context.Context, n *Node, erase bool) error {
	fresh := *n
	err := e.store.Update(ctx, func(tx Tx) error {
		*n = fresh
		on := Enroll
		n.Reason = "its disks would be erased: " + diskList(n.Hardware.Disks) + "; put it to use with 'metalpool node repair " + string(n.ID) + "'"
		if erase {
			on, n.Reason = EnrollErase, ""
		}
		to, err := Next(Unborn, on)
		if err != nil {
			return err
		}
		n.State, n.Since, n.Version = to, tx.Now(), 1
		if erase {
			if err := e.startCleanRecord(tx, n, "", EnrollErase); err != nil {
				return err
			}
		}
		if err := tx.InsertNode(*n); err != nil {
			return err
		}
		return tx.AddEvent(Event{Node: n.ID, Attempt: n.Attempt, Type: StateChanged, From: Unborn, To: to, On: on, Message: n.Spec.BMC.URL, By: e.process})
	})
	return withNode(err, n.ID)
}

func diskList(disks []Disk) string {
	var names []string
	for _, d := range disks {
		if !d.Removable {
			names = append(names, fmt.Sprintf("%s %s (%s)", DiskSize(d.Size), d.Model, d.Key()))
		}
	}
	if len(names) == 0 {
		return "none seen by the BMC"
	}
	return strings.Join(names, ", ")
}

// nodeName makes a node's name from what its maker printed on it.
func nodeName(i Identity) NodeID {
	name := meaningfulSerial(i.Serial)
	if name == "" {
		name = meaningfulUUID(i.UUID)
	}
	if name == "" && len(i.MACs) > 0 {
		name = i.MACs[0]
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
	return NodeID(strings.Trim("node-"+clean, "-"))
}
