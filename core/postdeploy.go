package core

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// A machine's user may have a script of his own run on it, after all steps of the
// operator. It is one more step of the deploy, but for its text: that is sealed with the
// order, as user data is, and not kept with the steps.

// stepPostDeploy is its name. No declared step can have that.
const stepPostDeploy = "post_deploy"

const (
	maxPostDeploy  = 256 * KiB
	postDeployTime = 30 * time.Minute
)

// postDeploy is the user's script as a step, without its text.
func postDeploy() Step {
	return Step{Name: stepPostDeploy, Timeout: Span(postDeployTime), Script: &ScriptStep{}}.OrDefaults()
}

// users reports whether a step is the user's own.
func (s Step) users() bool { return s.Name == stepPostDeploy }

// withScript is the user's step with its text.
func (w *work) withScript(ctx context.Context, s Step) (Step, error) {
	order, err := w.order(ctx)
	if err != nil {
		return s, err
	}
	text, err := w.e.sealer.Open(order.PostDeploy)
	s.Script = &ScriptStep{Run: string(text)}
	return s, err
}

func checkPostDeploy(o Order) error {
	e := &Error{Op: "read " + stepPostDeploy, Allocation: o.Name, Kind: Invalid}
	switch {
	case len(o.PostDeploy) == 0:
		return nil
	case len(bytes.TrimSpace(o.PostDeploy)) == 0:
		e.Err, e.Hint = fmt.Errorf("the script is blank"), "leave it out"
	case Bytes(len(o.PostDeploy)) > maxPostDeploy:
		e.Err, e.Hint = fmt.Errorf("the script has %d bytes, and the most is %s", len(o.PostDeploy), maxPostDeploy), "have it fetch the rest"
	default:
		return nil
	}
	return e
}
