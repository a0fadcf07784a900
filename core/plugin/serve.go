package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/plugin/wire"
)

// server is a Step as the wire has it.
type server[C any] struct {
	wire.UnimplementedStepServer
	step Step[C]
}

func (s server[C]) Validate(_ context.Context, c *wire.Config) (*wire.Verdict, error) {
	return &wire.Verdict{Problem: s.problem(c.GetJson())}, nil
}

// problem is what is wrong with a config, or nothing.
func (s server[C]) problem(text []byte) string {
	config, err := readConfig[C](text)
	if err == nil && s.step.Validate != nil {
		err = s.step.Validate(config)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func (s server[C]) Check(asked *wire.Try, to grpc.ServerStreamingServer[wire.Report]) error {
	if s.step.Check == nil {
		return status.Error(codes.Unimplemented, "this plugin cannot tell")
	}
	return answer(asked, to, func(t Try[C]) (wire.Result, error) {
		met, err := s.step.Check(to.Context(), t)
		if met {
			return wire.Result_RESULT_MET, err
		}
		return wire.Result_RESULT_NOT_MET, err
	})
}

func (s server[C]) Run(asked *wire.Try, to grpc.ServerStreamingServer[wire.Report]) error {
	return answer(asked, to, func(t Try[C]) (wire.Result, error) {
		return wire.Result_RESULT_DONE, s.step.Run(to.Context(), t)
	})
}

// answer does what a try asks, and sends how it ended.
func answer[C any](asked *wire.Try, to grpc.ServerStreamingServer[wire.Report], do func(t Try[C]) (wire.Result, error)) error {
	output := &output{to: to}
	t := Try[C]{ID: asked.GetId(), Step: asked.GetStep(), Phase: core.StepPhase(asked.GetPhase()), Begun: asked.GetBegun(), Output: output, secrets: asked.GetSecrets()}
	config, err := readConfig[C](asked.GetConfig())
	if err == nil {
		t.Config = config
		if err = json.Unmarshal(asked.GetFacts(), &t.Facts); err != nil {
			err = Permanent(fmt.Errorf("facts: %w", err))
		}
	}
	end := &wire.Outcome{Id: asked.GetId()}
	if err == nil {
		end.Result, err = do(t)
	}
	if err != nil {
		end.Result, end.Message = resultOf(err), err.Error()
	}
	return output.end(end)
}

// output sends what is said, and nothing more after the outcome.
type output struct {
	mu    sync.Mutex
	to    grpc.ServerStreamingServer[wire.Report]
	ended bool
}

// maxOutput bounds one message, in bytes.
const maxOutput = 32 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sent := 0
	for sent < len(p) && !o.ended {
		part := p[sent:min(len(p), sent+maxOutput)]
		if err := o.to.Send(&wire.Report{Report: &wire.Report_Output{Output: part}}); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return len(p), nil
}

func (o *output) end(how *wire.Outcome) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	return o.to.Send(&wire.Report{Report: &wire.Report_Outcome{Outcome: how}})
}
