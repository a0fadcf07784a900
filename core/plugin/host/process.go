package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/metalpool/metalpool/core/guard"
)

// process is a plugin's as go-plugin sees it. It is in a group that is killed with it,
// and its pipes are closed then, whoever of its children has the other ends.
type process struct {
	group     *guard.Group
	cmd       *exec.Cmd
	mu        sync.Mutex // it may be ended while it starts
	out, err  *os.File
	handshake *firstLine
	ended     chan struct{}
}

var _ runner.Runner = (*process)(nil)

// newProcess prepares to run the plugin at path. given is what go-plugin wants it to have
// in its environment: nothing there is secret.
func newProcess(group *guard.Group, path string, given []string) *process {
	cmd := &exec.Cmd{Path: path, Args: []string{path}, Dir: group.Dir, Env: append(environment(group.Dir), given...)}
	return &process{group: group, cmd: cmd, ended: make(chan struct{})}
}

// environment is what plugins find there: where programs are, and a place for files. What
// metalpool itself was given is not theirs.
func environment(dir string) []string {
	env := []string{"LANG=C.UTF-8", "TMPDIR=" + dir}
	for _, name := range []string{"PATH", "HOME"} {
		if value, there := os.LookupEnv(name); there {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (p *process) Start(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	for _, pipe := range []struct {
		ours   **os.File
		theirs *io.Writer
	}{{&p.out, &p.cmd.Stdout}, {&p.err, &p.cmd.Stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		*pipe.ours, *pipe.theirs, theirs = r, w, append(theirs, w)
	}
	p.handshake = &firstLine{from: p.out}
	return p.group.Start(p.cmd)
}

// Wait returns once the plugin's own process has ended.
func (p *process) Wait(context.Context) error {
	defer close(p.ended)
	return p.cmd.Wait()
}

func (p *process) Kill(context.Context) error {
	p.end()
	return nil
}

// ID is that of the process; "" where there never was one.
func (p *process) ID() string {
	if p.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(p.cmd.Process.Pid)
}

// end leaves nothing of the plugin. It may be called again.
func (p *process) end() {
	p.group.End()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range []*os.File{p.out, p.err} {
		if f != nil {
			_ = f.Close()
		}
	}
}

func (p *process) Stdout() io.ReadCloser           { return p.handshake }
func (p *process) Stderr() io.ReadCloser           { return p.err }
func (p *process) Name() string                    { return p.cmd.Path }
func (p *process) Diagnose(context.Context) string { return "" }
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// firstLine remembers the first line that a plugin says, which is to be its handshake.
type firstLine struct {
	from *os.File

	mu   sync.Mutex
	line []byte
	full bool
}

// maxHandshake is more than any has, in bytes.
const maxHandshake = 8 << 10

func (f *firstLine) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.full {
		line, _, ended := bytes.Cut(p[:n], []byte("\n"))
		f.line = append(f.line, line...)
		f.full = ended || len(f.line) > maxHandshake
	}
	return n, err
}

func (f *firstLine) Close() error { return f.from.Close() }

func (f *firstLine) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.line)
}

// version is that of the protocol which a handshake says that the plugin speaks.
func version(handshake string) (int, error) {
	parts := strings.Split(handshake, "|")
	if len(parts) < 5 || parts[4] != string(goplugin.ProtocolGRPC) {
		return 0, errors.New("it is no handshake")
	}
	return strconv.Atoi(parts[1])
}
