package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/plugin/host"
	"github.com/metalpool/metalpool/core/plugin/wire"
)

// Plugin has steps done by the operator's own programs, a process for each try.
type Plugin struct {
	Folders []string // in which they are looked for
}

// checkTimeout is for how long a plugin may find fault with a config.
const checkTimeout = 10 * time.Second

// CheckStep implements core.StepChecker. Where the plugin is not on this host, another
// one may have it.
func (p Plugin) CheckStep(ctx context.Context, s core.Step) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	path, err := host.Find(p.Folders, wire.KindStep, s.Plugin.Name)
	if core.Is(err, core.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	config, err := configOf(s.Plugin.Config)
	if err != nil {
		return err
	}
	running, err := host.Start(ctx, s.Plugin.Name, path, io.Discard, func(text string) string { return text })
	if err != nil {
		return err
	}
	defer running.Close()
	verdict, err := running.Steps.Validate(ctx, &wire.Config{Json: config})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return nil
	case err != nil:
		return running.Broken(ctx, err)
	case verdict.GetProblem() != "":
		return &core.Error{Op: "ask plugin " + s.Plugin.Name, Kind: core.Invalid, Err: errors.New(running.Words(verdict.GetProblem())), Hint: "see what the plugin says of its config"}
	}
	return nil
}

// CheckHost implements core.HostChecker.
func (p Plugin) CheckHost(s core.Step) (path []string, missing error) {
	_, missing = host.Find(p.Folders, wire.KindStep, s.Plugin.Name)
	return []string{"plugin", "name"}, missing
}

func configOf(f core.FreeForm) ([]byte, error) {
	if f == nil {
		f = core.FreeForm{}
	}
	text, err := json.Marshal(f)
	if err != nil {
		return nil, failed(core.Invalid, "its config cannot be written as JSON")
	}
	return text, nil
}

// Run implements core.StepRunner. A plugin that breaks off after it was told to run leaves
// its outcome unknown, unless the step may be done twice, or the plugin can tell.
func (p Plugin) Run(ctx context.Context, r core.StepRun) error {
	path, err := host.Find(p.Folders, wire.KindStep, r.Step.Plugin.Name)
	if err != nil {
		return final(err)
	}
	asked, err := try(ctx, r)
	if err != nil {
		return err
	}
	running, err := host.Start(ctx, r.Step.Plugin.Name, path, r.Output, r.Hide)
	if err != nil {
		return err
	}
	defer running.Close()
	met, tells, err := check(ctx, running, asked)
	switch {
	case err != nil:
		return err
	case met:
		r.Met("the plugin says so")
		return nil
	case r.Begun && !tells && !r.Step.Repeatable:
		return core.ErrUnknownOutcome
	}
	end, err := hear(ctx, running, asked.GetId(), running.Steps.Run, asked)
	if err == nil {
		switch end.GetResult() {
		case wire.Result_RESULT_DONE:
			return nil
		case wire.Result_RESULT_TRANSIENT:
			return failed(core.Backend, "%s", said(running, end))
		case wire.Result_RESULT_PERMANENT:
			return failed(core.Invalid, "%s", said(running, end))
		case wire.Result_RESULT_UNKNOWN:
			err = failed(core.Backend, "%s", said(running, end))
		default:
			err = lie(end)
		}
	}
	if tells || r.Step.Repeatable {
		return err
	}
	return fmt.Errorf("%w: %w", err, core.ErrUnknownOutcome)
}

// final is err as one that would be the same if it was tried again at once.
func final(err error) error {
	if e, ok := errors.AsType[*core.Error](err); ok {
		told := *e
		told.Kind = core.Invalid
		return &told
	}
	return err
}

// try is what a plugin is told of a run.
func try(ctx context.Context, r core.StepRun) (*wire.Try, error) {
	filled, err := r.Step.Plugin.Config.Expand(r)
	if err != nil {
		return nil, failed(core.Invalid, "config: %w", err)
	}
	config, err := configOf(filled)
	if err != nil {
		return nil, err
	}
	facts, err := json.Marshal(r.Facts)
	if err != nil {
		return nil, failed(core.Internal, "facts: %w", err)
	}
	secrets := map[string]string{}
	for name := range r.Step.Secrets {
		if secrets[name], err = r.Secret(ctx, name); err != nil {
			return nil, err
		}
	}
	return &wire.Try{Id: r.ID, Step: r.Step.Name, Phase: string(r.Step.Phase), Begun: r.Begun, Facts: facts, Config: config, Secrets: secrets}, nil
}

// check asks a plugin whether there is nothing to do. tells is whether it can say so.
func check(ctx context.Context, running *host.Plugin, asked *wire.Try) (met, tells bool, err error) {
	end, err := hear(ctx, running, asked.GetId(), running.Steps.Check, asked)
	switch {
	case status.Code(err) == codes.Unimplemented:
		return false, false, nil
	case err != nil:
		return false, true, err
	}
	switch end.GetResult() {
	case wire.Result_RESULT_MET, wire.Result_RESULT_NOT_MET:
		return end.GetResult() == wire.Result_RESULT_MET, true, nil
	case wire.Result_RESULT_TRANSIENT:
		return false, true, failed(core.Backend, "%s", said(running, end))
	case wire.Result_RESULT_PERMANENT:
		return false, true, failed(core.Invalid, "%s", said(running, end))
	}
	return false, true, lie(end)
}

type call = func(context.Context, *wire.Try, ...grpc.CallOption) (grpc.ServerStreamingClient[wire.Report], error)

// hear asks a plugin to do something, and passes on what it says until it says how that
// has ended. An error is the plugin's, which did not answer as it has to.
func hear(ctx context.Context, running *host.Plugin, id string, ask call, asked *wire.Try) (end *wire.Outcome, err error) {
	reports, err := ask(ctx, asked)
	if err != nil {
		return nil, running.Broken(ctx, err)
	}
	for {
		report, err := reports.Recv()
		switch {
		case errors.Is(err, io.EOF) && end != nil:
			return end, nil
		case errors.Is(err, io.EOF):
			return nil, running.Broken(ctx, errors.New("it does not say how it has ended"))
		case status.Code(err) == codes.Unimplemented:
			return nil, err
		case err != nil:
			return nil, running.Broken(ctx, err)
		case end != nil:
			return nil, running.Broken(ctx, errors.New("it goes on after it has said how it ended"))
		}
		if output := report.GetOutput(); output != nil {
			if _, err := running.Output().Write(output); err != nil {
				return nil, running.Broken(ctx, err)
			}
		}
		if end = report.GetOutcome(); end != nil && end.GetId() != id {
			return nil, running.Broken(ctx, fmt.Errorf("it tells of another try, %q", end.GetId()))
		}
	}
}

func said(running *host.Plugin, end *wire.Outcome) string {
	if text := running.Words(end.GetMessage()); text != "" {
		return text
	}
	return "the plugin does not say why"
}

func lie(end *wire.Outcome) error {
	return failed(core.Backend, "the plugin answers %s, which is no answer to that", end.GetResult())
}
