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
	next outlook      // should this one fail; ofUpdate where it is empty
	also func(string) // is told each step, too; nil is allowed

	mu   sync.Mutex
	last core.Progress
}

// outlook is what Terraform does next, in the words of its users.
type outlook struct {
	failed     string // about a deploy that has failed
	unfinished string // about one that was left
	operation  string // whose time it was, by its name in timeouts
}

// A create that fails dooms what it created, an update and an action nothing.
var (
	ofCreate = outlook{
		"the next apply releases it and takes another; after 'terraform untaint' it tries this one again",
		"the next apply releases it and takes another; after 'terraform untaint' it goes on with this one", "create",
	}
	// ofCreateHere is of a create that never takes another server.
	ofCreateHere = outlook{
		"the next apply tries again",
		"the next apply begins anew on the same server; after 'terraform untaint' it goes on with it", "create",
	}
	ofUpdate = outlook{"the next apply tries again", "the next apply goes on with it, and destroy gives it back", "update"}
	ofAction = outlook{
		"the next apply of its resource deploys it again, and so does the action",
		"the next apply of its resource goes on with it, and so does the action", "invoke",
	}
)

func (s *story) outlook() outlook {
	if s == nil || s.next == (outlook{}) {
		return ofUpdate
	}
	return s.next
}

func (s *story) report(ctx context.Context) core.Reporter {
	return func(p core.Progress) {
		s.mu.Lock()
		again := p.Same(s.last)
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
