package core

import (
	"context"
	"errors"
	"io"
)

// StepRunner does the steps of one kind.
type StepRunner interface {
	// Run has what the step asks for be so, and returns once it is. It is called again
	// with the same ID where a worker died: what that run had come to is to be found out,
	// not guessed.
	//
	// An error says that it is known to have failed, and that it may be tried anew, with
	// three exceptions: ErrUnknownOutcome, Invalid for what would fail again, and Transient
	// where the machine is out of reach, which is gone on with under the same ID.
	Run(ctx context.Context, r StepRun) error
}

// StepChecker is a StepRunner that finds fault with a step when it is declared, as far as
// this host can tell.
type StepChecker interface {
	CheckStep(ctx context.Context, s Step) error
}

// ErrUnknownOutcome is a run that may have had its effect or not: nobody saw its end, it
// cannot be looked up, and to do it again is not said to be harmless.
var ErrUnknownOutcome = errors.New("it was begun, and nobody knows how it ended")

// StepRun is one try at a step. What it offers is for one goroutine at a time, but for
// Secret, Hide and Output.
type StepRun struct {
	ID    string // the same again is the same try
	Step  Step   // with its defaults filled in
	Begun bool   // a run of this ID may have been begun before
	Facts Facts
	// LogIn opens the machine as its login user. The caller closes it.
	LogIn func(ctx context.Context) (Login, error)
	// AtFirstBoot has cloud-init do what a fragment of cloud-config says when the OS starts
	// for the first time. It is refused where it cannot be joined with what others ask of
	// cloud-init.
	AtFirstBoot func(ctx context.Context, fragment string) error
	// WayIn is where the machine is, and the private key that it lets in, in PEM. The key is
	// for this try alone, and for nobody's eyes.
	WayIn func(ctx context.Context) (Access, []byte, error)
	// Agent is the conversation with the ramdisk. It is not the caller's to close.
	Agent func(ctx context.Context) (Agent, error)
	// Secret finds a secret that the step declares. What it found is kept out of events,
	// errors and output.
	Secret func(ctx context.Context, name string) (string, error)
	// Hide takes the secrets that Secret has found out of a text. Whoever shortens what
	// others have said does so before: of a secret that is cut in two nobody finds the rest.
	Hide func(text string) string
	// Output takes what the step says. Of much the first and the last is kept.
	Output io.Writer
	// Met says that there was nothing to do, and how that is known.
	Met func(how string)
	// Warn tells the operator of what may be a mistake of his. The step goes on.
	Warn func(what string)

	spent *effort // by its templates
}

// Expand fills the facts into a template of text/template, which has neither files nor the
// environment. secret finds what {{secret "NAME"}} asks for. Errors name no value. What all
// templates of a run may cost is bounded, too.
func (r StepRun) Expand(text string, secret func(name string) (string, error)) (string, error) {
	return expand(r.Facts, text, secret, r.spent)
}

// Script is a program to be run on a machine.
type Script struct {
	// ID is the run's: one that was begun is not begun again. An empty one is run each
	// time.
	ID    string
	Text  string
	User  ScriptUser
	Env   map[string]string // secrets among them
	Files map[string]string // in its folder, by their names
	Limit Span              // it is ended there, whether we are connected or not
	// Again has one that was begun, and of whose end nothing is known, be run again.
	Again bool
}
