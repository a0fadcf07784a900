package server

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// What one token may have of the server's memory. Who asks for more is told to ask again,
// which our clients do.
const (
	mostWorking = 500      // writes under way that do not queue for a node; half as many again that are no orders
	mostQueuing = 2000     // those that do, which take little more than their place
	mostHeld    = 64 << 20 // bytes of bodies that are read, or kept by writes under way
	// mostTold is how many requests' ends are told again, of which each may have some KiB.
	mostTold = 5000
	again    = "2" // seconds, by which something has ended, as a rule
)

// Crowd is what one token may have under way at a time; 0 is the default.
type Crowd struct {
	Working int   // writes that do not queue for a node
	Queuing int   // those that do
	Held    int64 // bytes of bodies that are read, or kept by writes under way
	Told    int   // requests whose ends are told again
}

func (c Crowd) orDefaults() Crowd {
	return Crowd{cmp.Or(c.Working, mostWorking), cmp.Or(c.Queuing, mostQueuing), cmp.Or(c.Held, mostHeld), cmp.Or(c.Told, mostTold)}
}

// crowdedError is a token that has enough under way.
type crowdedError struct{ why error }

func (c crowdedError) Error() string { return c.why.Error() }
func (c crowdedError) Unwrap() error { return c.why }

func crowded(who, what string) error {
	return crowdedError{&core.Error{Op: "serve", Kind: core.Transient, Err: fmt.Errorf("the token %s has %s, and may have no more at a time", who, what), Hint: "ask again when some have ended"}}
}

// busy is the answer to a crowdedError.
func (c crowdedError) busy() error {
	p := api.NewProblem(c.why)
	p.Status = http.StatusTooManyRequests
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {again}})
}

// crowd is what one token has under way. It is guarded by jobs.mu.
type crowd struct {
	running map[*job]struct{}
	held    int64    // bytes
	asked   int      // requests that are remembered
	order   []string // their IDs, oldest first; some may be forgotten
}

// of is the crowd of a token. js.mu is held.
func (js *jobs) of(who string) *crowd {
	c := js.crowds[who]
	if c == nil {
		c = &crowd{running: map[*job]struct{}{}}
		js.crowds[who] = c
	}
	return c
}

// leave forgets a crowd that has gone. js.mu is held.
func (js *jobs) leave(who string) {
	if c := js.crowds[who]; c != nil && len(c.running) == 0 && c.held == 0 && c.asked == 0 {
		delete(js.crowds, who)
	}
}

// room says why a token is to have no more writes under way. Orders do not fill all of it:
// who has many may still release. js.mu is held.
func (js *jobs) room(who string, w weight) error {
	working, queuing := 0, 0
	c := js.of(who)
	for j := range c.running {
		if j.queues() {
			queuing++
		} else {
			working++
		}
	}
	most := js.most.Working
	if !w.order {
		most += most / 2
	}
	switch {
	case working >= most:
		return crowded(who, fmt.Sprintf("%d writes under way", working))
	case w.order && queuing >= js.most.Queuing:
		return crowded(who, fmt.Sprintf("%d orders that queue for a node", queuing))
	case c.held+w.size > js.most.Held:
		return crowded(who, fmt.Sprintf("writes of %d bytes under way", c.held))
	}
	return nil
}

// weight is what a write takes of its token's share.
type weight struct {
	size  int64 // bytes, while it is under way
	order bool  // for a node: it may come to queue
}

// hold counts bytes of a body that is about to be read, until free is called.
func (js *jobs) hold(who string, size int64) (free func(), err error) {
	js.mu.Lock()
	defer js.mu.Unlock()
	c := js.of(who)
	if c.held+size > js.most.Held {
		js.leave(who)
		return nil, crowded(who, fmt.Sprintf("bodies of %d bytes on their way", c.held))
	}
	c.held += size
	return func() {
		js.mu.Lock()
		defer js.mu.Unlock()
		c.held -= size
		js.leave(who)
	}, nil
}

// remember keeps a request's job to tell its end again. js.mu is held.
func (js *jobs) remember(who, request string, j *job) {
	js.fits(who)
	c := js.of(who)
	js.requested[who+"/"+request] = j
	c.asked++
	c.order = append(c.order, request)
}

// fits makes room for one request more, and reports whether there is any. The oldest that
// have ended go: the same again is then done again, which is no other thing. js.mu is held.
func (js *jobs) fits(who string) bool {
	c := js.of(who)
	for range c.order {
		if len(c.order) < js.most.Told {
			return true
		}
		oldest := c.order[0]
		c.order = c.order[1:]
		old, there := js.requested[who+"/"+oldest]
		if there && old.over.Err() == nil {
			c.order = append(c.order, oldest)
		} else if there {
			js.forget(who, oldest, old)
		}
	}
	return len(c.order) < js.most.Told
}

// forget drops a request, if it is still this job's. js.mu is held.
func (js *jobs) forget(who, request string, j *job) {
	if js.requested[who+"/"+request] != j {
		return
	}
	delete(js.requested, who+"/"+request)
	js.of(who).asked--
	js.leave(who)
}

// queues reports whether a job waits for a node.
func (j *job) queues() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.queueing
}
