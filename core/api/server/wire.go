package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// operation is one of the API's.
type operation struct {
	id, method, path string
	summary          string
	role             core.Role
	instead          string // what a user may do who may not do this; "": nothing
	body             int64  // most bytes; 0: api.MaxSmallBody
	order            bool   // for a node
	each             bool   // asked for twice, under two IDs, it is to be done twice
	writes           bool   // set by write
}

// answerTime is how long a write's own answer waits for its end.
const answerTime = 15 * time.Second

// huma is the operation as the framework takes it.
func (s *Server) huma(o operation) huma.Operation {
	if o.body == 0 {
		o.body = api.MaxSmallBody
	}
	return huma.Operation{
		OperationID: o.id, Method: o.method, Path: api.Prefix + o.path, Summary: o.summary,
		Description: "Takes a token of the role " + string(o.role) + ".", MaxBodyBytes: o.body, BodyReadTimeout: s.bodyTime,
		Errors:      []int{http.StatusUnauthorized, http.StatusForbidden},
		Middlewares: huma.Middlewares{s.gate(o)},
	}
}

type answer[O any] struct{ Body O }

// read registers an operation that changes nothing.
func read[I, O any](s *Server, o operation, do func(ctx context.Context, p principal, in *I) (O, error)) {
	huma.Register(s.api, s.huma(o), func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := do(ctx, caller(ctx), in)
		if err != nil {
			return nil, api.NewProblem(err)
		}
		return &answer[O]{out}, nil
	})
}

// What a write's ID looks like; its field says the same.
const (
	requestPattern = `^[A-Za-z0-9][A-Za-z0-9._-]*$`
	mostRequestID  = 64
)

// Asked is what every write carries.
type Asked struct {
	Request string `header:"Metalpool-Request" json:"-" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" doc:"ID of this write, of the caller's own making. The same again is the same write, whose answer is told again."`
}

func (a *Asked) request() string { return a.Request }

type asker interface{ request() string }

type written[O any] struct {
	Status int
	Body   api.Written[O]
}

// write registers an operation that changes something. It is done as a job, whoever
// still listens.
func write[I, O any](s *Server, o operation, do func(ctx context.Context, p principal, in *I, report core.Reporter) (O, error)) {
	o.writes = true
	op := s.huma(o)
	op.Errors = append(op.Errors, http.StatusConflict, http.StatusServiceUnavailable)
	op.Responses = map[string]*huma.Response{"202": {
		Description: "It is committed, and under way: follow the progress.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: s.api.OpenAPI().Components.Schemas.Schema(typeOf[api.Written[O]](), true, "")}},
	}}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*written[O], error) {
		p := caller(ctx)
		request := any(in).(asker).request()
		if request == "" {
			request = core.NewID("r")
		}
		line := entry(p, o, request, in)
		what := o.id
		if o.each {
			what += " " + request
		}
		key, size := jobKey(p, what, in)
		j, err := s.jobs.begin(key, weight{size, o.order}, p.ID, request, func(ctx context.Context, report core.Reporter) ended {
			return s.recorded(core.AskedWith(ctx, p.Token), line, func(ctx context.Context) (any, error) { return do(ctx, p, in, report) })
		})
		if err != nil {
			return nil, unavailable(err)
		}
		return await[O](ctx, j, request)
	})
}

// await is a write's answer: the result where it is there soon, else where to follow.
func await[O any](ctx context.Context, j *job, request string) (*written[O], error) {
	defer j.follow()()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	select {
	case <-j.told:
	case <-j.done:
	case <-ctx.Done():
	}
	select {
	case <-j.done:
	default:
		return &written[O]{Status: http.StatusAccepted, Body: api.Written[O]{Follow: api.ProgressPath(request)}}, nil
	}
	if j.handedOver() {
		return nil, unavailable(errDraining)
	}
	if j.err != nil {
		return nil, api.NewProblem(j.err)
	}
	result, _ := j.result.(O)
	return &written[O]{Status: http.StatusOK, Body: api.Written[O]{Done: true, Result: &result}}, nil
}

// unavailable answers 503 where the same is to be asked again, or 429 where it is for the
// caller that it cannot be done now.
func unavailable(err error) error {
	if c, ok := errors.AsType[crowdedError](err); ok {
		return c.busy()
	}
	p := api.NewProblem(err)
	if core.Is(err, core.Transient) {
		p.Status = http.StatusServiceUnavailable
	}
	return p
}

func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // who does not listen has gone
}

// unreadBody keeps a client that sends slowly from holding us after its answer.
func unreadBody(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)) // not every writer can
}
