package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// sendTime is how long one event may take to be taken.
const sendTime = 10 * time.Second

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// progress registers the events of writes, and who one is.
func (s *Server) progress() {
	type asked struct {
		Request string `path:"request" maxLength:"64"`
		Last    string `header:"Last-Event-ID" maxLength:"32" doc:"The last event that was seen; those after it are told."`
	}
	o := s.huma(operation{id: "follow", method: http.MethodGet, path: "/requests/{request}/progress", summary: "follow a write", role: core.RoleViewer})
	o.Responses = map[string]*huma.Response{"200": {
		Description: "Events as they come, and those that were missed: progress, alive, and at last end or handover. After handover, or a cut, send the write again.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: s.eventSchema()}},
	}}
	o.Errors = append(o.Errors, http.StatusNotFound)
	huma.Register(s.api, o, func(ctx context.Context, in *asked) (*huma.StreamResponse, error) {
		p := caller(ctx)
		j, there := s.jobs.find(p.ID, in.Request)
		if !there {
			return nil, api.NewProblem(&core.Error{Op: "follow " + in.Request, Kind: core.NotFound, Err: errors.New("this server knows no such write"), Hint: "send the write again, under the same ID: what is done already is not done twice"})
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			stream{w: w, controller: http.NewResponseController(w), to: p}.run(r.Context(), j, api.ParseEventID(in.Last))
		}}, nil
	})
	read(s, operation{id: "whoami", method: http.MethodGet, path: "/identity", summary: "tell who a token is", role: core.RoleViewer},
		func(_ context.Context, p principal, _ *struct{}) (api.Caller, error) {
			return api.Caller{Name: p.Name, Role: p.Role, Pools: p.Pools}, nil
		})
}

// eventSchema describes the data of each event.
func (s *Server) eventSchema() *huma.Schema {
	registry := s.api.OpenAPI().Components.Schemas
	schema := &huma.Schema{Description: "The data of an event is, by its name: progress, end, handover, alive."}
	for _, t := range []reflect.Type{typeOf[api.Progress](), typeOf[api.End](), typeOf[api.Handover](), typeOf[api.Alive]()} {
		schema.OneOf = append(schema.OneOf, registry.Schema(t, true, ""))
	}
	return schema
}

// stream writes one follower's events.
type stream struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	to         principal
}

// run tells all that follows after last until the job has ended or the follower has
// gone.
func (s stream) run(ctx context.Context, j *job, last int64) {
	defer j.follow()()
	here := s.to.presence.enter(s.to)
	defer here.leave()
	// The request was read long ago; what is read from here on only tells of a cut.
	_ = s.controller.SetReadDeadline(time.Time{}) // not every writer can
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("X-Accel-Buffering", "no")
	alive := time.NewTicker(s.to.presence.look)
	defer alive.Stop()
	if s.send(0, api.EventAlive, api.Alive{}) != nil {
		return
	}
	for {
		ended := j.over.Err() != nil // before the events are read: then these are all
		events, news := j.since(last)
		for _, e := range events {
			if s.send(e.id, api.EventProgress, e.Progress) != nil {
				return
			}
			last = e.id
		}
		if ended {
			_ = s.end(j) // the last there is to say
			return
		}
		select {
		case <-news:
		case <-j.done:
		case <-here.out:
			return
		case <-here.expires:
			if s.to.putOut(ctx) {
				return
			}
		case <-alive.C:
			if s.to.putOut(ctx) || s.send(0, api.EventAlive, api.Alive{}) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s stream) end(j *job) error {
	switch {
	case j.handedOver():
		return s.send(0, api.EventHandover, api.Handover{Message: errDraining.Error()})
	case j.err != nil:
		return s.send(0, api.EventEnd, api.End{Problem: api.NewProblem(j.err)})
	}
	return s.send(0, api.EventEnd, api.End{Result: j.result})
}

// send writes one event and sees it off. JSON has no line breaks in it.
func (s stream) send(id int64, name string, data any) error {
	var b bytes.Buffer
	if id > 0 {
		fmt.Fprintf(&b, "id: %d\n", id)
	}
	text, err := s.to.told(data)
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, text)
	return sendWithin(s.controller, func() error {
		_, err := s.w.Write(b.Bytes())
		return err
	})
}

// sendWithin bounds one write to a client. The bound is taken away again: HTTP/2 resets a
// stream when it passes, whether anything is being written or not.
func sendWithin(c *http.ResponseController, write func() error) error {
	_ = c.SetWriteDeadline(time.Now().Add(sendTime)) // not every writer can
	if err := write(); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	_ = c.SetWriteDeadline(time.Time{})
	return nil
}
