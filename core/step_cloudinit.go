package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core/cloudconfig"
)

// CloudInitStep is what cloud-init does when the OS starts for the first time, besides
// what the machine's user asks of it. It lands on the machine's disk, secrets and all.
type CloudInitStep struct {
	// Config is a cloud-config, whose first line may be left out. It is a template, which
	// sees secrets.
	Config string `json:"config" yaml:"config"`
}

func (s *CloudInitStep) check(secrets map[string]Reference, spent *effort) error {
	switch {
	case strings.TrimSpace(s.Config) == "":
		return errors.New("config is empty: it is a cloud-config, such as packages: [chrony]")
	case Bytes(len(s.Config)) > maxStepText:
		return fmt.Errorf("it has %s", tooLong(len(s.Config)))
	}
	text, whole, err := sample(s.Config, standIn(secrets), spent)
	if err == nil && whole {
		_, err = cloudconfig.ParseFragment(text)
	}
	if err != nil {
		return inPart(err, "config")
	}
	return nil
}

// fragment is what one step of a deploy has cloud-init do.
type fragment struct {
	Step   string `json:"step"` // as events name it
	Config string `json:"config"`
	// Secrets are what of it may be in no error.
	Secrets []string `json:"secrets,omitempty"`
}

// fragments are those of the steps that are done.
func (w *work) fragments() (all []fragment, err error) {
	if len(w.attempt.Fragments) == 0 {
		return nil, nil
	}
	plain, err := w.e.sealer.Open(w.attempt.Fragments)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(plain, &all)
}

// keepFragment keeps what a step has cloud-init do, in the place of what an earlier try of
// it made, unless it cannot be joined with the rest.
func (w *work) keepFragment(ctx context.Context, step, config string, secrets []string) error {
	if _, err := cloudconfig.ParseFragment(config); err != nil {
		return &Error{Op: "read fragment", Kind: Invalid, Err: err}
	}
	all, err := w.fragments()
	if err != nil {
		return err
	}
	all = append(slices.DeleteFunc(all, func(f fragment) bool { return f.Step == step }), fragment{step, config, secrets})
	order, err := w.order(ctx)
	if err != nil {
		return err
	}
	if _, err := w.userData(order, all); err != nil {
		return err
	}
	sealed, err := w.e.sealJSON(all)
	if err != nil {
		return err
	}
	return w.save(ctx, func(a *Attempt) { a.Fragments = sealed })
}

// userData is what cloud-init gets: the user's own with the steps' fragments.
func (w *work) userData(o DeployOrder, all []fragment) (user []byte, err error) {
	if len(o.UserData) > 0 {
		if user, err = w.e.sealer.Open(o.UserData); err != nil {
			return nil, err
		}
	}
	return combine(all, user)
}

// combine joins fragments, in their order, and after them the user's own data.
func combine(all []fragment, user []byte) ([]byte, error) {
	var parts []cloudconfig.Part
	for _, f := range all {
		c, err := cloudconfig.ParseFragment(f.Config)
		if err != nil {
			return nil, &Error{Op: "read fragment", Kind: Invalid, Err: fmt.Errorf("%s: %w", f.Step, err), Hint: "see 'metalpool help steps'"}
		}
		parts = append(parts, cloudconfig.Part{Of: f.Step, Config: c})
	}
	joined, err := cloudconfig.Combine(parts, user)
	if err == nil {
		return joined, nil
	}
	e := &Error{Op: "join user data", Kind: Invalid, Err: err, Hint: "the steps are the pool's operator's, and user data has to go with them: leave that out, or name another profile that the pool offers"}
	if c, ok := errors.AsType[*cloudconfig.ConflictError](err); ok && !slices.Contains(c.Of[:], cloudconfig.OfUser) {
		e.Op, e.Hint = "join fragments", "change one of the two, or choose only one of them"
	}
	return nil, e
}

// orderFacts are what is known of a machine before it has a node.
func orderFacts(o Order, s Seed) map[string]any {
	return map[string]any{
		"Pool":    o.Request.Pool,
		"Machine": map[string]any{"Name": o.Name, "Owner": o.Owner, "Hostname": s.Hostname, "Image": o.Image, "SSHUser": s.User, "Labels": o.Labels},
	}
}

// fragmentsOf are those of the steps of which enough is known already: those that are for
// any server, and ask for no other facts than these.
func fragmentsOf(steps []Step, facts map[string]any) (all []fragment) {
	spent := &effort{}
	for _, s := range steps {
		if s.CloudInit == nil || s.Only != nil {
			continue
		}
		if text, err := expand(facts, s.CloudInit.Config, standIn(s.Secrets), spent); err == nil {
			all = append(all, fragment{Step: stepName(s), Config: text})
		}
	}
	return all
}
