package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
)

// A script of an ID is run once, whoever asks for it and how often.
func TestScriptsInTheRamdisk(t *testing.T) {
	d, _ := newDeployer(t)
	m := newMachine(t, filedisk.Faults{})
	begun, goOn := make(chan core.Script, 8), make(chan struct{})
	m.runs = func(ctx context.Context, s core.Script, output io.Writer) (int, error) {
		begun <- s
		switch s.Text {
		case "fails":
			return 0, errors.New("no room for it")
		case "hangs":
			fmt.Fprint(output, "begins")
			<-ctx.Done()
			return 0, context.Cause(ctx)
		case "floods":
			fmt.Fprint(output, strings.Repeat("a", 1<<20), "end")
			return 0, nil
		}
		<-goOn
		fmt.Fprint(output, s.Env["A"], s.Files["f"])
		return 7, nil
	}
	s, a, _ := checkedIn(t, d, m)
	script := core.Script{ID: "d-1/s/1", Text: "waits", Env: map[string]string{"A": "one"}, Files: map[string]string{"f": " file"}, Limit: core.Span(time.Hour)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := a.Run(ctx, script, io.Discard)
		ended <- err
	}()
	<-begun
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("it ended before it could")
	}
	next, err := d.Dial(s.boot, s.secret, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = next.Close() }()
	other := script
	other.Env = map[string]string{"A": "two"} // a secret may be another by now
	close(goOn)
	for range 2 {
		var said heard
		if status, err := next.Run(t.Context(), other, &said); err != nil || status != 7 || said.String() != "one file" {
			t.Errorf("status %d, %v; it said %q", status, err, &said)
		}
	}
	other.Text = "another"
	if _, err := next.Run(t.Context(), other, io.Discard); !core.Is(err, core.Exists) {
		t.Errorf("another script of that ID: %v", err)
	}
	if len(begun) != 0 {
		t.Error("it ran twice")
	}

	run := func(text string, limit time.Duration) (*heard, int, error) {
		said := &heard{}
		status, err := next.Run(t.Context(), core.Script{ID: core.NewID("x"), Text: text, Limit: core.Span(limit)}, said)
		return said, status, err
	}
	if said, status, err := run("hangs", time.Millisecond); err != nil || status != 124 || said.String() != "begins" {
		t.Errorf("hangs: status %d, %v; it said %q", status, err, said)
	}
	if said, _, err := run("floods", time.Hour); err != nil || int64(said.Len())+said.skipped != 1<<20+3 || said.Len() > 40<<10 || !strings.HasSuffix(said.String(), "aend") {
		t.Errorf("floods: %v; it said %d bytes, and %d more", err, said.Len(), said.skipped)
	}
	if _, _, err := run("fails", time.Hour); !core.Is(err, core.Backend) || !strings.Contains(err.Error(), "no room for it") {
		t.Errorf("fails: %v", err)
	}
	if _, _, err := run("", time.Hour); !core.Is(err, core.Invalid) {
		t.Errorf("nothing: %v", err)
	}
}
