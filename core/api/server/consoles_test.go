package server_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/enginetest"
)

// What a BMC has kept of the owner before is not shown to the next one, and where that
// cannot be told apart, nothing is.
func TestAUserSeesNoConsoleOfTheOwnerBefore(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	node := r.rack.Server("n1")
	bob, ops := s.client(r.token(core.TokenOrder{Name: "bob"})), s.client(r.operator())
	const before, now = "password of ann\r\n", "login: of bob\r\n"
	node.SaidBefore(before)
	node.Say(now, "")
	if _, err := bob.Allocate(t.Context(), order("web"), nil); err != nil {
		t.Fatal(err)
	}
	lines, err := bob.ConsoleTail(t.Context(), "n1", 50)
	if len(lines) > 0 {
		t.Errorf("before a deploy he sees %q", lines)
	}
	wantKind(t, "before a deploy", err, core.Denied, "nothing was deployed yet")
	if _, err := bob.Deploy(t.Context(), order("web"), nil); err != nil {
		t.Fatal(err)
	}
	if lines, err = bob.ConsoleTail(t.Context(), "n1", 50); err != nil || !slices.Equal(lines, []string{"login: of bob"}) {
		t.Errorf("he sees %q, %v", lines, err)
	}
	if lines, err = ops.ConsoleTail(t.Context(), "n1", 50); err != nil || len(lines) < 3 || lines[0] != "password of ann" {
		t.Errorf("an operator sees %q, %v", lines, err)
	}
	node.Forget() // a BMC keeps so much and no more
	lines, err = bob.ConsoleTail(t.Context(), "n1", 50)
	if len(lines) > 0 {
		t.Errorf("without a mark he sees %q", lines)
	}
	wantKind(t, "without a mark", err, core.Denied, "no sign of this machine's deploy")
}

// Who may not follow a console is told what he may do instead, where that is anything.
func TestWhoMayNotFollowAConsoleIsToldOfItsEnd(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	for role, instead := range map[core.Role]bool{core.RoleUser: true, core.RoleViewer: false} {
		_, err := s.client(r.token(core.TokenOrder{Name: string(role), Role: role})).Console(t.Context(), "n1")
		wantKind(t, "a "+string(role), err, core.Denied, "and this takes operator")
		if told := strings.Contains(err.Error(), "node console NODE --tail"); told != instead {
			t.Errorf("a %s is told %v", role, err)
		}
	}
}

// Errors and events tell a console's last words to whom they belong.
func TestLastWordsAreToldToWhomTheyBelong(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	ops := s.client(r.operator())
	if err := ops.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian", Timeouts: core.Timeouts{CheckIn: 2 * time.Second, SSH: 2 * time.Second}}); err != nil {
		t.Fatal(err)
	}
	node := r.rack.Server("n1")
	node.SaidBefore("password of ann\r\n")
	node.Say("word of bob\r\n", "")
	bob, eve := s.client(r.token(core.TokenOrder{Name: "bob"})), s.client(r.token(core.TokenOrder{Name: "eve", Role: core.RoleViewer}))
	fails := func(name, fault string) (told, events, seen string) {
		t.Helper()
		node.Fail(enginetest.Fault{Op: fault, Err: enginetest.ErrBroken, Times: -1})
		o := order(name)
		o.Request.Node = "n1"
		_, err := bob.Create(t.Context(), o, nil)
		if err == nil {
			t.Fatalf("%s: it is deployed", fault)
		}
		f := core.EventFilter{Allocation: o.ID}
		defer func() {
			node.Heal() // its clean is nothing to tell of
			if err := bob.Release(t.Context(), o.ID, core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Log(err)
			}
		}()
		return err.Error(), r.story(bob.Events(t.Context(), f)), r.story(eve.Events(t.Context(), f))
	}
	told, events, seen := fails("one", "boot disk")
	if !strings.Contains(told, "word of bob") || !strings.Contains(events, "word of bob") || strings.Contains(seen, "word of bob") {
		t.Errorf("of his own console bob is told\n%s\nwith the events\n%s\nand a viewer\n%s", told, events, seen)
	}
	if all := told + events + seen; strings.Contains(all, "of ann") {
		t.Errorf("others hear of ann:\n%s", all)
	}
	node.Forget()
	told, events, seen = fails("two", "fetch media")
	if all := told + events + seen; strings.Contains(all, "of ann") || strings.Contains(all, "word of bob") || !strings.Contains(told, "for operators") {
		t.Errorf("without a mark others hear\n%s", all)
	}
	// Of a console more is kept than an error tells: of a machine's own for its owner, of
	// what may be older for operators.
	kept := func(c *client.Client, f core.EventFilter) (texts []string) {
		all, err := c.Events(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range all {
			if ev.Type == core.ConsoleSaid {
				texts = append(texts, string(ev.Allocation)+": "+ev.Message)
			}
		}
		return texts
	}
	n1 := core.EventFilter{Node: "n1"}
	if got := kept(bob, n1); len(got) != 1 || !strings.Contains(got[0], "m-one: ") || !strings.Contains(got[0], "word of bob") || strings.Contains(got[0], "of ann") {
		t.Errorf("bob reads of consoles %q", got)
	}
	if got := kept(eve, n1); len(got) != 2 || strings.Contains(strings.Join(got, ""), "word of") || strings.Contains(strings.Join(got, ""), "of ann") {
		t.Errorf("a viewer reads of consoles %q", got)
	}
	if got := kept(ops, n1); len(got) != 2 || !strings.Contains(got[1], "of ann") {
		t.Errorf("an operator reads of consoles %q", got)
	}
	all := r.story(ops.Events(t.Context(), core.EventFilter{Allocation: "m-two"}))
	if !strings.Contains(all, "of ann") {
		t.Errorf("an operator hears\n%s", all)
	}
}

// story is what events tell.
func (r *rig) story(all []core.Event, err error) string {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	for _, ev := range all {
		b.WriteString(ev.Message + "\n")
	}
	return b.String()
}
