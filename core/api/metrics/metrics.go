// Package metrics tells Prometheus what a pool does.
//
// What nodes are is read from the store when it is asked for; what happened is read
// from the store's events, those of every process on the pool. So each server of a pool
// tells the same, but for the requests that it answered itself.
package metrics

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/metalpool/metalpool/core"
)

// Pool is what is read of one.
type Pool interface {
	Nodes(ctx context.Context, f core.NodeFilter) ([]core.Node, error)
	Pools(ctx context.Context) ([]core.Pool, error)
	Events(ctx context.Context, f core.EventFilter) ([]core.Event, error)
}

// Metrics are those of one server.
type Metrics struct {
	pool     Pool
	registry *prometheus.Registry
	requests *prometheus.HistogramVec

	nodes, up *prometheus.Desc
	steps     *prometheus.HistogramVec
	erases    prometheus.Counter
	faults    *prometheus.CounterVec
	changes   *prometheus.CounterVec

	mu    sync.Mutex
	seen  int64 // the last event that was counted
	since map[core.AttemptID]time.Time
}

// readTime bounds one look at the store.
const readTime = 10 * time.Second

// page is how many events are read at a time: nobody may have asked for long.
const page = 5000

// New makes the metrics of a pool. What happened before Begin, or else before it is first
// asked, is not counted.
func New(p Pool) *Metrics {
	m := &Metrics{
		pool: p, registry: prometheus.NewRegistry(), seen: -1, since: map[core.AttemptID]time.Time{},
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "metalpool_request_seconds", Help: "How long this server took to answer, by operation and status; streams count until they end.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 120, 600},
		}, []string{"operation", "status"}),
		nodes: prometheus.NewDesc("metalpool_nodes", "Nodes by pool and state.", []string{"pool", "state"}, nil),
		up:    prometheus.NewDesc("metalpool_store_up", "Whether the store could be read.", nil, nil),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "metalpool_step_seconds", Help: "How long a step took from the end of the one before it.",
			Buckets: []float64{1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600, 4 * 3600, 24 * 3600},
		}, []string{"step"}),
		erases:  prometheus.NewCounter(prometheus.CounterOpts{Name: "metalpool_erases_total", Help: "Erases that were verified."}),
		faults:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "metalpool_faults_total", Help: "Steps that failed, by step; agents that were refused."}, []string{"step"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "metalpool_state_changes_total", Help: "Nodes that came to a state."}, []string{"state"}),
	}
	m.registry.MustRegister(m.requests, m.steps, m.erases, m.faults, m.changes, reader{m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range core.StepNames() {
		m.faults.WithLabelValues(step) // increase() does not see the first of a series that comes with it
	}
	for _, state := range core.NodeStates {
		m.changes.WithLabelValues(string(state))
	}
	return m
}

// Begin counts from here on. Where the store does not answer, it is counted from the first
// time on that it is asked and does.
func (m *Metrics) Begin(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.begin(ctx)
}

// begin passes over what has happened. m.mu is held.
func (m *Metrics) begin(ctx context.Context) error {
	last, err := m.pool.Events(ctx, core.EventFilter{Limit: 1})
	if err != nil {
		return err
	}
	m.seen = 0
	if len(last) > 0 {
		m.seen = last[0].Seq
	}
	return nil
}

// Answered counts a request.
func (m *Metrics) Answered(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Observe(took.Seconds())
}

// ServeHTTP answers Prometheus.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTime)
	defer cancel()
	_ = m.count(ctx) // whether the store was read is a metric itself
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// count reads the events since the last time.
func (m *Metrics) count(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen < 0 {
		return m.begin(ctx)
	}
	for {
		events, err := m.pool.Events(ctx, core.EventFilter{After: m.seen, First: page})
		if err != nil {
			return err
		}
		for _, e := range events {
			m.add(e)
			m.seen = e.Seq
		}
		if len(events) < page {
			return nil
		}
	}
}

// add counts one event. m.mu is held.
func (m *Metrics) add(e core.Event) {
	switch e.Type {
	case core.StepMet:
		if began, known := m.since[e.Attempt]; known {
			m.steps.WithLabelValues(e.Step).Observe(e.At.Sub(began).Seconds())
		}
	case core.StepFailed, core.StepUndone, core.AgentRefused:
		m.faults.WithLabelValues(e.Step).Inc()
	case core.Erased:
		m.erases.Inc()
	case core.StateChanged:
		if e.Node != "" {
			m.changes.WithLabelValues(string(e.To)).Inc()
		}
	}
	switch {
	case e.Attempt == "":
	case e.Type == core.StateChanged && !e.To.Working():
		delete(m.since, e.Attempt) // it has ended
	case e.Type == core.StateChanged, e.Type == core.StepMet, e.Type == core.StepUndone:
		m.since[e.Attempt] = e.At
	}
}

// reader is the part that is read when it is asked for.
type reader struct{ *Metrics }

// Describe implements prometheus.Collector.
func (r reader) Describe(to chan<- *prometheus.Desc) {
	to <- r.nodes
	to <- r.up
}

// Collect implements prometheus.Collector.
func (r reader) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	nodes, err := r.pool.Nodes(ctx, core.NodeFilter{})
	var pools []core.Pool
	if err == nil {
		pools, err = r.pool.Pools(ctx)
	}
	if err != nil {
		to <- prometheus.MustNewConstMetric(r.up, prometheus.GaugeValue, 0)
		return
	}
	to <- prometheus.MustNewConstMetric(r.up, prometheus.GaugeValue, 1)
	for pool, states := range countOf(nodes, pools) {
		for _, s := range core.NodeStates {
			to <- prometheus.MustNewConstMetric(r.nodes, prometheus.GaugeValue, float64(states[s]), pool, string(s))
		}
	}
}

// countOf counts nodes by pool and state. A pool without nodes is counted, too: that it
// has none left is what somebody waits to hear. The default one is not, where it has none:
// it is there without having been declared.
func countOf(nodes []core.Node, pools []core.Pool) map[string]map[core.State]int {
	count := map[string]map[core.State]int{}
	for _, p := range pools {
		if p.Name != core.DefaultPool {
			count[p.Name] = map[core.State]int{}
		}
	}
	for _, n := range nodes {
		if count[n.Pool] == nil {
			count[n.Pool] = map[core.State]int{}
		}
		count[n.Pool][n.State]++
	}
	return count
}
