package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/guard"
	"github.com/metalpool/metalpool/core/plugin/wire"
)

// Bounds of a plugin.
const (
	startTimeout = 30 * time.Second
	endTimeout   = 2 * time.Second // in which it may end by itself
	maxMessage   = 1 << 20         // bytes
	maxWords     = 400             // of what it says in an error, in bytes
)

// Plugin is one that runs.
type Plugin struct {
	Steps wire.StepClient

	name      string
	client    *goplugin.Client
	process   *process
	said      *said
	complaint *complaint
	hide      func(text string) string
	stop      func() bool
}

// Start runs the plugin at path for as long as ctx lasts, at most. What it prints goes to
// output. What it says in errors goes through hide first, which takes out what it is told
// in confidence. The caller closes it.
func Start(ctx context.Context, name, path string, output io.Writer, hide func(text string) string) (*Plugin, error) {
	group, err := guard.New("")
	if err != nil {
		return nil, &core.Error{Op: "start plugin " + name, Kind: core.Internal, Err: err}
	}
	p := &Plugin{name: name, said: newSaid(ctx, output), hide: hide}
	p.complaint = &complaint{to: p.said}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{wire.Version: {string(wire.KindStep): wire.Steps{}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		StartTimeout:     startTimeout,
		SkipHostEnv:      true,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: group.Dir},
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			p.process = newProcess(group, path, spec.Env)
			p.stop = context.AfterFunc(ctx, p.process.end)
			return p.process, nil
		},
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage))},
		Logger:          hclog.NewNullLogger(),
		Stderr:          p.complaint,
		SyncStdout:      p.said,
		SyncStderr:      p.said,
	})
	var service any
	protocol, err := p.client.Client()
	if err == nil {
		service, err = protocol.Dispense(string(wire.KindStep))
	}
	if err != nil {
		err = p.notStarted(ctx, err)
		p.Close()
		group.End() // where it came to no process
		return nil, err
	}
	p.Steps = service.(wire.StepClient)
	return p, nil
}

// notStarted is why a plugin did not come so far that it could be asked anything.
func (p *Plugin) notStarted(ctx context.Context, err error) error {
	e := &core.Error{Op: "start plugin " + p.name, Kind: core.Backend, Err: errors.New(p.Words(err.Error()))}
	if p.process == nil || p.process.ID() == "" {
		return e
	}
	handshake := p.process.handshake.String()
	speaks, noVersion := version(handshake)
	switch {
	case ctx.Err() != nil:
		e.Kind, e.Err = core.Timeout, errors.New("its time was over before it answered")
		if handshake == "" {
			e.Err = errors.New("its time was over, and it has not begun to speak the protocol")
			e.Hint = "a plugin serves at once, and does its work when it is asked to; see 'metalpool help plugins'"
		}
	case noVersion == nil && speaks != wire.Version:
		e.Kind, e.Err = core.Invalid, fmt.Errorf("it speaks version %d of the protocol, and this metalpool version %d", speaks, wire.Version)
		e.Hint = "install a plugin that was built for this metalpool"
	case noVersion != nil && handshake != "":
		e.Kind, e.Err = core.Invalid, fmt.Errorf("it does not speak the protocol: it begins with %q", p.Words(handshake))
		e.Hint = "see 'metalpool help plugins'"
	default:
		if how := p.ended(); how != "" {
			e.Err = errors.New(how)
		}
	}
	return e
}

// ended is how the plugin's process has ended, and what it complained of last; "" where
// it runs still.
func (p *Plugin) ended() string {
	select {
	case <-p.process.ended:
	case <-time.After(endTimeout):
		return ""
	}
	how := "it ended with " + p.process.cmd.ProcessState.String()
	if last := p.Words(p.complaint.last()); last != "" {
		how += ": " + last
	}
	return how
}

// Broken is the error of a call that the plugin did not answer as it has to.
func (p *Plugin) Broken(ctx context.Context, err error) error {
	e := &core.Error{Op: "ask plugin " + p.name, Kind: core.Backend}
	if ctx.Err() != nil {
		e.Kind, e.Err = core.Timeout, errors.New("its time was over before it answered")
		return e
	}
	s, ok := status.FromError(err)
	if ok && s.Code() == codes.Unavailable {
		if how := p.ended(); how != "" {
			e.Err = errors.New(how)
			return e
		}
	}
	if ok {
		err = errors.New(s.Message())
	}
	e.Err = fmt.Errorf("it does not answer as it should: %s", p.Words(err.Error()))
	return e
}

// Output takes what the plugin says by messages, as it does what it prints.
func (p *Plugin) Output() io.Writer { return p.said }

// Close ends the plugin, and all that it has started.
func (p *Plugin) Close() {
	if p.process != nil {
		defer p.stop()
		kill := time.AfterFunc(endTimeout, p.process.end)
		defer kill.Stop()
		p.client.Kill()
		p.process.end()
	}
	p.said.end()
}

// Words is what a plugin says, for a line of an error. What is cut off was hidden before:
// half a secret nobody would know for one.
func (p *Plugin) Words(text string) string { return words(p.hide(text)) }

func words(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' ' // nothing that a terminal would obey
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(text[:min(len(text), maxWords)], "")
}
