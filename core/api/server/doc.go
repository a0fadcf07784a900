// Package server serves a pool over HTTPS to who has a token: `metalpool serve`.
//
// A handler asks who calls (access.go), and either reads or begins a job (job.go). A
// job does one write in the background under the server's own context, and remembers
// what it said, for whoever follows it (stream.go). Nothing that matters is only here:
// what a job has committed is in the store, and the same write sent to another server
// goes on from there.
package server

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/metrics"
)

// Pool is what a server serves: all that its clients do, and who they are. The engine
// is one.
type Pool interface {
	core.Operator
	// Authenticate finds the token that a secret is; Denied where it lets nobody in.
	Authenticate(ctx context.Context, secret string) (core.Token, error)
	// MachineConsole is the console for who has the machine on it.
	MachineConsole(ctx context.Context, id core.AllocationID, lines int) ([]string, error)
	Record(ctx context.Context, e core.AuditEntry) error
}

// Config is what a server is made of.
type Config struct {
	Pool    Pool
	Log     *slog.Logger
	Version string // of the program, for the API's document
	// Images is the folder whose files operators may add as images, absolute; "" is none.
	Images string
	// QueueGrace is how long an order that only queues outlives the last who followed
	// it; 0 is 15 seconds. Its place in the queue lapses after that, unless another server
	// has the order by then.
	QueueGrace time.Duration
	Crowd      Crowd
	// LookTime is for how long what a BMC has said of a machine's power, or of a console, is
	// told again; 0 is a second.
	LookTime time.Duration
	// AliveTime is how often a stream says that it is alive, and looks whether its token is
	// still good; 0 is api.EventsAlive, by which our clients tell a dead one.
	AliveTime time.Duration
	// HeaderTime and BodyTime are how long a request may take to arrive; 0 is 10 seconds
	// and a minute.
	HeaderTime, BodyTime time.Duration
	// AnswerTime is how long a request may take until its answer was taken, but for
	// streams; 0 is 5 minutes.
	AnswerTime time.Duration
}

// Server answers requests. It starts nothing until it is asked.
type Server struct {
	pool     Pool
	images   imageFolder
	log      *slog.Logger
	jobs     *jobs
	rates    *limits // by token
	failures *limits // by address
	welcome  guests
	denials  *denials
	present  *presence
	metrics  *metrics.Metrics
	ready    readiness
	ends     chan error  // why it is to end by itself
	old      atomic.Bool // the store is not the one that was opened
	handler  http.Handler
	powers   *looks[core.PowerState]
	tails    *looks[[]string]
	drifts   *looks[core.Drift]
	bioses   *looks[[]core.BIOSAttribute]

	headerTime, bodyTime, takenTime time.Duration

	api huma.API
}

// framework is set up once for all servers of a process: its errors are ours, and the
// names of fields are as they are written.
var framework = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.NewError = refusal
})

// New makes a server of a pool.
func New(c Config) *Server {
	framework()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{ends: make(chan error, 1), pool: c.Pool, images: imageFolder(c.Images), log: c.Log, jobs: newJobs(cmp.Or(c.QueueGrace, queueGrace), c.Crowd), rates: newLimits(tokenRate, tokenBurst), failures: newLimits(failedRate, failedBurst), metrics: metrics.New(c.Pool)}
	s.denials = newDenials(func(e core.AuditEntry) { s.write(context.Background(), e) })
	s.powers, s.tails = newLooks[core.PowerState](cmp.Or(c.LookTime, lookTime)), newLooks[[]string](cmp.Or(c.LookTime, lookTime))
	s.drifts, s.bioses = newLooks[core.Drift](cmp.Or(c.LookTime, lookTime)), newLooks[[]core.BIOSAttribute](cmp.Or(c.LookTime, lookTime))
	s.present = newPresence(cmp.Or(c.AliveTime, api.EventsAlive))
	s.headerTime, s.bodyTime, s.takenTime = cmp.Or(c.HeaderTime, headerTime), cmp.Or(c.BodyTime, bodyTime), cmp.Or(c.AnswerTime, takenTime)
	mux := http.NewServeMux()
	config := huma.DefaultConfig("metalpool", c.Version)
	config.Info.Description = "Takes bare-metal servers from a pool and gives them back erased. A write carries an ID of the caller's own making, and may be sent again."
	config.DocsPath, config.SchemasPath = "", "" // the first would load scripts from elsewhere
	config.CreateHooks = nil
	config.Transformers = []huma.Transformer{discreet}
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"token": {}}}
	s.api = humago.New(mux, config)
	s.machines()
	s.nodes()
	s.catalogue()
	s.consoles()
	s.tokens()
	s.progress()
	s.care(mux)
	s.handler = s.observed(s.admit(patterned(mux)))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// OpenAPI is the API's document, as YAML.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().YAML() }

// Drain takes no more writes, and ends those under way in a way that another server,
// or the next start, goes on with at once: their leases are given back. It returns when
// they have ended, or with ctx.
func (s *Server) Drain(ctx context.Context) error { return s.jobs.drain(ctx) }

// refusal is what the framework itself finds wrong with a request. What was sent is not
// repeated: it may be a secret.
func refusal(status int, message string, errs ...error) huma.StatusError {
	text := message
	for i, err := range errs {
		if p, ok := err.(*api.Problem); ok { //nolint:errorlint // a resolver's own answer
			return p
		}
		if d, ok := err.(*huma.ErrorDetail); ok { //nolint:errorlint // it comes as such
			text += either(i == 0, ": ", ", ") + d.Location + ": " + d.Message
			continue
		}
		text += either(i == 0, ": ", ", ") + err.Error()
	}
	kind := core.Invalid
	if status >= http.StatusInternalServerError {
		kind = core.Internal
	}
	e := &core.Error{Op: "read the request", Kind: kind, Err: plain(text), Hint: "see /openapi.yaml; an older or newer client may say what this server does not know"}
	p := api.NewProblem(e)
	p.Status = status
	return p
}

// plain is a text as an error.
type plain string

func (p plain) Error() string { return string(p) }

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
