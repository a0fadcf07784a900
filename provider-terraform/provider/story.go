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
	// again is what the next apply does should this one fail; "" is againHere.
	again string
	also  func(string) // is told each step, too; nil is allowed

	mu   sync.Mutex
	last core.Progress
}

// What Terraform does next about what has failed. A create dooms what it created, an
// update and an action nothing.
const (
	againElsewhere = "the next apply releases it and takes another; after 'terraform untaint' it tries this one again"
	againHere      = "the next apply tries again"
	againAsked     = "the next apply of its resource deploys it again, and so does the action"
)

func (s *story) next() string {
	if s == nil || s.again == "" {
		return againHere
	}
	return s.again
}

func (s *story) report(ctx context.Context) core.Reporter {
	return func(p core.Progress) {
		s.mu.Lock()
		again := p.Node == s.last.Node && p.Step == s.last.Step && p.Message == s.last.Message
		s.last = p
		s.mu.Unlock()
		if again {
			return
		}
		tflog.Info(ctx, p.Message, map[string]any{"node": string(p.Node), "step": p.Step})
		if s.also != nil {
			s.also(string(p.Node) + ": " + wording(p))
		}
	}
}

// phase is the step that was at work last; "" where none was.
func (s *story) phase() string {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return wording(s.last)
}

func wording(p core.Progress) string {
	if p.Step == "" || p.Message == "" {
		return p.Step
	}
	return p.Step + ": " + p.Message
}
