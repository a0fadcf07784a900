package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// Write may be called again with the same ID by another process: the agent then
// fetches what is missing from that process's source.
func (c *client) Write(ctx context.Context, id string, o core.WriteOrder, progress func(done, total core.Bytes)) error {
	_, err := c.run(ctx, id, wire.Command{Write: &wire.WriteOrder{WriteOrder: o, Hosts: c.sources}}, progress)
	return err
}

func (c *client) Seed(ctx context.Context, id string, o core.SeedOrder) error {
	if len(o.Filesystem) > wire.SeedSize {
		room, size := core.TooLittle(core.Bytes.String, wire.SeedSize, core.Bytes(len(o.Filesystem)))
		return c.fail("seed", core.Invalid, fmt.Errorf("a file system of %s, and there is room for %s", size, room), "shorten the user data")
	}
	compress, err := encoder()
	if err != nil {
		return c.fail("seed", core.Internal, err, "")
	}
	_, err = c.run(ctx, id, wire.Command{Seed: &wire.SeedOrder{Disk: o.Disk, Zstd: compress.EncodeAll(o.Filesystem, nil)}}, nil)
	return err
}

// Erase returns the report also where it returns an error.
func (c *client) Erase(ctx context.Context, id string, o core.EraseOrder, progress func(done, total core.Bytes)) (core.EraseReport, error) {
	status, err := c.run(ctx, id, wire.Command{Erase: &o}, progress)
	if status.Report == nil {
		return core.EraseReport{}, err
	}
	return *status.Report, err
}

func (c *client) Boot(ctx context.Context, id string, o core.BootOrder) error {
	_, err := c.run(ctx, id, wire.Command{Boot: &o}, nil)
	return err
}

// Run implements core.Agent. The ID of the command is the script's.
func (c *client) Run(ctx context.Context, s core.Script, output io.Writer) (int, error) {
	order := &wire.RunOrder{Text: s.Text, Env: s.Env, Files: s.Files, Limit: time.Duration(s.Limit)}
	status, err := c.run(ctx, s.ID, wire.Command{Run: order}, nil)
	if err != nil {
		return 0, err
	}
	if status.Ran == nil {
		return 0, c.fail("run", core.Backend, errors.New("it does not say how the script has ended"), "")
	}
	tell(output, status.Ran.Head, status.Ran.Tail, status.Ran.Left)
	return status.Ran.Status, nil
}

// skipper is a writer of what a script says that takes note of what is missing there.
type skipper interface{ Skip(bytes int64) }

// tell writes what is kept of what a script has said.
func tell(output io.Writer, head, tail []byte, left int64) {
	_, _ = output.Write(head) // it is kept in memory
	if s, ok := output.(skipper); ok && left > 0 {
		s.Skip(left)
	}
	_, _ = output.Write(tail)
}

// leaveTimeout is how long an agent that was told to boot is called: it leaves
// soon, also where its answer was lost.
const leaveTimeout = 30 * time.Second

// pollWait is how long an agent may wait for news of a command before it answers, in
// seconds. It owes an answer after that: the sooner, the sooner its silence is noticed.
const pollWait = 5

// encoder compresses seeds: its window is what the agent must hold to decompress.
var encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
})

// run starts a command, or attaches to it, and follows it to its end.
func (c *client) run(ctx context.Context, id string, command wire.Command, progress func(done, total core.Bytes)) (wire.Status, error) {
	op := command.Name()
	if err := command.Validate(); err != nil {
		return wire.Status{}, c.fail(op, core.Invalid, err, "")
	}
	if !wire.ValidCommandID(id) {
		return wire.Status{}, c.fail(op, core.Internal, errors.New("a command ID is 1 to 200 printable characters"), "")
	}
	body, err := json.Marshal(command)
	if err != nil {
		return wire.Status{}, c.fail(op, core.Internal, err, "")
	}
	var status wire.Status
	if err := c.persist(ctx, call{op: op, method: http.MethodPut, path: wire.CommandPath, command: id, body: body, allowed: 4 * callTimeout}, &status); err != nil {
		return wire.Status{}, err
	}
	for status.State == wire.Running {
		if progress != nil && status.Total > 0 {
			progress(status.Done, status.Total)
		}
		next := call{
			op: op, method: http.MethodGet, path: wire.CommandPath, command: id,
			query:   url.Values{wire.QueryAfter: {strconv.FormatUint(status.Seq, 10)}, wire.QueryWait: {strconv.Itoa(pollWait)}},
			allowed: pollWait*time.Second + callTimeout,
		}
		if command.Boot != nil {
			next.lost = leaveTimeout
		}
		status = wire.Status{} // what the answer leaves out is not what the last one said
		if err := c.persist(ctx, next, &status); err != nil {
			return wire.Status{}, err
		}
	}
	switch {
	case status.State == wire.Done:
		if progress != nil && status.Total > 0 {
			progress(status.Total, status.Total)
		}
		return status, nil
	case status.State == wire.Failed && status.Err != nil:
		return status, status.Err.Core(c.node)
	}
	return wire.Status{}, c.fail(op, core.Backend, fmt.Errorf("it says %q of it", status.State), "")
}
