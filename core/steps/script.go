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
		status, err := at.Run(ctx, check, r.Output)
		if err != nil {
			return err
		}
		if status == 0 {
			r.Met("its check says so")
			return nil
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
	statusTimeout = 124
	statusKilled  = 128 + 9
)

func ended(status int, limit core.Span) error {
	switch status {
	case 0:
		return nil
	case statusTimeout, statusKilled:
		return &core.Error{Op: "run script", Kind: core.Timeout, Err: fmt.Errorf("it was ended after %s", limit)}
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
		value, err := f.Expand(text, func(string) (string, error) {
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
