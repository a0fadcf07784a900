package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

// recordTime bounds writing the audit log at the end of a write, whose own time may be
// over.
const recordTime = 10 * time.Second

// These bound what a line repeats of a request that nobody has checked yet.
const (
	mostSubject = 200
	mostReason  = 512
)

// Because is why something is asked, where the caller says.
type Because struct {
	Reason string `query:"reason" maxLength:"512" doc:"Why, for the events and the audit log."`
}

func (b Because) reason() string { return b.Reason }

// entry begins a line of the audit log about a write.
func entry(p principal, o operation, request string, in any) core.AuditEntry {
	e := core.AuditEntry{Who: p.Name, Token: p.ID, From: p.from, Request: request, What: o.id}
	if subject, ok := in.(interface{ about() string }); ok {
		e.Subject = cut(subject.about(), mostSubject)
	}
	if why, ok := in.(interface{ reason() string }); ok {
		e.Reason = why.reason()
	}
	return e
}

// recorded does a write that is in the audit log with the first that it changes. What
// became of it is written once it was answered: that line may be missing where a server
// died.
func (s *Server) recorded(ctx context.Context, e core.AuditEntry, do func(context.Context) (any, error)) ended {
	began := time.Now()
	e.Outcome = core.AuditBegun
	result, err := s.caught(func() (any, error) { return do(core.WithAudit(ctx, e)) })
	s.outdated(err)
	e.Outcome = outcome(ctx, err)
	if err != nil {
		e.Error = err.Error()
	}
	s.log.Info("write", "what", e.What, "subject", e.Subject, "who", e.Who, "token", e.Token, "from", e.From, "request", e.Request, "outcome", string(e.Outcome), "error", e.Error, "took", time.Since(began).Seconds())
	return ended{result, err, func() { s.record(ctx, e) }}
}

// caught keeps a defect that one write meets from ending all others.
func (s *Server) caught(do func() (any, error)) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic", "what", p, "stack", string(debug.Stack()))
			result, err = nil, errDefect
		}
	}()
	return do()
}

// record has the audit log tell of what is done already.
func (s *Server) record(ctx context.Context, e core.AuditEntry) {
	if e.Outcome == core.AuditDenied {
		s.denials.add(e)
		return
	}
	s.write(ctx, e)
}

// write writes a line.
func (s *Server) write(ctx context.Context, e core.AuditEntry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	if err := s.pool.Record(ctx, e); err != nil {
		s.log.Error("the audit log lacks a line", "entry", fmt.Sprintf("%+v", e), "error", err)
	}
}

func outcome(ctx context.Context, err error) core.AuditOutcome {
	switch {
	case err == nil:
		return core.AuditDone
	case errors.Is(context.Cause(ctx), errDraining), errors.Is(err, core.ErrOutdated):
		return core.AuditHandoff
	case core.Is(err, core.Denied):
		return core.AuditDenied
	}
	return core.AuditFailed
}

// cut is the beginning of a text, at most so many bytes, without half a character.
func cut(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}
