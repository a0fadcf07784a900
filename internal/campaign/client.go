package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// client is somebody who uses the pool, one process after the other, as a script of his
// would: what did not go well he tries again under the same ID, until he gives it up.
type client struct {
	w      *World
	number int
	door   door
	name   string
	burst  int
	slots  []slot
	made   int // IDs so far
}

// slot is a machine that he has or wants.
type slot struct {
	id       string // empty: he wants none
	told     bool
	giving   bool // he wants it no more, and was not told yet that it is given up
	revision int
}

// run does one operation of the plan.
func (c *client) run(ctx context.Context, op Op, b *burst) {
	s := &c.slots[op.Slot]
	name := fmt.Sprintf("m%d", op.Slot)
	switch op.Verb {
	case Create:
		c.create(ctx, op, s, name, b)
	case DockerMachine:
		c.dockerMachine(ctx, op, b)
	case Redeploy:
		c.redeploy(ctx, op, s, name, b)
	case Release:
		c.release(ctx, op, s, name, b)
	case Allocate:
		c.call(ctx, op, b, "", c.w.Programs.Caller, "allocate", c.newID(), c.name, fmt.Sprintf("a%d", c.made))
	case Abandon:
		c.abandon(ctx, op, b)
	case Power:
		args := []string{"machine", "power", name}
		if op.Word != "" {
			args = append(args, op.Word)
		}
		c.metalpool(ctx, op, b, s.id, args...)
	case Log:
		c.logIn(ctx, op, s, name, b)
	case Label:
		c.metalpool(ctx, op, b, s.id, "machine", "set", name, "--label", "seen=b"+strconv.Itoa(c.burst))
	case Keys:
		c.metalpool(ctx, op, b, s.id, "machine", "set", name, "--key", c.w.key()+".pub")
	case Show:
		c.metalpool(ctx, op, b, s.id, "machine", "show", name, "-o", "json")
	case Logs:
		c.metalpool(ctx, op, b, s.id, "machine", "logs", name)
	case List:
		c.metalpool(ctx, op, b, "", "machine", "list", "-o", "json")
	}
}

// operate does one of the operator's.
func (c *client) operate(ctx context.Context, op Op, b *burst) {
	node := b.nodeIn(op.Node, map[Verb]string{Repair: "Quarantined", Maintenance: "Available", Resume: "Maintenance"}[op.Verb])
	args := map[Verb][]string{
		Repair:      {"node", "repair", node, "--reason", "looked at"},
		Maintenance: {"node", "maintenance", node, "--reason", "dust"},
		Resume:      {"node", "maintenance", node, "--off"},
		SetNode:     {"node", "set", node, "--label", "seen=b" + strconv.Itoa(c.burst)},
		Nodes:       {"node", "list", "-o", "json"},
		Events:      {"node", "events", node},
		Check:       {"check", "-o", "json"},
		Reconcile:   {"reconcile"},
	}[op.Verb]
	r := c.metalpool(ctx, op, b, "", args...)
	if op.Verb == Check && r.status == 1 {
		b.checked(r)
	}
}

// metalpool runs the operator's command; machine is what it is about.
func (c *client) metalpool(ctx context.Context, op Op, b *burst, machine string, args ...string) result {
	return c.call(ctx, op, b, machine, c.w.Programs.Metalpool, args...)
}

func (c *client) call(ctx context.Context, op Op, b *burst, machine, program string, args ...string) result {
	hurt := func(at time.Time) {
		b.strike(struck{kind: op.Hurt.Kind, at: at, machine: machine})
	}
	r := c.w.run(ctx, c.door, op.Hurt, hurt, program, args...)
	b.keep(c.name, op.Verb, r)
	return r
}

func (c *client) newID() string {
	c.made++
	return fmt.Sprintf("s%db%dc%dn%d", c.w.Seed, c.burst, c.number, c.made)
}

// userData writes the user data of a deploy to a file, and returns its name.
func (c *client) userData(s *slot) (string, error) {
	m := mark(s.id, s.revision)
	c.w.leaks.plant("the user data of "+s.id, m)
	path := filepath.Join(c.w.Dir, "files", s.id+".yaml")
	return path, os.WriteFile(path, []byte("#cloud-config\nwrite_files:\n- path: /var/lib/mark\n  content: "+m+"\n"), 0o600)
}

func (c *client) create(ctx context.Context, op Op, s *slot, name string, b *burst) {
	switch {
	case s.giving:
		c.release(ctx, op, s, name, b)
		return
	case s.id == "":
		*s = slot{id: c.newID()}
	}
	file, err := c.userData(s)
	if err != nil {
		b.violate("campaign", err.Error())
		return
	}
	r := c.metalpool(ctx, op, b, s.id, "machine", "create", name, "--id", s.id, "--key", c.w.key()+".pub", "--init-file", file,
		"--wait", "3s", "--acquire-timeout", "20s", "--deploy-timeout", "60s", "-o", "json")
	var m Machine
	switch {
	case r.ok() && r.hurt != KillCommand:
		if err := json.Unmarshal([]byte(r.out), &m); err != nil {
			b.violate("NothingLost", fmt.Sprintf("%s/%s (%s): create succeeds with %q", c.name, name, s.id, r.out))
			return
		}
		s.told = true
		if err := b.history.Told(m.ID, c.name, name, m.Node, r.ended); err != nil {
			b.violate("OneOwner", err.Error())
		}
		if m.ID != s.id {
			b.violate("NothingLost", fmt.Sprintf("%s/%s: asked for %s, and was told %s", c.name, name, s.id, m.ID))
		}
	case !s.told && outcomeOf(r) == refused && !strings.Contains(r.err, "no capacity"):
		s.giving = true // it expired, for one
	}
}

func (c *client) redeploy(ctx context.Context, op Op, s *slot, name string, b *burst) {
	if s.id == "" || s.giving {
		c.metalpool(ctx, op, b, "", "machine", "show", name)
		return
	}
	s.revision++
	file, err := c.userData(s)
	if err != nil {
		b.violate("campaign", err.Error())
		return
	}
	r := c.call(ctx, op, b, s.id, c.w.Programs.Caller, "redeploy", s.id, file, fmt.Sprint(s.revision))
	var m Machine
	if r.ok() && r.hurt != KillCommand && json.Unmarshal([]byte(r.out), &m) == nil {
		if err := b.history.Told(s.id, c.name, name, m.Node, r.ended); err != nil {
			b.violate("OneOwner", err.Error())
		}
		s.told = true
	}
}

// release gives a machine up, by the ID that he made: where he was never told of it, it
// may be there, or on its way, or not.
func (c *client) release(ctx context.Context, op Op, s *slot, name string, b *burst) {
	var r result
	switch {
	case s.id == "":
		c.metalpool(ctx, op, b, "", "machine", "release", name)
		return
	case !s.told:
		r = c.call(ctx, op, b, s.id, c.w.Programs.Caller, "abandon", s.id)
	default:
		b.history.Giving(s.id, time.Now())
		args := []string{"machine", "release", s.id}
		if op.Word == "wait" {
			args = append(args, "--wait")
		}
		r = c.metalpool(ctx, op, b, s.id, args...)
	}
	s.giving = true
	if r.ok() && r.hurt != KillCommand {
		b.released(s.id)
		*s = slot{}
	}
}

// abandon gives up an ID that nobody has asked for yet; a create that comes later must
// find it given up.
func (c *client) abandon(ctx context.Context, op Op, b *burst) {
	id := c.newID()
	r := c.call(ctx, op, b, id, c.w.Programs.Caller, "abandon", id)
	if !r.ok() || r.hurt == KillCommand {
		return
	}
	late := c.metalpool(ctx, Op{Verb: Create}, b, id, "machine", "create", fmt.Sprintf("t%d", c.made), "--id", id, "--key", c.w.key()+".pub")
	if late.ok() {
		b.violate("NothingLost", fmt.Sprintf("%s was given up, and then created: %s", id, late.out))
	}
}

// logIn reads the mark on the machine itself: it has to be the one of its own deploy.
func (c *client) logIn(ctx context.Context, op Op, s *slot, name string, b *burst) {
	hurt := func(at time.Time) { b.strike(struck{kind: op.Hurt.Kind, at: at, machine: s.id}) }
	r := c.w.run(ctx, c.door, op.Hurt, hurt, c.w.Programs.Metalpool, "machine", "ssh", name, "-i", c.w.key(), "--", "cat", "/var/lib/mark")
	v := b.readMark(s.id, r)
	r.out = "" // a secret, for once where it belongs
	b.keep(c.name, op.Verb, r)
	if v.Invariant != "" {
		b.violate(v.Invariant, fmt.Sprintf("%s/%s is %s, and whoever logs in there finds %s", c.name, name, s.id, v.What))
	}
}

// readMark judges what was printed on a machine, as which its client knows id; where that is
// empty, he has given it up.
func (b *burst) readMark(id string, r result) (v Violation) {
	if !r.ok() || r.hurt == KillCommand || id == "" {
		return v
	}
	found := marks.FindStringSubmatch(r.out)
	switch {
	case found == nil: // it was told to be deployed, and has not what its deploy wrote
		return Violation{"NoGuess", fmt.Sprintf("no mark, but %q", beginning(r.out))}
	case found[1] != id:
		return Violation{"OneOwner", "the mark of " + found[1]}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read++
	return v
}
