package steps_test

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/steps"
)

// here is a machine of which this host's shell is the one that runs scripts.
type here struct {
	core.Login
	ran []string
}

func (*here) Close() error { return nil }

func (h *here) Run(ctx context.Context, s core.Script, output io.Writer) (int, error) {
	h.ran = append(h.ran, s.Text)
	cmd := exec.CommandContext(ctx, "sh", "-c", s.Text)
	cmd.Stdout, cmd.Stderr = output, output
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), nil
}

// A check that cannot be run says nothing of whether there is anything to do. One that asks
// for a command that there is not says that there is.
func TestChecksOfScripts(t *testing.T) {
	for check, want := range map[string]struct {
		met, ran  bool
		warns, is string
	}{
		"true":                       {met: true},
		"false":                      {ran: true},
		"exit 127":                   {ran: true},
		"command -v no-such-command": {ran: true},
		"no-such-command >&- 2>&-":   {ran: true},
		"no-such-command --version":  {ran: true, warns: "status 127"},
		"/etc/passwd":                {is: "run check: its check could not be run, and says nothing therefore: it ended with status 126"},
		"exit 124":                   {is: "run check: timeout: its check was ended after 10m"},
	} {
		t.Run(check, func(t *testing.T) {
			machine, met, warned := &here{}, false, ""
			err := steps.Script{}.Run(t.Context(), core.StepRun{
				Step:   core.Step{Name: "s", Script: &core.ScriptStep{Run: "true # run", Check: check}}.OrDefaults(),
				LogIn:  func(context.Context) (core.Login, error) { return machine, nil },
				Output: new(bytes.Buffer), Met: func(string) { met = true }, Warn: func(what string) { warned = what },
			})
			if (err == nil) != (want.is == "") || err != nil && !strings.HasPrefix(err.Error(), want.is) {
				t.Errorf("got %v", err)
			}
			if met != want.met || (len(machine.ran) == 2) != want.ran || (warned == "") != (want.warns == "") || !strings.Contains(warned, want.warns) {
				t.Errorf("met %t, ran %q, warned %q", met, machine.ran, warned)
			}
		})
	}
}
