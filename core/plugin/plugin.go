// Package plugin makes a program a plugin of metalpool: an executable metalpool-step-NAME
// that does steps of the kind plugin. docs/plugins.md has an example.
package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/plugin/wire"
)

// Step is what a plugin does. C is the type of its config, which is read as JSON: a field
// that it does not have is refused when the step is declared.
type Step[C any] struct {
	// Run has what the config asks for be so. It is called again, for the same try, where
	// nobody saw the end of it; see Try.Begun. An error says that it is known to have
	// failed and may be tried again, unless it is Permanent or Unknown. A panic, and a
	// program that ends, leave unknown what came of it.
	Run func(ctx context.Context, t Try[C]) error
	// Check, where the plugin can tell, says whether there is nothing to do. It is asked
	// before each Run, and changes nothing.
	Check func(ctx context.Context, t Try[C]) (met bool, err error)
	// Validate, if any, finds fault with a config when it is declared. It changes nothing
	// and asks nobody. Texts in the config are templates still.
	Validate func(config C) error
}

// Try is one try at a step.
type Try[C any] struct {
	ID    string // the same again is the same try
	Step  string // its name
	Phase core.StepPhase
	// Begun is that this try may have been begun before, by a process that died. Run is
	// called so only where Check said that it is not met, or the step that doing it twice
	// is as doing it once.
	Begun  bool
	Facts  core.Facts
	Config C // its templates filled in
	// Output takes what is to be among the node's events. Of much the first and the last is
	// kept.
	Output io.Writer

	secrets map[string]string
}

// Logf says a line to Output.
func (t Try[C]) Logf(format string, args ...any) {
	fmt.Fprintf(t.Output, format+"\n", args...)
}

// Secret is what the step declares under the name. Wherever the plugin says it, metalpool
// takes it out again; in another form, base64 say, it does not.
func (t Try[C]) Secret(name string) (string, error) {
	value, there := t.secrets[name]
	if !there {
		return "", Permanent(fmt.Errorf("the step declares no secret %s", name))
	}
	return value, nil
}

// Permanent is an error that would be the same if it was tried again.
func Permanent(err error) error { return outcome{err, wire.Result_RESULT_PERMANENT} }

// Unknown is an error after which nobody knows whether it was done.
func Unknown(err error) error { return outcome{err, wire.Result_RESULT_UNKNOWN} }

// outcome is an error that says how a try has ended.
type outcome struct {
	error
	result wire.Result
}

func (o outcome) Unwrap() error { return o.error }

func resultOf(err error) wire.Result {
	if o, ok := errors.AsType[outcome](err); ok {
		return o.result
	}
	return wire.Result_RESULT_TRANSIENT
}

// Serve does what metalpool asks, until it ends this process. It is all that main does.
func Serve[C any](s Step[C]) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{
			wire.Version: {string(wire.KindStep): wire.Steps{Serves: server[C]{step: s}}},
		},
		GRPCServer: goplugin.DefaultGRPCServer,
		Logger:     hclog.NewNullLogger(),
	})
}

// readConfig reads a config as strictly as rack files are.
func readConfig[C any](text []byte) (config C, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&config); err != nil {
		return config, Permanent(fmt.Errorf("config: %w", err))
	}
	return config, nil
}
