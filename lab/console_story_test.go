package lab_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
)

// readUntil reads a console until a line holds a text.
func readUntil(t *testing.T, console io.Reader, text string) {
	t.Helper()
	var seen strings.Builder
	lines := bufio.NewReader(console)
	for {
		line, err := lines.ReadString('\n')
		seen.WriteString(line)
		if err != nil {
			t.Fatalf("%q never came: %v; there was %q", text, err, seen.String())
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

func strangeFingerprint(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	try(t, err)
	key, err := ssh.NewPublicKey(public)
	try(t, err)
	return ssh.FingerprintSHA256(key)
}

// events are what the pool tells of a node.
func (s *story) events(n *lab.Node) string {
	s.t.Helper()
	events, err := s.Events(s.t.Context(), core.EventFilter{Node: n.ID()})
	try(s.t, err)
	var all strings.Builder
	for _, ev := range events {
		all.WriteString(string(ev.Type) + " " + ev.Step + " " + ev.Message + "\n")
	}
	return all.String()
}

func (s *story) consoleKey(n *lab.Node) string {
	s.t.Helper()
	found, err := s.Node(s.t.Context(), n.ID())
	try(s.t, err)
	return found.Spec.BMC.ConsoleKey
}

// TestConsoleWhileItDeploys: the console is there while a deploy has the node's lease
// and its BMC's turn, and goes on through all of it.
func TestConsoleWhileItDeploys(t *testing.T) {
	s := newStory(t, 1)
	node := s.lab.Nodes()[0]
	s.patience(func(l *core.Timeouts) { l.CheckIn = time.Hour })
	s.fault(node, lab.Fault{Kind: lab.MediaHang})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Create(ctx, order("web-1", newKey(t)), nil)
		ended <- err
	}()
	console, err := s.Console(t.Context(), node.ID())
	try(t, err)
	defer console.Close()
	readUntil(t, console, "hangs while it boots from virtual media")
	select {
	case err := <-ended:
		t.Errorf("the deploy ended: %v", err)
	default:
	}
	second, err := s.Console(t.Context(), node.ID())
	try(t, err)
	readUntil(t, second, "hangs while it boots from virtual media") // what was kept
	try(t, second.Close())
	stop()
	if err := <-ended; err == nil {
		t.Error("a deploy that was stopped succeeded")
	}
}

// TestConsoleKeyIsRecorded: at enrolment, or for who was enrolled before there were
// consoles, at first use, with an event; and no other is taken from then on.
func TestConsoleKeyIsRecorded(t *testing.T) {
	s := emptyStory(t, 1)
	node := s.lab.Nodes()[0]
	in := s.lab.Rack().Nodes[0].Enrollment()
	key := in.ConsoleKey
	in.ConsoleKey = ""
	_, err := s.Enroll(t.Context(), in, nil)
	try(t, err)
	if seen := s.consoleKey(node); seen != key {
		t.Fatalf("enrolment recorded the key %q, want %q", seen, key)
	}
	if strings.Contains(s.events(node), "first use") {
		t.Errorf("enrolment is told as a first use: %s", s.events(node))
	}
	strange := strangeFingerprint(t)
	s.set(node, core.NodeChange{ConsoleKey: &strange})
	_, err = s.Console(t.Context(), node.ID())
	s.refused(err, core.Denied, "open console (node n001)", strange, key, "metalpool node set n001 --console-key "+key)
	if s.consoleKey(node) != strange {
		t.Error("the key that was seen took the place of the recorded one")
	}
	s.set(node, core.NodeChange{ConsoleKey: new("")})
	console, err := s.Console(t.Context(), node.ID())
	try(t, err)
	try(t, console.Close())
	if s.consoleKey(node) != key || !strings.Contains(s.events(node), "recorded at first use: "+key) {
		t.Errorf("the key is %s, and the story %s", s.consoleKey(node), s.events(node))
	}
	_, err = s.SetNode(t.Context(), node.ID(), core.NodeChange{ConsoleKey: new("abc")})
	s.refused(err, core.Invalid, "SHA256:…", "ssh-keygen")
}

// TestNoConsole says so, and is no obstacle to anything.
func TestNoConsole(t *testing.T) {
	t.Parallel()
	l := up(t, lab.Config{Nodes: 1, Vendors: []string{"gigabyte"}})
	p := newPool(t, l)
	_, err := p.Console(t.Context(), "n001")
	if !errors.Is(err, core.ErrNoConsole) || !core.Is(err, core.Backend) || !strings.Contains(err.Error(), "(node n001)") {
		t.Errorf("a node without a console: %v", err)
	}
	if state := p.state("n001"); state != core.Available {
		t.Errorf("the node is %s", state)
	}
}

// TestErrorsTellTheConsole: a server that does not come up is told with its own last
// words, in the error and in the story, without what the user data holds.
func TestErrorsTellTheConsole(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  lab.FaultKind
		change func(*core.Timeouts)
		whose  string
		says   string
	}{
		{"no check-in", lab.MediaHang, func(l *core.Timeouts) { l.CheckIn = time.Second }, "its console, which may show what was there before, ends: \"", "hangs while it boots from virtual media"},
		{"no SSH", lab.DiskHang, func(l *core.Timeouts) { l.SSH = time.Second }, "its console ends: \"", "hangs while it boots from the disk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, 1)
			node := s.lab.Nodes()[0]
			s.patience(c.change)
			s.fault(node, lab.Fault{Kind: c.fault, Count: lab.Forever})
			o := order("web-1", newKey(t))
			o.Request.Node = node.ID()
			o.UserData = []byte("#cloud-config\nbootcmd: [echo virtual, 'echo firmware']\n")
			_, err := s.Create(t.Context(), o, nil)
			want := strings.ReplaceAll(c.says, "virtual", "***") // a word of the user data
			s.refused(err, core.Timeout, c.whose, want)
			if !strings.Contains(s.events(node), want) {
				t.Errorf("the story does not tell %q: %s", want, s.events(node))
			}
			for _, text := range []string{err.Error(), s.events(node)} {
				if strings.ContainsRune(text, '\x1b') || strings.Contains(text, "firmware") {
					t.Errorf("the console is told with what is not for errors: %q", text)
				}
			}
		})
	}
}
