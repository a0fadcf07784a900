package provider

import (
	"context"
	"sync"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/metalpool/metalpool/core"
)

// story follows the work on a machine: Terraform's log has each step, and a
// diagnostic the last one.
type story struct {
	mu   sync.Mutex
	last core.Progress
}

func (s *story) report(ctx context.Context) core.Reporter {
	return func(p core.Progress) {
		s.mu.Lock()
		again := p.Node == s.last.Node && p.Step == s.last.Step && p.Message == s.last.Message
		s.last = p
		s.mu.Unlock()
		if !again {
			tflog.Info(ctx, p.Message, map[string]any{"node": string(p.Node), "step": p.Step})
		}
	}
}

// phase is the step that was at work last; "" where none was.
func (s *story) phase() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.Step == "" || s.last.Message == "" {
		return s.last.Step
	}
	return s.last.Step + ": " + s.last.Message
}
