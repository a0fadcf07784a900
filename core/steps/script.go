// Package steps does what operators add to deploys: one file for each kind of step.
package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"

	"github.com/metalpool/metalpool/core"
)

// Runners does steps of every kind that there is, with the plugins of some folders.
func Runners(plugins []string) map[core.StepKind]core.StepRunner {
	return map[core.StepKind]core.StepRunner{
		core.KindScript:    Script{},
		core.KindHTTP:      HTTP{},
		core.KindCloudInit: CloudInit{},
		core.KindPlugin:    Plugin{Folders: plugins},
		core.KindAnsible:   Ansible{},
	}
}

// Script runs scripts on the machine, through SSH, or in its ramdisk.
type Script struct{}

// place is where scripts run. Either keeps how a run of an ID has ended.
type place interface {
	Run(ctx context.Context, s core.Script, output io.Writer) (status int, err error)
}

// Run implements core.StepRunner.
func (Script) Run(ctx context.Context, r core.StepRun) error {
	env, err := environment(ctx, r)
	if err != nil {
		return err
	}
	var at place
	checkID := ""
	switch r.Step.Phase {
	case core.PhasePrepare, core.PhaseCleaned:
		checkID = core.NewID("check")
		if at, err = r.Agent(ctx); err != nil {
			return err
		}
	default:
		login, err := r.LogIn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = login.Close() }() // nothing hangs on it
		at = login
	}
	s := r.Step.Script
	script := core.Script{Text: s.Run, User: s.As, Env: env, Files: s.Files, Limit: r.Step.Timeout, ID: r.ID, Again: r.Step.Repeatable}
	if s.Check != "" {
		check := script
		check.ID, check.Text = checkID, s.Check
		heard := &listener{output: r.Output}
		status, err := at.Run(ctx, check, heard)
		if err != nil {
			return err
		}
		met, warning, err := verdict(status, heard.bytes > 0, r.Step.Timeout)
		switch {
		case err != nil:
			return err
		case met:
			r.Met("its check says so")
			return nil
		case warning != "":
			r.Warn(warning)
		}
		script.Again = true // it is not met, whatever has become of an earlier run
	}
	status, err := at.Run(ctx, script, r.Output)
	if err != nil {
		return err
	}
	return ended(status, r.Step.Timeout)
}

// The statuses by which timeout(1) and the shell tell more than the script.
const (
	statusTimeout       = 124
	statusNotExecutable = 126
	statusNotFound      = 127
	statusKilled        = 128 + 9
)

// verdict is what a check's status says: that there is nothing to do, that there is,
// perhaps with a warning, or that nobody knows. said is that it said anything: whoever asks
// whether there is a command (command -v, which has 127 for none in many shells) is not
// told so in words.
func verdict(status int, said bool, limit core.Span) (met bool, warning string, err error) {
	switch {
	case status == 0:
		return true, "", nil
	case status == statusTimeout || status == statusKilled:
		return false, "", &core.Error{Op: "run check", Kind: core.Timeout, Err: fmt.Errorf("its check was ended after %s, which is its timeout", limit)}
	case status == statusNotExecutable:
		return false, "", &core.Error{Op: "run check", Kind: core.Invalid, Err: fmt.Errorf("its check could not be run, and says nothing therefore: it ended with status %d", status), Hint: "is what it calls executable there?"}
	case status == statusNotFound && said:
		return false, fmt.Sprintf("its check ended with status %d, which is what a shell says of a command that there is not; that is taken for 'not done yet'. See what it said: is it misspelled, or missing there?", status), nil
	}
	return false, "", nil
}

// listener takes note of how much is said.
type listener struct {
	output io.Writer
	bytes  int64
}

func (l *listener) Write(p []byte) (int, error) {
	l.bytes += int64(len(p))
	return l.output.Write(p)
}

func (l *listener) Lately(last []byte) {
	if s, ok := l.output.(interface{ Lately(last []byte) }); ok {
		s.Lately(last)
	}
}

func (l *listener) Skip(bytes int64) {
	if s, ok := l.output.(skipper); ok {
		s.Skip(bytes)
	}
}

func ended(status int, limit core.Span) error {
	switch status {
	case 0:
		return nil
	case statusTimeout, statusKilled:
		return &core.Error{Op: "run script", Kind: core.Timeout, Err: fmt.Errorf("it was ended after %s, which is its timeout", limit)}
	}
	return &core.Error{Op: "run script", Kind: core.Backend, Err: fmt.Errorf("it ended with status %d", status)}
}

// environment is what the script is told: what it is about, what the step has under env,
// and its secrets.
func environment(ctx context.Context, r core.StepRun) (map[string]string, error) {
	f := r.Facts
	env := map[string]string{
		"METALPOOL_STEP": r.Step.Name, "METALPOOL_NODE": f.Node.ID, "METALPOOL_SERIAL": f.Node.Serial, "METALPOOL_POOL": f.Pool,
		"METALPOOL_MACHINE": f.Machine.Name, "METALPOOL_ALLOCATION": f.Machine.ID, "METALPOOL_OWNER": f.Machine.Owner,
		"METALPOOL_HOSTNAME": f.Machine.Hostname, "METALPOOL_IMAGE": f.Machine.Image,
		"METALPOOL_ADDRESS": f.Machine.Address, "METALPOOL_SSH_PORT": strconv.Itoa(f.Machine.SSHPort), "METALPOOL_ATTEMPT": f.Attempt,
	}
	own := map[string]string{}
	for name, text := range r.Step.Script.Env {
		value, err := r.Expand(text, func(string) (string, error) {
			return "", errors.New("a script finds its secrets among its variables")
		})
		if err != nil {
			return nil, &core.Error{Op: "run script", Kind: core.Invalid, Err: fmt.Errorf("env: %s: %w", name, err)}
		}
		own[name] = value
	}
	maps.Copy(env, own)
	for name := range r.Step.Secrets {
		value, err := r.Secret(ctx, name)
		if err != nil {
			return nil, err
		}
		env[name] = value
	}
	return env, nil
}
