package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// deed is a write, and what its errors call it.
type deed struct {
	call
	op, subject string
}

// unheard is what to do about a write whose end was not heard. Only an order may be gone on
// with, and given up.
func (d deed) unheard() string {
	next := "see what came of it before asking again"
	switch d.op {
	case opCreate, opAcquire, opDeploy:
		next = core.AdviceUnfinished
	case opRelease:
		next = "to see it done, release it again"
	}
	return "the server goes on with what it has begun; " + next
}

// send does a write to its end. Its ID is new for each, and the same each time it is
// sent: what is done already is not done twice, and its answer is told again.
func send[T any](ctx context.Context, c *Client, d deed, report core.Reporter) (T, error) {
	d.request = core.NewID("r")
	var (
		none T
		told bool
		p    = patience{limit: c.patience}
	)
	for {
		var answer api.Written[T]
		err := c.decode(ctx, d.call, &answer)
		if err == nil {
			if answer.Done && answer.Result != nil {
				return *answer.Result, nil
			}
			// Only events count as service: who begins a write each time, and never tells of it,
			// would be asked for ever.
			var result T
			if err = c.follow(ctx, &d.call, report, &p, &result); err == nil {
				return result, nil
			}
			told = told && !p.since.IsZero()
		}
		if ctx.Err() != nil {
			return none, ended(ctx, d)
		}
		a, again := away(err)
		if !again {
			return none, err
		}
		if !told && report != nil {
			told = true
			report(core.Progress{Step: "server", Message: "waiting for " + c.base + ": " + a.Error()})
		}
		if !p.wait(ctx, a.after) {
			if ctx.Err() != nil {
				return none, ended(ctx, d)
			}
			return none, &core.Error{Op: d.op, Allocation: d.subject, Kind: core.Transient, Err: fmt.Errorf("no answer for %s: %w", core.FormatDuration(p.limit), a.err), Hint: d.unheard()}
		}
	}
}

// follow hears the events of a write to its end. A cut is an awayError: the write is
// then sent again, and goes on at the event that was seen last.
func (c *Client) follow(ctx context.Context, d *call, report core.Reporter, p *patience, result any) error {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	// A connection that is dead without saying so.
	silence := time.AfterFunc(3*api.EventsAlive, func() { cut(errSilent) })
	defer silence.Stop()
	resp, err := c.exchange(ctx, call{method: http.MethodGet, path: api.ProgressPath(d.request)[len(api.Prefix):], last: d.last})
	if core.Is(err, core.NotFound) {
		return &awayError{err: err} // it was begun by a server that is gone
	}
	if err != nil {
		return silenced(ctx, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		e, err := readEvent(lines)
		if err != nil {
			return silenced(ctx, c.unreached(err))
		}
		silence.Reset(3 * api.EventsAlive)
		p.served()
		if e.id > 0 {
			d.last = e.id
		}
		switch e.name {
		case api.EventProgress:
			var told api.Progress
			if json.Unmarshal(e.data, &told) == nil && report != nil {
				report(core.Progress(told))
			}
		case api.EventHandover:
			return &awayError{err: &core.Error{Op: "follow", Kind: core.Transient, Err: errors.New("the server is stopping")}}
		case api.EventEnd:
			return end(e.data, result)
		}
	}
}

var errSilent = errors.New("the server has fallen silent")

// silenced makes a cut of our own the server's.
func silenced(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return &awayError{err: errSilent}
	}
	return err
}

// end reads the last event of a write.
func end(data []byte, result any) error {
	var told struct {
		Result  json.RawMessage `json:"result"`
		Problem *api.Problem    `json:"problem"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return err
	}
	if told.Problem != nil {
		return told.Problem.Err()
	}
	return json.Unmarshal(told.Result, result)
}

// mostEvent bounds one event.
const mostEvent = 64 << 20

type streamed struct {
	id   int64
	name string
	data []byte
}

// readEvent reads one event of a stream, as far as our server uses them.
func readEvent(from *bufio.Reader) (e streamed, err error) {
	for size := 0; ; {
		line, err := from.ReadBytes('\n')
		if err != nil {
			return e, err
		}
		if size += len(line); size > mostEvent {
			return e, errors.New("an event is longer than any event is")
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			if e.name != "" || e.data != nil {
				return e, nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			e.id = api.ParseEventID(string(value))
		case "event":
			e.name = string(value)
		case "data":
			e.data = append(e.data, value...)
		}
	}
}
