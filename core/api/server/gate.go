package server

import (
	"errors"
	"net/http"
	"regexp"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// gate refuses who has not the role that an operation needs, before anything of the body
// is read. A write that was refused is in the audit log, as far as its path and headers
// tell what it was.
func (s *Server) gate(o operation) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		p := caller(c.Context())
		err := p.needs(o.role, o.summary, o.instead)
		r, w := humago.Unwrap(c)
		if err == nil {
			s.listen(r, w, o, func() { next(c) })
			return
		}
		if o.writes {
			line := unread(p, o, c)
			line.Outcome, line.Error = core.AuditDenied, err.Error()
			s.record(c.Context(), line)
		}
		unreadBody(w)
		writeProblem(w, api.NewProblem(err))
	}
}

var requestIDs = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(requestPattern) })

// unread begins a line of the audit log about a write whose body nobody has read.
func unread(p principal, o operation, c huma.Context) core.AuditEntry {
	e := core.AuditEntry{Who: p.Name, Token: p.ID, From: p.from, What: o.id, Subject: cut(c.Param("id")+c.Param("name"), mostSubject), Reason: cut(c.Query("reason"), mostReason)}
	if request := c.Header(api.HeaderRequest); len(request) <= mostRequestID && requestIDs().MatchString(request) {
		e.Request = request
	}
	return e
}

// listen does an operation with what its body takes of the caller's share.
func (s *Server) listen(r *http.Request, w http.ResponseWriter, o operation, do func()) {
	size := r.ContentLength
	if size < 0 || size > o.body {
		size = o.body
	}
	if size == 0 {
		do()
		return
	}
	free, err := s.jobs.hold(caller(r.Context()).ID, size)
	if err != nil {
		w.Header().Set("Retry-After", again)
		turnAway(w, http.StatusTooManyRequests, errors.Unwrap(err))
		return
	}
	defer free()
	do()
}
